"""Matplotlib's SVG made small, readable by a screen reader, and dark where the reader's page is.

What matplotlib writes is four times as long as it need be: each tick repeats its font, each dot
is an element. Here lines alike are joined into one path, and numbers rounded to a tenth of a
pixel. Colours stay attributes, so that any program shows the picture; a style sheet that only
browsers read exchanges them where the reader prefers a dark page.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET  # of our own output, never of a file
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

SVG, HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
FONT_PX = 11.0
KEPT = (
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray",
    "stroke-linecap", "font-size", "font-weight", "font-style", "text-anchor",
)  # fmt: skip
DEFAULTS = {"stroke-width": "1", "stroke-linecap": "butt", "font-size": f"{FONT_PX:g}px"}
Attributes = dict[str, str]
Point = tuple[float, float]


@dataclass(frozen=True)
class About:
    """What a picture says to who does not see it, and what tells its ids from those of others."""

    title: str
    description: str
    prefix: str


def _number(value: float) -> str:
    text = f"{value:.1f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _pairs(numbers: str) -> list[Point]:
    values = [float(value) for value in numbers.split()]
    return list(zip(values[::2], values[1::2], strict=True))


def _read_path(path: str) -> Iterator[tuple[str, list[Point]]]:
    for letter, numbers in re.findall(r"([MLCQz])([^MLCQz]*)", path):
        yield letter, _pairs(numbers)


def shorten_path(path: str, dx: float = 0.0, dy: float = 0.0) -> str:
    """The same path, moved: rounded, and with H and V where a line is level or upright."""
    parts: list[str] = []
    last = ("", "")
    for letter, points in _read_path(path):
        moved = [(_number(x + dx), _number(y + dy)) for x, y in points]
        if letter == "L" and moved[-1] == last:
            continue
        if letter == "L" and moved[-1][1] == last[1]:
            parts.append(f"H{moved[-1][0]}")
        elif letter == "L" and moved[-1][0] == last[0]:
            parts.append(f"V{moved[-1][1]}")
        else:
            numbers = " ".join(f"{x} {y}" for x, y in moved)
            parts.append(f"{letter}{numbers}")
        last = moved[-1] if moved else last
    return "".join(parts)


def _attributes_of(element: ET.Element) -> Attributes:
    """The presentation of an element: its style as attributes, without what goes unsaid."""
    style = element.get("style", "")
    said = dict(part.strip().split(": ", 1) for part in style.split(";") if ": " in part)
    kept = {key: said[key] for key in KEPT if key in said and said[key] != DEFAULTS.get(key)}
    if kept.get("stroke-linecap") == "square":  # matplotlib's own way with grids and ticks
        del kept["stroke-linecap"]
    for key in ("stroke-width", "fill-opacity", "stroke-opacity"):
        if key in kept:
            kept[key] = f"{float(kept[key]):.2g}"
    if kept.get("fill-opacity") == "0":
        kept = {key: value for key, value in kept.items() if key != "fill-opacity"}
        kept["fill"] = "none"
    return kept


def _is_visible(shown: Attributes) -> bool:
    return "stroke" in shown or shown.get("fill") != "none"


@dataclass
class _Writer:
    """Collects the elements of a picture, and joins paths that look alike. Texts come last."""

    ink: str
    prefix: str
    parts: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    shapes: dict[str, str] = field(default_factory=dict)  # paths of markers, by their ids
    clips: dict[str, str] = field(default_factory=dict)  # new ids of clip paths, by their old
    path: str = ""
    look: Attributes = field(default_factory=dict)

    def flush(self) -> None:
        if self.path:
            self.parts.append(f"<path{_written(self.look)} d={quoteattr(self.path)}/>")
        self.path = ""

    def add_path(self, path: str, look: Attributes) -> None:
        if look != self.look:
            self.flush()
            self.look = look
        self.path += path

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
            self.texts.append(self.write_text(element))
        elif tag == "a":
            words = "".join(self.write_text(text) for text in element.iter(f"{SVG}text"))
            self.texts.append(f"<a href={quoteattr(element.get(HREF, ''))}>{words}</a>")
        elif tag == "defs":
            self.shapes |= {
                shape.get("id", ""): shape.get("d", "") for shape in element.iter(f"{SVG}path")
            }
        elif tag in ("svg", "g"):
            self.read_all(element, clip)

    def read_all(self, parent: ET.Element, clip: str = "") -> None:
        for element in parent:
            self.read(element, clip)

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
        if look.get("fill") == look.get("stroke"):
            dot = {
                "fill": "none",
                "stroke": look.get("stroke", self.ink),
                "stroke-linecap": "round",
            }
            width = 2 * radius + float(look.get("stroke-width", 1))
            faint = {"stroke-opacity": look["fill-opacity"]} if "fill-opacity" in look else {}
            self.add_path(
                f"M{_number(x)} {_number(y)}h0", dot | faint | {"stroke-width": _number(width)}
            )
            return
        self.flush()
        place = {"cx": _number(x), "cy": _number(y), "r": _number(radius)}
        self.parts.append(f"<circle{_written(place | look)}/>")

    def write_text(self, element: ET.Element) -> str:
        look = _attributes_of(element)
        if look.get("fill") == self.ink:
            del look["fill"]
        turn = element.get("transform", "")
        place = {key: _number(float(element.get(key, 0))) for key in ("x", "y")}
        if turn and not turn.startswith("rotate(-0 "):
            rounded = re.sub(r"-?\d+\.\d+", lambda found: _number(float(found[0])), turn)
            place = {"transform": rounded}
        words = escape("".join(element.itertext()))
        return f"<text{_written(place | look)}>{words}</text>"


def _written(attributes: Attributes) -> str:
    return "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())


def _clip_paths(root: ET.Element, clips: Mapping[str, str]) -> Iterator[str]:
    for clip in root.iter(f"{SVG}clipPath"):
        rect = clip.find(f"{SVG}rect")
        if rect is not None and (new := clips.get(clip.get("id", ""))):
            box = {key: _number(float(rect.get(key, 0))) for key in ("x", "y", "width", "height")}
            yield f'<clipPath id="{new}"><rect{_written(box)}/></clipPath>'


def slim(drawn: str, about: About, ink: str, style: str = "") -> str:
    """The picture that matplotlib drew, small, with a title and a description. `ink` is the
    colour that goes without saying.
    """
    root = ET.fromstring(drawn)
    writer = _Writer(ink, about.prefix)
    writer.read_all(root)
    writer.flush()
    _, _, width, height = (math.ceil(float(n)) for n in root.get("viewBox", "0 0 0 0").split())
    # what has links is a group of them: an image would hide them from a screen reader
    role = "group" if any(part.startswith("<a ") for part in writer.texts) else "img"
    names = f"{about.prefix}-t {about.prefix}-d"
    head = {
        "xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}",
        "width": str(width), "height": str(height), "role": role, "aria-labelledby": names,
        "font-family": FONT, "font-size": f"{FONT_PX:g}", "fill": ink, "stroke-linejoin": "round",
    }  # fmt: skip
    said = (
        f'<title id="{about.prefix}-t">{escape(about.title)}</title>'
        f'<desc id="{about.prefix}-d">{escape(about.description)}</desc>'
    )
    clips = "".join(_clip_paths(root, writer.clips))
    body = "".join(writer.parts + writer.texts)
    sheet = f"<style>{style}</style>" if style else ""
    return f"<svg{_written(head)}>{said}{sheet}{clips}{body}</svg>\n"
