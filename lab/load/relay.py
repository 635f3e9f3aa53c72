"""On a worker of a Dask cluster: the task that holds a share, and the way to and from it.

The share is a process of its own, and gets its load after the task has begun, from whoever
leads it: a task that was begun a second time would never get one. It needs the standard library
alone, and no function here raises: Dask would log its arguments.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns

from lab.load.shareprocess import GO_ON, GRACE_S, LEASE_S, RENEW_S, ROOT, ShareProcess

_NOT_URGENT = b'{"alive"'
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Letter:
    """A line for a share. It has secrets, and shows none."""

    line: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a share has said since it was last asked for."""

    lines: list[bytes]
    end: str = ""  # how it ended, if it has


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where a share would run."""

    code: str  # of this package, as a short sum
    is_profiled: bool
    boot: str  # which start of which machine: two that agree have the same clock
    clock_ns: int


class Relay:
    """A share on this worker, and what it has said."""

    def __init__(self) -> None:
        self.child = ShareProcess()
        self.lines: deque[bytes] = deque()
        self.end = ""
        self.renewed_s = 0.0
        self.has_order = False
        self.fetched = threading.Event()  # the last of it
        self._waits: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def follow(self) -> None:
        """Keep what it says until its end, and that for as long as somebody may ask for it."""
        for line in self.child.listen():
            self.lines.append(line)
            if not line.startswith(_NOT_URGENT):
                self._wake()
        self.end = f"ended with {self.child.describe_end()}"
        self._wake()
        self.fetched.wait(LEASE_S)
        self.child.close()

    def _wake(self) -> None:
        if self._waits:
            loop, event = self._waits
            with suppress(RuntimeError):  # the worker is closing
                loop.call_soon_threadsafe(event.set)

    async def listen(self, wait_s: float) -> Heard:
        """What it has said, once there is something that matters or `wait_s` have passed."""
        event = asyncio.Event()
        self._waits = asyncio.get_running_loop(), event
        if self.has_order and time.monotonic() > self.renewed_s + RENEW_S:
            self.renewed_s = time.monotonic()
            self.child.tell(GO_ON)
        if not self.end and not any(not line.startswith(_NOT_URGENT) for line in self.lines):
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await event.wait()
        end = self.end  # before its lines are taken: then they are all
        lines = [self.lines.popleft() for _ in range(len(self.lines))]
        if end:
            self.fetched.set()
        return Heard(lines=lines, end=end)

    async def tell(self, letter: Letter) -> None:
        await asyncio.to_thread(self.child.tell, letter.line)  # it may be more than a pipe takes
        self.has_order = True

    def stop(self) -> None:
        """Let it end; what stands still is killed."""
        self.child.stop()
        asyncio.get_running_loop().call_later(GRACE_S, self.child.kill)


_relays: dict[str, Relay] = {}


# ---- What the cluster is asked to call ---------------------------------------------------
def hold(token: str) -> str:
    """The task: a share runs for as long as this does. Says how it ended."""
    logging.getLogger("distributed.worker").addFilter(_is_worth_logging)
    try:
        relay = _relays[token] = Relay()
    except OSError as error:
        return f"cannot start a process ({error.strerror})"
    try:
        relay.follow()
    finally:
        del _relays[token]
    return relay.end


async def listen(token: str, wait_s: float) -> Heard | None:
    """What the share has said; None where there is none yet, or no more."""
    relay = _relays.get(token)
    return await relay.listen(wait_s) if relay else None


async def tell(token: str, letter: Letter) -> None:
    relay = _relays.get(token)
    if relay:
        await relay.tell(letter)


async def stop(token: str) -> None:
    relay = _relays.get(token)
    if relay:
        relay.stop()


def ignore_interrupts() -> None:
    """A terminal sends Ctrl-C to the workers of a command, too. They are to end their shares, which
    then say what they have measured.
    """
    with suppress(ValueError):  # of a thread that is not the main one
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def describe_home() -> Home:
    config = sys.modules.get("dask.config")
    return Home(
        code=sum_of_code(),
        is_profiled=bool(config and config.get("distributed.worker.profile.enabled", False)),
        boot=_BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "",
        clock_ns=perf_counter_ns(),
    )


def read_clock_ns() -> int:
    return perf_counter_ns()


def sum_of_code() -> str:
    """A sum of all that a share consists of: two copies that differ are not to be mixed."""
    digest = hashlib.sha256()
    for wing in ("facts", "load"):
        for path in sorted((ROOT / "lab" / wing).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Dask logs a line for each call of ours, several a second."""
    return record.args not in (("listen",), ("tell",))
