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
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
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
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
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
        if shutil.which(argv[0], path=PATH) is None:
            raise CannotRun(f"arm {name!r}: no {argv[0]} here: pip install -r requirements.txt")
        environment = os.environ | {"PATH": PATH, "PYTHONUNBUFFERED": "1"}
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
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            path = load.url.removeprefix(self.url)
            connection.request(load.method, path, load.body or None, dict(load.headers))
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(errors="replace").strip())

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


# ---- An experiment -------------------------------------------------------------------
@dataclass(kw_only=True)
class Experiment:
    """The experiment of a script, from its dials to its verdict."""

    arms: Arms
    claim: Ratio | Answers
    connections: int = 1
    quick_connections: int = 0
    expect: object = ""
    duration_s: float = 1.0
    causes: Sequence[Cause] = ()
    probes: Arms = field(default_factory=dict)
    then: Arms = field(default_factory=dict)
    subject: Sequence[str] = ()

    def prepare(self, script: Path, doc: str) -> None:
        """Read the script's docstring and the command line."""
        self.folder = script.parent
        title, fields = described(doc)
        self.options = options = _parser(script, title).parse_args()
        mode = "quick" if options.quick else "full" if options.full else "plain"
        self.launches = 3 if options.full else 1
        self.rounds = options.rounds or (15 if options.full else 6)
        self.warmup_s = 0.1 if options.quick else 0.5
        short_s = self.duration_s / 4 if options.quick else self.duration_s
        fewer = self.quick_connections if options.quick else 0
        self.base = Load(
            url="http://127.0.0.1/",
            connections=options.connections or fewer or self.connections,
            duration_s=options.duration or short_s,
            client=options.client,
        )
        if options.then and not self.then:
            print(f"{script.name}: --then: nothing here runs on old versions", file=sys.stderr)
        old = {f"{name}, then": arm for name, arm in self.then.items()}
        self.everything = {**self.probes, **self.arms, **old}
        self.old = old if options.then else {}
        self.result = Result(
            name=script.stem,
            title=title,
            claim=fields["Claim"],
            source=fields["Source"],
            expect=fields["Expect"],
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            mode=mode,
            environment=loadgen.environment(sorted(dependencies(script) - CLIENT_PACKAGES)),
        )

    def load(self, arm: tuple[Any, ...], server: Server) -> Load:
        path, more = arm[1], arm[2] if len(arm) > 2 else {}
        return replace(self.base, url=server.url + path, name=server.name, pid=server.pid, **more)

    def observe(self, claim: Answers) -> None:
        """Ask each probe once, one server at a time, and decide by what they answer."""
        result, verdicts = self.result, {}
        for then, probes in ((False, self.probes), (True, self.old)):
            answers = {}
            for name, arm in probes.items():
                print(f"asking {name}: {arm[0]}"[:79], file=sys.stderr)
                with servers({name: arm}, self.folder) as started:
                    server = started[name]
                    answer = server.ask(self.load(arm, server))
                    if answer.status >= 500:
                        answer = replace(answer, text=server.last_error())
                answers[name] = answer
                result.evidence.append(
                    {"arm": name, "then": then, "command": server.command, "path": arm[1],
                     "status": answer.status, "answer": answer.text}
                )  # fmt: skip
            verdicts[then] = REPRODUCED if claim.holds(answers) else NOT_REPRODUCED
        result.rule, result.verdict = claim.rule, verdicts[False]
        result.then = verdicts[True] if self.old else ""

    def check(self, load: Load, server: Server) -> None:
        """Stop the experiment unless the arm answers as it should, before any timing."""
        answer, expect = server.ask(load), self.expect
        try:
            right = expect in answer.text if isinstance(expect, str) else expect == answer.json()
        except ValueError:
            right = False
        if answer.status != 200 or not right:
            what = f"answered {answer.status} {answer.text[:60]!r}, not 200 {expect!r}"
            raise CannotRun(server.said(what))

    def measure(self, arms: Arms) -> None:
        """All rounds of all launches."""
        runs: dict[str, list[Run]] = {name: [] for name in arms}
        commands: dict[str, str] = {}
        order, total = random.Random(self.options.seed), self.rounds * len(arms)
        form = "{desc}  {bar:20}  {remaining} left"
        with tqdm(total=total, disable=None, leave=False, bar_format=form) as bar:

            def watch(name: str, number: int) -> None:
                bar.set_description_str(f"round {bar.n // len(arms) + 1} of {self.rounds}: {name}")
                bar.update()
                stay_on(cores_for(arms[name][0])[1])

            for launch in range(self.launches):
                bar.set_description_str(f"starting {len(arms)} servers")
                with servers(arms, self.folder) as started:
                    loads = {name: self.load(arm, started[name]) for name, arm in arms.items()}
                    for name, load in loads.items():
                        self.check(load, started[name])
                        commands[name] = started[name].command
                    bar.set_description_str("warming up")
                    warm = {n: replace(x, duration_s=self.warmup_s) for n, x in loads.items()}
                    loadgen.run_rounds(warm, random.Random(0), 1)  # which Ctrl-C ends, too
                    share = (self.rounds + launch) // self.launches
                    for name, more in loadgen.run_rounds(loads, order, share, watch).items():
                        runs[name] += more
        stay_on(CORES)
        asked = {"rounds": self.rounds, "seed": self.options.seed, "launches": self.launches}
        self.result.load = self.base.to_json() | asked
        for name, (command, path, *_) in arms.items():
            about = {"command": commands[name], "path": path, "workers": workers(command)}
            self.result.arms[name] = summarize.arm(runs[name], **about)

    def conclude(self, claim: Ratio) -> None:
        """Reach the verdict, for today's versions and for the old ones where they were run."""
        result = self.result
        result.rule = claim.rule
        result.verdict, result.reasons, _ = summarize.decide(result, claim, self.subject)
        names = f"{claim.over}, then", f"{claim.under}, then"
        if all(name in result.arms for name in names):
            old = replace(claim, over=names[0], under=names[1])
            verdict, reasons, interval = summarize.decide(result, old, self.subject)
            result.then = f"{verdict} {interval or ''} {'; '.join(reasons)}".strip()

    def run(self) -> None:
        began = time.monotonic()
        if isinstance(self.claim, Answers):
            self.observe(self.claim)
            if self.arms:
                self.measure(self.arms)
        else:
            self.measure({**self.arms, **self.old})
            self.conclude(self.claim)
        for cause in self.causes:
            summarize.explain(self.result, cause)
        self.result.elapsed_s = time.monotonic() - began


