"""What every experiment shares: its servers, its rounds, its verdict and its options.

    experiment(ARMS, connections=20, expect={"slept": 0.1}, claim=Ratio(...))

`ARMS` maps a name to (command, path) or (command, path, more), where `command` is what a
reader would type, with {port} for the port, and `more` may hold fields of `loadgen.Load`
(method, headers, body, keepalive …). Servers run in the experiment's folder, with the bin
folder of this Python first on PATH, each under a guard that stops it when this process ends,
however it ends.
"""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.append(str(Path(__file__).resolve().parent.parent))  # the repository's root

import loadgen
import summarize
from loadgen import CannotRun, Load
from summarize import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Cause, Ratio, Result, Run

__all__ = ["Answer", "Answers", "Cause", "Ratio", "experiment"]

START_S, FIRST_START_S = 30.0, 300.0  # how long a server may take; the second with a download
STOP_S = 3.0
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CLIENT_PACKAGES = {"aiohttp", "hdrhistogram", "httptools", "numpy", "psutil", "tqdm", "uvloop"}

Arms = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Answer:
    """What one request got: the status, and the body's text or, of an error, its last word."""

    status: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Answers:
    """A claim about behaviour: `holds` is asked once with the Answer of each probe by name."""

    rule: str
    holds: Callable[[Mapping[str, Answer]], bool]


# ---- Servers -------------------------------------------------------------------------
# Runs a server in a session of its own, and says its process id. Ends it when standard input
# closes, which is when the experiment lets go of it or is itself gone, whatever the reason.
GUARD = """
import os, signal, subprocess, sys, threading, time
cores, patience_s, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
if cores:
    os.sched_setaffinity(0, map(int, cores.split(",")))
server = subprocess.Popen(
    command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
)
def kill(number):
    try:
        os.killpg(server.pid, number)
    except ProcessLookupError:
        pass
def end_when_let_go():
    sys.stdin.read()
    kill(signal.SIGTERM)
    time.sleep(patience_s)
    kill(signal.SIGKILL)
threading.Thread(target=end_when_let_go, daemon=True).start()
try:
    print(server.pid, flush=True)
except BrokenPipeError:
    pass
status = server.wait()
kill(signal.SIGKILL)
os._exit(min(abs(status), 255))
"""


def workers(command: str) -> int:
    """How many worker processes a command line asks for."""
    found = re.search(r"(?:-w|--workers)[ =](\d+)", command)
    return int(found[1]) if found else 1


def cores_for(command: str) -> tuple[set[int], set[int]]:
    """The cores of a server and of the client; both all there are where they must share."""
    *servers, last = CORES or [0]
    return (set(servers), {last}) if servers and workers(command) == 1 else (set(CORES),) * 2


