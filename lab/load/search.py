"""The highest rate that keeps an objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from lab.facts.errors import CannotRun
from lab.facts.objective import Objective, find_broken, point_of
from lab.facts.records import Objectives, Point, Run
from lab.load.load import Load
from lab.load.measurement import PartlyLost
from lab.load.run import run

FIRST_RATE, SLOWEST_RATE, CLOSE_ENOUGH, MOST_STEPS = 100.0, 0.5, 1.05, 60
STEP_S = 3.0  # each rate is tried for so long
CONFIRM = 4.0  # times as long the answer is tried once more, and the rate just above it


class Search:
    """Which rate to try next, and what was found.

    Rates double until one breaks the objective, then the gap is halved (geometrically) until
    it is under 5 %. Then the answer must hold once more, and the rate just above it break
    once more, both for CONFIRM times as long: a rate that is a little too high builds up a
    queue, but slowly.
    """

    def __init__(self, first_rate: float = FIRST_RATE) -> None:
        self.low, self.high = 0.0, math.inf  # the highest kept and the lowest broken
        self.kept, self.broken = set[float](), set[float]()
        self.tried = 0
        self._rate = first_rate

    @property
    def next_rate(self) -> float | None:
        """None where the search is over."""
        is_over = self.tried >= MOST_STEPS or self._rate < SLOWEST_RATE
        return None if is_over else self._rate

    @property
    def is_confirming(self) -> bool:
        """Whether the next rate is tried once more, and for longer."""
        return self.low > 0 and self.high <= self.low * CLOSE_ENOUGH

    @property
    def answer(self) -> float | None:
        """The highest rate that was kept, and not broken since."""
        return self.low or None

    def note(self, rate: float, is_kept: bool) -> None:
        """What came of the rate that was to be tried."""
        self.tried += 1
        now, before = (self.kept, self.broken) if is_kept else (self.broken, self.kept)
        now.add(rate)
        before.discard(rate)
        if not self.is_confirming:
            self._narrow(rate, is_kept)
        elif rate == self.low:
            self._note_low(is_kept)
        else:
            self._note_high(rate, is_kept)

    def _narrow(self, rate: float, is_kept: bool) -> None:
        if is_kept:
            self.low = rate
        else:
            self.high = rate
        self._rate = self.low if self.is_confirming else self._between()

    def _note_low(self, is_kept: bool) -> None:
        """The answer was tried once more."""
        if is_kept:
            self._rate = self.high
            return
        self.low, self.high = max((r for r in self.kept if r < self.low), default=0.0), self.low
        self._rate = self.low if self.is_confirming else self._between()

    def _note_high(self, rate: float, is_kept: bool) -> None:
        """The rate just above the answer was tried once more."""
        if not is_kept:
            self._rate = 0.0  # which ends it
            return
        self.low = rate
        self.high = min((r for r in self.broken if r > rate), default=math.inf)
        self._rate = self.high if self.is_confirming else self._between()

    def _between(self) -> float:
        if self.high == math.inf:
            return 2 * self.low
        return math.sqrt(self.low * self.high) if self.low else self.high / 4


class Tried:
    """The rates of a search that were tried, and the runs that may be its answer."""

    def __init__(self) -> None:
        self.curve: list[Point] = []
        self.kept: dict[float, Run] = {}
        self.last: Run | None = None

    def note(self, rate: float, record: Run, is_kept: bool, is_confirming: bool) -> Point:
        confirmed_s = record.load.duration_s if is_confirming else None
        self.curve.append(replace(point_of(record), kept=is_kept, confirmed_s=confirmed_s))
        if is_kept:
            self.kept[rate] = record
        return self.curve[-1]

    def finish(self, answer: float | None) -> Run:
        """The run of the answer; where there is none, or it was interrupted, the last."""
        assert self.last
        record = self.last
        if not record.interrupted and answer:
            record = self.kept[answer]
        slo = Objectives(sought=True, max_rate=answer)
        return replace(record, curve=self.curve, slo=slo)


def find_max(load: Load, objectives: Sequence[Objective], tell: Callable[[Point], None]) -> Run:
    """Search the highest rate in requests/s at which `load` keeps its objectives.

    `tell(point)` is told of each rate that was tried. Returns the run that confirmed the
    answer, with all points as its `curve` and the answer in its `slo`; where no rate is kept,
    or where the user interrupts the search, the last that was tried. Raises PartlyLost where
    the server is gone after some of them.
    """
    search, base = Search(load.rate or FIRST_RATE), _with_short_timeout(load, objectives)
    tried = Tried()
    while search.next_rate is not None:
        rate, is_confirming = search.next_rate, search.is_confirming
        duration_s = (base.duration_s or STEP_S) * (CONFIRM if is_confirming else 1.0)
        try:
            tried.last = run(replace(base, rate=rate, duration_s=duration_s))
        except CannotRun as error:
            if not tried.last:
                raise
            why = f"{error}: the rates that were tried until then are in the record"
            raise PartlyLost(why, tried.finish(search.answer)) from error
        if tried.last.interrupted:
            break
        is_kept = not (tried.last.aborted or find_broken(tried.last, objectives))
        search.note(rate, is_kept)
        tell(tried.note(rate, tried.last, is_kept, is_confirming))
    return tried.finish(search.answer)


def _with_short_timeout(load: Load, objectives: Sequence[Objective]) -> Load:
    """What takes four times as long as the limit has broken the objective: it is given up."""
    limits_s = [objective.limit for objective in objectives if objective.is_time]
    longest_s = max(4 * max(limits_s, default=load.timeout_s), 1.0)
    return replace(load, requests=None, timeout_s=min(load.timeout_s, longest_s))
