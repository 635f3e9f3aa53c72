"""Response times as pictures. matplotlib is imported when one is drawn, and not before."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.facts.foreign import Foreign
from lab.facts.records import Result, Run
from lab.reports.chart import choose_edges_s

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

MIDTONE = "#767676"  # as far from white as from black
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
DASHES = ("-", "--", ":", "-.")
LINE, THIN = 1.8, 0.8  # points

Drawn = Sequence[tuple[str, Run | Foreign]]


def picture(name: str) -> Path:
    """The path of a picture to draw; its name must end in .svg or .png."""
    if not name.endswith((".svg", ".png")):
        raise argparse.ArgumentTypeError(f"{name!r} must end in .svg or .png")
    return Path(name)


def plot(records: Sequence[Run | Result | Foreign], path: Path) -> None:
    """Draw response times as an .svg or .png: against the percentile, with the nines evenly
    spaced; as a histogram; and over the seconds of the run. What a source has no samples or
    seconds for is left out.

    Text and lines are readable on white and on black, and lines differ in more than colour.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    named = [pair for record in records for pair in list_runs(record)]
    style: Any = {f"{part}.color": MIDTONE for part in ("text", "xtick", "ytick", "grid")}
    style |= {"axes.edgecolor": MIDTONE, "axes.labelcolor": MIDTONE, "font.size": 10}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    style |= {"axes.grid": True, "grid.alpha": 0.3, "lines.linewidth": LINE}
    panels = [_draw_curves, _draw_histograms]
    panels += [_draw_seconds] if any(len(run.series) > 1 for _, run in named) else []
    with pyplot.rc_context(style):
        columns = 1 if max((len(name) for name, _ in named), default=0) > 30 else 2
        size_in = (7, 3.1 * len(panels) + 0.22 * math.ceil(len(named) / columns))
        figure, axes = pyplot.subplots(len(panels), figsize=size_in, layout="constrained")
        for draw, panel in zip(panels, axes, strict=True):
            draw(panel, named)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=columns)
        figure.savefig(path, dpi=200, transparent=True)
        pyplot.close(figure)


def list_runs(record: Run | Result | Foreign) -> list[tuple[str, Run | Foreign]]:
    """The runs that a record holds, each with the name of its arm."""
    if isinstance(record, Result):
        return [(name, arm.run) for name, arm in record.arms.items()]
    return [(record.name, record)]


def _choose_looks(named: Drawn) -> Iterator[tuple[Run | Foreign, dict[str, Any]]]:
    """Each run with the colour, dashes and name of its lines."""
    for n, (name, run) in enumerate(named):
        colour, dashes = COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)]
        yield run, {"color": colour, "linestyle": dashes, "label": name[:60]}


def _draw_curves(axes: Axes, named: Drawn) -> None:
    for run, look in _choose_looks(named):
        if run.histogram:
            lowest, width, counts = run.histogram.used()
            beyond = run.histogram.count - np.cumsum(counts)
            x = run.histogram.count / np.maximum(beyond, 1)
            axes.step(x, (lowest + width) / 1e6, where="post", **look)
        else:
            said = [(key, v) for key, v in run.latency_s.items() if key[0] == "p" and v]
            points = sorted((100 / (100 - float(key[1:])), value * 1e3) for key, value in said)
            axes.plot(*zip(*points or [(math.nan, math.nan)], strict=True), marker="o", **look)
    axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="response time (ms)")
    axes.set_xticks([1, 2, 10, 100, 1000, 10_000], ["0", "50", "90", "99", "99.9", "99.99"])
    axes.minorticks_off()
    _use_plain_numbers(axes.yaxis)


def _draw_histograms(axes: Axes, named: Drawn) -> None:
    """Shares of the samples between edges that all share, some thirty of them."""
    histograms = [run.histogram for _, run in named if run.histogram and run.histogram.count]
    low = min((histogram.min_ns for histogram in histograms), default=10**6) / 1e9
    high = max((histogram.max_ns for histogram in histograms), default=10**7) / 1e9 * 1.001
    is_wide = high > 8 * low
    edges = list(np.geomspace(low, high, 40)) if is_wide else choose_edges_s(histograms, 32)
    marks_ms = np.minimum(edges, 2 * high) * 1e3
    for run, look in _choose_looks(named):
        if run.histogram and run.histogram.count:
            shares = 100 * np.array(run.histogram.between(edges)) / run.histogram.count
            axes.stairs(shares, marks_ms, **look | {"linewidth": LINE})
            axes.stairs(shares, marks_ms, fill=True, alpha=0.15, color=look["color"])
    scale = "log" if is_wide else "linear"
    axes.set(xscale=scale, xlabel="response time (ms)", ylabel="requests (%)")
    _use_plain_numbers(axes.xaxis)


def _draw_seconds(axes: Axes, named: Drawn) -> None:
    """The median of each second as a line, and p99 as a thin one."""
    for run, look in _choose_looks(named):
        p50s = [(second.time, second.p50) for second in run.series]
        p99s = [(second.time, second.p99) for second in run.series]
        for times, weight in ((p50s, LINE), (p99s, THIN)):
            points = [(time, time_s * 1e3) for time, time_s in times if time_s is not None]
            if points:
                axes.plot(*zip(*points, strict=True), **look | {"linewidth": weight})
    axes.set(yscale="log", xlabel="seconds since the start", ylabel="p50, and thin p99 (ms)")
    axes.set_xlim(left=0)
    _use_plain_numbers(axes.yaxis)


def _use_plain_numbers(axis: Axis) -> None:
    """Numbers as they are said, "200" and not "2 × 10²"."""
    from matplotlib import ticker

    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
        axis.set_minor_formatter(ticker.NullFormatter())
