"""What every experiment shares: its servers, its rounds, its verdict and its options.

    experiment(ARMS, connections=20, expect={"slept": 0.1}, claim=Ratio(...))

`ARMS` maps a name to (command, path) or (command, path, more), where `command` is what a
reader would type, with {port} for the port, and `more` may hold fields of `loadgen.Load`
(method, headers, body, keepalive, rate …) and two of the harness's own: "beside" is another
Load, which a second process puts on the same server meanwhile ({"path": "/work"}), and
"generator" the command of another tool to load it with ("wrk -c{connections} {url}"). Servers
run in the experiment's folder, with the bin folder of this Python first on PATH, each under a
guard that stops it when this process ends, however it ends.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import shlex
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import psutil

sys.path.append(str(Path(__file__).resolve().parent.parent))  # the repository's root

import loadgen
import summarize
from loadgen import CannotRun, Load
from summarize import THEN, Cause, Json, Outcome, Ratio, Result, Run

__all__ = ["Answer", "Answers", "Cause", "Each", "Outcome", "Ratio", "experiment"]

START_S, FIRST_START_S = 30.0, 300.0  # how long a server may take; the second with a download
STOP_S, REST_S = 3.0, 2.0
PATH = os.pathsep.join(  # with where a system has its servers, which not all users look into
    [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
)
ENVIRONMENT = {**os.environ, "PATH": PATH, "PYTHONUNBUFFERED": "1"}
ENVIRONMENT.pop("WEB_CONCURRENCY", None)  # which would start more workers than the command says
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
AGAIN = " again"  # what the name of an arm ends in that is run against itself
CLIENT_PACKAGES = {"aiohttp", "hdrhistogram", "httptools", "numpy", "psutil", "tqdm", "uvloop"}


class Arm(NamedTuple):
    """A server, what to ask of it, and what else is special about its load."""

    command: str
    path: str
    more: Mapping[str, Any] = {}


Arms = Mapping[str, Arm]


class Each(dict[str, Any]):
    """What to expect of each arm, by name, where they do not all answer alike."""


@dataclass(frozen=True)
class Answer:
    """What one request got: the status, and the body's text or, of an error, its last word."""

    status: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)

    def value(self) -> Any:
        """The JSON that the body is, or else its text."""
        try:
            return self.json()
        except ValueError:
            return self.text


@dataclass(frozen=True)
class Answers:
    """A claim about behaviour: `holds` is asked once with the Answer of each probe by name,
    and `causes` for the sentences that follow from what today's probes answered.
    """

    rule: str
    holds: Callable[[Mapping[str, Answer]], bool]
    causes: Callable[[Mapping[str, Answer]], Sequence[str]] = lambda answers: ()

    def verdict(self, answers: Mapping[str, Answer]) -> str:
        return summarize.REPRODUCED if self.holds(answers) else summarize.NOT_REPRODUCED


