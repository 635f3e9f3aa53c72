"""How the time of a trial is used: so that three launches fit into the budget, and better six.

Many launches of few rounds tell more than few of many: where launches differ by 2 % and rounds by
5 %, the interval of six launches of one round is half as wide as that of three of two (simulated,
tests/facts/simulate.py: ±11 % against ±21 %; of four launches of one round it is ±16 %).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

LAUNCHES = 3  # before nothing is decided
WANTED = 6  # are to fit, if fewer rounds in each make room for them
OVERRUN = 2.0  # budgets at most, where three launches do not fit into one


@dataclass(frozen=True)
class Amount:
    """How much is measured in a launch."""

    rounds: int
    share: float = 1.0  # of the full length of a round


@dataclass(frozen=True)
class Pace:
    """How long the parts of a launch take."""

    start_s: float  # to start all servers, warm them up and stop them
    load_s: float  # to load all arms once, in a round of full length
    rest_s: float  # the rest of a round

    @classmethod
    def of(
        cls, launch_s: float, rounds_s: Sequence[float], loads_s: Sequence[float], share: float
    ) -> Pace:
        """What a launch of `launch_s` shows. Its rounds took `rounds_s`, shape (n,), of which
        arms were loaded for `loads_s`, shape (n,); they had `share` of their full length.
        """
        n, load_s = len(rounds_s), sum(loads_s)
        rest_s = max(0.0, sum(rounds_s) - load_s)
        return cls(max(0.0, launch_s - sum(rounds_s)), load_s / n / share, rest_s / n)

    def takes_s(self, amount: Amount) -> float:
        """How long a launch takes."""
        return self.start_s + amount.rounds * (self.rest_s + amount.share * self.load_s)


def fit(full: Amount, least_share: float, pace: Pace, room_s: float) -> Amount:
    """As much of a launch as takes no longer than `room_s`: fewer rounds, or one that is shorter.
    At least one round of `least_share`, even where that takes longer.
    """
    for rounds in range(full.rounds, 0, -1):
        amount = replace(full, rounds=rounds)
        if pace.takes_s(amount) <= room_s:
            return amount
    share = (room_s - pace.start_s - pace.rest_s) / max(pace.load_s, 1e-9)
    return Amount(1, min(full.share, max(least_share, share)))


@dataclass(frozen=True)
class Schedule:
    """What each launch gets. Only the time decides that: no result is looked at."""

    budget_s: float
    full: Amount
    least_share: float = 1.0  # no round is shortened to less than this
    launches: int = LAUNCHES  # that are needed

    def next_amount(self, done: int, spent_s: float, last: Amount, pace: Pace | None) -> Amount:
        """How much to measure in the next launch, after `done` of them with `last`: so few rounds
        that those which are wanted fit into what is left; and shorter ones, where otherwise not
        even those which are needed would.
        """
        if pace is None or done >= self.launches:
            return last
        left_s = self.budget_s - spent_s
        amount = fit(self.full, self.full.share, pace, left_s / (WANTED - done))
        needed_s = left_s / (self.launches - done)
        if pace.takes_s(amount) <= needed_s:
            return amount
        return fit(self.full, self.least_share, pace, needed_s)

    def has_room(self, done: int, spent_s: float, last: Amount, pace: Pace) -> bool:
        """Whether another launch may begin. Those needed may take up to `OVERRUN` budgets."""
        if done >= self.launches:
            return spent_s + pace.takes_s(last) <= self.budget_s
        least_s = pace.takes_s(Amount(1, self.least_share))
        return spent_s + (self.launches - done) * least_s <= OVERRUN * self.budget_s

    def may_repeat(self, done: int, spent_s: float, round_s: float) -> bool:
        """Whether there is time for a disturbed round again in the launch after `done`: what is
        left must do for the launches that are needed.
        """
        return spent_s + round_s <= self.budget_s * min(1.0, (done + 1) / self.launches)
