"""What all pictures share: colours for light and dark, sizes in pixels, and how one is saved.

matplotlib is imported when a picture is drawn, and not before.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.facts.arrays import np
from lab.reports.svg import FONT_PX, About, slim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

PX = 1 / 72  # inches: matplotlib counts in points, and one of them is a pixel here
PNG_SCALE, PNG_COLOURS = 2, 64
PAPER, INK, QUIET, GRID, BAND = "#ffffff", "#1f2328", "#59636e", "#d1d9e0", "#f3f5f7"
FIRST, SECOND = "#0b5cad", "#a04100"  # the arm that a claim praises, and the other
MORE = ("#116329", "#6639ba", "#0e6f7c", "#a21f6a", "#7a5200", "#b3261e")
DARK = {
    PAPER: "#0d1117", INK: "#e6edf3", QUIET: "#9198a1", GRID: "#3d444d", BAND: "#161b22",
    FIRST: "#6cb6ff", SECOND: "#ffa657", "#116329": "#56d364", "#6639ba": "#d2a8ff",
    "#0e6f7c": "#39c5cf", "#a21f6a": "#ff9bce", "#7a5200": "#e3b341", "#b3261e": "#ff8182",
}  # fmt: skip
LINE = 1.6


def dark_rules(scope: str = "") -> str:
    """CSS that exchanges each colour of a light picture for its dark one."""
    return "".join(
        f'{scope}[{part}="{light}"]{{{part}:{dark}}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )


DARK_STYLE = f"@media(prefers-color-scheme:dark){{{dark_rules()}}}"
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "lab", "font.size": FONT_PX,
    "font.family": "DejaVu Sans", "path.simplify": False, "text.parse_math": False,
    "text.color": INK, "axes.labelcolor": QUIET, "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET, "axes.facecolor": "none", "axes.axisbelow": True,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 1, "lines.linewidth": LINE,
    "axes.titlelocation": "left", "axes.titlecolor": INK,
    **{f"{text}size": FONT_PX for text in ("axes.title", "axes.label", "xtick.label",
                                           "ytick.label")},
    **{f"{axis}tick.{rank}.size": 0 for axis in "xy" for rank in ("major", "minor")},
    **{f"axes.spines.{side}": False for side in ("top", "right", "bottom", "left")},
}  # fmt: skip


@dataclass(frozen=True)
class Box:
    """A place in a picture, in pixels from its top left corner."""

    left: float
    top: float
    width: float
    height: float


class Canvas:
    """A picture that grows downwards, in pixels. Drawn within `styled`."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Figure = Figure(figsize=(width * PX, height * PX), dpi=72)
        agg: Any = FigureCanvasAgg(self.figure)
        self.renderer = agg.get_renderer()

    def add_axes(self, box: Box) -> Axes:
        bottom = self.height - box.top - box.height
        place = (
            box.left / self.width, bottom / self.height,
            box.width / self.width, box.height / self.height,
        )  # fmt: skip
        return self.figure.add_axes(place)

    def write(
        self, x: float, y: float, words: str, colour: str = INK, align: str = "left",
        size: float = FONT_PX, bold: bool = False, link: str = "",
    ) -> None:  # fmt: skip
        """Put a line of text with its base at (x, y)."""
        self.figure.text(
            x / self.width, 1 - y / self.height, plain(words), color=colour, ha=align,
            va="baseline", size=size, weight=700 if bold else 400, url=link or None,
        )  # fmt: skip

    def measure(self, words: str, size: float = FONT_PX, bold: bool = False) -> float:
        """How wide a text is at most: readers' own fonts are narrower than this one."""
        from matplotlib.font_manager import FontProperties

        font = FontProperties(family="DejaVu Sans", size=size, weight=700 if bold else 400)
        width, _, _ = self.renderer.get_text_width_height_descent(plain(words), font, ismath=False)
        return float(width)

    def wrap(
        self, words: str, width: float, size: float = FONT_PX, lines: int = 2, bold: bool = False
    ) -> list[str]:
        """The words in at most so many lines of this width; what is too long ends in "…"."""
        found = [""]
        for word in words.split():
            longer = f"{found[-1]} {word}".strip()
            if self.measure(longer, size, bold) <= width or not found[-1]:
                found[-1] = longer
            else:
                found.append(word)
        if len(found) > lines:
            found = [*found[: lines - 1], " ".join(found[lines - 1 :])]
        return [self.cut(line, width, size, bold) for line in found]

    def cut(self, words: str, width: float, size: float = FONT_PX, bold: bool = False) -> str:
        """The words, or as many letters of them as fit, and "…"."""
        if self.measure(words, size, bold) <= width:
            return words
        while words and self.measure(f"{words}…", size, bold) > width:
            words = words[:-1]
        return f"{words.rstrip()}…"


def plain(words: str) -> str:
    """Text without control characters, which have no place in a picture."""
    return "".join(letter for letter in words if letter.isprintable())


def svg_of(draw: Callable[[], Canvas], about: About, standalone: bool = False) -> str:
    """The picture as SVG: for a page of ours, or with a ground and a style of its own."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        canvas = draw()
        written = io.StringIO()
        ground = PAPER if standalone else "none"
        canvas.figure.savefig(
            written, format="svg", facecolor=ground, edgecolor="none", metadata={"Date": None}
        )
    return slim(written.getvalue(), about, INK, DARK_STYLE if standalone else None)


def save(draw: Callable[[], Canvas], about: About, path: Path) -> None:
    """Write an .svg that is light or dark as its reader is, or a .png on white."""
    import matplotlib

    if path.suffix == ".svg":
        path.write_text(svg_of(draw, about, standalone=True) + "\n", encoding="utf-8")
        return
    with matplotlib.rc_context(STYLE):
        write_png(draw().figure, path)


def write_png(figure: Figure, path: Path) -> None:
    """A .png of twice the pixels, for sharp screens, in a palette, which is a third of the size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set(dpi=72 * PNG_SCALE, facecolor=PAPER)
    agg: Any = FigureCanvasAgg(figure)
    agg.draw()
    image = Image.fromarray(np.asarray(agg.buffer_rgba())).convert("RGB")
    image.quantize(PNG_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def use_plain_numbers(axis: Axis) -> None:
    """Numbers as they are said, "200" and not "2 × 10²", and not too many of them."""
    from matplotlib import ticker

    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: say_number(value)))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_minor_formatter(ticker.NullFormatter())


def say_number(value: float) -> str:
    """A tick: "0.5", "20", "10k"."""
    if value >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def hide_clips(axes: Axes) -> None:
    """Grid lines end at the axes anyway; to clip them would only be said once more for each."""
    for line in [*axes.get_xgridlines(), *axes.get_ygridlines()]:
        line.set_clip_on(False)
