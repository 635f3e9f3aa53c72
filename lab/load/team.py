"""Several processes that share a load, wherever they run: one start, one end, one record.

A share that is lost ends the run: what was measured is kept, and nothing is started again. A
share sends only for as long as it is told to go on, so none is left behind.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue

import msgspec

from lab.facts.abort import Seen, find_reason, parse_aborts
from lab.facts.errors import CannotRun, Interrupted
from lab.facts.form import Json
from lab.facts.histogram import Histogram
from lab.facts.records import Run, Trust, Validity
from lab.facts.sharing import Part, add_up, describe_nothing
from lab.facts.text import percent
from lab.facts.validity import judge
from lab.load.environment import environment_of
from lab.load.interrupts import Interrupts
from lab.load.load import Load
from lab.load.machine import Account
from lab.load.measurement import CHECKPOINT_S, Checkpoint, PartlyLost, Watch, mark_interrupted
from lab.load.pacing import split_load
from lab.load.shareprocess import GRACE_S, LEASE_S, RENEW_S
from lab.load.tally import Counts

POLL_S = 0.1
STARTING_S = 30.0  # in which a process may start and import
LAST_S = GRACE_S + 0.5  # in which what a share says last has come

Mail = SimpleQueue[tuple["Shard", bytes | None] | None]


class Way(ABC):
    """The way to one share. What it says is posted as it comes, and None at its end."""

    name: str  # of what runs the share
    clock_offset_ns = 0  # its clock is so far ahead of ours
    clock_error_s = 0.0
    is_here = True  # on this machine

    @abstractmethod
    def open(self, post: Callable[[bytes | None], None]) -> None:
        """Start it, and post what it says."""

    @abstractmethod
    def tell(self, line: bytes) -> None: ...

    @abstractmethod
    def go_on(self) -> None:
        """Tell it to go on. It answers."""

    @abstractmethod
    def stop(self) -> None:
        """Let it end. It says what it has measured until then."""

    @abstractmethod
    def kill(self) -> None:
        """End whatever is left of it."""

    @abstractmethod
    def describe_end(self) -> str:
        """How it has ended, for whoever reads that it was lost."""


class Shard:
    """One share: its load, and what it has said."""

    def __init__(self, way: Way, load: Load, share: float) -> None:
        self.way, self.load, self.share = way, load, share
        self.is_ready = self.is_at_gate = self.is_under_way = False
        self.is_whole = False  # whether it has said its last
        self.has_ended = False
        self.pid = 0  # on its machine
        self.cannot = ""  # why it could not run
        self.lost = ""  # how it was lost
        self.heard_s = time.monotonic()
        self.series: list[Json] = []  # each second with its histogram
        self._latest: Json | None = None  # a record, without its series

    def hear(self, line: bytes | None, counts: Counts) -> None:
        """Take in what it says, and add what is new to the counts of all."""
        self.heard_s = time.monotonic()
        if line is None:
            self.has_ended = True
            return
        said = json.loads(line)
        self.pid = said.get("pid", self.pid)
        self.is_ready |= "ready" in said
        self.is_at_gate |= "at_gate" in said
        self.is_under_way |= "under_way" in said
        self.cannot = said.get("cannot", self.cannot)
        self._latest = said.get("run", self._latest)
        self.is_whole = said.get("last", self.is_whole)
        for second in said.get("seconds", []):
            self.series.append(second)
            counts.histograms.latency_s.add(Histogram.decode(second["histogram"]))
            counts.ok += second["ok"]
            counts.failed += second["failed"]

    @property
    def is_done(self) -> bool:
        return self.has_ended or self.is_whole or bool(self.lost)

    @property
    def has_record(self) -> bool:
        return self._latest is not None

    def part(self) -> Part:
        """What it has seen, by its latest record."""
        assert self._latest
        return Part(
            name=self.way.name,
            share=self.share,
            run=Run.from_json({**self._latest, "series": self.series}),
            clock_error_s=self.way.clock_error_s,
            lost=self.lost,
        )


class Team:
    """All shares of a load, from their start to the record of the whole."""

    start_delay_s = 0.02  # from when all stand at the gate, so that all hear of it in time

    def __init__(self, load: Load, ways: Sequence[Way], interrupts: Interrupts) -> None:
        self.load, self.interrupts = load, interrupts
        self.mail: Mail = SimpleQueue()
        parts = split_load(load)
        self.shards = [
            Shard(way, part, share_of(part, load)) for way, part in zip(ways, parts, strict=True)
        ]
        self.counts = Counts()  # of what was told until now
        self.began_s = time.monotonic()
        self.started_s: float | None = None  # when the load began
        self.stopped_s: float | None = None  # when all were told to end
        self.aborts = parse_aborts(load.abort)
        self.aborted = ""  # why all end early
        self.has_sent = False
        self.renewed_s = self.saved_s = self.reported_s = 0.0
        self.moments = dict[str, float]()  # when what was done, in s of the monotonic clock

    def run(self, watch: Watch, checkpoint: Checkpoint | None) -> Run:
        """Raises CannotRun, PartlyLost or Interrupted."""
        self.interrupts.then = lambda: self.mail.put(None)
        try:
            self.moments["begin"] = time.monotonic()
            for shard in self.shards:
                self._open(shard)
            self.account = Account(self.load.pid, self.load.url)
            while not all(shard.is_done for shard in self.shards):
                self._take_mail()
                self._look_for_lost()
                self._proceed()
                self._report(watch, checkpoint)
        finally:
            for shard in self.shards:
                shard.way.kill()
        self.moments["end"] = time.monotonic()
        record = self._finish()
        self.moments["merged"] = time.monotonic()
        return mark_interrupted(record, self.interrupts)

    def _open(self, shard: Shard) -> None:
        try:
            shard.way.open(lambda line: self.mail.put((shard, line)))
        except OSError as error:
            why = f"{len(self.shards)} processes cannot be started ({error.strerror})"
            raise CannotRun(f"{why}: use fewer --processes") from error

    # ---- On the way
    def _take_mail(self) -> None:
        """All that has come, once something has or a moment has passed."""
        letter = None
        with suppress(Empty):
            letter = self.mail.get(timeout=POLL_S)
        while True:
            if letter:
                shard, line = letter
                shard.hear(line, self.counts)
            try:
                letter = self.mail.get_nowait()
            except Empty:
                return

    def _look_for_lost(self) -> None:
        now_s = time.monotonic()
        for shard in self.shards:
            if shard.lost or shard.is_whole:
                continue
            limit_s = LEASE_S if shard.is_ready else STARTING_S
            if shard.has_ended:
                if not (shard.cannot or self.stopped_s):
                    shard.lost = f"{shard.way.name} {shard.way.describe_end()}"
            elif now_s > shard.heard_s + limit_s:
                shard.lost = f"{shard.way.name} has said nothing for {limit_s:g} s"
            elif self.stopped_s and now_s > self.stopped_s + LAST_S:
                shard.lost = f"{shard.way.name} did not end in {LAST_S:g} s"

    def _proceed(self) -> None:
        """The next step of all together, when it is time for it."""
        shards, now_s = self.shards, time.monotonic()
        if self.has_sent and now_s > self.renewed_s + RENEW_S:
            self.renewed_s = now_s
            for shard in shards:
                shard.way.go_on()
        if self.stopped_s is None:
            failed = any(s.lost or s.cannot or (s.has_ended and not s.is_whole) for s in shards)
            if failed or self.interrupts.came or self._find_abort():
                self.stopped_s = now_s
                for shard in shards:
                    shard.way.stop()
            elif not self.has_sent and all(shard.is_ready for shard in shards):
                self.has_sent = True
                self.moments["ready"] = now_s
                for shard in shards:
                    order = {"load": shard.load, "gate": True, "lease_s": LEASE_S}
                    shard.way.tell(msgspec.json.encode(order) + b"\n")
            elif self.started_s is None and all(shard.is_at_gate for shard in shards):
                self.started_s = self.moments["barrier"] = now_s
                self._start()

    def _find_abort(self) -> str:
        """Why all are to end early, by what all have seen together."""
        counts, elapsed_s = self.counts, time.monotonic() - (self.started_s or self.began_s)
        seen = Seen(counts.ok, counts.failed, counts.histograms.latency_s, elapsed_s)
        self.aborted = self.aborted or find_reason(self.aborts, seen)
        return self.aborted

    def _start(self) -> None:
        helpers = [shard.pid for shard in self.shards if shard.way.is_here]
        self.account = Account(self.load.pid, self.load.url, helpers)
        start_ns = time.perf_counter_ns() + int(self.start_delay_s * 1e9)
        for shard in self.shards:
            told = {"start_ns": start_ns + shard.way.clock_offset_ns}
            shard.way.tell(json.dumps(told).encode() + b"\n")

    def _report(self, watch: Watch, checkpoint: Checkpoint | None) -> None:
        if time.monotonic() < self.reported_s + POLL_S:
            return
        self.reported_s = time.monotonic()
        self.account.note_memory()
        elapsed_s = time.monotonic() - (self.started_s or self.began_s)
        is_due = elapsed_s > self.saved_s + CHECKPOINT_S
        if checkpoint and is_due and all(shard.has_record for shard in self.shards):
            self.saved_s = elapsed_s
            checkpoint(self.record_so_far())
        watch(self.counts if self.counts.ok else None, elapsed_s)

    # ---- At the end
    def _finish(self) -> Run:
        lost = [shard for shard in self.shards if shard.lost]
        cannot = [shard for shard in self.shards if shard.cannot]
        if not any(shard.has_record for shard in self.shards):
            if cannot:
                raise CannotRun(self._name_who_cannot(cannot[0]))
            if self.interrupts.came:
                raise Interrupted
            raise CannotRun(f"{lost[0].lost}, before anything was saved: run it again")
        for shard in cannot:
            shard.lost = f"{shard.way.name} could not go on ({shard.cannot})"
        lost = [shard for shard in self.shards if shard.lost]
        record = self.record()
        if not lost:
            return judge(replace(record, interrupted=False)) if self.aborted else record
        record = replace(record, interrupted=self.interrupts.came)
        reasons = [f"{describe_loss(shard)}, so run it again" for shard in lost]
        reasons += judge(record).validity.reasons
        record = replace(record, validity=Validity(verdict=Trust.INVALID, reasons=reasons))
        if self.interrupts.came:
            return record
        raise PartlyLost(describe_loss(lost[0]), record)

    def _name_who_cannot(self, shard: Shard) -> str:
        return f"{shard.way.name}: {shard.cannot}" if self.load.cluster else shard.cannot

    def record(self) -> Run:
        return self.account.complete(self._record_seen())

    def record_so_far(self) -> Run:
        seen = replace(self._record_seen(), environment=environment_of())
        return judge(self.account.complete_so_far(seen))

    def _record_seen(self) -> Run:
        """What all saw at the same time, as one run."""
        parts = [shard.part() for shard in self.shards if shard.has_record]
        nothing = [
            describe_nothing(shard.way.name, shard.share, shard.lost)
            for shard in self.shards
            if not shard.has_record
        ]
        seen = add_up(parts, self.load.to_asked())
        return replace(seen, shards=[*seen.shards, *nothing], aborted=self.aborted)


def describe_loss(shard: Shard) -> str:
    return (
        f"{shard.lost}, and {percent(shard.share)} of the load was its: what it did since it "
        "last said so is not in the record"
    )


def share_of(part: Load, whole: Load) -> float:
    """How much of a load is in a part of it."""
    if whole.rate:
        return 1 / whole.processes
    return part.connections / whole.connections