def stay_on(cores: Iterable[int]) -> None:
    """Keep this process on some cores, where the system can."""
    if CORES:
        os.sched_setaffinity(0, cores)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server, started from a literal command line in an experiment's folder."""

    def __init__(self, name: str, command: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = command.format(port=self.port)
        argv = shlex.split(self.command)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        if shutil.which(argv[0], path=path) is None:
            raise CannotRun(f"arm {name!r}: no {argv[0]} here: pip install -r requirements.txt")
        environment = os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"}
        environment.pop("WEB_CONCURRENCY", None)
        cores = ",".join(map(str, cores_for(command)[0]))
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self.guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", GUARD, cores, str(STOP_S), *argv],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            start_new_session=True,
        )
        self.pid = int(self.guard.stdout.readline())  # type: ignore[union-attr]

    def wait_until_ready(self, path: str) -> None:
        """Poll until the server answers anything at all, while its process lives."""
        limit_s = FIRST_START_S if self.command.startswith("uv ") else START_S
        ends = time.monotonic() + limit_s
        while self.guard.poll() is None:
            try:
                self.ask(Load(url=self.url + path))
                return
            except (OSError, HTTPException):
                if time.monotonic() > ends:
                    raise CannotRun(self.said(f"did not answer in {limit_s:.0f} s")) from None
                time.sleep(0.02)
        raise CannotRun(self.said("ended before it answered"))

    def ask(self, load: Load) -> Answer:
        """Send one request, and return what came."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            path = load.url.removeprefix(self.url)
            connection.request(load.method, path, load.body or None, dict(load.headers))
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(errors="replace").strip())
        finally:
            connection.close()

    def output(self) -> list[str]:
        self.log.seek(0)
        return self.log.read().decode(errors="replace").splitlines()

    def said(self, what: str) -> str:
        """One message for a server that failed: what it did, and its last lines."""
        tail = "".join(f"\n    {line}" for line in self.output()[-8:])
        return f"server of arm {self.name!r} {what}: $ {self.command}{tail}"

    def last_error(self) -> str:
        """The last line of its output that names an exception."""
        errors = [x for x in self.output() if re.match(r"[\w.]*(Error|Exception)\b", x)]
        return errors[-1] if errors else ""


@contextmanager
def servers(arms: Arms, folder: Path) -> Iterator[dict[str, Server]]:
    """The servers of all arms, started together, ready, and in the end stopped together."""
    started: dict[str, Server] = {}
    try:
        for name, (command, *_) in arms.items():
            started[name] = Server(name, command, folder)
        for name, (_, path, *_) in arms.items():
            started[name].wait_until_ready(path)
        yield started
    finally:
        for server in started.values():
            server.guard.stdin.close()  # type: ignore[union-attr]
        for server in started.values():
            server.guard.wait()
            server.log.close()


# ---- Rounds --------------------------------------------------------------------------
def load_of(arm: tuple[Any, ...], base: Load, server: Server) -> Load:
    path, more = arm[1], arm[2] if len(arm) > 2 else {}
    return replace(base, url=server.url + path, name=server.name, pid=server.pid, **more)


def check(load: Load, server: Server, expect: object) -> None:
    """Stop the experiment unless the arm answers as it should, before any timing."""
    answer = server.ask(load)
    try:
        right = expect in answer.text if isinstance(expect, str) else expect == answer.json()
    except ValueError:
        right = False
    if answer.status != 200 or not right:
        what = f"answered {answer.status} {answer.text[:60]!r}, not 200 {expect!r}"
        raise CannotRun(server.said(what))


def measure(
    arms: Arms, folder: Path, base: Load, expect: object, options: Any
) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """All rounds of all launches: {arm: runs}, and {arm: the command that was run}."""
    runs: dict[str, list[Run]] = {name: [] for name in arms}
    commands: dict[str, str] = {}
    order = random.Random(options.seed)
    form = "{desc}  {bar:20}  {remaining} left"
    with tqdm(total=options.rounds * len(arms), disable=None, leave=False, bar_format=form) as bar:

        def watch(name: str, number: int) -> None:
            bar.set_description_str(f"round {bar.n // len(arms) + 1} of {options.rounds}: {name}")
            bar.update()
            stay_on(cores_for(arms[name][0])[1])

        for launch in range(options.launches):
            bar.set_description_str(f"starting {len(arms)} servers")
            with servers(arms, folder) as started:
                loads = {name: load_of(arms[name], base, started[name]) for name in arms}
                commands |= {name: server.command for name, server in started.items()}
                for name, load in loads.items():
                    check(load, started[name], expect)
                for name, load in loads.items():
                    bar.set_description_str(f"warming up {name}")
                    loadgen.run(replace(load, duration_s=options.warmup))
                share = (options.rounds + launch) // options.launches
                for name, more in loadgen.run_rounds(loads, order, share, watch).items():
                    runs[name] += more
    stay_on(CORES)
    return runs, commands


def probe(arms: Arms, folder: Path) -> list[dict[str, Any]]:
    """Ask each arm once, one server at a time."""
    evidence = []
    for name, arm in arms.items():
        print(f"asking {name}: {arm[0]}"[:79], file=sys.stderr)
        with servers({name: arm}, folder) as started:
            server = started[name]
            load = load_of(arm, Load(url=server.url), server)
            answer = server.ask(load)
            said = server.last_error() if answer.status >= 500 else answer.text
            evidence.append(
                {
                    "arm": name,
                    "command": server.command,
                    "request": f"{load.method} {arm[1]}",
                    "status": answer.status,
                    "answer": said,
                }
            )
    return evidence


# ---- An experiment -------------------------------------------------------------------
def _parser(script: Path, title: str) -> summarize.Parser:
    parser = summarize.Parser(
        prog=script.name, usage=f"python {script.name} [options]", description=title
    )
    add = parser.add_argument_group("how long").add_argument
    add("--quick", action="store_true", help="a smoke verdict in about 10 s")
    add("--full", action="store_true", help="15 rounds, each server launched three times")
    add("--then", action="store_true", help="also on the versions the claim was made about")
    add("--rounds", type=loadgen.count, metavar="N")
    add("--duration", type=loadgen.seconds, metavar="T", help="of each arm in each round")
    add("--connections", type=loadgen.count, metavar="N")
    add("--seed", type=int, default=1, metavar="N", help="of the order in the rounds (1)")
    add("--client", choices=("wire", "aiohttp"), default="wire", help="(wire)")
    add = parser.add_argument_group("instead").add_argument
    add("--list", action="store_true", help="only say what the arms are")
    add("--serve", metavar="ARM", help="only serve this arm, to look at or load yourself")
    add("--port", type=int, default=8000, metavar="N", help="with --serve (8000)")
    add = parser.add_argument_group("results").add_argument
    add("--markdown", action="store_true", help="print Markdown to paste")
    add("--plot", type=summarize.picture, metavar="FILE", help="draw an .svg or .png")
    add("--save", action="store_true", help="record the result in results/")
    return parser


def _settle(options: Any, duration_s: float, connections: int, quick_connections: int) -> None:
    """Fill in what --quick, --full or neither of them means."""
    mode = "quick" if options.quick else "full" if options.full else "plain"
    options.mode, options.launches = mode, 3 if mode == "full" else 1
    options.rounds = options.rounds or {"quick": 6, "plain": 6, "full": 15}[mode]
    options.warmup = {"quick": 0.1, "plain": 0.5, "full": 0.5}[mode]
    options.duration = options.duration or (duration_s / 4 if options.quick else duration_s)
    fewer = quick_connections or connections
    options.connections = options.connections or (fewer if options.quick else connections)


def described(doc: str) -> tuple[str, dict[str, str]]:
    """Title and fields of an experiment's docstring: Claim, Source, Expect, Run, Not shown."""
    title, _, rest = doc.partition("\n")
    fields: dict[str, str] = {}
    for key, text in re.findall(r"^(\w[\w ]*?)  +(.+(?:\n +.+)*)", rest, re.M):
        fields[key] = " ".join(text.split())
    return title.partition(": ")[2], fields


