"""Servers under test, and what they need beside them: started from literal command lines, ready
when they answer, and stopped however the experiment ends.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from lab.facts.errors import CannotRun
from lab.load.guarded import Guarded, is_open, stopped_together
from lab.load.load import Load
from lab.load.processtable import Process, read_processes, tree_of

HOST = "127.0.0.1"
HOST_OF = {"uvicorn": "UVICORN_HOST", "granian": "GRANIAN_HOST", "flask": "FLASK_RUN_HOST"}
PORTS = range(20_000, 32_000)  # of servers
START_S, FIRST_START_S = 30.0, 300.0  # how long a server may take; the second with a download
ASK_S = 10.0  # for a whole answer
SERVICE_STOP_S = 10.0
REST_S = 2.0
TICK_S = 0.01  # of the system's clock of processor time
FOLDER = Path(__file__).parent
_POSTGRESQL = Path("/usr/lib/postgresql")  # Debian's, with a folder for each version


def _read_number(path: Path) -> int:
    return int(re.sub(r"\D", "", str(path)) or 0)


PATH = os.pathsep.join(  # with where a system has its servers, which not all users look into
    [
        str(Path(sys.executable).parent),
        os.environ.get("PATH", ""),
        "/usr/sbin",
        "/usr/local/sbin",
        *map(str, sorted(_POSTGRESQL.glob("*/bin"), key=_read_number, reverse=True)),
    ]
)
ENVIRONMENT = {**os.environ, "PATH": PATH, "PYTHONUNBUFFERED": "1"}
ENVIRONMENT.pop("WEB_CONCURRENCY", None)  # which would start more workers than the command says
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


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
class Service:
    """What the servers under test need, such as a database: a shell command, run in a temporary
    folder of its own, which is removed in the end.

    {folder}, {port}, {host} and {scripts}, which is the folder of the script, are formatted in
    it. NAME_FOLDER and NAME_PORT, after its name in capitals, are in its environment and in those
    of `ready` and of the servers. It runs on the core of the client, so that it does not disturb
    a server. `ready` is a shell command that succeeds once it can be used; without one its port
    has to be open.
    """

    command: str
    ready: str = ""


def count_workers(command: str) -> int:
    """How many worker processes a command line asks for."""
    found = re.search(r"(?:-w|--workers)[ =](\d+)", command)
    return int(found[1]) if found else 1


def cores_for(command: str) -> tuple[set[int], set[int]]:
    """The cores of a server and of the client; both all there are where they must share."""
    *servers, last = CORES or [0]
    if servers and count_workers(command) == 1:
        return set(servers), {last}
    return set(CORES), set(CORES)


def stay_on(cores: Iterable[int]) -> None:
    """Keep this process on some cores, where the system can."""
    if CORES:
        os.sched_setaffinity(0, cores)


@cache
def versions_of(command: str, names: frozenset[str], folder: Path) -> dict[str, str]:
    """The versions of some packages in the Python of a `uv run --with …` command; of any other
    command {}, because that Python is ours.
    """
    argv = shlex.split(command)
    if "uv" not in argv or "run" not in argv:
        return {}
    at = argv.index("run") + 1
    while argv[at].startswith("-"):
        if argv[at] == "--with":
            names |= set(re.findall(r"^[\w.-]+", argv[at + 1]))
        at += 2 if argv[at] in ("--with", "--python") else 1
    asked = [*argv[:at], "python", "-I", str(FOLDER / "versions.py"), *sorted(names)]
    said = subprocess.run(
        asked, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if said.returncode:
        why = " ".join(said.stderr.rpartition("error: ")[2].split())
        raise CannotRun(f"$ {shlex.join(asked[:at])} failed: {why[:300]}")
    return dict(json.loads(said.stdout))


def find_port(kept: ExitStack) -> int:
    """A port that nothing has. It is below those that systems give to clients, so that none of
    their connections takes it before the server does; and no other experiment of this machine
    finds it until `kept` is closed, since a server may take seconds to listen on it.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, ExitStack() as sign, suppress(OSError):
            if sys.platform == "linux":  # a name that only one can have, and that is no file
                sign.enter_context(socket.socket(socket.AF_UNIX)).bind(f"\0port-{port}")
            probe.bind((HOST, port))
            kept.push(sign.pop_all())
            return port


@contextmanager
def _held_to(limit_s: float, connection: HTTPConnection) -> Iterator[None]:
    """Connect, and raise TimeoutError once an answer takes longer, however little a server says
    at a time: the time-out of a socket begins anew with each piece that comes.
    """
    is_over = threading.Event()
    connection.connect()
    connected = connection.sock

    def end() -> None:
        is_over.set()
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException) as error:
        if is_over.is_set():
            raise TimeoutError(f"no whole answer in {limit_s:g} s") from error
        raise
    finally:
        timer.cancel()
    if is_over.is_set():
        raise TimeoutError(f"no whole answer in {limit_s:g} s")


