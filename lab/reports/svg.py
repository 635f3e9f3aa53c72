"""Matplotlib's SVG made small, readable by a screen reader, and dark where the reader's page is.

What matplotlib writes is ten times as long as it need be: each tick repeats its font, each dot
is an element. Here lines that look alike are joined into one path, texts that look alike into
a group, and numbers rounded to a tenth of a pixel, those of texts to a whole one. Colours stay
attributes, so that any program shows the picture; a style sheet that only browsers read exchanges
them for a dark page.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET  # of our own output, never of a file
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from lab.facts.text import harmless

SVG, HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
FONT_PX = 11.0
KEPT = (
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray",
    "font-size", "font-weight", "font-style", "text-anchor",
)  # fmt: skip
DEFAULTS = {"stroke-width": "1", "font-size": f"{FONT_PX:g}px", "text-anchor": "start"}
SHARED = ("fill", "stroke")  # of paths in a row: said once, by a group
SAME_PX = 0.5  # dots that are closer lie on one another
DOT = "h0"  # a line of no length, whose round ends are a disc
Attributes = dict[str, str]
Point = tuple[float, float]


@dataclass(frozen=True)
class About:
    """What a picture says to who does not see it, and what tells its ids from those of others."""

    title: str
    description: str
    prefix: str


def _number(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _join(numbers: Sequence[float]) -> str:
    """Numbers with a space only where it is needed: "3.5-2"."""
    found = ""
    for number in numbers:
        text = re.sub(r"^(-?)0\.", r"\1.", _number(number))
        found += text if text.startswith("-") or not found else f" {text}"
    return found


def _read_path(path: str) -> Iterator[tuple[str, list[Point]]]:
    for letter, numbers in re.findall(r"([MLCQz])([^MLCQz]*)", path):
        values = [float(value) for value in numbers.split()]
        yield letter, list(zip(values[::2], values[1::2], strict=True))


def shorten_path(path: str, dx: float = 0.0, dy: float = 0.0) -> str:
    """The same path, moved: rounded, and with short steps in place of points."""
    parts: list[str] = []
    x = y = 0.0
    level = 0.0  # steps to the side, not yet written
    letter = ""
    for command, points in [*_read_path(path), ("", [])]:
        moved = [(round(px + dx, 1), round(py + dy, 1)) for px, py in points]
        steps = [moved[-1][0] - x, moved[-1][1] - y] if moved else [0.0, 0.0]
        x, y = moved[-1] if moved else (x, y)
        if command == "L" and abs(steps[1]) < 0.05:
            level += steps[0]
            continue
        if abs(level) >= 0.05:
            parts.append(f"h{_join([level])}")
            letter = "h"
        level = 0.0
        if command == "L" and abs(steps[0]) < 0.05:
            parts.append(f"v{_join([steps[1]])}")
            letter = "v"
        elif command == "L":
            numbers = _join(steps)
            gap = "" if letter != "l" or numbers.startswith("-") else " "
            parts.append(f"{gap if letter == 'l' else 'l'}{numbers}")
            letter = "l"
        else:
            parts.append(command + _join([number for point in moved for number in point]))
            letter = command
    return "".join(parts)


def _attributes_of(element: ET.Element) -> Attributes:
    """The presentation of an element: its style as attributes, without what goes unsaid."""
    style = element.get("style", "")
    said = dict(part.strip().split(": ", 1) for part in style.split(";") if ": " in part)
    kept = {key: said[key] for key in KEPT if key in said and said[key] != DEFAULTS.get(key)}
    if "stroke-dasharray" in kept:  # all other lines end round, as dots do
        kept["stroke-linecap"] = "butt"
    for key in ("stroke-width", "fill-opacity", "stroke-opacity"):
        if key in kept:
            kept[key] = f"{float(kept[key]):.2g}"
    if kept.get("fill-opacity") == "0":
        del kept["fill-opacity"]
        kept["fill"] = "none"
    return kept


def _is_visible(shown: Attributes) -> bool:
    return "stroke" in shown or shown.get("fill") != "none"


def _chain(paths: Sequence[str]) -> str:
    """Paths in a row as one; dots on the same height as steps from one to the next, but for those
    that nobody could tell from the last.
    """
    found, last = "", None
    for path in paths:
        dot = re.fullmatch(rf"M(-?[\d.]+)([ -][\d.]+){DOT}", path)
        if dot and last and dot[2] == last[1]:
            if abs(float(dot[1]) - float(last[0])) < SAME_PX:
                continue
            found += f"m{_join([float(dot[1]) - float(last[0])])} 0{DOT}"
        else:
            found += path
        last = (dot[1], dot[2]) if dot else None
    return found


def _written(attributes: Attributes) -> str:
    return "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())


@dataclass(frozen=True)
class _Text:
    """A text, how it looks, and what it leads to."""

    look: Attributes
    place: Attributes
    words: str
    link: str = ""

    @property
    def fill(self) -> Attributes:
        return {"fill": self.look["fill"]} if "fill" in self.look else {}

    def write(self, own: Attributes) -> str:
        text = f"<text{_written(self.place | own)}>{escape(self.words)}</text>"
        return f"<a href={quoteattr(self.link)}>{text}</a>" if self.link else text


def _without_fill(look: Attributes) -> Attributes:
    return {key: value for key, value in look.items() if key != "fill"}


@dataclass
class _Writer:
    """Collects the elements of a picture, and joins paths that look alike. Texts come last."""

    ink: str
    prefix: str
    parts: list[tuple[Attributes, str, Attributes]] = field(default_factory=list)
    texts: list[_Text] = field(default_factory=list)
    shapes: dict[str, str] = field(default_factory=dict)  # paths of markers, by their ids
    clips: dict[str, str] = field(default_factory=dict)  # new ids of clip paths, by their old
    paths: dict[str, None] = field(default_factory=dict)  # what looks alike, each once
    look: Attributes = field(default_factory=dict)

    def flush(self) -> None:
        if self.paths:
            self.add_part("path", self.look, {"d": _chain(list(self.paths))})
        self.paths = {}

    def add_part(self, tag: str, look: Attributes, place: Attributes) -> None:
        shared = {key: look[key] for key in SHARED if key in look}
        own = {key: value for key, value in look.items() if key not in SHARED}
        self.parts.append((shared, tag, own | place))

    def add_path(self, path: str, look: Attributes) -> None:
        if look != self.look:
            self.flush()
            self.look = look
        self.paths[path] = None

    def read(self, element: ET.Element, clip: str = "") -> None:
        tag = element.tag.removeprefix(SVG)
        clip = element.get("clip-path", clip)
        if tag == "path":
            look = _attributes_of(element)
            if _is_visible(look):
                self.add_path(shorten_path(element.get("d", "")), look | self.clip_by(clip))
        elif tag == "use":
            self.read_marker(element)
        elif tag == "text":
            self.read_text(element)
        elif tag == "a":
            for text in element.iter(f"{SVG}text"):
                self.read_text(text, element.get(HREF, ""))
        elif tag == "defs":
            self.shapes |= {
                shape.get("id", ""): shape.get("d", "") for shape in element.iter(f"{SVG}path")
            }
        elif tag in ("svg", "g"):
            for child in element:
                self.read(child, clip)

    def clip_by(self, clip: str) -> Attributes:
        if not clip:
            return {}
        new = self.clips.setdefault(clip[5:-1], f"{self.prefix}-c{len(self.clips)}")
        return {"clip-path": f"url(#{new})"}

    def read_marker(self, element: ET.Element) -> None:
        """Markers of straight lines become part of a path; a full disc is the round end of a
        line of no length, which takes the least room.
        """
        shape = self.shapes[element.get(HREF, "")[1:]]
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        look = _attributes_of(element)
        if "C" not in shape:
            self.add_path(shorten_path(shape, x, y), look)
            return
        radius = max(abs(px) for _, points in _read_path(shape) for px, _ in points)
        edge = look.get("stroke")
        if look.get("fill") != "none" and edge in (None, look.get("fill")):
            width = 2 * radius + (float(look.get("stroke-width", 1)) if edge else 0)
            dot = {"fill": "none", "stroke": look.get("fill", self.ink)}
            dot["stroke-width"] = _number(width)
            if "fill-opacity" in look:
                dot["stroke-opacity"] = look["fill-opacity"]
            self.add_path(f"M{_join([x, y])}{DOT}", dot)
            return
        self.flush()
        place = {"cx": _number(x), "cy": _number(y), "r": _number(radius)}
        self.add_part("circle", look, place)

    def read_text(self, element: ET.Element, link: str = "") -> None:
        look = _attributes_of(element)
        if look.get("fill") == self.ink:
            del look["fill"]
        turn = element.get("transform", "")
        place = {key: f"{float(element.get(key, 0)):.0f}" for key in ("x", "y")}
        if turn and not turn.startswith("rotate(-0 "):
            rounded = re.sub(r"-?\d+\.\d+", lambda found: _number(float(found[0])), turn)
            place = {"transform": rounded}
        self.texts.append(_Text(look, place, "".join(element.itertext()), link))

    def group_parts(self) -> Iterator[str]:
        """The paths in their order, those in a row of the same colours in a group."""
        for shared, found in groupby(self.parts, key=lambda part: part[0]):
            parts = [(tag, own) for _, tag, own in found]
            if len(parts) == 1:
                tag, own = parts[0]
                yield f"<{tag}{_written(shared | own)}/>"
                continue
            inner = "".join(f"<{tag}{_written(own)}/>" for tag, own in parts)
            yield f"<g{_written(shared)}>{inner}</g>"

    def group_texts(self) -> Iterator[str]:
        """The texts in their order, those in a row that look alike, but for the colour, in a
        group.
        """
        for rest, found in groupby(self.texts, key=lambda text: _without_fill(text.look)):
            texts = list(found)
            fills = {text.look.get("fill") for text in texts}
            look = texts[0].look if len(fills) == 1 else rest
            words = "".join(text.write({} if len(fills) == 1 else text.fill) for text in texts)
            yield f"<g{_written(look)}>{words}</g>" if look else words


def _clip_paths(root: ET.Element, clips: Mapping[str, str]) -> Iterator[str]:
    for clip in root.iter(f"{SVG}clipPath"):
        rect = clip.find(f"{SVG}rect")
        if rect is not None and (new := clips.get(clip.get("id", ""))):
            box = {key: _number(float(rect.get(key, 0))) for key in ("x", "y", "width", "height")}
            yield f'<clipPath id="{new}"><rect{_written(box)}/></clipPath>'


def slim(drawn: str, about: About, ink: str, style: str | None = None) -> str:
    """The picture that matplotlib drew, small, with a title and a description. `ink` is the
    colour that goes without saying. With a style it stands alone; without, its page has one.
    """
    root = ET.fromstring(drawn)
    writer = _Writer(ink, about.prefix)
    writer.read(root)
    writer.flush()
    _, _, width, height = (math.ceil(float(n)) for n in root.get("viewBox", "0 0 0 0").split())
    texts = "".join(writer.group_texts())
    names = f"{about.prefix}-t {about.prefix}-d"
    head = {
        "viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height),
        # what has links is a group of them: an image would hide them from a screen reader
        "role": "group" if "<a " in texts else "img",
        "aria-labelledby": names, "font-size": f"{FONT_PX:g}", "stroke-linecap": "round",
    }  # fmt: skip
    sheet = ""
    if style is not None:
        head |= {"xmlns": "http://www.w3.org/2000/svg", "font-family": FONT, "fill": ink}
        sheet = f"<style>{style}</style>"
    said = (
        f'<title id="{about.prefix}-t">{escape(harmless(about.title))}</title>'
        f'<desc id="{about.prefix}-d">{escape(harmless(about.description))}</desc>'
    )
    clips = "".join(_clip_paths(root, writer.clips))
    body = "".join(writer.group_parts()) + texts
    return f"<svg{_written(head)}>{said}{sheet}{clips}{body}</svg>"
