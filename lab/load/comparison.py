"""Several loads in interleaved rounds, each compared with the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from lab.facts.ratio import weigh
from lab.facts.records import Run
from lab.facts.results import MeasuredRatio, Result
from lab.facts.rounds import balanced_orders, make_arm
from lab.load.environment import environment_of
from lab.load.load import Load
from lab.load.progress import Progress
from lab.load.rounds import RoundsInterrupted, run_rounds
from lab.load.run import run

LONGEST_LINE = 50  # of what is said of a round


def compare_loads(
    loads: Sequence[Load], rounds: int, seed: int, progress: Progress, name: str = ""
) -> Result:
    """Rounds of several loads, each against the first.

    Of an interrupted comparison what is whole is kept. Raises RoundsInterrupted where that is
    nothing.
    """
    named, began = name_loads(loads), datetime.now(UTC)
    runs, reasons = _run_rounds(named, rounds, seed, progress)
    arms = {arm: make_arm(done) for arm, done in runs.items()}
    ratios: list[MeasuredRatio] = []
    first, *others = arms
    for other in others:
        ratio, why = weigh(arms, other, first)
        ratios += [ratio] if ratio else []
        reasons += [reason for reason in why if reason not in reasons]
    return Result(
        name=name or "comparison",
        title=name or f"{len(named)} URLs, each against the first",
        started=began.isoformat(timespec="seconds"),
        load=replace(loads[0].to_asked(), rounds=rounds, seed=seed, launches=1),
        arms=arms,
        ratios=ratios,
        reasons=reasons,
        environment=environment_of(),
    )


def name_loads(loads: Sequence[Load]) -> dict[str, Load]:
    """The loads by their URLs, with a number before it where two are the same."""
    urls = [load.public_url for load in loads]
    if len(set(urls)) < len(urls):
        urls = [f"{number} {url}" for number, url in enumerate(urls, 1)]
    return dict(zip(urls, loads, strict=True))


def _run_rounds(
    named: dict[str, Load], rounds: int, seed: int, progress: Progress
) -> tuple[dict[str, list[Run]], list[str]]:
    """The runs of all whole rounds, and why there are fewer than were asked for."""

    def announce(name: str, number: int) -> None:
        progress.say(f"round {number} of {rounds}: {name}"[:LONGEST_LINE], steps=1)

    orders, put = balanced_orders(list(named), seed), partial(run, watch=progress.remind)
    try:
        return run_rounds(named, orders, rounds, announce, put), []
    except RoundsInterrupted as end:
        done = min(map(len, end.runs.values()))
        if not done:
            raise
        return end.runs, [f"interrupted after {done} of {rounds} rounds: run it to its end"]
