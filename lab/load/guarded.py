"""A process that ends when this one does, however it ends, with all that it has started."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

STOP_S = 3.0  # how long it may take to end
POLL_S = 0.02
ASK_S = 1.0
TOLD = 8  # of its last lines, where it failed
GUARD = Path(__file__).with_name("guard.py")


class Guarded:
    """A process under a guard, which ends it when this process ends, however it ends."""

    def __init__(
        self, argv: list[str], folder: Path, environment: Mapping[str, str], *,
        cores: Iterable[int] = (), patience_s: float = STOP_S, is_temporary: bool = False,
    ) -> None:  # fmt: skip
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by wait()
        told = [",".join(map(str, cores)), str(patience_s), str(folder) if is_temporary else ""]
        self.guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), *told, *argv],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            start_new_session=True,
        )
        self.pid = int(self.guard.stdout.readline() or 0)  # type: ignore[union-attr]

    @property
    def has_ended(self) -> bool:
        return self.guard.poll() is not None

    def wait_until(self, is_ready: Callable[[], bool], limit_s: float) -> str:
        """Poll until it is ready, while it lives. Returns what went wrong, or nothing."""
        ends = time.monotonic() + limit_s
        while not self.has_ended:
            if is_ready():
                return ""
            if time.monotonic() > ends:
                return f"did not answer in {limit_s:.0f} s"
            time.sleep(POLL_S)
        return "ended before it answered"

    def let_go(self) -> None:
        """Tell the guard to end it, and do not wait."""
        self.guard.stdin.close()  # type: ignore[union-attr]

    def wait(self) -> None:
        self.guard.wait()
        self.log.close()

    def output(self) -> list[str]:
        self.log.seek(0)
        return self.log.read().decode(errors="replace").splitlines()

    def last_lines(self) -> str:
        return "".join(f"\n    {line}" for line in self.output()[-TOLD:])


@contextmanager
def stopped_together(started: Mapping[str, Guarded]) -> Iterator[None]:
    """Ends all that has been started by then, at once, and waits for them."""
    try:
        yield
    finally:
        for process in started.values():
            process.let_go()
        for process in started.values():
            process.wait()


def is_open(host: str, port: int) -> bool:
    """Whether something listens there."""
    with suppress(OSError), socket.create_connection((host, port), ASK_S):
        return True
    return False
