"""The open loop: requests leave when the plan says so, whether or not the server keeps up."""

from __future__ import annotations

import asyncio
import ctypes
import math
import os
import sys
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns

from lab.facts.arrays import np
from lab.facts.records import ErrorKind
from lab.load.answerlog import Logged
from lab.load.engine import Client, Engine
from lab.load.load import Load
from lab.load.pacing import plan_due_ns
from lab.load.unread import Unread

EARLY_NS = 10_000  # a timer is set so much before: to wake up takes about as long
PRECISE_NS = 200_000  # the same where the client may spin: the rest is for turns of the loop
TURN_NS = 5_000  # what is due within so much more is not worth a timer either
MOST_AT_ONCE = 1 << 17  # requests that are given up between two looks at the event loop
_MONOTONIC, _ABSOLUTE = 1, 1  # of timerfd_create(2) and timerfd_settime(2)


class Timer:
    """Calls back at a moment of our clock: to some 20 µs where the system has a timerfd, and
    elsewhere to the millisecond of the event loop's own timers.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self.loop, self.callback = asyncio.get_running_loop(), callback
        self.handle: asyncio.TimerHandle | None = None
        self.is_set = False
        self.fd = -1
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            self.fd = libc.timerfd_create(_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd >= 0:
            self.spec = (ctypes.c_long * 4)()  # interval and first, each in s and ns
            self.spec_address = ctypes.addressof(self.spec)
            self.settime = libc.timerfd_settime
            self.settime.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
            self.loop.add_reader(self.fd, callback)

    def set(self, at_ns: float) -> None:
        """Call back at `at_ns`, at once if that is past and never if it is inf."""
        was_set, self.is_set = self.is_set, at_ns < math.inf
        if not (was_set or self.is_set):
            return
        if self.fd >= 0:
            spec = self.spec
            spec[2], spec[3] = divmod(int(at_ns), 10**9) if self.is_set else (0, 0)
            # setting it anew also takes back that it has run out
            self.settime(self.fd, _ABSOLUTE, self.spec_address, None)
            return
        if self.handle:
            self.handle.cancel()
        if self.is_set:
            wait_s = max(at_ns - perf_counter_ns(), 0) / 1e9
            self.handle = self.loop.call_later(wait_s, self.callback)

    def close(self) -> None:
        self.set(math.inf)
        if self.fd >= 0:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)


class OpenLoop(Engine):
    """Requests leave when they are due over a connection that is idle; where none is, over a
    new one; and past that they wait for the first that is free. None is left out.
    """

    def __init__(self, load: Load) -> None:
        self.loop = asyncio.get_running_loop()
        self.timer = Timer(self.send_what_is_due)
        self.early_ns = PRECISE_NS if load.precise else EARLY_NS
        super().__init__(load)

    def close(self) -> None:
        self.timer.close()
        super().close()

    def begin(self, requests: float, duration_s: float) -> None:
        super().begin(0, duration_s)
        self.planned = 0
        self.plan = plan_due_ns(self.load, requests, duration_s)
        self.unread = Unread()
        self.idle: deque[Client] = deque()
        self.unopened = list[Client](self.clients)
        self.next_ns = self.began_ns + next(self.plan, math.inf)

    def launch(self, duration_s: float, opening_s: float) -> None:
        self.armed = True
        self.timer.set(self.next_ns)
        self.settle_if_all_is_done()  # where its share of a small plan is nothing at all

    def advance(self) -> int:
        """Take the next request off the plan, and say when it is due."""
        due_ns, self.next_ns = self.next_ns, self.began_ns + next(self.plan, math.inf)
        self.planned += 1
        if self.next_ns == math.inf:
            self.end_load()
        return int(due_ns)

    def take_free(self) -> Client | None:
        """The connection that has been idle for longest, or one that is still to be opened."""
        while self.idle:
            client = self.idle.popleft()
            if client.ready:
                return client
            self.unopened.append(client)  # the server has closed it
        return self.unopened.pop() if self.unopened else None

    def send_what_is_due(self) -> None:
        """Send one request that is due, if there is one, and come back for the next.

        Between two of them the event loop reads what has been answered meanwhile.
        """
        now_ns = perf_counter_ns()
        if now_ns >= self.next_ns:
            client = self.take_free()
            if client is None:
                self.armed = False  # whoever is free next looks at the plan itself
                self.timer.set(math.inf)
                return
            client.begin(self.advance(), now_ns)
            now_ns = perf_counter_ns()
        self.wait_for_next(now_ns)

    def wait_for_next(self, now_ns: int) -> None:
        """Come back when the next request is due; where that is now, after a turn of the loop."""
        if self.next_ns - now_ns > self.early_ns + TURN_NS:
            self.timer.set(self.next_ns - self.early_ns)
        else:
            self.timer.set(math.inf)
            self.loop.call_soon(self.send_what_is_due)

    def take_due(self, client: Client, now_ns: int) -> int | None:
        if now_ns >= self.next_ns:
            return self.advance()
        client.busy = False
        (self.idle if client.ready else self.unopened).append(client)
        if not self.armed:
            self.armed = True
            self.wait_for_next(now_ns)
        if self.next_ns == math.inf:
            self.settle_if_all_is_done()
        return None

    def settle_if_all_is_done(self) -> None:
        free = len(self.idle) + len(self.unopened)
        if self.next_ns == math.inf and free == len(self.clients):
            self.settled.set()

    def wait_after_refusal(self, client: Client) -> None:
        client.proceed(perf_counter_ns())  # the plan is pause enough

    def give_up(self, now_ns: int) -> None:
        self.unread.look(self.clients)
        limit_ns = now_ns - self.load.timeout_s * 1e9
        if self.next_ns < limit_ns:
            self._give_up_unsent(limit_ns, now_ns)
        super().give_up(now_ns)

    def _give_up_unsent(self, limit_ns: float, now_ns: int) -> None:
        """Count what was due before `limit_ns` and never was sent, many at once: a plan can hold
        more than there is time to count one by one.
        """
        given_up: dict[int, list[int]] = {}  # when they were due, by their templates
        for _ in range(MOST_AT_ONCE):
            if self.next_ns >= limit_ns:
                break
            template = next(self.deck) if self.is_varied else self.templates[0]
            due_ns = self.advance()
            given_up.setdefault(template.number, []).append(due_ns)
            if self.log:
                waited_ns = now_ns - due_ns
                what = None, ErrorKind.TIMEOUT, 0, template.load
                self.log.waiting.append(Logged(due_ns, waited_ns, waited_ns, *what))
        for number, due in given_up.items():
            waited = now_ns - np.array(due, dtype=np.int64)
            self.tally.record(None, ErrorKind.TIMEOUT, number, waited, waited)
            self.given_up += len(due)
