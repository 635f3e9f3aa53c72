"""Servers that a comparison starts itself, anew for each launch."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from lab.facts.errors import CannotRun
from lab.load.guarded import POLL_S, Guarded, is_open, stopped_together
from lab.load.listener import find_local_port
from lab.load.load import Load
from lab.load.progress import Progress
from lab.load.rounds import warm_up
from lab.load.schedule import Amount, Pace, Schedule

START_S = 30.0  # how long a server may take until it answers
FREE_S = 5.0  # how long its port may be taken after its end
ASK_S = 5.0
NOTICE_S = 0.5  # how long its end may take to be noticed
ROUNDS = 2  # of a launch: many launches of few rounds tell more
WARMUP_S = 0.5  # after each start


@dataclass(frozen=True)
class OwnServer:
    """A server as the user asks for it."""

    option: str  # which says the command: "--cmd-a"
    command: str  # for the shell
    url: str  # of this machine; it is ready when this answers

    @property
    def port(self) -> int:
        port = find_local_port(self.url)
        assert port is not None, "checked with the options"
        return port

    @property
    def is_listening(self) -> bool:
        return is_open(urlsplit(self.url).hostname or "", self.port)


def make_servers(commands: Mapping[str, str], loads: Sequence[Load]) -> list[OwnServer]:
    """The servers of the commands that {option: command} says. Raises ValueError."""
    if not all(commands.values()) or len(loads) != len(commands):
        raise ValueError(f"{' and '.join(commands)} go together, with a URL each")
    servers = []
    for (option, command), load in zip(commands.items(), loads, strict=True):
        if load.unix_socket or find_local_port(load.url) is None:
            raise ValueError(f"{option} starts a server here: give it a URL of 127.0.0.1")
        servers.append(OwnServer(option, command, load.public_url))
    if len({server.port for server in servers}) < len(servers):
        raise ValueError(f"{' and '.join(commands)} run side by side: give them two ports")
    return servers


class Launched(Guarded):
    """One that runs."""

    def __init__(self, asked: OwnServer) -> None:
        self.asked = asked
        if asked.is_listening:
            why = f"port {asked.port} is taken: end what listens there, or use another"
            raise CannotRun(f"{asked.option}: {why}")
        super().__init__(["sh", "-c", asked.command], Path.cwd(), os.environ)

    def wait_until_ready(self) -> None:
        """Poll until its URL answers anything at all, while it lives."""
        fault = self.wait_until(self._answers, START_S)
        if fault:
            raise CannotRun(self._describe(f"{fault} at {self.asked.url}"))

    def _answers(self) -> bool:
        parts = urlsplit(self.asked.url)
        where = parts.netloc.rpartition("@")[2]
        made = HTTPConnection(where, timeout=ASK_S)
        if parts.scheme == "https":  # who it is does not matter here
            trusting = ssl._create_unverified_context()
            made = HTTPSConnection(where, timeout=ASK_S, context=trusting)
        with suppress(OSError, HTTPException), closing(made) as connection:
            connection.request("GET", parts._replace(scheme="", netloc="").geturl() or "/")
            connection.getresponse()
            return True
        return False

    def check(self, patience_s: float = 0.0) -> None:
        """Raises CannotRun where it has ended by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.guard.wait(patience_s)
            raise CannotRun(self._describe("ended while it was loaded"))

    def _describe(self, what: str) -> str:
        """What happened, in one line with its own last one."""
        last = "".join(f": {line.strip()}" for line in self.output()[-1:])
        return f"{self.asked.option} {what}: $ {self.asked.command}{last}"


@contextmanager
def launch(servers: Sequence[OwnServer]) -> Iterator[list[Launched]]:
    """All of them, ready; in the end stopped, with all that they started, and their ports free.

    Raises CannotRun for one that does not answer, has ended, or leaves something behind.
    """
    started: dict[str, Launched] = {}
    with stopped_together(started):
        for asked in servers:
            started[asked.option] = Launched(asked)
        running = list(started.values())
        for server in running:
            server.wait_until_ready()
        try:
            yield running
        except CannotRun:  # which may be why
            for server in running:
                server.check(NOTICE_S)
            raise
        for server in running:
            server.check()
    for asked in servers:
        _wait_until_free(asked)


def _wait_until_free(asked: OwnServer) -> None:
    ends = time.monotonic() + FREE_S
    while asked.is_listening:
        if time.monotonic() > ends:
            raise CannotRun(
                f"{asked.option} was ended, and something still listens on port {asked.port}: "
                "use a command that stays in the foreground"
            )
        time.sleep(POLL_S)


class Relaunches:
    """The launches of a comparison, and the time that it has for them."""

    def __init__(self, servers: Sequence[OwnServer], budget_s: float, progress: Progress) -> None:
        self.servers, self.progress = servers, progress
        self.schedule = Schedule(budget_s, Amount(ROUNDS))
        self.amount, self.pace = self.schedule.full, Pace(0.0, 0.0, 0.0)
        self.done = 0
        self.began_s = time.monotonic()

    @property
    def spent_s(self) -> float:
        return time.monotonic() - self.began_s

    @property
    def has_room(self) -> bool:
        """Whether another launch may begin."""
        return self.schedule.has_room(self.done, self.spent_s, self.amount, self.pace)

    @contextmanager
    def begin(self, loads: Mapping[str, Load]) -> Iterator[tuple[dict[str, Load], int]]:
        """Starts all servers, ready and warm: yields their loads, and how many rounds to do."""
        began_s, schedule = time.monotonic(), self.schedule
        if self.done:
            spent_s = self.spent_s
            self.amount = schedule.next_amount(self.done, spent_s, self.amount, self.pace)
        self.progress.say(f"launch {self.done + 1}: starting {len(self.servers)} servers")
        with launch(self.servers) as running:
            pids = [server.pid for server in running]
            loads = {
                name: replace(load, pid=pid)
                for (name, load), pid in zip(loads.items(), pids, strict=True)
            }
            for load in loads.values():
                warm_up(load, WARMUP_S, self.progress.remind)
            ready_s = time.monotonic()
            yield loads, self.amount.rounds
            rounds_s = time.monotonic() - ready_s
        start_s = time.monotonic() - began_s - rounds_s
        self.pace = Pace(start_s, rounds_s / self.amount.rounds, 0.0)
        self.done += 1