def spaced(text: str) -> str:
    """JSON with spaces where a line may break; any other text as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text


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


ASK_VERSIONS = """
import importlib.metadata as installed, json, platform, sys
have = {d.metadata["Name"].lower() for d in installed.distributions()}
found = {name: installed.version(name) for name in sys.argv[1:] if name.lower() in have}
print(json.dumps({**found, "Python": platform.python_version()}))
"""


def workers(command: str) -> int:
    """How many worker processes a command line asks for."""
    found = re.search(r"(?:-w|--workers)[ =](\d+)", command)
    return int(found[1]) if found else 1


def launches(rounds: int, mode: str) -> int:
    """How often each server is launched: three times, and for more than 15 rounds more often.

    What a process was dealt at its start, such as its place in memory, stays with it for all of
    its rounds, so that these alone would find a difference between two launches of one server.
    """
    each = {"quick": 0, "plain": rounds // 2, "full": rounds}[mode]
    return max(1, min(3, each), rounds // 5 if each else 0)


def cores_for(command: str) -> tuple[set[int], set[int]]:
    """The cores of a server and of the client; both all there are where they must share."""
    *servers, last = CORES or [0]
    return (set(servers), {last}) if servers and workers(command) == 1 else (set(CORES),) * 2


@cache
def versions(command: str, names: frozenset[str], folder: Path) -> Json:
    """The versions of some packages in the Python of a `uv run --with …` command; of any other
    command {}, because that Python is ours.
    """
    argv = shlex.split(command)
    if "uv" not in argv or "run" not in argv:
        return {}
    at = argv.index("run") + 1
    while argv[at].startswith("-"):
        names |= set(re.findall(r"^[\w.-]+", argv[at + 1])) if argv[at] == "--with" else set()
        at += 2 if argv[at] in ("--with", "--python") else 1
    asked = [*argv[:at], "python", "-c", ASK_VERSIONS, *sorted(names)]
    said = subprocess.run(
        asked, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if said.returncode:
        why = " ".join(said.stderr.rpartition("error: ")[2].split())
        raise CannotRun(f"$ {shlex.join(asked[:at])} failed: {why[:300]}")
    return dict(json.loads(said.stdout))


def stay_on(cores: Iterable[int]) -> None:
    """Keep this process on some cores, where the system can."""
    if CORES:
        os.sched_setaffinity(0, cores)


def backlog(port: int) -> int | None:
    """How many connections may wait to be accepted on a port, as the kernel has it in force.

    It is the Send-Q of `ss -ltn`, asked for as that does (sock_diag(7)); None where there is
    no such kernel.
    """
    dump, listening, by_family = 0x301, 1 << 10, 20
    asked = struct.pack("=BBxxI", socket.AF_INET, socket.IPPROTO_TCP, listening)
    asked += struct.pack("!H46x", port)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as kernel:
            kernel.send(struct.pack("=IHHII", 16 + len(asked), by_family, dump, 1, 0) + asked)
            found = kernel.recv(65536)
    except (AttributeError, OSError):
        return None
    is_socket = struct.unpack_from("=H", found, 4)[0] == by_family
    return int(struct.unpack_from("=I", found, 16 + 60)[0]) if is_socket else None


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
        cores = ",".join(map(str, cores_for(command)[0]))
        self.known: set[psutil.Process] = set()  # its processes when it was last loaded
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self.guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", GUARD, cores, str(STOP_S), *argv],
            cwd=folder,
            env=ENVIRONMENT,
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

    def processes(self) -> set[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.pid)
            return {root, *root.children(recursive=True)}
        return set()

    def rest(self) -> None:
        """Wait a little until it has nothing left to do, such as to start a new worker, so that
        it is no neighbour of the next arm.
        """
        ends, used_s = time.monotonic() + REST_S, -math.inf
        while time.monotonic() < ends:
            now_s = sum(loadgen.cpu_s(process, reaped=False) for process in self.processes())
            if now_s - used_s < 0.01:  # a tick of the system's clock
                return
            used_s = now_s
            time.sleep(0.05)

    def output(self) -> list[str]:
        self.log.seek(0)
        return self.log.read().decode(errors="replace").splitlines()

    def said(self, what: str) -> str:
        """One message for a server that failed: what it did, and its last lines."""
        tail = "".join(f"\n    {line}" for line in self.output()[-8:])
        return f"server of arm {self.name!r} {what}: $ {self.command}{tail}"

    def last_error(self, since: int) -> str:
        """The last line of its output, from line `since` on, that names an exception."""
        errors = [x for x in self.output()[since:] if re.match(r"[\w.]*(Error|Exception)\b", x)]
        return errors[-1] if errors else ""


@contextmanager
def servers(arms: Arms, folder: Path) -> Iterator[dict[str, Server]]:
    """The servers of all arms, started together, ready, and in the end stopped together."""
    started: dict[str, Server] = {}
    try:
        for name, arm in arms.items():
            started[name] = Server(name, arm.command, folder)
        for name, arm in arms.items():
            started[name].wait_until_ready(arm.path)
        yield started
    finally:
        for server in started.values():
            server.guard.stdin.close()  # type: ignore[union-attr]
        for server in started.values():
            server.guard.wait()
            server.log.close()


# ---- Load ----------------------------------------------------------------------------
@contextmanager
def beside(load: Load | None) -> Iterator[None]:
    """Meanwhile put another load on, from a process of its own, and do not measure it."""
    if load is None:
        yield
        return
    code = "import sys, loadgen; from loadgen import Load; "
    code += f"sys.exit(loadgen.run({load!r}, lambda *_: print()).failed > 0)"
    path = {"PYTHONPATH": str(Path(loadgen.__file__).parent)}
    command, env = [sys.executable, "-uc", code], ENVIRONMENT | path
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        try:
            if not process.stdout.readline():  # type: ignore[union-attr]  # it is under way
                raise CannotRun(f"the load beside it, on {load.url}, has ended")
            yield
        finally:
            process.terminate()
            process.wait()
    if process.returncode > 0:
        raise CannotRun(f"the load beside failed: look at what {load.url} answers")


def generate(command: str, load: Load, folder: Path) -> Run:
    """Load a server with another tool. What it prints says what came back, as far as it does;
    what it cost is the system's to say.
    """
    whole_s = math.ceil(load.duration_s or 1)  # neither wrk nor ab knows half a second
    argv = shlex.split(command.format(**asdict(load) | {"duration_s": whole_s}))
    started, before = datetime.now(UTC), loadgen.Machine(load.pid)
    with tempfile.NamedTemporaryFile() as output:
        try:
            child = subprocess.Popen(
                argv, cwd=folder, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise CannotRun(f"{argv[0]} cannot be run ({error.strerror}): install it") from error
        _, status, used = os.wait4(child.pid, 0)
        child.returncode, after = os.waitstatus_to_exitcode(status), loadgen.Machine(load.pid)
        if status:
            last = Path(output.name).read_text(errors="replace").strip().splitlines()[-1:]
            raise CannotRun(f"$ {shlex.join(argv)} failed: {' '.join(last)}")
        said: Any = summarize.read(Path(output.name))
    elapsed_s = said.elapsed_s or float(whole_s)
    ok = round(said.throughput * elapsed_s) if said.ok is None else said.ok
    histograms = {key: summarize.Histogram() for key in summarize.RECORDED}
    if said.histogram:
        histograms["latency_s"].add(said.histogram)
    cost = {"cpu_s": used.ru_utime + used.ru_stime, "queued_s": 0.0, "loop_lag_s": 0.0}
    return summarize.judged(Run(
        name=load.name, started=started.isoformat(timespec="seconds"), elapsed_s=elapsed_s,
        load=load.to_json() | {"client": shlex.join(argv)},
        ok=ok, failed=said.failed or 0, unfinished=0, statuses=said.statuses, errors=said.errors,
        histograms=histograms, quoted_s={} if said.histogram else said.latency_s,
        connections={"opened": load.connections},
        client=cost | {"in_flight": load.connections} | after.disturbances(before, elapsed_s),
        server=after.memory() | {"cpu_s": after.server_cpu_s - before.server_cpu_s},
        environment=loadgen.environment() | {"steal": loadgen.steal(before.times, after.times)},
    ))  # fmt: skip


# ---- An experiment -------------------------------------------------------------------
@dataclass(kw_only=True)
class Experiment:
    """The experiment of a script, from its dials to its verdict."""

    arms: Arms
    claim: Ratio | Sequence[Ratio] | Outcome | Answers
    connections: int = 1
    quick_connections: int = 0
    expect: object = ""
    duration_s: float = 1.0
    requests: int | None = None
    rounds: int = 6
    full_rounds: int = 15
    quick_share: float = 0.25
    causes: Sequence[Cause | Callable[[Mapping[str, Json]], str]] = ()
    probes: Arms = field(default_factory=dict)
    then: Arms = field(default_factory=dict)
    subject: Sequence[str] = ()
    needs: Sequence[str] = ()
    ask_after: str = ""
    log_counts: Mapping[str, str] = field(default_factory=dict)
    shares: Sequence[float] = ()
    columns: Mapping[str, Callable[[Json], str]] = field(default_factory=dict)
    findings: Callable[[Mapping[str, Json]], Sequence[str]] = lambda arms: ()

    def prepare(self, script: Path, doc: str) -> None:
        """Read the script's docstring and the command line."""
        self.folder = script.parent
        title, fields = described(doc)
        parser = _parser(script, title)
        self.options = options = parser.parse_args()
        mode = "quick" if options.quick else "full" if options.full else "plain"
        self.rounds = options.rounds or (self.full_rounds if options.full else self.rounds)
        self.launches = launches(self.rounds, mode)
        self.warmup_s = 0.1 if options.quick else 0.5
        fewer = self.quick_connections if options.quick else 0
        amount: Json = {"requests": self.requests} if self.requests else {}
        amount = self.shortened(**amount or {"duration_s": self.duration_s})
        if options.duration:
            amount = {"duration_s": options.duration}
        self.base = Load(
            url="http://127.0.0.1/",
            connections=options.connections or fewer or self.connections,
            client=options.client,
            **amount,
        )
        if options.then and not self.then:
            print(f"{script.name}: --then: nothing here runs on old versions", file=sys.stderr)
        self.arms = {name: Arm(*arm) for name, arm in self.arms.items()}
        self.probes = {name: Arm(*arm) for name, arm in self.probes.items()}
        old = {name + THEN: Arm(*arm) for name, arm in self.then.items()}
        self.everything = {**self.probes, **self.arms, **old}
        self.old = old if options.then else {}
        self.packages = frozenset(dependencies(script) - CLIENT_PACKAGES)
        self.result = Result(
            name=script.stem,
            title=title,
            claim=fields["Claim"],
            source=fields["Source"],
            expect=fields["Expect"],
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            mode=mode,
            environment=loadgen.environment(sorted(self.packages)),
        )
        if options.serve is not None and options.serve not in self.everything:
            known = ", ".join(map(repr, self.everything))
            parser.error(f"--serve {options.serve!r}: the arms are {known}")
        if options.aa is not None:
            if options.save:
                parser.error("--aa is of no claim: leave out --save")
            name = options.aa or next(iter(self.arms), "")
            if name not in self.arms:
                known = ", ".join(map(repr, self.arms)) or "none: it loads nothing"
                parser.error(f"--aa {name!r}: the arms are {known}")
            self.against_itself(name)

    def against_itself(self, name: str) -> None:
        """Make of this the experiment whether an arm differs from itself."""
        self.arms = {name: self.arms[name], name + AGAIN: self.arms[name]}
        self.claim = Ratio(name + AGAIN, name, "holds 1 inside 0.95 to 1.05", "> 1 or < 1")
        self.old, self.causes, self.shares = {}, (), ()
        self.findings = lambda arms: ()
        self.result.title = f"{name} against itself"
        self.result.claim = "A server, started twice, is as fast as itself."
        self.result.source, self.result.expect = "--aa, a test of this machine and its noise", "× 1"

    def shortened(self, **more: Any) -> Json:
        """Fields of a load; with --quick a share of its duration and of its requests."""
        if self.options.quick and more.get("duration_s"):
            more["duration_s"] *= self.quick_share
        if self.options.quick and more.get("requests"):
            more["requests"] = math.ceil(more["requests"] * self.quick_share)
        return more

    def load(self, arm: Arm, server: Server) -> Load:
        """The load of an arm; one of so many requests ends with them."""
        own: Json = {"duration_s": None} if arm.more.get("requests") else {}
        own |= {key: v for key, v in arm.more.items() if key not in ("beside", "generator")}
        about: Json = {"url": server.url + arm.path, "name": server.name, "pid": server.pid}
        return replace(self.base, **self.shortened(**own), **about)

    def put(
        self, arms: Arms, started: Mapping[str, Server], watch: loadgen.Watch, load: Load
    ) -> Run:
        """Load an arm once, in its own way, and look which of its processes were replaced."""
        arm, server = arms[load.name], started[load.name]
        stay_on(cores_for(arm.command)[1])
        other, there = None, server.known or server.processes()
        if more := {"duration_s": 3600.0, **arm.more["beside"]} if "beside" in arm.more else {}:
            other = Load(url=server.url + more.pop("path"), **more)
        generator = arm.more.get("generator")
        try:
            with beside(other):
                run = (
                    generate(generator, load, self.folder)
                    if generator
                    else loadgen.run(load, watch)
                )
        except CannotRun as error:
            raise CannotRun(server.said(f"could not be loaded ({error})")) from None
        server.rest()
        server.known = server.processes()
        if server.pid not in {process.pid for process in server.known}:
            raise CannotRun(server.said("ended while it was loaded"))
        assert run.server is not None
        run.server["replaced"] = len(there - server.known)
        return run

    def asked(self, probes: Arms) -> Iterator[tuple[str, Server, Answer]]:
        """Ask each probe once: name, Server and Answer. Those of one command share a server."""
        for command in dict.fromkeys(arm.command for arm in probes.values()):
            print(f"asking $ {command}"[:79], file=sys.stderr)
            alike = {name: arm for name, arm in probes.items() if arm.command == command}
            with servers(dict([next(iter(alike.items()))]), self.folder) as started:
                (server,) = started.values()
                for name, arm in alike.items():
                    said = len(server.output())
                    answer = server.ask(self.load(arm, server))
                    if answer.status >= 500:
                        answer = replace(answer, text=server.last_error(said))
                    yield name, server, answer

    def observe(self, claim: Answers) -> None:
        """Decide by what the probes answer, those of today and, where asked for, the old ones."""
        result = self.result
        result.rule = claim.rule
        for era, probes in (("", self.probes), (THEN, self.old)):
            answers = {}
            for name, server, answer in self.asked(probes):
                answers[name.removesuffix(THEN)] = answer
                result.evidence.append(
                    {"arm": name, "then": bool(era), "command": server.command,
                     "port": server.port, "path": probes[name].path,
                     "versions": versions(probes[name].command, self.packages, self.folder),
                     "status": answer.status, "answer": spaced(answer.text)}
                )  # fmt: skip
            if not era:
                result.verdict = claim.verdict(answers)
                result.cause += claim.causes(answers)
            elif probes:
                result.then = claim.verdict(answers)

    def checked(self, load: Load, server: Server) -> Load:
        """The load of an arm that answers as it should, to expect that of every answer.

        Any other arm stops the experiment before any timing.
        """
        answer, expect = server.ask(load), self.expect
        if isinstance(expect, Each):
            expect = expect[server.name.removesuffix(THEN).removesuffix(AGAIN)]
        judge = loadgen.Expectation(load.expect)
        judge.body(answer.text.encode())
        text = expect if isinstance(expect, str) else answer.text
        right = text in answer.text if text is expect else expect == answer.value()
        if judge.error(answer.status) or not right:
            wanted = f"{load.expect or 200} {expect!r}"
            what = f"answered {answer.status} {answer.text[:60]!r}, not {wanted}"
            raise CannotRun(server.said(what))
        return load if load.expect or text.isdigit() else replace(load, expect=text or None)

    def measure(self, arms: Arms) -> None:
        """All rounds of all launches, and what is seen of each server beside them."""
        runs: dict[str, list[Run]] = {name: [] for name in arms}
        order = random.Random(self.options.seed)
        slow_s = FIRST_START_S if self.old else 0.0
        with loadgen.Progress(self.rounds * len(arms)) as progress:
            if self.old:
                progress.say("looking up the old versions", takes_s=slow_s)
            about = {name: self.known_of(arm) for name, arm in arms.items()}

            def watch(name: str, number: int) -> None:
                number += len(runs[name])  # of the launches before
                progress.say(f"round {number} of {self.rounds}: {name}", steps=1)

            loadgen.allow_files(self.base.connections)
            for launch in range(self.launches):
                progress.say(f"starting {summarize.many(len(arms), 'server')}", takes_s=slow_s)
                with servers(arms, self.folder) as started:
                    for name, server in started.items():
                        about[name]["idle"] = loadgen.Machine(server.pid).memory()
                    progress.say("warming up")
                    loads = self.warm(arms, started, progress.still)
                    share = (self.rounds + launch) // self.launches
                    put = partial(self.put, arms, started, progress.still)
                    for name, more in loadgen.run_rounds(loads, order, share, watch, put).items():
                        runs[name] += more
                        about[name]["launches"] += [launch] * share
                        self.note(about[name], started[name])
                    if launch == self.launches - 1:
                        for name, load in loads.items() if self.shares else ():
                            rate = statistics.median(run.throughput for run in runs[name])
                            progress.say(f"open loops: {name}")
                            about[name]["curve"] = self.curve(put, load, rate)
        stay_on(CORES)
        self.report({name: summarize.arm(runs[name], **about[name]) for name in arms})

    def known_of(self, arm: Arm) -> Json:
        """What is known of an arm before it is measured."""
        of = versions(arm.command, self.packages, self.folder)
        asked = {"path": arm.path, "workers": workers(arm.command), "versions": of}
        return {**asked, "launches": [], "idle": {}}

    def warm(
        self, arms: Arms, started: Mapping[str, Server], watch: loadgen.Watch
    ) -> dict[str, Load]:
        """Check each arm and load it a while; returns the loads that are to be measured."""
        loads = {n: self.checked(self.load(arm, started[n]), started[n]) for n, arm in arms.items()}
        warm = {
            name: replace(
                load,
                duration_s=self.warmup_s,
                requests=load.requests and math.ceil(load.requests / 10),  # they may take long
            )
            for name, load in loads.items()
        }
        put = partial(loadgen.run, watch=watch)
        loadgen.run_rounds(warm, random.Random(0), 1, put=put)  # which Ctrl-C ends, too
        return loads

    def report(self, arms: dict[str, Json]) -> None:
        """Put what was measured and seen into the result."""
        asked = {"rounds": self.rounds, "seed": self.options.seed, "launches": self.launches}
        for arm in arms.values():
            arm["columns"] = {title: text(arm) for title, text in self.columns.items()}
        first, *others = (arm["run"].load for arm in arms.values())
        alike = {key: v for key, v in first.items() if all(o.get(key) == v for o in others)}
        self.result.load = self.base.to_json() | alike | asked
        self.result.arms = arms
        self.result.findings = list(self.findings(arms))
        steal = max(arm["run"].environment["steal"] for arm in arms.values())
        self.result.environment["steal"] = steal

    def note(self, about: Json, server: Server) -> None:
        """What else is to be known of a server at the end of a launch."""
        about |= {"command": server.command, "port": server.port, "backlog": backlog(server.port)}
        if self.ask_after:
            try:
                said = server.ask(Load(url=server.url + self.ask_after)).value()
            except (OSError, HTTPException) as error:
                said = f"no answer: {error!r}"
            about.setdefault("said", []).append(said)
        counts = about.setdefault("log", dict.fromkeys(self.log_counts, 0))
        for what, pattern in self.log_counts.items():
            counts[what] += sum(bool(re.search(pattern, line)) for line in server.output())

    def curve(self, put: Callable[[Load], Run], load: Load, capacity: float) -> list[Json]:
        """What becomes of an open loop at shares of the requests/s that a closed loop had."""
        asked: Json = {"duration_s": self.base.duration_s, "requests": None}
        return [
            summarize.point(put(replace(load, rate=share * capacity, **asked)))
            for share in self.shares
        ]

    def conclude(self, claim: Ratio | Sequence[Ratio] | Outcome) -> None:
        """Reach the verdict, for today's versions and for the old ones where they were run."""
        result = self.result
        result.rule = summarize.rule_of(claim)
        result.verdict, result.reasons, _ = summarize.decide(result, claim, self.subject)
        for ratio in summarize.ratios_of(claim):
            summarize.explain_limit(result, ratio)
        if summarize.was_run(result, claim, THEN):
            verdict, reasons, intervals = summarize.decide(result, claim, self.subject, THEN)
            result.then = " ".join([verdict, *map(str, intervals), "; ".join(reasons)]).strip()

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
            if isinstance(cause, Cause):
                summarize.explain(self.result, cause, self.subject)
            else:
                self.result.cause.append(cause(self.result.arms))
        self.result.elapsed_s = time.monotonic() - began


