"""The panels of a picture: rounds with their interval, percentiles, seconds, a heat map, rates.

Each takes lines, which say what is drawn and how it looks, and axes to draw them on.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

from lab.facts.arrays import np
from lab.facts.histogram import Histogram
from lab.facts.interval import median_interval
from lab.facts.records import Point
from lab.reports.canvas import FIRST, INK, LINE, PAPER, QUIET, hide_clips, plain, use_plain_numbers
from lab.reports.lines import POINTS, Line, median_text, points_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAILED = "#b3261e"
WIDE_RANGE = 8.0  # from here on an axis is logarithmic
ROW_PX = 22.0
LABEL_GAP_PX = 13.0
NINES = ((1.0, "0"), (2.0, "50"), (10.0, "90"), (100.0, "99"), (1e3, "99.9"), (1e4, "99.99"))
HEAT_STEPS, HEAT_ROWS = 6, 40


# ---- Rounds ----------------------------------------------------------------------------
def draw_rounds(axes: Axes, lines: Sequence[Line], title: str) -> None:
    """A row for each line: every round a dot, over them the median with its interval."""
    values = [value for line in lines for value in line.rounds]
    low, high = min(values, default=0.0), max(values, default=1.0)
    is_wide = low > 0 and high > WIDE_RANGE * low
    axes.set(ylim=(len(lines) - 0.5, -0.5), yticks=[])
    if is_wide:
        axes.set(xscale="log", xlim=(low / 1.2, high * 1.2))
    else:
        axes.set_xlim(0, high * 1.05)
    axes.set_title(title, color=QUIET)
    use_plain_numbers(axes.xaxis)
    hide_clips(axes)
    for row, line in enumerate(lines):
        look = line.look
        axes.plot(
            sorted(line.rounds), [row + 0.16] * len(line.rounds), "o", ms=3.4, mew=0,
            color=look.colour, alpha=0.45, clip_on=False,
        )  # fmt: skip
        if not line.rounds:
            continue
        middle = statistics.median(line.rounds)
        if found := median_interval(line.rounds):
            ends = [found.low, found.high]
            axes.plot(ends, [row - 0.16] * 2, color=look.colour, lw=2.4, clip_on=False)
        fill = PAPER if look.is_old else look.colour
        axes.plot(
            [middle], [row - 0.16], "o", ms=6, mfc=fill, mec=look.colour, mew=1.3, clip_on=False
        )


def label_rows(axes: Axes, lines: Sequence[Line], names: Sequence[str], gap: float) -> None:
    """The names of the rows on the left, and their medians on the right."""
    words = [(0, name, line.look.colour) for line, name in zip(lines, names, strict=True)]
    words += [(1, median_text(line), INK) for line in lines]
    for n, (x, word, colour) in enumerate(words):
        axes.annotate(
            plain(word), (x, n % len(lines)), (gap if x else -gap, 0),
            xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="left" if x else "right", va="center", color=colour, weight=700 if x else 400,
        )  # fmt: skip


# ---- Percentiles -----------------------------------------------------------------------
def draw_percentiles(
    axes: Axes, lines: Sequence[Line], count: int = POINTS
) -> list[tuple[Line, float, float]]:
    """Response times against the percentile, the nines evenly spaced. Returns where each line
    ends.
    """
    ends = []
    furthest = 2.0
    for line in lines:
        if not (points := points_of(line, count)):
            continue
        x, y = zip(*points, strict=True)
        look = line.look
        marker = "" if line.histogram and line.histogram.count else "o"
        axes.plot(
            x, y, color=look.colour, lw=look.width, dashes=look.dashes or (None, None),
            marker=marker, ms=4, clip_on=False, zorder=2 if look.width > LINE else 3,
        )  # fmt: skip
        ends.append((line, x[-1], y[-1]))
        furthest = max(furthest, x[-1])
    axes.set(xscale="log", yscale="log", xlim=(1, furthest))
    ticks = [(x, label) for x, label in NINES if x <= furthest * 1.001]
    axes.set_xticks([x for x, _ in ticks], [label for _, label in ticks])
    axes.minorticks_off()
    axes.set_xlabel("percentile of the requests")
    axes.set_title("response time, ms", color=QUIET)
    leave_room(axes)
    use_plain_numbers(axes.yaxis)
    hide_clips(axes)
    return ends


def leave_room(axes: Axes) -> None:
    """An axis of times holds at least a factor of four, so that noise looks like noise."""
    times = [float(y) for line in axes.get_lines() for y in np.asarray(line.get_ydata(), float)]
    if not times:
        return
    low, high = min(times) / 1.2, max(times) * 1.2
    middle = math.sqrt(low * high)
    axes.set_ylim(min(low, middle / 2), max(high, middle * 2))


def label_ends(axes: Axes, ends: Sequence[tuple[Line, float, float]], height: float) -> None:
    """The name of each line where it ends, right of the axes; moved apart where they meet."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    named = sorted(ends, key=lambda end: (end[2], end[0].name))
    shares = [(math.log(y) - low) / (high - low) for _, _, y in named]
    for (line, _, _), place in zip(named, spread(shares, LABEL_GAP_PX / height), strict=True):
        axes.text(
            1.02, place, plain(line.name), color=line.look.colour, va="center", ha="left",
            transform=axes.transAxes,
        )  # fmt: skip


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Rising places from 0 to 1 with at least a gap between them, moved as little as need be."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + gap) if found else place)
    highest = 1.0
    for n in reversed(range(len(found))):
        found[n] = min(found[n], highest)
        highest = found[n] - gap
    return found


