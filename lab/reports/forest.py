"""The forest plot: all claims on one axis, what was measured beside what was claimed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.facts.results import MeasuredRatio
from lab.facts.text import count_of
from lab.facts.verdict import Word
from lab.reports.canvas import BAND, FIRST, GRID, INK, PAPER, QUIET, Box, Canvas
from lab.reports.finding import Finding, claimed_of, count_words, order, times_of
from lab.reports.svg import About

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
TITLE_PX, HEAD_PX = 12.0, 15.0
WORD_COLOURS = {
    Word.REPRODUCED: "#116329",
    Word.EXAGGERATED: "#7a5200",
    Word.UNDERSTATED: "#6639ba",
    Word.NOT_REPRODUCED: "#b3261e",
}
HOW_TO_READ = (
    "Each ratio is how many times as fast, on a log axis. Reproduced means: between half and twice "
    "the gain that was claimed, or in the range that a word such as “slightly” stands for."
)
LANE = 9  # pixels from the lane of what is measured down to that of old versions and control


@dataclass(frozen=True)
class Layout:
    """Where things are, in pixels: beside each other, or on a phone under each other."""

    width: float
    title_width: float
    title_lines: int
    axis: tuple[float, float]  # left and right end
    figures: float  # where the column of figures ends; 0: it has none
    words: float  # where the verdicts begin
    row: float  # height of a row beside its title

    @property
    def is_narrow(self) -> bool:
        return not self.figures


WIDE = Layout(1000, 415, 2, (440, 750), 838, 850, 30)
NARROW = Layout(336, 330, 3, (18, 322), 0, 0, 54)


@dataclass(frozen=True)
class Row:
    """A claim in the forest, and how far down it is."""

    finding: Finding
    title: list[str]
    top: float
    height: float


@dataclass
class Forest:
    """Lays out the rows of all claims, and draws them. `link` is put before "#claim-03"."""

    findings: Sequence[Finding]
    layout: Layout = WIDE
    link: str = ""
    is_titled: bool = True
    rows: list[Row] = field(default_factory=list)
    heads: list[tuple[str, float]] = field(default_factory=list)  # of groups, with their tops

    def draw(self) -> Canvas:
        height = self.place(Canvas(self.layout.width, 10))
        canvas = Canvas(self.layout.width, height)
        left, right = self.layout.axis
        top, bottom = self.heads[0][1], height - 26
        axes = canvas.add_axes(Box(left, top, right - left, bottom - top))
        self.prepare(axes, canvas, bottom - top)
        for group, y in self.heads:
            canvas.write(0 if self.layout.is_narrow else 8, y + 19, group, size=13, bold=True)
        for row in self.rows:
            self.write_row(canvas, row)
            draw_marks(axes, row.finding, self.lane_of(row) - top)
        self.write_head(canvas)
        return canvas

    def place(self, canvas: Canvas) -> float:
        """Fill in the rows; how high the whole is. `canvas` measures texts."""
        self.rows, self.heads = [], []
        y = self.height_of_head(canvas)
        for group, findings in order(self.findings):
            self.heads.append((group, y))
            y += 30
            for finding in findings:
                title = self.wrap_title(canvas, finding)
                spare = 16 * (len(title) - (0 if self.layout.is_narrow else 1))
                height = self.layout.row + spare - (0 if self.layout.is_narrow else spare / 4)
                self.rows.append(Row(finding, title, y, height))
                y += height
            y += 6
        return y + 26

    def wrap_title(self, canvas: Canvas, finding: Finding) -> list[str]:
        words = f"{finding.number}  {finding.result.title}"
        lines = self.layout.title_lines
        return canvas.wrap(words, self.layout.title_width, TITLE_PX, lines)

    def lane_of(self, row: Row) -> float:
        if self.layout.is_narrow:
            return row.top + row.height - 25
        return row.top + row.height / 2 - 3

    @property
    def limits(self) -> tuple[float, float]:
        return find_limits(self.findings)

    def x_of(self, ratio: float) -> float:
        """How far right a ratio is, in pixels."""
        (left, right), (low, high) = self.layout.axis, self.limits
        return left + math.log(ratio / low) / math.log(high / low) * (right - left)

    def ratio_at(self, x: float) -> float:
        """The ratio that is so far right."""
        (left, right), (low, high) = self.layout.axis, self.limits
        return low * math.exp((x - left) / (right - left) * math.log(high / low))

    def prepare(self, axes: Axes, canvas: Canvas, height: float) -> None:
        """The axis, its grid from the first to the last row, and the line of "the same"."""
        low, high = self.limits
        axes.set(xscale="log", xlim=(low, high), ylim=(height, 0), yticks=[])
        axes.grid(False)
        axes.set_xticks([], minor=True)
        axes.set_xticks([])
        across = [self.ratio_at(0), self.ratio_at(self.layout.width)]
        for _, y in self.heads:
            top = y - self.heads[0][1]
            axes.fill_between(across, top, top + 26, color=BAND, lw=0, clip_on=False)
        for tick in (tick for tick in TICKS if low <= tick <= high):
            colour, width = (INK, 1.2) if tick == 1 else (GRID, 1.0)
            for top, bottom in self.spans():
                axes.plot([tick, tick], [top, bottom], color=colour, lw=width, clip_on=False)
            for y in (self.heads[0][1] - 6, canvas.height - 12):
                words = INK if tick == 1 else QUIET
                canvas.write(self.x_of(tick), y, f"{tick:g}×", words, "center")

    def spans(self) -> list[tuple[float, float]]:
        """From where to where grid lines go: past the rows, and not through the heads."""
        first = self.heads[0][1]
        found: list[tuple[float, float]] = []
        for row in self.rows:
            top, bottom = row.top - first, row.top + row.height - first
            if self.layout.is_narrow:
                top = self.lane_of(row) - first - 7
            if found and abs(found[-1][1] - top) < 1:
                found[-1] = found[-1][0], bottom
            else:
                found.append((top, bottom))
        return found

    def write_row(self, canvas: Canvas, row: Row) -> None:
        """Its title as a link, its figures and its verdict."""
        finding, lane = row.finding, self.lane_of(row)
        x, base = 0.0, row.top + 13
        if not self.layout.is_narrow:
            x, base = 8.0, row.top + row.height / 2 + 4 - 7 * (len(row.title) - 1)
        link = f"{self.link}#claim-{finding.number}"
        for n, line in enumerate(row.title):
            canvas.write(x, base + 14.5 * n, line, size=TITLE_PX, link=link)
        word, beside = finding.result.verdict, ""
        if finding.result.another_reason:
            beside = "for another reason"
        colour = WORD_COLOURS.get(finding.word or Word.INCONCLUSIVE, QUIET)
        measured = claimed = ""
        if finding.headline:
            measured, claimed = times_of(finding.headline), claimed_of(finding.headline)
        claimed = f"claimed {claimed}" if claimed else ""
        if self.layout.is_narrow:
            said = ", ".join(filter(None, (word, beside)))
            figures = ", ".join(filter(None, (measured, claimed)))
            canvas.write(0, lane - 9, said, colour, bold=True, size=10)
            canvas.write(self.layout.width, lane - 9, figures, INK, "right", size=10)
            return
        canvas.write(self.layout.words, lane + 4, word, colour, bold=True)
        canvas.write(self.layout.words, lane + 15, beside, QUIET, size=9.5)
        canvas.write(self.layout.figures, lane + 4, measured, INK, "right", bold=True)
        canvas.write(self.layout.figures, lane + 15, claimed, QUIET, "right", size=9.5)

    def list_head(self, canvas: Canvas) -> list[tuple[str, float, bool]]:
        """The lines above the legend: text, size, and whether it is bold."""
        if not self.is_titled:
            return []
        title = f"{count_of(len(self.findings), 'claim')} about Python web servers, put to the test"
        counts = count_words(self.findings)
        words = ", ".join(f"{count} {word.lower()}" for word, count in counts.items())
        wide = self.layout.width - 8
        return [
            *((line, HEAD_PX, True) for line in canvas.wrap(title, wide, HEAD_PX, 2, bold=True)),
            *((line, TITLE_PX, False) for line in canvas.wrap(f"{words}.", wide, TITLE_PX, 2)),
            *((line, TITLE_PX, False) for line in canvas.wrap(HOW_TO_READ, wide, TITLE_PX, 3)),
        ]

    def height_of_head(self, canvas: Canvas) -> float:
        legend = 4 * 15 if self.layout.is_narrow else 15
        return sum(size + 5 for _, size, _ in self.list_head(canvas)) + legend + 54.0

    def write_head(self, canvas: Canvas) -> None:
        """What the picture shows, what its marks mean, and how the axis is read."""
        x, y = (0.0 if self.layout.is_narrow else 8.0), 0.0
        for line, size, bold in self.list_head(canvas):
            y += size + 5
            canvas.write(x, y, line, size=size, bold=bold)
        draw_legend(canvas, x, y + 20, self.layout.is_narrow)
        left, right = self.layout.axis
        same, y = self.x_of(1), self.heads[0][1] - 20
        canvas.write(same, y, "the same", INK, "center")
        canvas.write(right + 12, y, "as claimed, and more →", QUIET, "right")
        if same - left > 110:
            canvas.write(same - 34, y, "← opposite", QUIET, "right")


def find_limits(findings: Sequence[Finding]) -> tuple[float, float]:
    """The ends of the axis: around all that is drawn, and 1."""
    values = [0.8, 2.0]
    for finding in findings:
        for ratio in drawn_ratios(finding):
            values += [ratio.estimate, ratio.low, ratio.high]
        values += list_claimed(finding.headline)
    known = [value for value in values if 0.05 <= value <= 1000]
    return min(known) / 1.15, max(known) * 1.15


def list_claimed(ratio: MeasuredRatio | None) -> list[float]:
    """What is claimed of a ratio: nothing, a figure, or both ends of a range."""
    if ratio is None or ratio.claimed is None:
        return []
    ends = ratio.claimed if isinstance(ratio.claimed, tuple) else (ratio.claimed,)
    return [end for end in ends if 0 < end < math.inf]


def drawn_ratios(finding: Finding) -> list[MeasuredRatio]:
    """What of a claim has a mark: measured, then, and one control."""
    if not (headline := finding.headline):
        return []
    then = finding.then_of(headline)
    return [headline, *([then] if then else []), *finding.controls[:1]]


def draw_marks(axes: Axes, finding: Finding, y: float) -> None:
    """What was measured and claimed in the upper lane, old versions and control below."""
    headline = finding.headline
    low, high = axes.get_xlim()
    if headline is None:
        is_open = finding.word in (Word.INCONCLUSIVE, None)
        said = "not decided yet" if is_open else "about behaviour, not speed"
        axes.text(1.15, y + 4, said, color=QUIET, style="italic", backgroundcolor=PAPER)
        return
    if ends := list_claimed(headline):
        nearest = min(ends, key=lambda end: abs(math.log(end / headline.estimate)))
        dots = (0, (1, 2.5))
        axes.plot([nearest, headline.estimate], [y, y], color=QUIET, lw=1, ls=dots, clip_on=False)
        if len(ends) > 1:
            axes.plot(ends, [y] * len(ends), color=QUIET, lw=1, clip_on=False)
        axes.plot(ends, [y] * len(ends), "D", ms=6, ls="", mfc=PAPER, mec=INK, mew=1.3)
    for control in finding.controls[:1]:
        draw_interval(axes, control, y + LANE, QUIET, low, high)
        axes.plot([control.estimate], [y + LANE], "s", ms=5, color=QUIET, mew=0)
    if then := finding.then_of(headline):
        draw_interval(axes, then, y + LANE, FIRST, low, high)
        axes.plot([then.estimate], [y + LANE], "o", ms=6, mfc=PAPER, mec=FIRST, mew=1.3)
    draw_interval(axes, headline, y, FIRST, low, high, 2.4)
    axes.plot([headline.estimate], [y], "o", ms=7, color=FIRST, mew=1)


def draw_interval(
    axes: Axes, ratio: MeasuredRatio, y: float, colour: str, low: float, high: float,
    width: float = 1.2,
) -> None:  # fmt: skip
    ends = [min(max(end, low), high) for end in (ratio.low, ratio.high)]
    axes.plot(ends, [y, y], color=colour, lw=width, clip_on=False)


def draw_legend(canvas: Canvas, left: float, y: float, is_narrow: bool) -> None:
    """Each mark with its meaning."""
    meanings = (
        ("o", FIRST, FIRST, "measured, with 95 % interval"),
        ("D", PAPER, INK, "what the source claims"),
        ("o", PAPER, FIRST, "measured on the old versions"),
        ("s", QUIET, QUIET, "control: one thing made equal"),
    )
    axes = canvas.add_axes(Box(0, 0, canvas.width, canvas.height))
    axes.set(xlim=(0, canvas.width), ylim=(canvas.height, 0))
    axes.axis("off")
    x = left + 5
    for marker, fill, edge, meaning in meanings:
        axes.plot([x], [y - 4], marker, ms=6, mfc=fill, mec=edge, mew=1.3 if fill == PAPER else 1)
        canvas.write(x + 9, y, meaning, QUIET)
        if is_narrow:
            y += 15
        else:
            x += canvas.measure(meaning) + 32


def about_forest(findings: Sequence[Finding], prefix: str, is_beside_table: bool = False) -> About:
    """What a forest shows, in words: all that its marks say, or where else it stands."""
    title = f"Forest plot of {count_of(len(findings), 'claim')}: measured beside claimed"
    if is_beside_table:
        return About(title, "The same figures stand in the table of claims below.", prefix)
    lines = []
    for finding in findings:
        said = f"{finding.number} {finding.result.title}: {finding.result.verdict}"
        if headline := finding.headline:
            said += f", measured {times_of(headline)}"
            claimed = claimed_of(headline)
            said += f", claimed {claimed}" if claimed else ""
        lines.append(said)
    return About(title, "; ".join(lines), prefix)
