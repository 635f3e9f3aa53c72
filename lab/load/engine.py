"""The engine: who sends what when. It knows its clients as `Client`, and no more of them."""

from __future__ import annotations

import asyncio
import math
import random
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter_ns, process_time
from typing import Any

from lab.facts.arrays import np
from lab.facts.errors import CannotRun
from lab.facts.histogram import Histogram
from lab.facts.records import ErrorKind
from lab.load.answerlog import AnswerLog, Logged
from lab.load.expectation import Expectation
from lab.load.load import Load
from lab.load.machine import queued_s
from lab.load.servertiming import ServerTimings
from lab.load.tally import Tally
from lab.load.template import Template

SHORTEST_TICK_S = 0.002
TICK_S = 0.1  # how often times are folded and time-outs looked for
DIRECT_BYTES = 2048  # a request of this size always fits an empty send buffer
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.01, 1.0  # between attempts of a connection refused
REMEDIES = {
    ErrorKind.DNS: "check the spelling, or write the IP address",
    ErrorKind.REFUSED: "is the server running, and on this port?",
    ErrorKind.CONNECT_TIMEOUT: "is the address right, or does a firewall drop it?",
    ErrorKind.TLS: "for a certificate of your own add --insecure; for plain HTTP write http://",
}


def make_tls(is_insecure: bool) -> ssl.SSLContext:
    """How to speak TLS. Where any certificate will do, the system's are not loaded: OpenSSL
    would look among them for the issuer at each handshake, which nearly doubles its cost.
    """
    if not is_insecure:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Client(ABC):
    """One connection's worth of requests, one after the other: what both clients share."""

    ready = True  # there is no connection to be opened first

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.expectation = Expectation(engine.load.expect)
        self.template, self.body = engine.templates[0], engine.load.body
        self.busy = False  # from when a request leaves its queue until it is settled
        self.opening = False  # a connection is being made for it
        self.server_timing: list[str] = []  # the headers of the answer under way
        self.due_ns = self.lag_ns = self.opening_ns = self.body_bytes = 0
        self.backoff_s = FIRST_BACKOFF_S
        self.pause: asyncio.TimerHandle | None = None

    @abstractmethod
    def start(self) -> None:
        """Send the request that is due, over a new connection if need be."""

    @abstractmethod
    def connect(self) -> None:
        """Open a connection for the requests to come."""

    @abstractmethod
    def close(self) -> None:
        """Give up what is under way."""

    def fileno(self) -> int | None:
        """The file of its connection, where it is known."""
        return None

    def proceed(self, now_ns: int) -> None:
        """Begin the next request, if one is due."""
        if self.pause:
            self.pause.cancel()
            self.pause = None
        due_ns = self.engine.take_due(self, now_ns)
        if due_ns is not None:
            self.begin(due_ns, now_ns)

    def begin(self, due_ns: int, now_ns: int) -> None:
        self.busy, self.due_ns, self.lag_ns = True, due_ns, now_ns - due_ns
        if self.engine.is_varied:
            self.template = next(self.engine.deck)
            self.body = next(self.template.bodies)
        self.start()

    def resume(self) -> None:
        self.proceed(perf_counter_ns())

    def count(self, status: int | None, kind: ErrorKind | None) -> int:
        """Count the request that is under way, and return the time."""
        now_ns, engine = perf_counter_ns(), self.engine
        latency_ns = now_ns - self.due_ns
        engine.tally.times_of(status, kind, self.template.number).pack(latency_ns, self.lag_ns)
        if engine.timings and status is not None and kind is None:
            engine.timings.note(self.server_timing, latency_ns)
        if engine.log:
            what = status, kind, self.body_bytes, self.template.load
            engine.log.waiting.append(Logged(self.due_ns, self.lag_ns, latency_ns, *what))
        return now_ns

    def settle(self, status: int | None, kind: ErrorKind | None) -> None:
        self.go_on(self.count(status, kind))

    def go_on(self, now_ns: int) -> None:
        """Turn to the next request, at once or after thinking."""
        engine = self.engine
        if engine.load.think_s and engine.more:
            self.busy = False
            wait_s = engine.chance.uniform(*engine.load.think_s)
            self.pause = asyncio.get_running_loop().call_later(wait_s, self.resume)
        else:
            self.proceed(now_ns)

    def begin_opening(self) -> None:
        self.opening, self.opening_ns = True, perf_counter_ns()

    def end_opening(self, now_ns: int) -> None:
        """The connection is there: what a request has waited for it is send lag."""
        self.engine.opened += 1
        self.opening, self.backoff_s = False, FIRST_BACKOFF_S
        self.lag_ns = now_ns - self.due_ns

    def fail_opening(self, kind: ErrorKind, why: str) -> None:
        """Count the request that found no connection, if it was for one."""
        engine, was_busy = self.engine, self.busy
        if was_busy:
            self.count(None, kind)
        self.busy = self.opening = False
        if not engine.opened:
            said = f"{engine.load.public_url}: {kind} ({why}): {REMEDIES[kind]}"
            engine.stop(CannotRun(said))
        elif was_busy:
            engine.wait_after_refusal(self)