# ---- Time ------------------------------------------------------------------------------
def draw_seconds(axes: Axes, lines: Sequence[Line]) -> None:
    """p50 and p99 of each second; a cross at the foot for each second with failures."""
    failed: list[float] = []
    for line in lines:
        for key, width in (("p50", 1.8), ("p99", 0.9)):
            known = [(each.time, getattr(each, key)) for each in line.series]
            points = [(time, time_s * 1e3) for time, time_s in known if is_time(time_s)]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=line.look.colour, lw=width, clip_on=False)
                axes.annotate(
                    key, (x[-1], y[-1]), (4, 0), textcoords="offset points", va="center",
                    color=line.look.colour, size=9.5,
                )  # fmt: skip
        failed += [each.time for each in line.series if each.failed]
    ends = [each.time for line in lines for each in line.series]
    axes.set(yscale="log", xlim=(0, max(ends, default=1.0)))
    leave_room(axes)
    if failed:
        foot = [axes.get_ylim()[0]] * len(failed)
        axes.plot(failed, foot, "x", color=FAILED, ms=5, mew=1.4, clip_on=False)
    axes.set_xlabel("seconds since the start" + (", × with failures" if failed else ""))
    axes.set_title("response time each second, ms", color=QUIET)
    use_plain_numbers(axes.yaxis)
    hide_clips(axes)


def is_time(time_s: float | None) -> TypeGuard[float]:
    """Whether it can stand on an axis of times, which is logarithmic."""
    return time_s is not None and 0 < time_s < math.inf


def draw_heat(axes: Axes, line: Line) -> None:
    """How many requests of each second took how long: the darker, the more of that second."""
    from matplotlib.collections import PolyCollection

    known = [Histogram.decode(each.histogram) for each in line.series if each.histogram]
    edges_s = choose_heights_s(known)
    cells: dict[int, list[list[tuple[float, float]]]] = {}
    left = 0.0
    for second in line.series:
        histogram = Histogram.decode(second.histogram) if second.histogram else Histogram()
        for n, count in enumerate(histogram.between(edges_s)):
            share = count / max(histogram.count, 1)
            level = min(math.ceil(HEAT_STEPS * math.sqrt(share)), HEAT_STEPS)
            bottom, top = edges_s[n] * 1e3, edges_s[n + 1] * 1e3
            corners = [(left, bottom), (second.time, bottom), (second.time, top), (left, top)]
            cells.setdefault(level, []).append(corners)
        left = second.time
    for level, found in sorted(cells.items()):
        if level:
            alpha = level / HEAT_STEPS
            axes.add_collection(PolyCollection(found, facecolors=FIRST, alpha=alpha, linewidths=0))
    axes.set(yscale="log", xlim=(0, left), ylim=(edges_s[0] * 1e3, edges_s[-1] * 1e3))
    axes.set_xlabel("seconds since the start")
    axes.set_title(f"{plain(line.name)}: how many took how long, ms", color=QUIET)
    use_plain_numbers(axes.yaxis)


def choose_heights_s(histograms: Sequence[Histogram]) -> list[float]:
    """The edges of the rows of a heat map: from the shortest to the longest time of all."""
    known = [histogram for histogram in histograms if histogram.count]
    low = min((histogram.min_ns for histogram in known), default=1_000_000) / 1e9
    high = max((histogram.max_ns for histogram in known), default=2_000_000) / 1e9 * 1.001
    return [float(edge) for edge in np.geomspace(low, max(high, low * 1.5), HEAT_ROWS + 1)]


# ---- Rates -----------------------------------------------------------------------------
def draw_rates(axes: Axes, lines: Sequence[Line]) -> None:
    """p50 and p99 against the rate asked for; hollow where it was not kept up with."""
    for line in lines:
        points = sorted(line.curve, key=lambda point: point.rate)
        for key, width in (("p50_s", 1.8), ("p99_s", 0.9)):
            known = [(point, getattr(point, key)) for point in points]
            shown = [(point, time_s * 1e3) for point, time_s in known if is_time(time_s)]
            x, y = [point.rate for point, _ in shown], [time_ms for _, time_ms in shown]
            if not shown:
                continue
            axes.plot(x, y, color=line.look.colour, lw=width, clip_on=False)
            for point, time_ms in shown:
                fill = line.look.colour if is_kept(point) else PAPER
                axes.plot(
                    [point.rate], [time_ms], "o", ms=4.5, mfc=fill, mec=line.look.colour,
                    mew=1.2, clip_on=False,
                )  # fmt: skip
            axes.annotate(
                key[:3], (x[-1], y[-1]), (6, 0), textcoords="offset points", va="center",
                color=line.look.colour, size=9.5,
            )  # fmt: skip
    rates = [point.rate for line in lines for point in line.curve]
    axes.set(yscale="log", xlim=(0, max(rates, default=1.0)))
    leave_room(axes)
    for line in lines:
        if line.held:
            axes.axvline(line.held, color=line.look.colour, lw=1, dashes=(2, 2))
    axes.set_xlabel("requests/s asked for; hollow: not kept up with")
    axes.set_title("response time at each rate, ms", color=QUIET)
    use_plain_numbers(axes.yaxis)
    use_plain_numbers(axes.xaxis)
    hide_clips(axes)


def is_kept(point: Point) -> bool:
    """Whether a rate kept its objective; where there was none, whether it was answered."""
    if point.kept is not None:
        return point.kept
    return point.throughput >= 0.95 * point.rate
