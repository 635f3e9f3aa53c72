"""Rounds: in which order arms are loaded, and what the runs of an arm are as rounds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from lab.facts.merging import merge
from lab.facts.records import Run, Topic
from lab.facts.results import Arm, Round
from lab.facts.validity import find_doubts, find_margin


def balanced_orders(
    names: Sequence[str], seed: int, compared: Sequence[tuple[str, str]] = ()
) -> Iterator[list[str]]:
    """An order of the names for each round, without end: one drawn from the seed, then the same
    backwards, and so on. Of two rounds each pair comes once either way round.

    Two that are compared follow one another, as far as neither has another neighbour already: a
    machine changes its speed from second to second. Recorded here, CPU times a request of
    neighbours differ with a standard deviation of 16 %, those of farther ones with 21 %.
    """
    draw, blocks = random.Random(seed), _put_together(names, compared)
    while True:
        order = [
            name
            for block in draw.sample(blocks, len(blocks))
            for name in (draw.sample(block, 2) if len(block) == 2 else block)
        ]
        yield order
        yield order[::-1]


def _put_together(
    names: Sequence[str], compared: Sequence[tuple[str, str]]
) -> list[tuple[str, ...]]:
    """The names, one by one or by two; of pairs that share a name the first counts."""
    blocks: list[tuple[str, ...]] = []
    left = dict.fromkeys(names)
    for pair in compared:
        if pair[0] != pair[1] and pair[0] in left and pair[1] in left:
            blocks.append(pair)
            for name in pair:
                del left[name]
    return blocks + [(name,) for name in left]


def make_round(run: Run, launch: int = 0, workers: int = 1, cores: int = 0) -> Round:
    """What the ratios take of a run. That a client shares its cores with several workers is
    known of the arm, and no doubt. `cores` are those that the server may use, if it is known.
    """
    doubts = {doubt.topic: doubt.sentence for doubt in find_doubts(run)}
    if workers > 1:
        doubts.pop(Topic.QUEUED, None)
    return Round(
        throughput=run.throughput,
        p50_s=run.latency_s["p50"],
        p99_s=run.latency_s["p99"],
        p90_s=run.latency_s.get("p90"),
        p95_s=run.latency_s.get("p95"),
        server_cpu_us=run.server_cpu_us,
        client_cpu_us=run.client.cpu_us_per_request,
        elapsed_s=run.elapsed_s,
        requests=run.requests,
        ok=run.ok,
        failed=run.failed,
        errors=run.errors,
        statuses=run.statuses,
        launch=launch,
        margin=find_margin(run, doubts, cores),
        idle=_idle(run, workers),
        doubts=doubts,
    )


def _idle(run: Run, workers: int) -> float | None:
    """The share of its time in which the server neither ran nor waited for a core, if that is
    known: of the time that the hypervisor left to the machine, and of each of its workers.
    """
    if run.server is None or not run.elapsed_s:
        return None
    wanted_s = run.server.cpu_s + (run.server.queued_s or 0.0)
    there_s = run.elapsed_s * workers * max(1 - run.environment.steal, 1e-9)
    return max(0.0, 1 - wanted_s / there_s)


def make_arm(
    runs: Sequence[Run], launches: Sequence[int] = (), workers: int = 1, cores: int = 0
) -> Arm:
    """An arm of a Result: its runs as one, and each as a round; in `launches` is the number of
    the launch that each was of.
    """
    numbers = list(launches) or [0] * len(runs)
    rounds = [make_round(run, n, workers, cores) for run, n in zip(runs, numbers, strict=True)]
    return Arm(run=merge(runs), rounds=rounds, launches=numbers, workers=workers)
