"""Rounds of several loads: every arm once a round, in an order shuffled anew."""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Mapping

from lab.facts.errors import Interrupted
from lab.facts.records import Round, Run, Topic
from lab.facts.validity import find_doubts, find_margin
from lab.load.load import Load
from lab.load.run import run


class RoundsInterrupted(Interrupted):
    """The user ended the rounds. `runs` holds those that are whole, by the name of the arm."""

    def __init__(self, runs: dict[str, list[Run]]) -> None:
        super().__init__()
        self.runs = runs


def _announce_nothing(name: str, number: int) -> None:
    pass


def run_rounds(
    loads: Mapping[str, Load],
    order: random.Random,
    rounds: int,
    announce: Callable[[str, int], None] = _announce_nothing,
    put: Callable[[Load], Run] = run,
) -> dict[str, list[Run]]:
    """The runs of each arm by its name, one a round.

    `announce(name, number)` is told what comes next; `put` does it. Raises RoundsInterrupted.
    """
    runs: dict[str, list[Run]] = {name: [] for name in loads}
    for number in range(1, rounds + 1):
        try:
            for name in order.sample(list(loads), len(loads)):
                announce(name, number)
                runs[name].append(put(loads[name]))
                if runs[name][-1].interrupted:
                    raise Interrupted
        except KeyboardInterrupt:
            whole = {name: done[: number - 1] for name, done in runs.items()}
            raise RoundsInterrupted(whole) from None
    return runs


def round_of(run: Run, launch: int = 0, known: Container[Topic] = (), cores: int = 0) -> Round:
    """What an arm did in a round: all that ratios take from its run.

    Topics that are `known` of the arm, such as that it shares its cores, are no doubt. `cores`
    is how many the server may use, if that is known.
    """
    doubts = {d.topic: d.sentence for d in find_doubts(run) if d.topic not in known}
    figures = run.latency_s
    return Round(
        throughput=run.throughput,
        p50_s=figures["p50"],
        p99_s=figures["p99"],
        server_cpu_us=run.server_cpu_us,
        client_cpu_us=run.client.cpu_us_per_request,
        elapsed_s=run.elapsed_s,
        requests=run.requests,
        ok=run.ok,
        failed=run.failed,
        errors=run.errors,
        statuses=run.statuses,
        launch=launch,
        doubts=doubts,
        margin=find_margin(run, doubts.keys(), cores),
    )