class Server(Guarded):
    """A server, started from a literal command line in an experiment's folder."""

    host = HOST  # at which a client reaches it

    def __init__(
        self, name: str, command: str, folder: Path, port: int,
        environment: Mapping[str, str] | None = None, host: str = HOST,
    ) -> None:  # fmt: skip
        self.name, self.host, self.port = name, host, port
        self.url = f"http://{host}:{self.port}"
        self.command = command.format(port=self.port, host=host)
        argv = shlex.split(self.command)
        if shutil.which(argv[0], path=PATH) is None:
            raise CannotRun(f"arm {name!r}: no {argv[0]} here: pip install -r requirements.txt")
        self.cores, self.client_cores = cores_for(command)
        self.known: set[tuple[int, float]] = set()  # its processes when it was last loaded
        whole = {**ENVIRONMENT, **say_host(name, command, host), **(environment or {})}
        super().__init__(argv, folder, whole, cores=self.cores)

    def wait_until_ready(self, path: str) -> None:
        """Poll until the server answers anything at all, while its process lives."""
        limit_s = FIRST_START_S if self.command.startswith("uv ") else START_S
        fault = self.wait_until(partial(self._answers, path), limit_s)
        if fault:
            raise CannotRun(self.describe(fault))

    def _answers(self, path: str) -> bool:
        with suppress(OSError, HTTPException):
            self.ask(Load(url=self.url + path))
            return True
        return False

    def ask(self, load: Load) -> Answer:
        """Send one request, and return what came."""
        if load.parsed.scheme == "https":  # with a certificate of its own
            tls = ssl._create_unverified_context()
            connection: HTTPConnection = HTTPSConnection(
                self.host, self.port, timeout=ASK_S, context=tls
            )
        else:
            connection = HTTPConnection(self.host, self.port, timeout=ASK_S)
        with closing(connection), _held_to(ASK_S, connection):
            path = load.parsed.raw_path_qs
            connection.request(load.method, path, load.body or None, dict(load.headers))
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(errors="replace").strip())

    def processes(self) -> list[Process]:
        return tree_of(self.pid, read_processes())

    def note_processes(self) -> int:
        """Remember its processes, and return how many of those known before are gone. Raises
        CannotRun where it has ended itself.
        """
        there = self.processes()
        if self.pid not in {process.pid for process in there}:
            raise CannotRun(self.describe("ended while it was loaded"))
        before, self.known = self.known, {process.key for process in there}
        return len(before - self.known)

    def rest(self) -> None:
        """Wait a little until it has nothing left to do, such as to start a new worker, so that
        it is no neighbour of the next arm.
        """
        ends, used_s = time.monotonic() + REST_S, -math.inf
        while time.monotonic() < ends:
            now_s = sum(process.own_s for process in self.processes())
            if now_s - used_s < TICK_S:
                return
            used_s = now_s
            time.sleep(0.05)

    def describe(self, what: str) -> str:
        """One message for a server that failed: what it did, and its last lines."""
        return f"server of arm {self.name!r} {what}: $ {self.command}{self.last_lines()}"

    def last_error(self, since: int) -> str:
        """The last line of its output, from line `since` on, that names an exception."""
        errors = [x for x in self.output()[since:] if re.match(r"[\w.]*(Error|Exception)\b", x)]
        return errors[-1] if errors else ""


def say_host(name: str, command: str, host: str) -> dict[str, str]:
    """What tells a server where to listen whose command does not say it with {host}."""
    if host == HOST or "{host}" in command:
        return {}
    known = [word for word in shlex.split(command) if word in HOST_OF]
    if not known:
        why = f"arm {name!r} listens on this machine alone"
        raise CannotRun(f"{why}: write {{host}} where its command says {HOST}")
    return {HOST_OF[known[0]]: host}


@contextmanager
def run_servers(
    commands: Mapping[str, tuple[str, str]], folder: Path,
    environment: Mapping[str, str] | None = None, host: str = HOST,
) -> Iterator[dict[str, Server]]:  # fmt: skip
    """The servers of {name: (command, path)}, started together, ready, and stopped together."""
    started: dict[str, Server] = {}
    with ExitStack() as ports, stopped_together(started):
        for name, (command, _) in commands.items():
            started[name] = Server(name, command, folder, find_port(ports), environment, host)
        for name, (_, path) in commands.items():
            started[name].wait_until_ready(path)
        yield started


@contextmanager
def run_services(services: Mapping[str, Service], scripts: Path) -> Iterator[dict[str, str]]:
    """What the servers need, started one after the other; yields their environment."""
    environment: dict[str, str] = {}
    started: dict[str, Guarded] = {}
    with ExitStack() as ports, stopped_together(started):
        for name, service in services.items():
            folder, port = Path(tempfile.mkdtemp(prefix=f"{name}-")), find_port(ports)
            words = {"folder": folder, "port": port, "host": HOST, "scripts": scripts}
            environment |= {
                f"{name.upper()}_FOLDER": str(folder),
                f"{name.upper()}_PORT": str(port),
            }
            command = ["sh", "-c", service.command.format(**words)]
            started[name] = Guarded(
                command, folder, {**ENVIRONMENT, **environment}, cores=CORES[-1:],
                patience_s=SERVICE_STOP_S, is_temporary=True,
            )  # fmt: skip
            _wait_until_ready(name, service, started[name], words, environment)
        yield environment


def _wait_until_ready(
    name: str, service: Service, running: Guarded, words: Mapping[str, object],
    environment: Mapping[str, str],
) -> None:  # fmt: skip
    asked = service.ready.format(**words)

    def is_ready() -> bool:
        if not asked:
            return is_open(HOST, int(str(words["port"])))
        done = subprocess.run(
            ["sh", "-c", asked], env={**ENVIRONMENT, **environment}, capture_output=True,
            cwd=str(words["folder"]), check=False,
        )  # fmt: skip
        return done.returncode == 0

    fault = running.wait_until(is_ready, START_S)
    if fault:
        raise CannotRun(f"{name} {fault}{running.last_lines()}")