def dependencies(script: Path) -> list[str]:
    """The names in the PEP 723 block, as they are in requirements.txt."""
    block = re.search(r"# /// script\n(.*?)# ///", script.read_text(encoding="utf-8"), re.S)
    return (
        re.findall(r'"([\w.-]+)(?:\[.*?\])?"', block[1].split("dependencies")[1]) if block else []
    )


def serve(arm: tuple[Any, ...], folder: Path, port: int) -> None:
    """Become the server of one arm."""
    command = arm[0].format(port=port)
    print(f"http://127.0.0.1:{port}{arm[1]}\n$ {command}", flush=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.chdir(folder)
    argv = shlex.split(command)
    os.execvp(argv[0], argv)


def save(result: Result, script: Path) -> Path:
    """Record a result; the one recorded before is kept in results/older/."""
    root = script.parent.parent
    folder = root / "results" if (root / "results").is_dir() else script.parent
    path = folder / f"{script.stem}.json"
    if path.exists():
        before = summarize.read(path)
        (folder / "older").mkdir(exist_ok=True)
        stamp = re.sub(r"\W", "", before.started)
        path.rename(folder / "older" / f"{script.stem}-{stamp}.json")
    result.save(path)
    return path


def experiment(
    arms: Arms,
    *,
    claim: Ratio | Answers,
    connections: int = 1,
    quick_connections: int = 0,
    expect: object = "",
    duration_s: float = 1.0,
    causes: Sequence[Cause] = (),
    probes: Arms | None = None,
    then: Arms | None = None,
    subject: Sequence[str] = (),
) -> None:
    """Run the experiment of the script that calls this, print its verdict, and exit.

    `expect` is the JSON value, or a text in the body, that each arm must answer before any
    timing. `probes` are asked once each, and their answers decide a claim about Answers.
    `then` names arms or probes again, with commands for the versions the claim was made
    about. `subject` names what is studied and so no reason for doubt: "failures", "overflows".
    """
    main = sys.modules["__main__"]
    script = Path(str(main.__file__)).resolve()
    title, fields = described(main.__doc__ or "")
    options = _parser(script, title).parse_args()
    _settle(options, duration_s, connections, quick_connections)
    probes = dict(probes or {})
    old = {f"{name}, then": arm for name, arm in (then or {}).items()}
    if options.list or options.serve:
        sys.exit(_instead(options, {**probes, **arms, **old}, script))
    began = time.monotonic()
    result = Result(
        name=script.stem,
        title=title,
        claim=fields["Claim"],
        source=fields["Source"],
        expect=fields["Expect"],
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=options.mode,
        environment=loadgen.environment(sorted(set(dependencies(script)) - CLIENT_PACKAGES)),
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if isinstance(claim, Answers):
            _observe(result, claim, probes, old if options.then else {}, script.parent)
            old = {}
        if arms:
            _measure(
                result, {**arms, **(old if options.then else {})}, expect, options, script.parent
            )
        _conclude(result, claim, causes, subject)
        result.elapsed_s = time.monotonic() - began
        summarize.show(summarize.report_result(result, options.markdown))
        if options.save:
            print(f"recorded in {save(result, script).name}", file=sys.stderr)
        if options.plot:
            summarize.plot([result], options.plot)
    except KeyboardInterrupt:
        _end(script, "interrupted; its servers are stopped", 130)
    except (CannotRun, OSError) as error:
        _end(script, str(error), 1)
    sys.exit(3 if result.verdict == INCONCLUSIVE else 0)


def _end(script: Path, why: str, status: int) -> None:
    print(f"{script.name}: {why}", file=sys.stderr)
    sys.exit(status)


def _instead(options: Any, arms: Arms, script: Path) -> int:
    """What --list and --serve ask for."""
    if options.list:
        for name, (command, path, *_) in arms.items():
            print(f"{name}\n    $ {command}\n    {path}")
    elif options.serve in arms:
        serve(arms[options.serve], script.parent, options.port)
    else:
        known = ", ".join(map(repr, arms))
        _end(script, f"--serve {options.serve!r}: no such arm; there are {known}", 2)
    return 0


def _observe(result: Result, claim: Answers, probes: Arms, old: Arms, folder: Path) -> None:
    """Ask the probes, and decide by what they answered."""
    result.rule = claim.rule
    verdicts = []
    for then, asked in ((False, probes), (True, old)):
        evidence = probe(asked, folder) if asked else []
        result.evidence += [{**entry, "then": then} for entry in evidence]
        answers = {entry["arm"]: Answer(entry["status"], entry["answer"]) for entry in evidence}
        verdicts.append(REPRODUCED if claim.holds(answers) else NOT_REPRODUCED)
    result.verdict, result.then = verdicts[0], verdicts[1] if old else ""


def _measure(result: Result, arms: Arms, expect: object, options: Any, folder: Path) -> None:
    base = Load(
        url="http://127.0.0.1/",
        connections=options.connections,
        duration_s=options.duration,
        client=options.client,
    )
    runs, commands = measure(arms, folder, base, expect, options)
    asked = {key: getattr(options, key) for key in ("rounds", "seed", "launches")}
    result.load = base.to_json() | asked
    for name, (command, path, *_) in arms.items():
        result.arms[name] = summarize.arm(
            runs[name], command=commands[name], path=path, workers=workers(command)
        )


def _conclude(
    result: Result, claim: Ratio | Answers, causes: Sequence[Cause], subject: Sequence[str]
) -> None:
    """Reach the verdict of a Ratio, and say what the control arms show."""
    if isinstance(claim, Ratio):
        result.rule = claim.rule
        result.verdict, result.reasons, _ = summarize.decide(result, claim, subject)
        names = f"{claim.over}, then", f"{claim.under}, then"
        if all(name in result.arms for name in names):
            then = replace(claim, over=names[0], under=names[1])
            verdict, reasons, interval = summarize.decide(result, then, subject)
            result.then = f"{verdict} {interval or ''} {'; '.join(reasons)}".strip()
    for cause in causes:
        summarize.explain(result, cause)