def experiment(arms: Mapping[str, tuple[Any, ...]], **dials: Any) -> None:
    """Run the experiment of the script that calls this, print its verdict, and exit.

    `claim` is a Ratio of two arms, or several, or an Outcome of all arms, or Answers of
    `probes`, which are asked once each. `expect` is the JSON value, or a text in the body, that
    each arm must answer before any timing; Each({name: value}) where arms differ. `then` names
    arms or probes again, with commands for the versions the claim was made about. `causes` are
    what control arms show: each a Cause, or a function of {name: arm} that returns a sentence.
    With `requests` every arm gets so many in a round, not `duration_s`. `subject` names what is
    studied and so no reason for doubt: "failures", "overflows", "little", "spread" …
    `quick_connections` are for --quick. `needs` names programs that pip does not install.

    What is seen beside the rounds is kept in each arm of the record, and shown where `columns`
    ({title: function of the arm}) or `findings` (a function of {name: arm}, which returns
    sentences) say so. Each server is asked for the path `ask_after` at the end of a launch:
    arm["said"]. The lines of its output are counted that match `log_counts`: arm["log"].
    arm["idle"] is what the server took before any load, in memory, threads and processes.
    With `shares`, each arm is loaded at these shares of its own requests/s in an open loop:
    arm["curve"].
    """
    main = sys.modules["__main__"]
    script = Path(str(main.__file__)).resolve()
    made = Experiment(arms=arms, **dials)  # type: ignore[arg-type]  # prepare() makes them Arms
    made.prepare(script, main.__doc__ or "")
    options, result = made.options, made.result
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.list:
            for name, arm in made.everything.items():
                print(f"{name}\n    $ {arm.command}\n    {arm.path}")
            sys.exit(0)
        for program in made.needs:
            if shutil.which(program, path=PATH) is None:
                raise CannotRun(f"no {program} here: install it, as with apt install {program}")
        if options.serve:
            serve(made.everything[options.serve], options.port, made.folder)
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
    sys.exit(3 if result.verdict == summarize.INCONCLUSIVE else 0)


