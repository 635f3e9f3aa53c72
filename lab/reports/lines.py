"""What pictures draw of a record: a line for each arm or run, and how it looks everywhere."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lab.facts.arrays import np
from lab.facts.foreign import Foreign
from lab.facts.histogram import SAMPLES_BEYOND, Histogram
from lab.facts.ramp import trace_ramp
from lab.facts.records import Point, Run, Second
from lab.facts.results import PERCENTILES, THEN, Arm, Metric
from lab.facts.text import three_digits
from lab.reports.canvas import FIRST, LINE, MORE, QUIET, SECOND
from lab.reports.finding import METRICS, Finding

OLD = (4, 2)  # dashes of lines on old versions; the others are whole
AGAIN = (1.5, 1.5)  # of those for which there is no new colour
POINTS = 80  # of a curve
MOST_RATES = 40  # of a ramp


@dataclass(frozen=True)
class Look:
    """How an arm looks, in every picture."""

    colour: str
    dashes: tuple[float, ...] = ()
    width: float = LINE
    is_old: bool = False  # on the versions the claim was made about


@dataclass(frozen=True)
class Line:
    """What is drawn of an arm or of a run; what it has not is empty."""

    name: str
    look: Look
    rounds: list[float] = field(default_factory=list)  # in the unit of the panel
    histogram: Histogram | None = None
    percentiles: list[tuple[float, float]] = field(default_factory=list)  # said, in s
    series: list[Second] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)
    held: float | None = None  # the highest rate that kept its objective

    @property
    def has_curve(self) -> bool:
        return len(points_of(self)) > 1


def choose_look(n: int) -> Look:
    """The look of the n-th of several that are alike."""
    colours = (FIRST, SECOND, *MORE)
    return Look(colours[n % len(colours)], () if n < len(colours) else AGAIN)


def make_old(look: Look) -> Look:
    return replace(look, dashes=OLD, is_old=True)


def points_of(line: Line, count: int = POINTS) -> list[tuple[float, float]]:
    """The percentile curve as (1 / share beyond, ms), for as far as it was measured: while ten
    samples or more lie beyond.
    """
    histogram = line.histogram
    if histogram is None or not histogram.count:
        said = [(100 / (100 - p), time_s * 1e3) for p, time_s in line.percentiles if p < 100]
        return sorted(said)
    last = histogram.count / SAMPLES_BEYOND
    if last <= 1:
        return []
    found: list[tuple[float, float]] = []
    for x in np.geomspace(1, last, count):
        rank = max(math.ceil(histogram.count * (1 - 1 / x)), 1)
        found.append((float(x), histogram.ranked_s(rank) * 1e3))
    return found


def points_near(line: Line, x: float) -> float:
    """The response time in s nearest to a percentile, given as 1 / the share beyond."""
    return min(points_of(line), key=lambda point: abs(point[0] - x))[1] / 1e3


def median_text(line: Line) -> str:
    """The median of the rounds as a figure."""
    if not line.rounds:
        return "–"
    return three_digits(statistics.median(line.rounds))


# ---- Lines of records ------------------------------------------------------------------
def choose_looks(finding: Finding) -> dict[str, Look]:
    """The look of each arm of a result: the claim's two, its control in grey, then the others;
    on old versions the same, but dashed.
    """
    names = [name for name in finding.result.arms if not name.endswith(THEN)]
    first = finding.shown_arms
    looks = {name: choose_look(n) for n, name in enumerate(first[:2])}
    if finding.headline and len(first) > 2:
        looks[first[2]] = Look(QUIET, width=3.0)
    others = [name for name in names if name not in looks]
    looks |= {name: choose_look(n + 2) for n, name in enumerate(others)}
    return looks | {name + THEN: make_old(look) for name, look in looks.items()}


def lines_of_result(finding: Finding, everything: bool) -> list[Line]:
    """The arms of a result as lines, their rounds in the unit of `metric_of`."""
    result, looks = finding.result, choose_looks(finding)
    names = list(result.arms) if everything else finding.shown_arms
    return [line_of_arm(name, result.arms[name], looks[name], metric_of(finding)) for name in names]


def metric_of(finding: Finding) -> Metric:
    """What the rounds are shown by: the claim's own metric, if every arm has it."""
    metric = finding.headline.metric if finding.headline else Metric.THROUGHPUT
    arms = finding.result.arms.values()
    known = all(each.value(metric) is not None for arm in arms for each in arm.rounds)
    return metric if known else Metric.THROUGHPUT


def title_of(metric: Metric) -> str:
    """What the rounds are drawn in."""
    return f"{METRICS[metric]}, ms" if metric in PERCENTILES else METRICS[metric]


def line_of_arm(name: str, arm: Arm, look: Look, metric: Metric) -> Line:
    scale = 1e3 if metric in PERCENTILES else 1.0
    values = [each.value(metric) for each in arm.rounds]
    rounds = [value * scale for value in values if value is not None and math.isfinite(value)]
    return replace(line_of_run(name, arm.run, look), rounds=rounds, curve=arm.curve)


def line_of_run(name: str, run: Run | Foreign, look: Look) -> Line:
    said = [(key, value) for key, value in run.latency_s.items() if key[0] == "p" and value]
    line = Line(
        name, look,
        histogram=run.histogram,
        percentiles=[(float(key[1:]), value) for key, value in said],
        series=run.series,
    )  # fmt: skip
    if isinstance(run, Foreign):
        return line
    held = run.slo.max_rate if run.slo else None
    return replace(line, curve=run.curve or trace_ramp(run.series, MOST_RATES), held=held)


def tell_apart(lines: Sequence[Line], sources: Sequence[str]) -> list[Line]:
    """Lines of one name get that of their file, and where that is the same, a number."""
    counts = Counter(line.name for line in lines)
    named = [
        replace(line, name=f"{line.name}, {source}") if counts[line.name] > 1 else line
        for line, source in zip(lines, sources, strict=True)
    ]
    seen: Counter[str] = Counter()
    for n, line in enumerate(named):
        seen[line.name] += 1
        if seen[line.name] > 1:
            named[n] = replace(line, name=f"{line.name} ({seen[line.name]})")
    return named
