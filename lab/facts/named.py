"""Times by name, such as those of a class of status or of a metric that a server tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.facts.form import Json
from lab.facts.histogram import Figures, Histogram, merge_histograms
from lab.facts.kinds import Count


@dataclass(frozen=True, kw_only=True)
class NamedTimes:
    """Times that have something in common, and the name of that: "5xx"."""

    name: str
    histogram: Histogram

    @property
    def times_s(self) -> Figures:
        return self.histogram.summary_s()


@dataclass(frozen=True, kw_only=True)
class ServerTiming:
    """What the answers that were ok say of their time, in their Server-Timing headers."""

    answers: Count  # that name a duration
    without: Count  # that name none
    unreadable: Count  # with a header that is not well formed, or an impossible duration
    longer: Count  # whose handler took longer than the whole response
    split: list[NamedTimes]  # the response time of each: the handler's, and the rest
    metrics: list[NamedTimes]  # durations by their names


def add_ends(named: list[Json]) -> list[Json]:
    """The JSON of some, each histogram beside the figures that hold its exact ends."""
    return [each | {"histogram": (each["histogram"], each["times_s"])} for each in named]


def add_figures(data: list[Json], named: list[NamedTimes]) -> None:
    """Put the figures of some into their JSON."""
    for each, known in zip(data, named, strict=True):
        each["times_s"] = known.times_s


# ---- Of several runs -------------------------------------------------------------------
def merge_timings(parts: Sequence[ServerTiming]) -> ServerTiming | None:
    """What several runs were told, as one; None where none of them was to read it."""
    if not parts:
        return None
    return ServerTiming(
        answers=sum(part.answers for part in parts),
        without=sum(part.without for part in parts),
        unreadable=sum(part.unreadable for part in parts),
        longer=sum(part.longer for part in parts),
        split=merge_named(named for part in parts for named in part.split),
        metrics=merge_named(named for part in parts for named in part.metrics),
    )


def merge_named(parts: Iterable[NamedTimes]) -> list[NamedTimes]:
    """Those of the same name merged exactly, in the order of their names."""
    named: dict[str, list[Histogram]] = {}
    for part in parts:
        named.setdefault(part.name, []).append(part.histogram)
    return [NamedTimes(name=n, histogram=merge_histograms(named[n])) for n in sorted(named)]
