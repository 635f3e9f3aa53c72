"""One page of all claims: a single file, which works from a disk and without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lab.facts.errors import Unreadable
from lab.facts.results import Result
from lab.facts.text import count_of, harmless
from lab.reports.answer import answer_of
from lab.reports.canvas import dark_rules, save, svg_of
from lab.reports.figures import draw_figures
from lab.reports.finding import Finding, count_words, order
from lab.reports.forest import NARROW, WIDE, Forest, about_forest
from lab.reports.report import describe_environment
from lab.reports.source import read_source
from lab.reports.view import ClaimView, count_options

TEMPLATES = Path(__file__).parent / "templates"
UNQUOTED = re.compile(r'(?<==)"([\w.#:-]+)"(?=[ >])')
HASH = "hash-of-the-script"
FOREST = "claims"  # the forest as pictures of their own, beside the page


@dataclass(frozen=True)
class Place:
    """Where the page will be, and where what it leads to is."""

    page: Path
    folder: Path  # of the records; the scripts are in experiments/ beside it

    def link(self, target: Path) -> str:
        """The address of a file, from the page: never one with a scheme, as "javascript:"."""
        return quote(os.path.relpath(target, self.page.parent).replace(os.sep, "/"))

    @property
    def command(self) -> str:
        """What makes the page, from where the records lie."""
        page = os.path.relpath(self.page, self.folder.parent).replace(os.sep, "/")
        return f"python summarize.py --html {page} {self.folder.name}"

    def record(self, result: Result) -> Path:
        return self.folder / f"{result.name}.json"

    def script(self, result: Result) -> Path:
        """The script of a record; a name that could lead elsewhere leads nowhere."""
        name = re.sub(r"[^\w-]", "", result.name)
        return self.folder.parent / "experiments" / f"{name}.py"


LOOKS = {  # of lines and dots, and the class that page.css has for them
    "stroke-width=3.4 stroke-opacity=0.45": "r",
    "stroke-width=7.3": "e",
    "stroke-width=2.4": "i",
}


def write_page(results: Sequence[Result], folder: Path, page: Path) -> None:
    """Write the page of all results, and the forest as an .svg and a .png beside it."""
    findings = [Finding(result) for result in results]
    page.write_bytes(make_page(results, folder, page).encode("utf-8", "replace"))
    forest = Forest(findings, WIDE)
    about = about_forest(findings, FOREST)
    for suffix in (".svg", ".png"):
        save(forest.draw, about, page.with_name(f"{FOREST}{suffix}"))


def make_page(results: Sequence[Result], folder: Path, page: Path) -> str:
    """The page of all results as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    place = Place(page.absolute(), folder.absolute())
    findings = [Finding(result) for result in results]
    check_numbers(findings)
    views = {finding.number: view_claim(finding, place) for finding in findings}
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["verbatim"] = lambda text: Markup(html.escape(text, quote=False))
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    method = place.page.with_name("method.md")
    context: dict[str, Any] = {
        "views": list(views.values()),
        "groups": [(group, [views[f.number] for f in found]) for group, found in order(findings)],
        "options": count_options(list(views.values())),
        "summary": summarize(findings),
        "answer": answer_of(results),
        "recorded": say_recorded(results),
        "forest_wide": Markup(draw_forest(findings, wide=True)),
        "forest_narrow": Markup(draw_forest(findings, wide=False)),
        "dark_rules": Markup(dark_rules("svg ")),
        "script": Markup(script),
        "script_hash": HASH,
        "method": place.link(method) if method.is_file() else "",
        "command": place.command,
    }
    text = environment.get_template("page.html").render(context)
    text = shrink(harmless(text))
    return text.replace(HASH, hash_script(text))


def check_numbers(findings: Sequence[Finding]) -> None:
    """Raises Unreadable where two records have one number, by which the page names them."""
    names: dict[str, str] = {}
    for finding in findings:
        name = finding.result.name
        if finding.number in names:
            raise Unreadable(f"{names[finding.number]} and {name} have the same number")
        names[finding.number] = name


def shrink(page: str) -> str:
    """The same page without what HTML lets go unsaid (quotes around a word, the ends of rows
    and cells, empty lines) and what its style sheet says of lines and dots in pictures. It is an
    eighth of the whole.
    """
    parts = re.split(r"(<pre.*?</pre>)", page, flags=re.S)
    parts[::2] = [re.sub(r"\n\s*\n+", "\n", part) for part in parts[::2]]
    page = re.sub(r"</(?:td|th|tr|thead|tbody|li|dt|dd|option)>", "", "".join(parts))
    page = re.sub(r"<[a-z][^<>]*>", lambda tag: UNQUOTED.sub(r"\1", tag[0]), page)
    page = re.sub(r"<(path|g) fill=none", r"<\1", page)
    for look, name in LOOKS.items():
        page = page.replace(f"<path {look} ", f"<path class={name} ")
    return page.replace(" font-size=11 stroke-linecap=round>", ">")


def view_claim(finding: Finding, place: Place) -> ClaimView:
    from markupsafe import Markup

    script = place.script(finding.result)
    figures: list[tuple[str, str]] = [
        (caption, Markup(svg)) for caption, svg in draw_figures(finding)
    ]
    record = place.link(place.record(finding.result))
    return ClaimView(finding, read_source(script), record, place.link(script), figures)


def draw_forest(findings: Sequence[Finding], wide: bool) -> str:
    layout, prefix = (WIDE, "fw") if wide else (NARROW, "fn")
    forest = Forest(findings, layout, is_titled=False)
    return svg_of(forest.draw, about_forest(findings, prefix, is_beside_table=True))


def hash_script(page: str) -> str:
    """What the page's policy allows to run: its own script, and nothing that a record brought."""
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def summarize(findings: Sequence[Finding]) -> str:
    """All verdicts in a sentence."""
    counts = [f"{count} {word.lower()}" for word, count in count_words(findings).items()]
    claims = count_of(len(findings), "claim")
    return (
        f"{claims} about Python's web frameworks and their servers, each put to the test by one "
        f"small script: {', '.join(counts)}."
    )


def say_recorded(results: Sequence[Result]) -> str:
    """With what most were recorded, and when."""
    made = Counter(describe_environment(result.environment) for result in results)
    days = sorted(result.started[:10] for result in results)
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    machine = made.most_common(1)[0][0]
    return f"Recorded {when}, most with {machine}; the records say it of each."
