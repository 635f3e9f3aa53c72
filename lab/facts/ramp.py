"""A ramp: what became of each rate that an open loop went through."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile

from lab.facts.histogram import Histogram, merge_histograms
from lab.facts.records import Point, Second

SHORTEST_S = 0.5  # a shorter entry at the end of a series belongs to the one before


def trace_ramp(series: Sequence[Second], most: int) -> list[Point]:
    """The rates of a ramp as a curve of at most so many points, each of seconds on end."""
    starts_s = [0.0, *(second.time for second in series)]
    lengths_s = [second.time - start_s for start_s, second in zip(starts_s, series, strict=False)]
    known = list(takewhile(_is_asked, zip(series, lengths_s, strict=True)))
    if not known:
        return []
    whole = [n for n, (_, length_s) in enumerate(known) if length_s >= SHORTEST_S] or [0]
    step = -(-len(whole) // most)
    cuts = [*whole[::step], len(known)]
    cuts[0] = 0
    return [_make_point(known[low:high]) for low, high in pairwise(cuts)]


def _is_asked(pair: tuple[Second, float]) -> bool:
    """Whether it is of the ramp, and not of the time after it, when late answers still come."""
    second, length_s = pair
    return second.rate is not None and (second.rate > 0 or length_s < SHORTEST_S)


def _make_point(parts: Sequence[tuple[Second, float]]) -> Point:
    lasted_s = max(sum(length_s for _, length_s in parts), 1e-9)
    seconds = [second for second, _ in parts]
    p50_s, p99_s = seconds[0].p50, seconds[0].p99
    if len(seconds) > 1:
        p50_s, p99_s = _find_percentiles_s(seconds)
    return Point(
        rate=sum((second.rate or 0.0) * length_s for second, length_s in parts) / lasted_s,
        throughput=sum(second.ok for second in seconds) / lasted_s,
        failed=sum(second.failed for second in seconds),
        requests=sum(second.ok + second.failed for second in seconds),
        p50_s=p50_s,
        p99_s=p99_s,
    )


def _find_percentiles_s(seconds: Sequence[Second]) -> tuple[float | None, float | None]:
    """p50 and p99 of all seconds together; None where their histograms were not kept."""
    answered = [second for second in seconds if second.ok]
    if not all(second.histogram for second in answered):
        return None, None
    merged = merge_histograms(Histogram.decode(second.histogram) for second in answered)
    return merged.percentile_s(50, beyond=0), merged.percentile_s(99, beyond=0)
