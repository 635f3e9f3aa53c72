"""Rounds of several loads: every arm once a round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from lab.facts.errors import Interrupted
from lab.facts.records import Run
from lab.load.load import Load
from lab.load.measurement import Watch, ignore
from lab.load.run import run

BUDGET_S = 60.0  # for a comparison, unless told otherwise
ROUND_S = 1.0  # for each load in a round, unless told otherwise
LONG_ROUND_S = 4.0  # where a percentile is compared: of the longest few there must be enough


def warm_up(load: Load, duration_s: float, watch: Watch = ignore) -> None:
    """Load a server that has just been started, and count nothing of it."""
    fewer = load.requests and max(1, load.requests // 10)  # they may take long
    if run(replace(load, duration_s=duration_s, requests=fewer, warmup_s=0.0), watch).interrupted:
        raise Interrupted


class RoundsInterrupted(Interrupted):
    """The user ended the rounds. `runs` holds those that are whole, by the name of the arm."""

    def __init__(self, runs: dict[str, list[Run]]) -> None:
        super().__init__()
        self.runs = runs


def _announce_nothing(name: str, number: int) -> None:
    pass


def run_rounds(
    loads: Mapping[str, Load],
    orders: Iterator[list[str]],
    rounds: int,
    announce: Callable[[str, int], None] = _announce_nothing,
    put: Callable[[Load], Run] = run,
) -> dict[str, list[Run]]:
    """The runs of each arm by its name, one a round, in the order that is next of `orders`.

    `announce(name, number)` is told what comes next; `put` does it. Raises RoundsInterrupted.
    """
    runs: dict[str, list[Run]] = {name: [] for name in loads}
    for number in range(1, rounds + 1):
        try:
            for name in next(orders):
                announce(name, number)
                runs[name].append(put(loads[name]))
                if runs[name][-1].interrupted:
                    raise Interrupted
        except KeyboardInterrupt:
            whole = {name: done[: number - 1] for name, done in runs.items()}
            raise RoundsInterrupted(whole) from None
    return runs
