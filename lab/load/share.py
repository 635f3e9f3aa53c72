"""A process that puts load on for another one: `python -P -m lab.load.share`.

It says that it is ready, is sent its Load as a line of JSON, and answers in lines of JSON. Where
it is one of several, it says that it stands at the gate, and is told when to start. It says its
record each second, and its last one at the end. It ends when it gets a signal, when standard input
closes, and when nobody has told it to go on for as long as its lease: then the process that leads
it is gone, or cut off.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from time import perf_counter_ns
from typing import Any

import msgspec

from lab.facts.errors import CannotRun
from lab.facts.records import Run
from lab.load.load import Load
from lab.load.run import run
from lab.load.shareprocess import GRACE_S
from lab.load.tally import Counts

PATIENCE_S = 60.0  # until it is sent a load
_NEARLY_S = 0.002  # before the start: an event loop wakes up to the millisecond


@dataclass(frozen=True, kw_only=True)
class Order:
    """The first that it is told."""

    load: Load
    gate: bool = False  # whether it says when it could start, and waits to be told to
    lease_s: float | None = None  # for how long it goes on without being told to


class Orders:
    """What its leader tells it, line by line, read in a thread once it has its load."""

    def __init__(self) -> None:
        self.order: Order
        self.start_ns = 0
        self._started: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._lock = threading.Lock()
        self._lines = self._read()

    def wait_for_order(self) -> bool:
        """Whether there is one, once that is known."""
        first = next(self._lines, b"")
        if first:
            self.order = msgspec.json.decode(first, type=Order)
        return bool(first)

    def _read(self) -> Iterator[bytes]:
        """Lines, until nobody tells any. Unbuffered: nobody waits for a lock at the end."""
        rest: bytearray = bytearray()
        lease_s: float | None = PATIENCE_S
        while lease_s is None or select.select([0], [], [], lease_s)[0]:
            read = os.read(0, 1 << 20)
            if not read:
                return
            rest += read
            if b"\n" not in read:
                continue
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            for line in lines:
                yield line
                lease_s = self.order.lease_s

    def follow(self) -> None:
        """Until there is nobody who gives any; then end this process."""
        for line in self._lines:
            self._hear(json.loads(line))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(1)  # it may wait for somebody to read what it says

    def _hear(self, told: dict[str, Any]) -> None:
        if "go_on" in told:
            say(alive=True)
        if "start_ns" in told:
            with self._lock:
                self.start_ns = told["start_ns"]
                if self._started:
                    loop, event = self._started
                    loop.call_soon_threadsafe(event.set)

    async def wait_for_start(self) -> int:
        """Returns when to start, in ns of our clock, a moment before."""
        event = asyncio.Event()
        with self._lock:
            if not self.start_ns:
                self._started = asyncio.get_running_loop(), event
        if self._started:
            await event.wait()
        await asyncio.sleep((self.start_ns - perf_counter_ns()) / 1e9 - _NEARLY_S)
        return self.start_ns


_speaking = threading.Lock()


def say(**said: Any) -> None:
    line = json.dumps(said) + "\n"
    with _speaking:
        sys.stdout.write(line)
        sys.stdout.flush()


class Share:
    """What it tells whoever leads it."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.is_under_way = False
        self.seconds = 0  # of the series, that were told

    @property
    def keeps_seconds(self) -> bool:
        """Whether each second of the series is to have its histogram."""
        return self.orders.order.gate

    async def wait_to_start(self) -> int | None:
        """When to start, in ns; None where it is alone and starts at once."""
        if not self.orders.order.gate:
            return None
        say(at_gate=True)
        return await self.orders.wait_for_start()

    def watch(self, counts: Counts | None, elapsed_s: float) -> None:
        if not self.is_under_way:
            self.is_under_way = True
            say(under_way=True)

    def tell(self, record: Run, **more: Any) -> None:
        """Its record. Of the series of one of several only what is new: it may be long."""
        if self.keeps_seconds:
            new = [asdict(second) for second in record.series[self.seconds :]]
            self.seconds = len(record.series)
            record, more = replace(record, series=[]), {"seconds": new, **more}
        say(run=record.to_json(), **more)

    def run(self) -> None:
        try:
            record = run(self.orders.order.load, self.watch, self.tell, self)
        except CannotRun as error:
            say(cannot=str(error))
        else:
            self.tell(record, last=True)


def main() -> None:
    say(ready=True, pid=os.getpid())
    orders = Orders()
    if orders.wait_for_order():
        threading.Thread(target=orders.follow, daemon=True).start()
        Share(orders).run()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, BrokenPipeError):
        main()
