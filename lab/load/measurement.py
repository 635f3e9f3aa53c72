"""The measurement of a load from this process, from looking up the name to the record."""

from __future__ import annotations

import asyncio
import gc
import math
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter_ns, process_time
from typing import Any, Protocol

import uvloop

from lab.facts.abort import Seen, find_reason, parse_aborts
from lab.facts.errors import CannotRun, Interrupted
from lab.facts.histogram import Histogram
from lab.facts.records import ClientCost, Connections, ErrorKind, Run, Target
from lab.facts.validity import judge
from lab.load.answerlog import AnswerLog
from lab.load.engine import REMEDIES, Client, Engine
from lab.load.environment import environment_of
from lab.load.interrupts import Interrupts
from lab.load.load import Load
from lab.load.machine import Account, queued_s
from lab.load.oneshot import OneShot, SharedSockets
from lab.load.opening import Opening
from lab.load.openloop import OpenLoop
from lab.load.pacing import add_rates
from lab.load.tally import Counts
from lab.load.wire import Wire

CHECKPOINT_S = 5.0  # how often the record is saved while it grows

Watch = Callable[[Counts | None, float], None]  # what has come, if it is known, and after how long
Checkpoint = Callable[[Run], None]


class PartlyLost(CannotRun):
    """Something of a measurement is lost. What there is of it is its `record`."""

    def __init__(self, why: str, record: Run) -> None:
        super().__init__(why)
        self.record = record


class Leader(Protocol):
    """Who has several begin at the same moment, and adds up what they see."""

    @property
    def keeps_seconds(self) -> bool:
        """Whether each second of the series is to have its histogram."""

    async def wait_to_start(self) -> int | None:
        """Returns when to start, in ns of our clock, some 2 ms before; None: at once."""


def ignore(counts: Counts | None, elapsed_s: float) -> None:
    """A watch that sees nothing."""


