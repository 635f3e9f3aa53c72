"""Ratios: by how much one arm exceeds another, how sure that is, and how it is said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lab.facts.interval import Interval, ratio_interval
from lab.facts.records import Topic
from lab.facts.results import PERCENTILES, Arm, MeasuredRatio, Metric, Round
from lab.facts.text import three_digits
from lab.facts.validity import EFFECTS, Effect

LEAST = 1.05  # an effect below it is none
NOT_ENOUGH = "not enough data"
FEW = 5  # what limits the client in no more than one round of so many is let pass

Arms = Mapping[str, Arm]


# ---- Ratios in words ---------------------------------------------------------------------
_WORDS = {  # of a ratio above 1, and of one below it, which is said the other way round
    Metric.THROUGHPUT: ("faster", "slower"),
    **dict.fromkeys(PERCENTILES, ("as long", "shorter")),
    Metric.ELAPSED: ("as long", "shorter"),
    Metric.SERVER_CPU: ("as much CPU time", "less CPU time"),
    Metric.CLIENT_CPU: ("as much CPU time", "less CPU time"),
}


def times(ratio: float) -> str:
    """A ratio the way round in which it is above 1: "2.1×"."""
    ratio = max(ratio, 1 / ratio) if ratio else math.inf
    return f"{three_digits(ratio)}×"


def faster(interval: Interval, metric: Metric = Metric.THROUGHPUT) -> str:
    """What a ratio says of its first arm: "2.1× faster", "1.8× slower", "as fast (1.01×)"."""
    more, less = _WORDS[metric]
    if metric == Metric.THROUGHPUT and interval.low >= 1 / LEAST and interval.high <= LEAST:
        return f"as fast ({max(interval.estimate, 1 / interval.estimate):.2f}×)"
    return f"{times(interval.estimate)} {more if interval.estimate >= 1 else less}"


def compared(interval: Interval | None, metric: Metric = Metric.THROUGHPUT) -> str:
    """What a ratio says of the first of two without any claim. More time or CPU is slower."""
    if interval is None:
        return NOT_ENOUGH
    if interval.low >= 1 / LEAST and interval.high <= LEAST:
        return "no difference"
    more, less = "faster", "slower"
    if metric != Metric.THROUGHPUT:
        more, less = less, more
    if interval.low > 1:
        return more
    return less if interval.high < 1 else NOT_ENOUGH


# ---- Ratios as measured ------------------------------------------------------------------
def find_topics(rounds: Iterable[Round], subject: Sequence[str]) -> dict[Topic, list[str]]:
    """The doubts in some rounds, {topic: sentences}, but for what is studied."""
    found: dict[Topic, list[str]] = {}
    for topic, sentence in (item for each in rounds for item in each.doubts.items()):
        if topic not in subject:
            found.setdefault(topic, []).append(sentence)
    return found


def is_limited(arm: Arm, subject: Sequence[str]) -> bool:
    """Whether something other than the server limited an arm in more than a few rounds."""
    found = find_topics(arm.rounds, subject)
    limits = [len(said) for topic, said in found.items() if EFFECTS.get(topic) == Effect.BOUNDS]
    return max(limits, default=0) > len(arm.rounds) // FEW


def find_faults(arms: Arms, names: Iterable[str], subject: Sequence[str] = ()) -> list[str]:
    """Why no ratio can be taken of these arms: something else was measured."""
    return [
        f"{name}, {len(said)} of {len(arms[name].rounds)} rounds: {said[0]}"
        for name in dict.fromkeys(names)
        for topic, said in find_topics(arms[name].rounds, subject).items()
        if EFFECTS.get(topic) == Effect.ENDS
    ]


def measure(
    arms: Arms, over: str, under: str, metric: Metric | str = Metric.THROUGHPUT,
    subject: Sequence[str] = (),
) -> MeasuredRatio | None:  # fmt: skip
    """Pair two arms round by round: the interval of their ratio, and how far noise can have
    moved it. None where there are too few rounds, or something else was measured.

    If noise took at most a share s of the throughput of a side in a round (its `margin`), the
    true ratio of that round is at least the measured one times 1 - s of the lower side, and at
    most that divided by 1 - s of the upper one. An interval for the ratios moved down so far
    ends below the true one as surely as one for the true ratios would, and one for those moved
    up ends above it. The margin is the larger of the two distances.

    Where the load generator or the machine limited the upper side, its true throughput is
    higher than what was seen: the ratio is "at least". Where the lower side was, it is "at
    most". Where both were, they were drawn together, and the true ratio lies farther from 1.

    Of a percentile above the median no such share is known: the rounds that were disturbed on
    either side are left out.
    """
    metric = Metric(metric)
    if find_faults(arms, (over, under), subject):
        return None
    pairs = [
        (a.value(metric), b.value(metric), a, b)
        for a, b in zip(arms[over].rounds, arms[under].rounds, strict=True)
    ]
    known = [(x / y, a, b) for x, y, a, b in pairs if x is not None and y]
    if is_of_tail(metric):
        known = [each for each in known if is_calm(*each[1:])]
    launches = [a.launch for _, a, _ in known]
    found = ratio_interval([ratio for ratio, _, _ in known], launches)
    if found is None:
        return None
    measured = MeasuredRatio(over=over, under=under, metric=metric, **vars(found))
    if metric in (Metric.SERVER_CPU, Metric.CLIENT_CPU):  # what is kept from it, it cannot use
        return measured
    sides = [(ratio, a.margin, b.margin) for ratio, a, b in known]
    if metric != Metric.THROUGHPUT:  # the longer, the slower
        sides = [(ratio, s_under, s_over) for ratio, s_over, s_under in sides]
    measured = replace(measured, margin=_widening(found, sides, launches))
    upper, lower = (is_limited(arms[name], subject) for name in (over, under))
    if metric != Metric.THROUGHPUT:
        upper, lower = lower, upper
    return replace(
        measured,
        at_least=upper and (not lower or found.low > 1 or _holds_1(found)),
        at_most=lower and (not upper or found.high < 1 or _holds_1(found)),
    )


def _holds_1(interval: Interval) -> bool:
    return interval.low <= 1 <= interval.high


def is_of_tail(metric: Metric) -> bool:
    """Whether noise can have moved a figure by any amount: one request in a hundred is easily
    hit, so no share of the time bounds a p99.
    """
    return metric in PERCENTILES and metric != Metric.P50


def is_calm(*sides: Round) -> bool:
    """Whether nothing disturbed a round: by what was seen of the machine, not by its result."""
    return not any(side.margin for side in sides)


def find_disturbed(arms: Arms, over: str, under: str, metric: Metric) -> str:
    """Why too few rounds are left for a percentile; empty where all were calm."""
    pairs = list(zip(arms[over].rounds, arms[under].rounds, strict=True))
    disturbed = sum(not is_calm(a, b) for a, b in pairs)
    if not (disturbed and is_of_tail(metric)):
        return ""
    figure = metric.removesuffix("_s")
    return f"{disturbed} of {len(pairs)} rounds were disturbed, too many for a {figure}"


def _widening(
    found: Interval, sides: Sequence[tuple[float, float, float]], launches: Sequence[int]
) -> float:
    """The share by which an interval has to be widened, so that it holds what the ratios may
    have been: sides are (ratio, share that the upper side lost, share that the lower one did).
    """
    if not any(s_over or s_under for _, s_over, s_under in sides):
        return 0.0
    if any(max(s_over, s_under) >= 1 for _, s_over, s_under in sides):
        return 1.0
    moved_down = ratio_interval([ratio * (1 - s_under) for ratio, _, s_under in sides], launches)
    moved_up = ratio_interval([ratio / (1 - s_over) for ratio, s_over, _ in sides], launches)
    assert moved_down and moved_up  # of as many ratios as there is one of
    return max(0.0, 1 - moved_down.low / found.low, 1 - found.high / moved_up.high)


def find_missing(arms: Arms, names: Iterable[str], metric: Metric) -> str:
    """Why there is no ratio: which arm has rounds without that figure."""
    figure = metric.removesuffix("_s")
    for name in names:
        if not all(each.value(metric) for each in arms[name].rounds):
            return f"{name} has too few answers in a round for its {figure}"
    return ""


def weigh(
    arms: Arms, over: str, under: str, metric: Metric = Metric.THROUGHPUT
) -> tuple[MeasuredRatio | None, list[str]]:
    """Compare two arms without a claim: the ratio, and why there is none or some doubt."""
    reasons = find_faults(arms, (over, under))
    missing = find_missing(arms, (over, under), metric)
    if missing and not reasons:
        reasons.append(f"{missing}: make rounds longer (-z)")
    found = measure(arms, over, under, metric)
    if found is None and not reasons:
        reasons += filter(None, [find_disturbed(arms, over, under, metric)])
    return found, reasons
