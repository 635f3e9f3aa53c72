"""The two small pictures beside a claim on the page, as wide as a phone: all rounds of all arms,
and the response times of the claim's arms and one control.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.facts.text import three_digits
from lab.reports.canvas import Box, Canvas, svg_of
from lab.reports.finding import Finding
from lab.reports.lines import Line, lines_of_result, metric_of, title_of
from lab.reports.panels import (
    ROW_PX,
    draw_percentiles,
    draw_rates,
    draw_rounds,
    is_kept,
    label_rows,
)
from lab.reports.svg import About

WIDTH = 328.0
NAMES, MEDIANS, GAP = 118.0, 42.0, 6.0
AXIS, CURVE = 40.0, 170.0
POINTS = 30
MOST_ARMS = 8
IN_TABLE = "The figures stand in the table of arms."


def draw_figures(finding: Finding) -> list[tuple[str, str]]:
    """The pictures of a claim as (caption, SVG): those that there is something for."""
    found = []
    prefix = f"c{finding.number}"
    lines = choose_rounds(finding)
    if lines:
        rounds = title_of(metric_of(finding))
        about = About(f"{rounds}: the rounds of each arm", IN_TABLE, f"{prefix}r")
        caption = f"Every round a dot; above them the median and its 95 % interval ({rounds})."
        found.append((caption, svg_of(lambda: draw_rounds_figure(lines, rounds), about)))
    shown = lines_of_result(finding, everything=False)
    if curves := [line for line in shown if line.has_curve]:
        about = About("Response times by percentile", IN_TABLE, f"{prefix}p")
        caption = "How long the requests took, from the fastest to the slowest."
        found.append((caption, svg_of(lambda: draw_curves_figure(curves), about)))
    if rated := [line for line in shown if len(line.curve) > 1]:
        said = "; ".join(f"{line.name}: {describe_rates(line)}" for line in rated)
        about = About("Response times at each rate", said, f"{prefix}q")
        caption = "What happens at each rate of an open loop."
        found.append((caption, svg_of(lambda: draw_rates_figure(rated), about)))
    return found


def choose_rounds(finding: Finding) -> list[Line]:
    """The arms whose rounds are drawn: all; of very many today's, or those of a ratio."""
    lines = [line for line in lines_of_result(finding, everything=True) if line.rounds]
    if len(lines) > MOST_ARMS:
        lines = [line for line in lines if not line.look.is_old]
    if len(lines) > MOST_ARMS:
        ratios = finding.result.ratios
        names = {name for ratio in ratios for name in (ratio.over, ratio.under)}
        lines = [line for line in lines if line.name in names]
    return lines


def describe_rates(line: Line) -> str:
    kept = [point.rate for point in line.curve if is_kept(point)]
    return f"keeps up with {three_digits(max(kept))}/s" if kept else "keeps up with none"


def draw_rounds_figure(lines: Sequence[Line], rounds: str) -> Canvas:
    height = ROW_PX * len(lines)
    canvas = Canvas(WIDTH, height + 46)
    axes = canvas.add_axes(Box(NAMES, 22, WIDTH - NAMES - MEDIANS, height))
    draw_rounds(axes, lines, rounds)
    names = [canvas.cut(line.name, NAMES - GAP - 2) for line in lines]
    label_rows(axes, lines, names, GAP)
    return canvas


def draw_curves_figure(lines: Sequence[Line]) -> Canvas:
    canvas, top = start_with_legend(lines)
    box = Box(AXIS, top + 22, WIDTH - AXIS - 14, CURVE)
    draw_percentiles(canvas.add_axes(box), lines, POINTS)
    return canvas


def draw_rates_figure(lines: Sequence[Line]) -> Canvas:
    canvas, top = start_with_legend(lines)
    draw_rates(canvas.add_axes(Box(AXIS, top + 22, WIDTH - AXIS - 34, CURVE)), lines)
    return canvas


def start_with_legend(lines: Sequence[Line]) -> tuple[Canvas, float]:
    """A canvas with the names of the lines, and where they end."""
    top = 15.0 * len(lines)
    canvas = Canvas(WIDTH, top + CURVE + 62)
    axes = canvas.add_axes(Box(0, 0, WIDTH, canvas.height))
    axes.set(xlim=(0, WIDTH), ylim=(canvas.height, 0))
    axes.axis("off")
    for n, line in enumerate(lines):
        y, look = 12 + 15 * n, line.look
        dashes = look.dashes or (None, None)
        axes.plot(
            [4, 24], [y - 4] * 2, color=look.colour, lw=look.width, dashes=dashes, clip_on=False
        )
        canvas.write(30, y, canvas.cut(line.name, WIDTH - 40), look.colour)
    return canvas, top