class Measurement:
    """One load from this process: its engine, its account, and the records on the way."""

    def __init__(
        self, load: Load, watch: Watch, checkpoint: Checkpoint | None, interrupts: Interrupts,
        leader: Leader | None = None,
    ) -> None:  # fmt: skip
        self.load, self.watch, self.checkpoint = load, watch, checkpoint
        self.interrupts, self.leader = interrupts, leader
        self.dns_s: float | None = None
        self.saved_s = 0.0  # when a record was last saved
        self.saved_seconds = 0  # of the series, that were in it
        self.aborts = parse_aborts(load.abort)
        self.aborted = ""  # why it ends early
        self.engine: Engine
        self.account: Account

    def run(self) -> Run:
        if self.load.client == "wire":  # it makes no cycles for the collector to find
            gc.collect()
            gc.disable()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                record = runner.run(self._run())
        except asyncio.CancelledError:
            raise Interrupted from None
        finally:
            gc.enable()
        record = mark_interrupted(record, self.interrupts)
        log = self.engine.log
        if log and log.fault:
            raise PartlyLost(f"{log.path}: {log.fault}: not every answer is in it", record)
        return record

    async def _run(self) -> Run:
        load, loop, task = self.load, asyncio.get_running_loop(), asyncio.current_task()
        assert task
        self.interrupts.then = partial(loop.call_soon_threadsafe, task.cancel)
        if self.interrupts.came:
            raise Interrupted
        self.engine = engine = OpenLoop(load) if load.rate else Engine(load)
        if not load.unix_socket:
            await self._look_up_name()
        loop.set_exception_handler(self._stop_for_error)
        self.interrupts.then = partial(loop.call_soon_threadsafe, engine.stop)
        async with AsyncExitStack() as stack:
            stack.callback(engine.close)
            engine.clients = await make_clients(engine, stack)
            await self._prepare()
            self.account = Account(load.pid, load.url)
            if self.checkpoint:  # the first takes long, and holds nothing up now
                Histogram().used()
                self._record_so_far().to_json()
            if load.samples:
                engine.log = AnswerLog(Path(load.samples))
            if self.leader:
                await self._wait_to_start(self.leader)
            await engine.run_phase(load.requests, load.duration_s or math.inf, self._tick)
            return self.record()

    async def _prepare(self) -> None:
        """Have the connections open before the clock starts. A warm-up opens them as it goes, a
        plan those that it needs.
        """
        load, engine = self.load, self.engine
        if load.warmup_s:
            await engine.run_phase(None, load.warmup_s, lambda _: None, load.warmup_s)
        elif load.keepalive and not load.rate:
            await Opening(engine).run()
        if engine.fault:
            raise engine.fault
        if engine.interrupted:
            raise Interrupted

    async def _wait_to_start(self, leader: Leader) -> None:
        then, task = self.interrupts.then, asyncio.current_task()
        assert task
        self.interrupts.then = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        if self.interrupts.came:
            raise Interrupted
        self.engine.keeps_seconds = leader.keeps_seconds
        self.engine.starts_ns = await leader.wait_to_start()
        self.interrupts.then = then

    async def _look_up_name(self) -> None:
        engine, began_ns = self.engine, perf_counter_ns()
        try:
            await resolve(*engine.address)
        except (OSError, UnicodeError) as error:
            why = f"no address for {engine.host}: {REMEDIES[ErrorKind.DNS]}"
            raise CannotRun(f"{self.load.public_url}: {why}") from error
        self.dns_s = (perf_counter_ns() - began_ns) / 1e9

    def _stop_for_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.engine.stop(context.get("exception") or RuntimeError(context["message"]))

    def _tick(self, elapsed_s: float) -> None:
        self.account.note_memory()
        if self.aborts and not self.engine.settled.is_set():
            self._look_for_abort(elapsed_s)
        if self.checkpoint and self._is_checkpoint_due(elapsed_s):
            self.saved_s, self.saved_seconds = elapsed_s, len(self.engine.tally.series)
            self.checkpoint(self._record_so_far())
        self.watch(self.engine.tally.total, elapsed_s)

    def _is_checkpoint_due(self, elapsed_s: float) -> bool:
        """Who leads several is to have each second as it ends, so that no more is lost."""
        if self.engine.settled.is_set():
            return False  # the whole record comes
        if self.leader:
            return len(self.engine.tally.series) > self.saved_seconds
        return elapsed_s > self.saved_s + CHECKPOINT_S

    def _look_for_abort(self, elapsed_s: float) -> None:
        total = self.engine.tally.total
        seen = Seen(total.ok, total.failed, total.histograms.latency_s, elapsed_s)
        self.aborted = find_reason(self.aborts, seen)
        if self.aborted:
            self.engine.settled.set()

    def record(self) -> Run:
        """What came of the load. Whoever leads several judges it, and looks at the machine."""
        if self.leader and self.leader.keeps_seconds:
            return self.account.complete_so_far(self._record_seen())
        return self.account.complete(self._record_seen())

    def _record_so_far(self) -> Run:
        record = self.account.complete_so_far(self._record_seen())
        return record if self.leader else judge(replace(record, environment=environment_of()))

    def _record_seen(self) -> Run:
        """What this client saw of the load until now."""
        load, engine, total = self.load, self.engine, self.engine.tally.total
        is_settled = engine.settled.is_set()
        ended_ns = engine.ended_ns if is_settled else perf_counter_ns()
        return Run(
            name=load.name or load.public_url,
            started=engine.started.isoformat(timespec="seconds"),
            elapsed_s=(ended_ns - engine.began_ns) / 1e9,
            load=load.to_asked(),
            ok=total.ok,
            failed=total.failed,
            unfinished=sum(client.busy for client in engine.clients),
            statuses=dict(total.statuses),
            errors=dict(total.errors),
            histograms=total.histograms,
            series=add_rates(load, engine.tally.series),
            stretches=engine.tally.stretches.against(total.histograms.latency_s),
            connections=Connections(
                opened=engine.opened,
                dns_s=self.dns_s,
                connect_s=engine.connect.percentile_s(50, beyond=0),
                tls_s=engine.handshake.percentile_s(50, beyond=0),
            ),
            client=self._client_cost(is_settled),
            interrupted=engine.interrupted or not is_settled,
            aborted=self.aborted,
            targets=_record_targets(engine),
            classes=engine.tally.list_classes(),
            server_timing=engine.timings.record() if engine.timings else None,
        )

    def _client_cost(self, is_settled: bool) -> ClientCost:
        engine = self.engine
        return ClientCost(
            cpu_s=engine.cpu_s + (0.0 if is_settled else process_time()),
            queued_s=engine.queued_s + (0.0 if is_settled else queued_s()),
            loop_lag_s=engine.loop_lag_s,
            in_flight=engine.in_flight,
            unread=engine.unread.share() if isinstance(engine, OpenLoop) else None,
            planned=int(engine.planned) if self.load.rate else None,
            sent=int(engine.planned) - engine.given_up if self.load.rate else None,
            start_skew_s=engine.late_ns / 1e9 if engine.starts_ns else None,
        )


async def resolve(host: str, port: int) -> None:
    """Raises OSError or UnicodeError for a name without an address.

    In a thread of its own that nobody waits for: a name server that does not answer would hold
    up the end of one that belongs to the event loop.
    """
    loop = asyncio.get_running_loop()
    known: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if not known.done():
            known.set_exception(error) if error else known.set_result(None)

    def look_up() -> None:
        error: Exception | None = None
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as found:
            error = found
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=look_up, daemon=True).start()
    await known


def mark_interrupted(record: Run, interrupts: Interrupts) -> Run:
    """The record, as an interrupted one where a signal came after its last answer."""
    if interrupts.came and not record.interrupted:
        record = replace(record, interrupted=True)
    return record


async def make_clients(engine: Engine, stack: AsyncExitStack) -> Sequence[Client]:
    """A client for each connection; what they share is closed with the stack."""
    if engine.load.client == "wire" and engine.load.keepalive:
        return [Wire(engine) for _ in range(engine.load.slots)]
    if engine.load.client == "wire":
        shared = SharedSockets(engine)
        stack.callback(shared.close)
        return [OneShot(engine, shared) for _ in range(engine.load.slots)]
    from lab.load.session import Session, open_session  # which takes long to import

    session = await stack.enter_async_context(open_session(engine.load, engine.tls))
    return [Session(engine, session) for _ in range(engine.load.slots)]


def _record_targets(engine: Engine) -> list[Target]:
    return [
        Target(
            name=f"{template.load.method} {template.load.public_url}",
            ok=part.ok,
            failed=part.failed,
            statuses=dict(part.statuses),
            errors=dict(part.errors),
            histogram=part.histograms.latency_s,
        )
        for template, part in zip(engine.templates, engine.tally.parts, strict=False)
    ]
