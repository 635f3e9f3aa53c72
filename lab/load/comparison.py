"""Several loads in interleaved rounds, each compared with the first, until that is decided."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
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
from lab.load.relaunch import OwnServer, Relaunches
from lab.load.rounds import BUDGET_S, run_rounds
from lab.load.run import run

LONGEST_LINE = 50  # of what is said of a round


@dataclass
class Comparison:
    """Rounds of several loads, each against the first.

    They go on until every ratio is decided or `budget_s` is spent; or, with `rounds`, for so
    many. What decides is an interval that is valid however often it is looked at. With
    `servers`, one for each load, these are started anew again and again, and launches count.
    """

    loads: Sequence[Load]
    seed: int
    progress: Progress
    rounds: int | None = None
    budget_s: float = BUDGET_S
    name: str = ""
    metric: Metric = Metric.THROUGHPUT
    servers: Sequence[OwnServer] = ()
    runs: dict[str, list[Run]] = field(default_factory=dict)
    launches: list[int] = field(default_factory=list)  # the launch of each round

    def run(self) -> Result:
        """Raises RoundsInterrupted where the user ends it before the first round is whole."""
        named = name_loads(self.loads)
        orders = balanced_orders(list(named), self.seed)
        relaunches = Relaunches(self.servers, self.budget_s, self.progress)
        self.runs = {name: [] for name in named}
        began, began_s, reasons = datetime.now(UTC), time.monotonic(), list[str]()
        result = self._result(began, 0.0, reasons)
        while not self._is_done(result, relaunches):
            try:
                more = self._take_more(named, orders, relaunches)
            except KeyboardInterrupt:
                if not result.arms:
                    raise
                reasons.append(f"interrupted after {self._done} rounds: run it to its end")
                return replace(result, reasons=result.reasons + reasons, interrupted=True)
            for name, runs in more.items():
                self.runs[name] += runs
            taken = len(more[next(iter(named))])
            self.launches += [max(0, relaunches.done - 1)] * taken
            result = self._result(began, time.monotonic() - began_s, reasons)
        return result

    @property
    def _done(self) -> int:
        """How many rounds were taken."""
        return len(self.launches)

    def _take_more(
        self, named: Mapping[str, Load], orders: Iterator[list[str]], relaunches: Relaunches
    ) -> dict[str, list[Run]]:
        """One more round; of servers that are started anew a whole launch."""
        put = partial(run, watch=self.progress.remind)
        if not self.servers:
            return run_rounds(named, orders, 1, self._announce, put)
        with relaunches.begin(named) as (loads, rounds):
            if self.rounds:
                rounds = min(rounds, self.rounds - self._done)
            return run_rounds(loads, orders, rounds, self._announce, put)

    def _announce(self, name: str, number: int) -> None:
        of = f" of {self.rounds}" if self.rounds else ""
        text = f"round {self._done + number}{of}: {name}"
        self.progress.say(text[:LONGEST_LINE], steps=1)

    def _is_done(self, result: Result, relaunches: Relaunches) -> bool:
        """Whether to stop: it is decided, or broken, or as much was done as was asked for."""
        if self.rounds:
            return self._done >= self.rounds
        if not self._done:
            return False
        if result.reasons:
            return True
        rates = [each for each in result.ratios if each.metric == self.metric]
        open_ones = [each for each in rates if compared(each.judged) == NOT_ENOUGH]
        if len(rates) == len(self.loads) - 1 and not open_ones:
            return True
        left_s = self.budget_s - result.elapsed_s
        has_room = left_s >= result.elapsed_s / self._done
        if self.servers:
            has_room = relaunches.has_room
        if open_ones and has_room:
            self.progress.say(needs(open_ones[0].judged, result.elapsed_s))
        return not has_room

    def _result(self, began: datetime, elapsed_s: float, reasons: list[str]) -> Result:
        """What the rounds until now say."""
        arms = {name: make_arm(done, self.launches) for name, done in self.runs.items() if done}
        for arm, server in zip(arms, self.servers, strict=False):
            arms[arm] = replace(arms[arm], command=server.command)
        ratios: list[MeasuredRatio] = []
        found = list(reasons)
        first, *others = arms or [""]
        for other in others:
            ratio, why = weigh(arms, other, first, self.metric)
            cost = measure(arms, other, first, Metric.SERVER_CPU)
            ratios += [each for each in (ratio, cost) if each]
            found += [reason for reason in why if reason not in found]
        asked = replace(
            self.loads[0].to_asked(),
            rounds=self._done,
            launches=len(set(self.launches)),
            seed=self.seed,
            metric=self.metric,
        )
        return Result(
            name=self.name or "comparison",
            title=self.name or f"{len(self.loads)} URLs, each against the first",
            started=began.isoformat(timespec="seconds"),
            elapsed_s=elapsed_s,
            budget_s=None if self.rounds else self.budget_s,
            load=asked,
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
    how = f"about {max(more_s, 0):.0f} s more"
    if not math.isfinite(more_s):  # it is open to where something limits or disturbs it
        how = "more time alone will not do"
    return f"interval {low}–{high}, needs to be {wanted}: {how}"


def name_loads(loads: Sequence[Load]) -> dict[str, Load]:
    """The loads by their URLs, with a number before it where two are the same; and each with
    the process that it loads, where the system tells.
    """
    urls = [load.public_url for load in loads]
    if len(set(urls)) < len(urls):
        urls = [f"{number} {url}" for number, url in enumerate(urls, 1)]
    known = [load if load.pid else replace(load, pid=find_listener(load.url)) for load in loads]
    return dict(zip(urls, known, strict=True))