class Engine:
    """A closed loop: each connection sends its next request when the last is settled.

    The clients ask it when to send and tell it what became of each request. It owns the
    clock, the tally, the time-outs and the end.
    """

    starts_ns: int | None = None  # when the window is to begin, where others begin theirs then
    late_ns = 0  # after that
    keeps_seconds = False  # whether each second is to have its histogram

    def __init__(self, load: Load) -> None:
        self.load = load
        self.host = str(load.parsed.host)
        self.address = self.host, int(load.parsed.port or 0)
        self.tls = make_tls(load.insecure) if load.parsed.scheme == "https" else None
        weighed = load.weighed()
        self.weights = [weight for weight, _ in weighed]
        self.templates = [Template(part, number) for number, (_, part) in enumerate(weighed)]
        self.is_varied = len(weighed) > 1 or len(load.lines) > 1
        longest = max(template.longest for template in self.templates)
        # then it fits the empty send buffer whole, and so need not take uvloop's queue
        self.writes_directly = load.keepalive and longest < DIRECT_BYTES
        self.log: AnswerLog | None = None
        self.opened = 0
        self.connect_ns, self.tls_ns = list[int](), list[int]()
        self.connect, self.handshake = Histogram(), Histogram()
        self.interrupted = False
        self.fault: BaseException | None = None
        self.clients: Sequence[Client] = ()
        self.begin(0, 0.0)

    def begin(self, requests: float, duration_s: float) -> None:
        """Start counting from nothing, for the warm-up or for the window that is measured."""
        self.tally = Tally(len(self.templates), self.keeps_seconds or bool(self.load.ramp))
        for template in self.templates:
            template.forget()
            template.alike = self.tally.times_of(200, target=template.number)
        self.timings = ServerTimings() if self.load.server_timing else None
        self.chance = random.Random(self.load.seed + self.load.share[0])
        self.deck = self._deal()
        # What may still be sent is in `left`, which the hot path counts down by itself, unless
        # there is more to a request than to send the same bytes at once.
        is_plain = not (self.is_varied or self.load.think_s)
        self.left, self.more = (requests, 0.0) if is_plain else (0.0, requests)
        self.planned, self.given_up = requests, 0
        self.sending = True
        self.in_flight = self.loop_lag_s = 0.0
        self.settled = asyncio.Event()
        self.cpu_s, self.queued_s = -process_time(), -queued_s()
        self.began_ns = self.ended_ns = self.starts_ns or perf_counter_ns()
        self.started = datetime.now(UTC)

    def _deal(self) -> Iterator[Template]:
        """The templates in shuffled order, each as often as its weight says, over and over."""
        divisor = math.gcd(*self.weights)
        cards = [
            template
            for template, weight in zip(self.templates, self.weights, strict=True)
            for _ in range(weight // divisor)
        ]
        while True:
            self.chance.shuffle(cards)
            yield from cards

    @property
    def reads_each(self) -> bool:
        """Whether every answer is to be parsed, also one that is like the last."""
        return bool(self.log or self.timings)

    def take_due(self, client: Client, now_ns: int) -> int | None:
        """When the next request of a free client was due; None leaves the client idle."""
        if self.left:
            self.left -= 1
            return now_ns
        if self.more:
            self.more -= 1
            return now_ns
        client.busy = False
        self.end_load()
        self.settle_if_all_is_done()
        return None

    def settle_if_all_is_done(self) -> None:
        if not any(client.busy for client in self.clients):
            self.settled.set()

    def wait_after_refusal(self, client: Client) -> None:
        """A client found no connection: let it pause before it tries for its next request."""
        if self.sending:
            loop = asyncio.get_running_loop()
            client.pause = loop.call_later(client.backoff_s, client.resume)
            client.backoff_s = min(2 * client.backoff_s, LONGEST_BACKOFF_S)
        else:
            self.settle_if_all_is_done()

    def end_load(self) -> None:
        """Send nothing more; note how many requests were under way on average until now."""
        if self.sending:
            self.sending, self.left, self.more = False, 0.0, 0.0
            now_ns = perf_counter_ns()
            self.tally.fold()
            busy = [client for client in self.clients if client.busy]
            held_ns = self.tally.held_ns + sum(now_ns - client.due_ns for client in busy)
            self.in_flight = held_ns / max(now_ns - self.began_ns, 1)
            self.settle_if_all_is_done()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task whose failure ends the run."""
        task = asyncio.get_running_loop().create_task(coroutine)
        task.add_done_callback(self._stop_for_failure)
        return task

    def _stop_for_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            self.stop(task.exception())

    def stop(self, fault: BaseException | None = None) -> None:
        """End at once: the user interrupts, or there is a fault that leaves nothing to do."""
        self.fault = self.fault or fault
        self.interrupted = not self.fault
        self.settled.set()

    def launch(self, duration_s: float, opening_s: float) -> None:
        """Set all clients going, one after the other over `opening_s`."""
        loop, step_s = asyncio.get_running_loop(), opening_s / len(self.clients)
        if duration_s < math.inf:
            loop.call_later(duration_s, self.end_load)
        for number, client in enumerate(self.clients):
            if opening_s:
                client.pause = loop.call_later(number * step_s, client.resume)
            else:
                client.resume()

    def give_up(self, now_ns: int) -> None:
        """End the requests that have waited for as long as they may."""
        timeout_ns = self.load.timeout_s * 1e9
        for client in self.clients:
            if client.opening:
                self.give_up_opening(client, now_ns)
            elif client.busy and now_ns - client.due_ns > timeout_ns:
                client.close()
                client.settle(None, ErrorKind.TIMEOUT)

    def give_up_opening(self, client: Client, now_ns: int) -> None:
        """End the opening of a connection that has taken for as long as it may."""
        limit_s = self.load.connect_timeout_s or self.load.timeout_s
        if client.opening and now_ns - client.opening_ns > limit_s * 1e9:
            client.close()
            client.fail_opening(ErrorKind.CONNECT_TIMEOUT, f"none in {limit_s:g} s")

    def fold(self) -> None:
        """Empty what the hot path has appended to, so that memory stays flat."""
        self.tally.fold()
        for times_ns, histogram in (
            (self.connect_ns, self.connect),
            (self.tls_ns, self.handshake),
        ):
            histogram.record(np.array(times_ns, dtype=np.int64))
            times_ns.clear()
        if self.timings:
            self.timings.fold()
        if self.log:
            self.log.flush(self.began_ns, self.started)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        if self.log:
            self.log.close()

    async def run_phase(
        self,
        requests: int | None,
        duration_s: float,
        tick: Callable[[float], None],
        opening_s: float = 0.0,
    ) -> None:
        """Load until `requests` are sent or `duration_s` has passed, and all are settled.

        The connections are opened one after the other over `opening_s`: where many come at
        once, one worker of a server has accepted them all before another wakes. `tick` is
        told ten times a second how many seconds have passed. What is not settled when the
        user interrupts stays unfinished.
        """
        self.begin(requests or math.inf, duration_s)
        while perf_counter_ns() < self.began_ns:  # for 2 ms at most
            pass
        self.late_ns = perf_counter_ns() - self.began_ns
        self.launch(duration_s, opening_s)
        now_ns = perf_counter_ns()
        while not self.settled.is_set():
            wait_s = self._until_tick_s(now_ns)
            expected_ns = now_ns + wait_s * 1e9
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.settled.wait()
            now_ns = perf_counter_ns()
            self.loop_lag_s = max(self.loop_lag_s, (now_ns - expected_ns) / 1e9)
            self.give_up(now_ns)
            elapsed_s = (now_ns - self.began_ns) / 1e9
            if elapsed_s >= len(self.tally.series) + 1:
                self.fold()
                self.tally.end_second(elapsed_s)
            elif not self.load.rate:  # in an open loop it would hold up what is due
                self.fold()
            tick(elapsed_s)
        self._end()

    def _until_tick_s(self, now_ns: int) -> float:
        """A tenth of a second; less where a second of the series ends before, so that those of
        several that began together are the same.
        """
        second_s = len(self.tally.series) + 1 - (now_ns - self.began_ns) / 1e9
        return min(TICK_S, max(second_s, SHORTEST_TICK_S))

    def _end(self) -> None:
        self.ended_ns = perf_counter_ns()
        self.cpu_s, self.queued_s = self.cpu_s + process_time(), self.queued_s + queued_s()
        self.end_load()
        self.fold()
        self.tally.end_second((self.ended_ns - self.began_ns) / 1e9)
        if self.fault:
            raise self.fault
