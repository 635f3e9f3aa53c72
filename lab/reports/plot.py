"""A run, several runs or a result as a picture, whose title says what was found.

First requests/s, or what else the claim is about, each round a dot under its interval; then
the response times against the percentile; then what there is besides: seconds, rates. Nothing
is drawn that was not measured. matplotlib is imported when a picture is drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.records import Run
from lab.facts.results import Metric, Result
from lab.facts.text import count_of, duration, three_digits
from lab.reports.canvas import INK, QUIET, Box, Canvas, save
from lab.reports.finding import METRICS, Finding, claimed_of, interval_of, sentence_of
from lab.reports.lines import (
    Line,
    choose_look,
    line_of_run,
    lines_of_result,
    median_text,
    metric_of,
    points_near,
    points_of,
    tell_apart,
    title_of,
)
from lab.reports.panels import (
    LABEL_GAP_PX,
    ROW_PX,
    draw_heat,
    draw_percentiles,
    draw_rates,
    draw_rounds,
    draw_seconds,
    label_ends,
    label_rows,
)
from lab.reports.report import list_versions
from lab.reports.svg import About

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, MARGIN = 700.0, 14.0  # pixels: a blog's column
TITLE_PX, CURVE_PX = 14.0, 210.0
LONGEST_LABEL = 220.0
FILE_DASHES = ((), (6, 2), (1.5, 1.5), (6, 2, 1.5, 2))  # of the lines of one file after another
Record = Run | Result | Foreign


def picture(name: str) -> Path:
    """The path of a picture to draw; its name must end in .svg or .png."""
    if not name.endswith((".svg", ".png")):
        raise argparse.ArgumentTypeError(f"{name!r} must end in .svg or .png")
    return Path(name)


def plot(
    records: Sequence[Record], path: Path, everything: bool = False, sources: Sequence[str] = ()
) -> None:
    """Draw records as an .svg or .png: of a result the claim's two arms and one control, or
    every arm. `sources` names the file of each record, which tells apart what is named alike.

    Raises Unreadable where there is nothing to draw.
    """
    sheet = make_sheet(records, everything, sources)
    save(sheet.draw, sheet.about, path)


# ---- The sheet -------------------------------------------------------------------------
@dataclass(frozen=True)
class Panel:
    """Axes of the picture: how high, and what draws on them."""

    height: float
    draw: Callable[[Axes], object]
    left: float = 52.0  # room for the numbers of its axis, or for names
    below: float = 44.0
    right: float = 40.0


@dataclass
class Sheet:
    """A picture: its finding as the title, and panels under each other."""

    title: str
    lines: list[Line]
    rounds: str = ""  # what the rounds are in
    subtitle: str = ""
    notes: list[str] = field(default_factory=list)  # at the foot
    width: float = WIDTH

    @property
    def about(self) -> About:
        parts = []
        for line in self.lines:
            said = [f"{median_text(line)} {self.rounds}"] if line.rounds else []
            said += [f"p50 {duration(points_near(line, 2.0))}"] if points_of(line) else []
            parts.append(f"{line.name}: {', '.join(said)}")
        return About(self.title, "; ".join(parts + self.notes), "plot")

    def draw(self) -> Canvas:
        measure = Canvas(self.width, 10)
        title = measure.wrap(self.title, self.width - 2 * MARGIN, TITLE_PX, 3, bold=True)
        panels = self.list_panels(measure)
        below = (
            measure.wrap(self.subtitle, self.width - 2 * MARGIN, lines=2) if self.subtitle else []
        )
        top = 26.0 + 19 * len(title) + 15 * len(below)
        foot = 15 * len(self.notes)
        height = top + sum(panel.height + panel.below + 22 for panel in panels) + foot
        canvas = Canvas(self.width, height)
        for n, text in enumerate(title):
            canvas.write(MARGIN, 24 + 19 * n, text, INK, size=TITLE_PX, bold=True)
        for n, text in enumerate(below):
            canvas.write(MARGIN, 23 + 19 * len(title) + 15 * n, text, QUIET)
        for panel in panels:
            top += 22
            wide = self.width - panel.left - panel.right
            panel.draw(canvas.add_axes(Box(panel.left, top, wide, panel.height)))
            top += panel.height + panel.below
        for n, note in enumerate(self.notes):
            text = measure.cut(note, self.width - 2 * MARGIN, 9.5)
            canvas.write(MARGIN, height - 12 - 15 * n, text, QUIET, size=9.5)
        return canvas

    def list_panels(self, measure: Canvas) -> list[Panel]:
        """The panels that there is something for."""
        found = []
        lines = self.lines
        names = max((measure.measure(line.name) for line in lines), default=0.0)
        room = min(names, LONGEST_LABEL)
        if any(line.rounds for line in lines):
            found.append(self.rounds_panel(measure, room))
        curves = [line for line in lines if line.has_curve]
        if curves:
            found.append(percentiles_panel(measure, curves, room))
        if rated := [line for line in lines if len(line.curve) > 1]:
            found.append(Panel(CURVE_PX, lambda axes: draw_rates(axes, rated)))
        if timed := [line for line in lines if len(line.series) > 1]:
            found.append(Panel(CURVE_PX, lambda axes: draw_seconds(axes, timed)))
        for line in lines:
            if sum(bool(second.histogram) for second in line.series) > 1:
                found.append(heat_panel(line))
        return found

    def rounds_panel(self, measure: Canvas, room: float) -> Panel:
        lines = [line for line in self.lines if line.rounds]

        def draw(axes: Axes) -> None:
            draw_rounds(axes, lines, self.rounds)
            label_rows(axes, lines, [measure.cut(line.name, room) for line in lines], MARGIN)

        return Panel(ROW_PX * len(lines), draw, left=room + 2 * MARGIN, below=30, right=70)


def percentiles_panel(measure: Canvas, lines: Sequence[Line], room: float) -> Panel:
    """Percentile curves; the ends of the lines are labelled where there is room."""
    shown = [replace(line, name=measure.cut(line.name, room)) for line in lines]
    is_labelled = len(shown) > 1
    height = max(CURVE_PX, LABEL_GAP_PX * len(shown))

    def draw(axes: Axes) -> None:
        ends = draw_percentiles(axes, shown)
        if is_labelled:
            label_ends(axes, ends, height)

    return Panel(height, draw, right=room + 2 * MARGIN if is_labelled else 40)


def heat_panel(line: Line) -> Panel:
    return Panel(CURVE_PX, lambda axes: draw_heat(axes, line))


# ---- What was found --------------------------------------------------------------------
def make_sheet(
    records: Sequence[Record], everything: bool = False, sources: Sequence[str] = ()
) -> Sheet:
    """What a picture of these records holds. Raises Unreadable where that is nothing."""
    if len(sources) != len(records):  # they were merged, or a file held several
        sources = [record.name for record in records]
    lines: list[Line] = []
    files: list[str] = []
    for record, source in zip(records, sources, strict=True):
        found = lines_of(record, everything, (len(set(files)), len(lines)), len(records) == 1)
        lines += found
        files += [say_day(record) if isinstance(record, Result) else source] * len(found)
    lines = tell_apart(lines, files)
    if not any(line.rounds or line.has_curve or len(line.series) > 1 for line in lines):
        raise Unreadable(f"{' and '.join(sources)}: {nothing_in(records)}")
    only = records[0]
    rounds = METRICS[Metric.THROUGHPUT]
    if len(records) == 1 and isinstance(only, Result):
        finding = Finding(only)
        rounds = title_of(metric_of(finding))
        return Sheet(
            find_title(finding),
            lines,
            rounds,
            say_claim(finding),
            [say_origin(finding, len(lines))],
        )
    return Sheet(say_runs(records, lines), lines, rounds)


def nothing_in(records: Sequence[Record]) -> str:
    if any(isinstance(record, Result) and record.evidence for record in records):
        return "nothing to draw: it is about answers, not about time"
    return "nothing to draw: it has neither rounds nor response times"


def lines_of(
    record: Record, everything: bool, before: tuple[int, int], is_alone: bool
) -> list[Line]:
    """The lines of a record that comes after so many files and lines. Arms keep their colours,
    and the lines of a second file are dashed.
    """
    files, lines = before
    if not isinstance(record, Result):
        line = line_of_run(record.name, record, choose_look(lines))
        rate = None if is_alone else record.throughput
        return [replace(line, rounds=[rate]) if rate else line]
    found = lines_of_result(Finding(record), everything)
    dashes = FILE_DASHES[files % len(FILE_DASHES)]
    return [
        replace(line, look=replace(line.look, dashes=dashes or line.look.dashes)) for line in found
    ]


def find_title(finding: Finding) -> str:
    """The finding of a result in words."""
    result = finding.result
    if headline := finding.headline:
        return f"{sentence_of(headline)} ({interval_of(headline)})"
    if not result.claim and result.ratios:
        ratio = result.ratios[0]
        return f"{sentence_of(ratio)} ({interval_of(ratio)})"
    title = result.title
    return f"{title}: {result.verdict.lower()}" if result.verdict else title


def say_claim(finding: Finding) -> str:
    """The claim that a finding is about, and its verdict."""
    result = finding.result
    if not result.claim or not finding.headline:
        return ""
    claimed = claimed_of(finding.headline)
    said = [f"{finding.number} {result.title}", result.verdict]
    return " · ".join([*said, f"claimed {claimed}"] if claimed else said)


def say_origin(finding: Finding, shown: int) -> str:
    """When and with what it was measured, and how much of it is shown."""
    result = finding.result
    arms = f"{shown} of {count_of(len(result.arms), 'arm')}"
    made = f"Python {result.environment.python}, {list_versions(result.environment.packages)}"
    return f"{arms} · {result.started[:10]} · {made}"


def say_day(result: Result) -> str:
    """When it was recorded: "2026-11-20 15:23"."""
    return result.started[:16].replace("T", " ")


def say_runs(records: Sequence[Record], lines: Sequence[Line]) -> str:
    """What runs say beside each other; of single runs there is no interval."""
    runs = [record for record in records if not isinstance(record, Result)]
    results = [record for record in records if isinstance(record, Result)]
    if results:
        titles = dict.fromkeys(f"{Finding(result).number} {result.title}" for result in results)
        return " · ".join([*titles, *(run.name for run in runs)])
    rates = [run.throughput for run in runs]
    if len(runs) == 1:
        return say_run(runs[0])
    if len(runs) == 2 and all(rates):
        (a, b), first, second = (rate or 1.0 for rate in rates), lines[0].name, lines[1].name
        if a < b:
            a, b, first, second = b, a, second, first
        return f"{first} answered {a / b:.2f}× as many requests/s as {second} (one run each)"
    known = [(rate, line.name) for rate, line in zip(rates, lines, strict=True) if rate]
    if not known:
        return " · ".join(line.name for line in lines)
    rate, name = max(known)
    return f"{name} answered the most: {three_digits(rate)} requests/s (one run each)"


def say_run(run: Run | Foreign) -> str:
    parts = [f"{three_digits(run.throughput)} requests/s"] if run.throughput else []
    if isinstance(run, Run) and run.slo and run.slo.sought and run.slo.max_rate:
        return f"{run.name} holds {run.slo.asked} up to {three_digits(run.slo.max_rate)} requests/s"
    for key in ("p50", "p99"):
        if time_s := run.latency_s.get(key):
            parts.append(f"{key} {duration(time_s)}")
    if run.failed:
        parts.append(f"{run.failed} failed")
    return f"{run.name}: {', '.join(parts)}" if parts else run.name