def described(doc: str) -> tuple[str, dict[str, str]]:
    """Title and fields of an experiment's docstring: Claim, Source, Expect, Run, Not shown."""
    title, _, rest = doc.partition("\n")
    found = re.findall(r"^(\w[\w ]*?)  +(.+(?:\n +.+)*)", rest, re.M)
    return title.partition(": ")[2], {key: " ".join(text.split()) for key, text in found}


def dependencies(script: Path) -> set[str]:
    """The names in the PEP 723 block, as they are in requirements.txt."""
    block = re.search(r"# dependencies = \[(.*?)^# \]", script.read_text("utf-8"), re.S | re.M)
    return set(re.findall(r'"([\w.-]+)', block[1])) if block else set()


def serve(arm: Arm, port: int, folder: Path) -> None:
    """Become the server of an arm."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "there is none"
            raise CannotRun(f"port {port}: {why}: choose another with --port") from error
    command = arm.command.format(port=port)
    print(f"http://127.0.0.1:{port}{arm.path}\n$ {command}", flush=True)
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
    parser = summarize.Parser(
        prog=script.name,
        usage=f"python {script.name} [options]",
        description=title,
        epilog="Exit status: 0 a verdict, 3 inconclusive, 1 it could not run, 2 usage,\n"
        "130 interrupted.",
    )
    add = parser.add_argument_group("how long").add_argument
    add("--quick", action="store_true", help="a smoke verdict in about 10 s, of one launch")
    add("--full", action="store_true", help="15 rounds instead of 6, the form that is recorded")
    add("--then", action="store_true", help="also on the versions the claim was made about")
    add("--aa", nargs="?", const="", metavar="ARM", help="one arm against itself: no difference?")
    add("--rounds", type=loadgen.count, metavar="N", help="in each, every arm once, in turn")
    add("--duration", type=summarize.seconds, metavar="T", help="of each arm in each round")
    add("--connections", type=loadgen.count, metavar="N", help="at once, in place of its own")
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
