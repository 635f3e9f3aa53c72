"""Several loads in interleaved rounds, each compared with the first, until that is decided."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from lab.facts.interval import Interval
from lab.facts.ratio import LEAST, NOT_ENOUGH, compared, measure, weigh
from lab.facts.records import Run
from lab.facts.results import MeasuredRatio, Metric, Result
from lab.facts.rounds import balanced_orders, make_arm
from lab.facts.text import three_digits
from lab.load.environment import environment_of
from lab.load.listener import find_listener
from lab.load.load import Load
from lab.load.progress import Progress
from lab.load.rounds import BUDGET_S, RoundsInterrupted, run_rounds
from lab.load.run import run

LONGEST_LINE = 50  # of what is said of a round


@dataclass
class Comparison:
    """Rounds of several loads, each against the first.

    They go on until every ratio is decided or `budget_s` is spent; or, with `rounds`, for so
    many. What decides is an interval that is valid however often it is looked at.
    """

    loads: Sequence[Load]
    seed: int
    progress: Progress
    rounds: int | None = None
    budget_s: float = BUDGET_S
    name: str = ""
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def run(self) -> Result:
        """Raises RoundsInterrupted where the user ends it before the first round is whole."""
        named = name_loads(self.loads)
        orders = balanced_orders(list(named), self.seed)
        self.runs = {name: [] for name in named}
        began, began_s, reasons = datetime.now(UTC), time.monotonic(), list[str]()
        result = self._result(began, 0.0, reasons)
        while not self._is_done(result):
            put = partial(run, watch=self.progress.remind)
            try:
                more = run_rounds(named, orders, 1, self._announce, put)
            except RoundsInterrupted:
                if not result.arms:
                    raise
                done = len(self.runs[next(iter(named))])
                reasons.append(f"interrupted after {done} rounds: run it to its end")
                return replace(result, reasons=result.reasons + reasons, interrupted=True)
            for name, runs in more.items():
                self.runs[name] += runs
            result = self._result(began, time.monotonic() - began_s, reasons)
        return result

    def _announce(self, name: str, _: int) -> None:
        number = len(next(iter(self.runs.values()))) + 1
        of = f" of {self.rounds}" if self.rounds else ""
        self.progress.say(f"round {number}{of}: {name}"[:LONGEST_LINE], steps=1)

    def _is_done(self, result: Result) -> bool:
        """Whether to stop: it is decided, or broken, or as much was done as was asked for."""
        done = len(next(iter(self.runs.values())))
        if self.rounds:
            return done >= self.rounds
        if not done:
            return False
        if result.reasons:
            return True
        rates = [each for each in result.ratios if each.metric == Metric.THROUGHPUT]
        open_ones = [each for each in rates if compared(each.judged) == NOT_ENOUGH]
        if len(rates) == len(self.loads) - 1 and not open_ones:
            return True
        left_s = self.budget_s - result.elapsed_s
        if left_s < result.elapsed_s / done:
            return True
        if open_ones:
            self.progress.say(needs(open_ones[0].judged, result.elapsed_s))
        return False

    def _result(self, began: datetime, elapsed_s: float, reasons: list[str]) -> Result:
        """What the rounds until now say."""
        arms = {name: make_arm(done) for name, done in self.runs.items() if done}
        ratios: list[MeasuredRatio] = []
        found = list(reasons)
        first, *others = arms or [""]
        for other in others:
            ratio, why = weigh(arms, other, first)
            cost = measure(arms, other, first, Metric.SERVER_CPU)
            ratios += [each for each in (ratio, cost) if each]
            found += [reason for reason in why if reason not in found]
        rounds = len(next(iter(self.runs.values())))
        return Result(
            name=self.name or "comparison",
            title=self.name or f"{len(self.loads)} URLs, each against the first",
            started=began.isoformat(timespec="seconds"),
            elapsed_s=elapsed_s,
            budget_s=None if self.rounds else self.budget_s,
            load=replace(self.loads[0].to_asked(), rounds=rounds, seed=self.seed, launches=1),
            arms=arms,
            ratios=ratios,
            reasons=found,
            environment=environment_of(),
        )


def needs(judged: Interval, spent_s: float) -> str:
    """What an interval is waiting for, and about how long: a width shrinks as the square root
    of the time.
    """
    estimate = math.log(judged.estimate)
    half = max(math.log(judged.high) - estimate, estimate - math.log(max(judged.low, 1e-9)))
    within = math.log(LEAST) - abs(estimate)
    wanted = "within 5 %" if within > abs(estimate) else "on one side of 1"
    room = max(within, abs(estimate), 1e-9)
    more_s = spent_s * ((half / room) ** 2 - 1)
    low, high = three_digits(judged.low), three_digits(judged.high)
    return f"interval {low}–{high}, needs to be {wanted}: about {max(more_s, 0):.0f} s more"


def name_loads(loads: Sequence[Load]) -> dict[str, Load]:
    """The loads by their URLs, with a number before it where two are the same; and each with
    the process that it loads, where the system tells.
    """
    urls = [load.public_url for load in loads]
    if len(set(urls)) < len(urls):
        urls = [f"{number} {url}" for number, url in enumerate(urls, 1)]
    known = [load if load.pid else replace(load, pid=find_listener(load.url)) for load in loads]
    return dict(zip(urls, known, strict=True))
