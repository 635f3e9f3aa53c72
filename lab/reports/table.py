"""Tables and blocks of text, for a terminal and in Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from lab.facts.text import WIDTH, three_digits

INDENT = 4  # columns that the body of a result is moved in by
GAP = 2  # columns between two of a table
NARROWEST = 8  # to which a column of words is wrapped
_QUANTITY = re.compile(r"(?<=\d) (?=(?:s|ms|µs|ns|MB|kB|%)\b|%)")
_INTERVAL = re.compile(r"\(95.% CI [^()]*\)")
_SPECIAL = re.compile(r"[\\`*_\[\]<|&]")
KEPT = "\u00a0"  # a space at which no line is broken


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; `align` holds < or > for each column. In a terminal the
    columns of words are wrapped where the table would be wider than it may.
    """

    rows: list[list[str]]
    align: str
    words: tuple[int, ...] = (0,)
    width: int = field(default=WIDTH, kw_only=True)

    def to_lines(self) -> list[str]:
        widths = self._fit_widths()
        lines = []
        for row in self.rows:
            cells = [wrap_cell(cell, width) for cell, width in zip(row, widths, strict=True)]
            for n in range(max(map(len, cells))):
                parts = (cell[n] if n < len(cell) else "" for cell in cells)
                aligned = zip(parts, self.align, widths, strict=False)
                lines.append("  ".join(f"{part:{side}{width}}" for part, side, width in aligned))
        return lines

    def _fit_widths(self) -> list[int]:
        """The widths of the columns, those of words as narrow as the room asks for."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        while sum(widths) + GAP * (len(widths) - 1) > self.width:
            widest = max(self.words, key=lambda column: widths[column])
            if widths[widest] <= NARROWEST:
                break
            widths[widest] -= 1
        return widths

    def to_markdown(self) -> list[str]:
        ruler = ["---" if side == "<" else "--:" for side in self.align[: len(self.rows[0])]]
        rows = [[escape(cell) for cell in row] for row in self.rows]
        return [f"| {' | '.join(row)} |" for row in [rows[0], ruler, *rows[1:]]]


Block = list[str] | Table


def wrap_cell(text: str, width: int) -> list[str]:
    """The lines of a cell; a number and its unit stay together."""
    if len(text) <= width:
        return [text]
    lines = textwrap.wrap(keep_together(text), width, break_on_hyphens=False)
    return [line.replace(KEPT, " ") for line in lines]


def keep_together(text: str) -> str:
    """The text with spaces at which no line breaks before units and inside of intervals; these
    are plain again when it is rendered.
    """
    return _INTERVAL.sub(lambda found: found[0].replace(" ", KEPT), _QUANTITY.sub(KEPT, text))


def make_table(columns: Sequence[list[str]], width: int = WIDTH, words: int = 1) -> Table:
    """A table of columns, each its title and its cells; the first so many hold words."""
    align = "<" * words + ">" * (len(columns) - words)
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Table(rows, align, tuple(range(words)), width=width)


def format_cells(values: Iterable[float | None], unit: float = 1.0) -> list[str]:
    """Numbers of one column, in that unit; a dash for what is not known."""
    return ["-" if value is None else three_digits(value / unit) for value in values]


def escape(text: str) -> str:
    """The text as Markdown shows it, and does not take it for its own marks."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def render(blocks: Sequence[Block], markdown: bool = False, indent: int = 0) -> str:
    """Blocks under each other; in Markdown tables become tables, and the rest is fenced."""
    if markdown:
        return "\n\n".join(_write_markdown(blocks))
    texts = [
        _join(block.to_lines() if isinstance(block, Table) else block) for block in blocks if block
    ]
    return "\n\n".join(textwrap.indent(text, " " * indent) for text in texts)


def _write_markdown(blocks: Sequence[Block]) -> Iterator[str]:
    """Each table, and in one fence what lies between two of them."""
    for is_table, group in groupby(filter(None, blocks), lambda block: isinstance(block, Table)):
        if is_table:
            yield from (_join(block.to_markdown()) for block in group if isinstance(block, Table))
        else:
            yield _fence("\n\n".join(_join(block) for block in group if isinstance(block, list)))


def _join(lines: Sequence[str]) -> str:
    """Lines under each other, without blanks at their ends."""
    text = "\n".join(lines).replace(KEPT, " ")
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _fence(text: str) -> str:
    """The text in a fence longer than any in it."""
    longest = max((len(found) for found in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{text}\n{fence}"
