"""What several saw at the same time of one load, as one run: histograms merge exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from lab.facts.histogram import merge_histograms
from lab.facts.merging import add_seconds, merge
from lab.facts.records import Asked, ClientCost, Environment, Run, Second, Stretches
from lab.facts.shards import Shard
from lab.facts.text import duration, percent

UNLIKE = 1.5  # times what is usual
SIGMAS = 5.0  # by so much more than chance
BUSY, STEAL = 0.85, 0.02  # shares of a core, and of a machine's time
LAG_S, LATE_S = 0.1, 0.05


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one of several saw of its share of a load."""

    name: str  # what ran it
    share: float  # of the load
    run: Run  # each second of its series with the histogram of its ok requests
    clock_error_s: float = 0.0
    lost: str = ""  # how it was lost, where it was

    def to_shard(self) -> Shard:
        run, client = self.run, self.run.client
        return Shard(
            name=self.name,
            share=self.share,
            requests=run.requests,
            ok=run.ok,
            p50_s=run.histogram.percentile_s(50),
            p99_s=run.histogram.percentile_s(99),
            cpu_s=client.cpu_s,
            busy=client.busy,
            queued_s=client.queued_s,
            loop_lag_s=client.loop_lag_s,
            steal=run.environment.steal,
            start_skew_s=client.start_skew_s,
            clock_error_s=self.clock_error_s,
            lost=self.lost,
        )


def describe_nothing(name: str, share: float, lost: str) -> Shard:
    """A shard of which nothing is known."""
    return Shard(name=name, share=share, requests=0, ok=0, lost=lost)


def add_up(parts: Sequence[Part], asked: Asked) -> Run:
    """The run of the whole load, not judged yet."""
    runs = [part.run for part in parts]
    return replace(
        merge(runs),
        name=asked.name or asked.url,
        load=asked,
        elapsed_s=max(run.elapsed_s for run in runs),
        client=_add_clients(runs, bool(asked.rate)),
        series=_add_series(parts, asked.ramp is not None),
        stretches=_add_stretches([run.stretches for run in runs]),
        shards=find_unlike(parts),
        environment=Environment(),
    )


def find_unlike(parts: Sequence[Part]) -> list[Shard]:
    """All as shards, each with the first in which it is unlike the others."""
    shards = [part.to_shard() for part in parts]
    for number, shard in enumerate(shards):
        others = [other for other in parts if other is not parts[number]]
        if others:
            found = filter(None, (look(parts[number], others) for look in _LOOKS))
            shards[number] = replace(shard, unlike=next(found, ""))
    return shards


def _differs_in_p99(part: Part, others: Sequence[Part]) -> str:
    """Far more of its answers than one in a hundred take longer than the p99 of the others."""
    times, theirs = part.run.histogram, merge_histograms(one.run.histogram for one in others)
    p99_s, theirs_s = times.percentile_s(99), theirs.percentile_s(99)
    if p99_s is None or theirs_s is None or p99_s < UNLIKE * theirs_s:
        return ""
    expected = times.count / 100
    if times.above(theirs_s) < expected + SIGMAS * math.sqrt(expected):
        return ""
    return f"its p99 is {duration(p99_s)}, that of the others {duration(theirs_s)}"


def _is_behind(part: Part, others: Sequence[Part]) -> str:
    """It was answered less for its share than the others are for theirs."""
    theirs = sum(one.run.ok for one in others) / sum(one.share for one in others)
    expected = theirs * part.share
    if part.run.ok * UNLIKE > expected or part.run.ok > expected - SIGMAS * math.sqrt(expected):
        return ""
    return f"it had {part.run.ok} answers, where the others had {expected:.0f} for such a share"


def _is_busy(part: Part, others: Sequence[Part]) -> str:
    busy, theirs = part.run.client.busy, max(one.run.client.busy for one in others)
    if busy <= BUSY or theirs > BUSY:
        return ""
    return f"it used {percent(busy)} of a core, the others {percent(theirs)} at most"


def _stood_still(part: Part, others: Sequence[Part]) -> str:
    lag_s, theirs_s = (max(one.run.client.loop_lag_s for one in some) for some in ([part], others))
    if lag_s <= LAG_S or theirs_s > LAG_S:
        return ""
    return f"it stood still for up to {duration(lag_s)}, the others for {duration(theirs_s)}"


def _lost_time(part: Part, others: Sequence[Part]) -> str:
    steal, theirs = part.run.environment.steal, max(one.run.environment.steal for one in others)
    if steal <= STEAL or theirs > STEAL:
        return ""
    return f"the host of its machine gave {percent(steal)} of the time to others"


def _started_late(part: Part, others: Sequence[Part]) -> str:
    late_s = part.run.client.start_skew_s or 0.0
    return f"it started {duration(late_s)} late" if late_s > LATE_S else ""


_LOOKS = (_differs_in_p99, _is_behind, _is_busy, _stood_still, _lost_time, _started_late)


def _add_clients(runs: Sequence[Run], is_open: bool) -> ClientCost:
    skews_s = [run.client.start_skew_s for run in runs]
    return replace(
        merge(runs).client,
        in_flight=sum(run.client.in_flight for run in runs),
        planned=sum(run.client.planned or 0 for run in runs) if is_open else None,
        sent=sum(run.client.sent or 0 for run in runs) if is_open else None,
        start_skew_s=max((skew_s for skew_s in skews_s if skew_s is not None), default=None),
    )


def _add_series(parts: Sequence[Part], keeps_histograms: bool) -> list[Second]:
    """The seconds of all as one series."""
    rows = zip_longest(*(part.run.series for part in parts))
    series = [add_seconds([second for second in row if second]) for row in rows]
    if keeps_histograms:
        return series
    return [replace(second, histogram="") for second in series]


def _add_stretches(parts: Sequence[Stretches | None]) -> Stretches | None:
    """The stretches of several at the same time as one; None where they do not match.

    Each counts what exceeds its own percentile, which is near enough to that of all.
    """
    known = [part for part in parts if part]
    if len(known) < len(parts) or len({len(part.counts) for part in known}) > 1:
        return None
    return Stretches(
        counts=[sum(row) for row in zip(*(part.counts for part in known), strict=True)],
        above=[
            [sum(row) for row in zip(*rows, strict=True)]
            for rows in zip(*(part.above for part in known), strict=True)
        ],
    )
