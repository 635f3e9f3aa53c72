"""Tables, histograms and lines of bars in plain text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.facts.arrays import NDArray, np
from lab.facts.errors import Unreadable
from lab.facts.histogram import Histogram
from lab.facts.records import Second
from lab.facts.text import WIDTH, three_digits, unit_of, wrapped

INDENT = 4  # columns that the body of a result is moved in by
ROWS = 11  # of a histogram
BARS = "▁▂▃▄▅▆▇█"
USUAL, LOW, CHANCE = 0.75, 0.7, 5  # quantile; share of the usual; standard deviations


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; `align` holds < or > for each column."""

    rows: list[list[str]]
    align: str

    def to_lines(self) -> list[str]:
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        return [
            "  ".join(f"{c:{a}{w}}" for c, a, w in zip(row, self.align, widths, strict=False))
            for row in self.rows
        ]

    def to_markdown(self) -> list[str]:
        ruler = ["---" if a == "<" else "--:" for a in self.align[: len(self.rows[0])]]
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        return [f"| {' | '.join(row)} |" for row in [rows[0], ruler, *rows[1:]]]


Block = list[str] | Table


def fit_columns(columns: Sequence[list[str]], width: int = WIDTH) -> Table:
    """A table whose first column gets what room the others leave."""
    room = width - sum(max(map(len, column)) + 2 for column in columns[1:])
    names = [name[:room] for name in columns[0]]
    rows = zip(names, *columns[1:], strict=True)
    return Table([list(row) for row in rows], "<" + ">" * len(columns))


def format_cells(values: Iterable[float | None], unit: float = 1.0) -> list[str]:
    """Numbers of one column, in that unit; a dash for what is not known."""
    return ["-" if value is None else three_digits(value / unit) for value in values]


def render(blocks: Sequence[Block], markdown: bool = False, indent: int = 0) -> str:
    """Blocks under each other; in Markdown tables become tables, and the rest is fenced."""
    parts = []
    for block in blocks:
        if isinstance(block, Table):
            lines = block.to_markdown() if markdown else block.to_lines()
        else:
            lines = block
        if not lines:
            continue
        text = "\n".join(line.rstrip() for line in "\n".join(lines).split("\n"))
        if markdown and not isinstance(block, Table):
            text = f"```text\n{text}\n```"
        parts.append(text if markdown else textwrap.indent(text, " " * indent))
    return "\n\n".join(parts)


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
    """Numbers at as few significant digits, but three, as leave no two of them alike."""
    marks = [three_digits(value) for value in values]
    decimals = 0
    while len(set(marks)) < len(marks):
        marks = [f"{value:.{decimals}f}" for value in values]
        decimals += 1
    return marks


def _label_rows(edges_s: Sequence[float]) -> list[str]:
    unit_s, unit = unit_of(edges_s)
    marks = _tell_apart([edge / unit_s for edge in edges_s])
    labels = [f"{low} to {high} {unit}" for low, high in pairwise(marks)]
    if math.isinf(edges_s[-1]):
        labels[-1] = f"over {marks[-2]} {unit}"
    elif edges_s[-1] > 1000 * edges_s[0]:  # no one unit suits them all
        labels = []
        for low, high in pairwise(edges_s):
            unit_s, unit = unit_of([low])
            labels.append(f"{three_digits(low / unit_s)} to {three_digits(high / unit_s)} {unit}")
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
    indent = max(map(len, [*labels, "response time"])) + 2
    width = WIDTH - INDENT - indent
    room = max(width // len(columns), 12)
    shown = dict(list(columns.items())[: width // room])
    titles = "".join(f"{name[: room - 2]:<{room}}" for name in shown)
    lines = [f"{'response time':<{indent}}{titles}"] if is_titled else []
    for row, label in enumerate(labels):
        cells = "".join(_draw_bar(counts[row], max(counts), room) for counts in shown.values())
        lines.append(f"{label:<{indent}}{cells}".rstrip())
    return lines


def _draw_bar(count: int, most: int, room: int) -> str:
    bar = "■" * round(count / most * (room - len(str(most)) - 3))
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
