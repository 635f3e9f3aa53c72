"""Histograms and lines of bars in plain text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from lab.facts.arrays import NDArray, np
from lab.facts.errors import Unreadable
from lab.facts.histogram import Histogram
from lab.facts.records import Second
from lab.facts.text import WIDTH, three_digits, unit_of, wrapped
from lab.reports.table import INDENT, wrap_cell

ROWS = 11  # of a histogram
TITLE = "response time"
NARROWEST_BARS = 12  # columns
BARS = "▁▂▃▄▅▆▇█"
USUAL, LOW, CHANCE = 0.75, 0.7, 5  # quantile; share of the usual; standard deviations


# ---- Histograms ------------------------------------------------------------------------
def choose_edges_s(histograms: Sequence[Histogram], rows: int = ROWS) -> list[float]:
    """Round edges that all `histograms` share: linear for a short tail, else logarithmic.

    A tail that is long but thin (under 1 % of the samples) gets a last row of its own,
    beyond linear edges for all the rest.
    """
    summaries = [histogram.summary_s() for histogram in histograms if histogram.count]
    low = min(summary["min"] or 0 for summary in summaries)
    high = max(summary["max"] or 0 for summary in summaries)
    bulk = max(summary["p99"] or summary["max"] or 0 for summary in summaries)
    top = bulk if bulk < high / 2 else high
    if top > 8 * low:
        return _space_by_factors(low, high)
    rough = max(top - low, low / 100) / (rows - 2)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    edges = [n * step for n in range(math.floor(low / step), math.floor(top / step) + 2)]
    if edges[0] > low:
        edges.insert(0, edges[0] - step)
    return edges if edges[-1] > high else [*edges, math.inf]


def _space_by_factors(low: float, high: float) -> list[float]:
    is_narrow = math.log10(high / low) < 2
    steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if is_narrow else (1.0, 2.0, 5.0)
    powers = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    marks = [step * 10.0**power for power in powers for step in steps]
    first = max(n for n, mark in enumerate(marks) if mark <= low)
    last = min(n for n, mark in enumerate(marks) if mark > high)
    return marks[first : last + 1]


def _tell_apart(values: Sequence[float]) -> list[str]:
    """Numbers with as few digits, but three, as leave no two of them alike: "0.5", "20".

    Where they are near to each other they have the same number of decimals.
    """
    digits, marks = 3, [""] * len(values)
    while len(set(marks)) < len(marks):
        marks = [_round_off(value, digits) for value in values]
        digits += 1
    known = [abs(value) for value in values if value and math.isfinite(value)]
    is_wide = max(known) >= 10 * min(known)
    return marks if is_wide else _align_decimals(marks)


def _align_decimals(marks: Sequence[str]) -> list[str]:
    """The same numbers, all with as many decimals as one of them has."""
    most = max(len(mark.partition(".")[2]) for mark in marks)
    return [mark if mark in ("0", "inf") else f"{float(mark):.{most}f}" for mark in marks]


def _round_off(value: float, digits: int) -> str:
    if not value or not math.isfinite(value):
        return f"{value:g}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, decimals):.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _label_rows(edges_s: Sequence[float]) -> list[str]:
    unit_s, unit = unit_of(edges_s)
    marks = _tell_apart([edge / unit_s for edge in edges_s])
    labels = [f"{low} to {high} {unit}" for low, high in pairwise(marks)]
    if math.isinf(edges_s[-1]):
        labels[-1] = f"over {marks[-2]} {unit}"
    return labels


def draw_histograms(named: Mapping[str, Histogram]) -> list[str]:
    """One row for each pair of edges, one column of bars for each histogram."""
    shown = {name: histogram for name, histogram in named.items() if histogram.count}
    if not shown:
        return []
    edges_s = choose_edges_s(list(shown.values()))
    counts = {name: histogram.between(edges_s) for name, histogram in shown.items()}
    return _draw_bars(_label_rows(edges_s), counts, is_titled=len(named) > 1)


def draw_buckets(buckets: Mapping[float, int]) -> list[str]:
    """The rows of a histogram that another tool made, from upper edges in seconds to counts."""
    if not any(buckets.values()):
        return []
    unit_s, unit = unit_of(buckets)
    marks = _tell_apart([edge / unit_s for edge in buckets])
    labels = [f"to {mark} {unit}" for mark in marks]
    if marks[-1] == "inf":
        labels[-1] = f"over {marks[-2]} {unit}"
    return _draw_bars(labels, {"": list(buckets.values())})


def _draw_bars(
    labels: list[str], columns: Mapping[str, list[int]], is_titled: bool = False
) -> list[str]:
    indent = max(map(len, [*labels, TITLE])) + 2
    width = WIDTH - INDENT - indent
    room = max(width // len(columns), NARROWEST_BARS)
    shown = dict(list(columns.items())[: width // room])
    lines = _write_titles(list(shown), indent, room) if is_titled else []
    for row, label in enumerate(labels):
        cells = "".join(_draw_bar(counts[row], max(counts), room) for counts in shown.values())
        lines.append(f"{label:<{indent}}{cells}".rstrip())
    return lines


def _write_titles(names: list[str], indent: int, room: int) -> list[str]:
    """The names over their bars, each in as many lines as it takes."""
    titles = [wrap_cell(name, room - 2) for name in names]
    lines = []
    for n in range(max(map(len, titles))):
        cells = "".join(f"{title[n] if n < len(title) else '':<{room}}" for title in titles)
        lines.append(f"{'' if n else TITLE:<{indent}}{cells}".rstrip())
    return lines


def _draw_bar(count: int, most: int, room: int) -> str:
    length = round(count / most * (room - len(str(most)) - 3))
    bar = "■" * length
    space = " " if bar else ""
    number = f"{space}{count}" if count else ""
    return f"|{bar}{number}".ljust(room)


def list_percentiles(name: str, histogram: Histogram | None) -> str:
    """The response times of all samples as HdrHistogram's tools write and plot them (.hgrm).

    In ms; each row halves what is left in five steps. Raises Unreadable without samples.
    """
    if not histogram or not histogram.count:
        raise Unreadable(f"{name}: no samples, so no percentile distribution")
    lowest, width, counts = histogram.used()
    highest_ns = np.minimum(lowest + width - 1, histogram.max_ns)
    totals, count = np.cumsum(counts), histogram.count
    rows, left = ["   Value(ms)     Percentile TotalCount 1/(1-Percentile)", ""], 1.0
    while left * count >= 0.5:
        for step in range(5):
            share = 1 - left * (1 - step / 10)
            slot = int(np.searchsorted(totals, max(1, math.ceil(share * count - 1e-9))))
            figures = f"{highest_ns[slot] / 1e6:12.6f} {share:2.12f} {totals[slot]:10d}"
            rows.append(f"{figures} {1 / (1 - share):14.2f}")
        left /= 2
    max_ms = histogram.max_ns / 1e6
    figures_s = histogram.summary_s()
    mean_ms, stdev_ms = ((figures_s[key] or 0.0) * 1e3 for key in ("mean", "stdev"))
    rows.append(f"{max_ms:12.6f} {1:2.12f} {count:10d}")
    rows.append(f"#[Mean    = {mean_ms:12.6f}, StdDeviation   = {stdev_ms:12.6f}]")
    rows.append(f"#[Max     = {max_ms:12.6f}, Total count    = {count:12d}]")
    return "\n".join(rows) + "\n"


# ---- The seconds of a run --------------------------------------------------------------
def draw_sparkline(series: Sequence[Second]) -> list[str]:
    """The successes a second of a run as a line of bars, and what happened to them when.

    Empty where they do not change: see `find_moments`.
    """
    moments = find_moments(series)
    if not moments:
        return []
    spans_s, ok, _ = _read_seconds(series)
    together = -(-len(ok) // (WIDTH - 30))  # seconds in a bar
    starts = np.arange(0, len(ok), together)
    rates = np.add.reduceat(ok, starts) / np.add.reduceat(spans_s, starts)
    bars = "".join(BARS[round(7 * rate / rates.max())] for rate in rates)
    span = f"0 to {spans_s.sum():.0f} s, up to {three_digits(rates.max())}/s"
    found = [wrapped("  -", moment, 4) for moment in moments]
    return ["Requests/s over time", f"  {bars}  {span}", *found]


def find_moments(series: Sequence[Second]) -> list[str]:
    """Where the successes a second were below 70 % of the usual, and by more than chance.

    Usual is what they reach in the best quarter of the seconds.
    """
    spans_s, ok, failed = _read_seconds(series)
    if len(ok) < 4:
        return []
    expected = float(np.quantile(ok / spans_s, USUAL)) * spans_s
    low = (ok < LOW * expected) & (expected - ok > CHANCE * np.sqrt(expected))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]]).astype(int)))
    ends_s, found = np.concatenate([[0.0], np.cumsum(spans_s)]), []
    for first, last in edges.reshape(-1, 2):
        begin, end, lost = ends_s[first], ends_s[last], int(failed[first:last].sum())
        span = f"from {begin:.0f} s to {end:.0f} s"
        if first == 0:
            found.append(f"warm-up until {end:.0f} s")
        elif lost:
            found.append(f"restart or outage {span}: {lost} requests failed")
        elif last < len(ok):
            found.append(f"stall {span}")
        else:
            found.append(f"slower from {begin:.0f} s on")
    return found


def _read_seconds(series: Sequence[Second]) -> NDArray[np.float64]:
    """Length in s, successes and failures of each second, but for a short last one."""
    ends_s = [0.0, *(second.time for second in series)]
    rows = [
        (end - begin, second.ok, second.failed)
        for (begin, end), second in zip(pairwise(ends_s), series, strict=True)
        if end - begin > 0.5
    ]
    return np.array(rows, dtype=float).reshape(-1, 3).T
