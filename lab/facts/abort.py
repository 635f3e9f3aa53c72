"""Conditions that end a run early: failed > 5 %, p99 > 2 s.

Both are about a share of the requests: of all that ended the share that failed, of all that were
ok the share that took longer. A run ends when that share is above its limit beyond chance. Let k
of n have exceeded a limit of p. If the true share were p, the mixture of likelihood ratios over
all shares q from 0 to 1,

    M = ∫ qᵏ (1-q)ⁿ⁻ᵏ dq / pᵏ (1-p)ⁿ⁻ᵏ = B(k+1, n-k+1) / pᵏ (1-p)ⁿ⁻ᵏ,

would be a martingale that starts at 1, and by Ville's inequality would ever exceed 1 / CHANCE
with a probability of at most CHANCE, however often one looks; a smaller true share exceeds the
same boundary, of k for each n, no more often. This takes requests to be independent. They are
not, least of all in the first moments: so there must be LEAST_REQUESTS of them, and LEAST_S.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.facts.histogram import Histogram
from lab.facts.objective import Objective, parse_objectives
from lab.facts.text import duration, three_digits

LEAST_REQUESTS, LEAST_S = 20, 1.0
CHANCE = 1e-3
_FORM = "write failed>5% or p99>2s"


@dataclass(frozen=True)
class Seen:
    """What has come of a run until now."""

    ok: int
    failed: int
    histogram: Histogram  # of the response times of those that were ok
    elapsed_s: float


def parse_aborts(text: str) -> list[Objective]:
    """Read "failed>5%,p99>2s": failed and percentiles, each above a limit. Raises ValueError."""
    try:
        found = parse_objectives(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no reason to end early: {_FORM}") from error
    for one in found:
        is_share = one.metric == "failed" or one.percentile is not None
        if not (one.above and is_share and _limit_of(one) < 1):
            raise ValueError(f"{text!r} is no reason to end early: {_FORM}")
    return found


def find_reason(aborts: Sequence[Objective], seen: Seen) -> str:
    """Why a run is to end now, in words; empty where it is to go on."""
    ended = seen.ok + seen.failed
    if ended < LEAST_REQUESTS or seen.elapsed_s < LEAST_S:
        return ""
    for one in aborts:
        beyond, of = _count_beyond(one, seen)
        if is_beyond_chance(beyond, of, _limit_of(one)):
            share = f"{three_digits(100 * beyond / of)} % of {of} requests"
            if one.metric == "failed":
                limit = f"failed, more than {one.describe(one.limit)}"
            else:
                limit = f"took longer than {duration(one.limit)}, so {one.metric} is above it"
            return f"{share} {limit}, after {duration(seen.elapsed_s)}"
    return ""


def is_beyond_chance(beyond: int, of: int, limit: float) -> bool:
    """Whether the true share is above the limit, when so many of so many were beyond it."""
    if beyond <= limit * of:
        return False
    if limit == 0:
        return True
    ways = math.lgamma(beyond + 1) + math.lgamma(of - beyond + 1) - math.lgamma(of + 2)
    likely = beyond * math.log(limit) + (of - beyond) * math.log1p(-limit)
    return ways - likely > -math.log(CHANCE)


def _limit_of(one: Objective) -> float:
    """The share of requests that may be beyond it."""
    return one.limit if one.percentile is None else 1 - one.percentile / 100


def _count_beyond(one: Objective, seen: Seen) -> tuple[int, int]:
    """How many requests were beyond it, of how many."""
    if one.percentile is None:
        return seen.failed, seen.ok + seen.failed
    return seen.histogram.above(one.limit), seen.ok