def experiment(arms: Arms, **dials: Any) -> None:
    """Run the experiment of the script that calls this, print its verdict, and exit.

    `claim` is a Ratio of two arms, or Answers of `probes`, which are asked once each.
    `expect` is the JSON value, or a text in the body, that each arm must answer before any
    timing. `then` names arms or probes again, with commands for the versions the claim was
    made about. `causes` are what control arms show. `subject` names what is studied and so no
    reason for doubt: "failures", "overflows". `quick_connections` are for --quick.
    """
    main = sys.modules["__main__"]
    script = Path(str(main.__file__)).resolve()
    made = Experiment(arms=arms, **dials)
    made.prepare(script, main.__doc__ or "")
    options, result = made.options, made.result
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.list:
            for name, (command, path, *_) in made.everything.items():
                print(f"{name}\n    $ {command}\n    {path}")
            sys.exit(0)
        if options.serve:
            serve(made.everything, options.serve, options.port, made.folder)
        made.run()
        summarize.show(summarize.report_result(result, options.markdown))
        if options.save:
            print(f"recorded in {save(result, script)}", file=sys.stderr)
        if options.plot:
            summarize.plot([result], options.plot)
    except KeyboardInterrupt:
        print(f"{script.name}: interrupted; its servers are stopped", file=sys.stderr)
        sys.exit(130)
    except (CannotRun, OSError, summarize.Unreadable) as error:
        print(f"{script.name}: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(3 if result.verdict == INCONCLUSIVE else 0)


def described(doc: str) -> tuple[str, dict[str, str]]:
    """Title and fields of an experiment's docstring: Claim, Source, Expect, Run, Not shown."""
    title, _, rest = doc.partition("\n")
    found = re.findall(r"^(\w[\w ]*?)  +(.+(?:\n +.+)*)", rest, re.M)
    return title.partition(": ")[2], {key: " ".join(text.split()) for key, text in found}


def dependencies(script: Path) -> set[str]:
    """The names in the PEP 723 block, as they are in requirements.txt."""
    block = re.search(r"# dependencies = \[(.*?)^# \]", script.read_text("utf-8"), re.S | re.M)
    return set(re.findall(r'"([\w.-]+)', block[1])) if block else set()


def serve(arms: Arms, name: str, port: int, folder: Path) -> None:
    """Become the server of one arm."""
    if name not in arms:
        print(f"--serve {name!r}: no such arm; there are {', '.join(arms)}", file=sys.stderr)
        sys.exit(2)
    command = arms[name][0].format(port=port)
    print(f"http://127.0.0.1:{port}{arms[name][1]}\n$ {command}", flush=True)
    os.environ["PATH"] = PATH
    os.chdir(folder)
    os.execvp(shlex.split(command)[0], shlex.split(command))


def save(result: Result, script: Path) -> str:
    """Record a result, and return its file's name; the one before is kept in older/."""
    results = script.parent.parent / "results"
    path = (results if results.is_dir() else script.parent) / f"{script.stem}.json"
    if path.exists():
        stamp = re.sub(r"\W", "", summarize.read(path).started)
        (path.parent / "older").mkdir(exist_ok=True)
        path.rename(path.parent / "older" / f"{script.stem}-{stamp}.json")
    result.save(path)
    return path.name


def _parser(script: Path, title: str) -> summarize.Parser:
    usage = f"python {script.name} [options]"
    parser = summarize.Parser(prog=script.name, usage=usage, description=title)
    add = parser.add_argument_group("how long").add_argument
    add("--quick", action="store_true", help="a smoke verdict in about 10 s")
    add("--full", action="store_true", help="15 rounds, each server launched three times")
    add("--then", action="store_true", help="also on the versions the claim was made about")
    add("--rounds", type=loadgen.count, metavar="N")
    add("--duration", type=summarize.seconds, metavar="T", help="of each arm in each round")
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
