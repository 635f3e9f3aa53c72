"""Servers that a comparison starts itself, anew for each launch."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from lab.facts.errors import CannotRun
from lab.load.guarded import POLL_S, Guarded, is_open, stopped_together
from lab.load.listener import find_local_port

START_S = 30.0  # how long a server may take until it answers
FREE_S = 5.0  # how long its port may be taken after its end
ASK_S = 5.0
NOTICE_S = 0.5  # how long its end may take to be noticed


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
        if parts.scheme == "https":
            insecure = ssl._create_unverified_context()
            made = HTTPSConnection(parts.netloc, timeout=ASK_S, context=insecure)
        else:
            made = HTTPConnection(parts.netloc, timeout=ASK_S)
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
