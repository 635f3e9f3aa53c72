"""The page of claims as a file: what is in it, how large it is, and what a record cannot do."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from builders import make_arm, make_behaviour, make_inconclusive, make_reproduced, make_runs

from lab.facts.errors import Unreadable
from lab.facts.results import Result
from lab.reports.answer import answer_of
from lab.reports.finding import GROUPS, Finding, order
from lab.reports.page import make_page, shrink, write_page
from lab.reports.source import read_source
from lab.reports.view import Piece, part_links

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "experiments").glob("[0-9]*.py"))
LARGEST_BYTES = 500_000
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>javascript:alert(1) \x1b[2J\x00"


class Seen(HTMLParser):
    """The elements of a page, and the text outside of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def make_results() -> list[Result]:
    return [make_behaviour(), make_reproduced(), make_inconclusive()]


def make_hostile(value: Any) -> Any:
    """The same record with markup in every text of it, also in the keys."""
    if isinstance(value, str):
        return type(value)(HOSTILE) if type(value) is str else value
    if isinstance(value, list | tuple):
        return type(value)(make_hostile(each) for each in value)
    if isinstance(value, dict):
        return {f"{HOSTILE} {n}": make_hostile(v) for n, v in enumerate(value.values())}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: make_hostile(getattr(value, each.name)) for each in fields(value)}
        return replace(value, **changed)
    return value


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("here") / "results"
    return make_page(make_results(), folder, folder / "index.html")


# ---- What is in it ---------------------------------------------------------------------
def test_every_claim_has_a_row_a_section_and_its_record(page):
    seen = Seen(page)
    for result in make_results():
        claim = f"claim-{Finding(result).number}"
        assert f"#{claim}" in seen.values("href")
        assert claim in seen.values("id")
        assert f"{result.name}.json" in seen.values("href")
        assert result.title in seen.text and result.claim in seen.text


def test_ids_are_unique_and_every_picture_has_a_title_and_a_description(page):
    seen = Seen(page)
    ids = seen.values("id")
    assert len(ids) == len(set(ids))
    pictures = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(pictures) > 3
    for picture in pictures:
        assert re.search(r"<title id=\S+?>[^<]+</title><desc id=\S+?>[^<]+</desc>", picture)


def test_behaviour_is_a_grid_of_answers(page):
    section = page.split("id=claim-01 ")[1].split("</article>")[0]
    assert "✓" in section and "✗" in section and "no figure" not in section


def test_it_leads_nowhere_but_to_sources_and_files_beside_it(page):
    seen = Seen(page)
    addresses = [value for value in seen.values("href") if not value.startswith("#")]
    for address in addresses:
        assert re.match(r"data:,$|https://github\.com/|[\w./-]+\.(json|py|md)$", address)
    assert seen.values("src") == []
    assert "url(" not in page.replace("url(#", "")


@pytest.mark.slow
def test_the_same_records_make_the_same_page(page, tmp_path):
    folder = tmp_path / "results"
    assert make_page(make_results(), folder, folder / "index.html") == page


@pytest.mark.slow
def test_what_is_written(tmp_path):
    write_page(make_results(), tmp_path, tmp_path / "index.html")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"index.html", "claims.svg", "claims.png"}
    assert (tmp_path / "claims.svg").read_text().startswith("<svg ")


def test_shrinking_leaves_code_and_attributes_with_spaces_alone():
    page = '<td class="a">1</td>\n\n<pre>a = "b"\n\n\nc</pre><p title="two words" id="x">'
    assert shrink(page) == '<td class=a>1\n<pre>a = "b"\n\n\nc</pre><p title="two words" id=x>'


# ---- A record is input -----------------------------------------------------------------
@pytest.mark.slow
def test_no_text_of_a_record_becomes_markup(tmp_path):
    results = [replace(make_hostile(result), name=result.name) for result in make_results()]
    shown = [
        replace(result, ratios=[], verdict=HOSTILE, rule="", then=f"REPRODUCED {HOSTILE}")
        for result in results
    ]
    page = make_page(shown, tmp_path, tmp_path / "index.html")
    seen = Seen(page)
    assert seen.tags["script"] == 1
    assert seen.tags["img"] == 0
    assert [name for _, name, _ in seen.attributes if name.startswith("on")] == []
    assert [value for value in seen.values("href") if "javascript:" in value] == []
    assert "alert(1)" in seen.text
    assert "\x1b" not in page and "\x00" not in page


@pytest.mark.parametrize("name", ["javascript:alert(1)", '03_"><script>', "../../../etc/x"])
def test_no_name_of_a_record_becomes_an_address_or_markup(tmp_path, name):
    result = replace(make_behaviour(), name=name)
    seen = Seen(make_page([result], tmp_path / "results", tmp_path / "index.html"))
    assert seen.tags["script"] == 1
    assert [value for value in seen.values("href") if "javascript:" in value] == []
    assert all(re.fullmatch(r"[\w.-]+", value) for value in seen.values("id"))


def test_two_records_of_one_number_are_refused_in_one_line(tmp_path):
    with pytest.raises(Unreadable, match="have the same number"):
        make_page([make_behaviour(), make_behaviour()], tmp_path, tmp_path / "index.html")


@pytest.mark.parametrize("figure", [0.0, -1.0, math.inf, math.nan])
def test_figures_that_cannot_be_break_nothing(tmp_path, figure):
    result = make_reproduced()
    odd = replace(result.ratios[0], low=figure, high=figure, claimed=figure)
    rounds = [replace(each, throughput=figure) for each in result.arms["time.sleep"].rounds]
    arms = result.arms | {"time.sleep": replace(result.arms["time.sleep"], rounds=rounds)}
    for ratio in (odd, replace(odd, estimate=figure)):
        shown = replace(result, arms=arms, ratios=[ratio])
        assert "claim-03" in make_page([shown], tmp_path, tmp_path / "index.html")


def test_only_the_script_of_the_page_may_run(page):
    allowed = re.findall(r"script-src '([^']+)'", page)
    assert len(allowed) == 1 and allowed[0].startswith("sha256-")
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("no address", []),
        ("github.com/a/b-c, 2020", ["https://github.com/a/b-c"]),
        ("see https://a.example/x?y=1#z.", ["https://a.example/x?y=1#z"]),
        ("(https://a.example/x)", ["https://a.example/x"]),
        ("javascript:alert(1) data:text/html,x file:///etc", []),
        ("notgithub.com/a", []),
    ],
)
def test_links_of_a_source(text, links):
    pieces = part_links(text)
    assert [piece.address for piece in pieces if piece.address] == links
    assert "".join(piece.text for piece in pieces) == text


def test_a_text_of_nothing_has_no_pieces():
    assert part_links("") == []
    assert part_links("x") == [Piece("x")]


# ---- Groups and scripts ----------------------------------------------------------------
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_experiment_belongs_to_one_question(script):
    number = int(script.name.split("_")[0])
    assert [group for group, numbers in GROUPS if number in numbers] != []


def test_no_experiment_belongs_to_two_questions():
    numbers = [number for _, found in GROUPS for number in found]
    assert len(numbers) == len(set(numbers))


def test_largest_effect_comes_first_and_behaviour_last():
    reproduced = make_reproduced()
    smaller = replace(reproduced.ratios[0], estimate=2.0)
    small = replace(reproduced, name="10_small", ratios=[smaller])
    behaviour = replace(make_behaviour(), name="08_threads")
    findings = [Finding(result) for result in (behaviour, small, reproduced)]
    ((group, found),) = order(findings)
    assert group == "Async and threads"
    assert [finding.number for finding in found] == ["03", "10", "08"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_code_and_limits_of_every_script_are_found(script):
    source = read_source(script)
    code = "\n".join(line.text for line in source.code)
    assert "ARMS" in code and '"""' not in code.split("\n")[0]
    assert "__main__" not in code and "# /// script" not in code
    assert source.limits


def test_the_line_under_test_is_marked(tmp_path):
    script = tmp_path / "x.py"
    script.write_text(
        '"""01: T\n\nLimits  none\n"""\nA = 1  # the line under test\nARMS = {}\nB = 2\n'
    )
    source = read_source(script)
    assert [(line.text, line.is_marked) for line in source.code] == [
        ("A = 1  # the line under test", True),
        ("ARMS = {}", False),
    ]
    assert source.limits == "none"


@pytest.mark.parametrize("text", [None, "not python (", ""])
def test_a_script_that_is_not_there_or_broken_has_no_code(tmp_path, text):
    path = tmp_path / "x.py"
    if text is not None:
        path.write_text(text)
    assert "".join(line.text for line in read_source(path).code) == ""


# ---- The answer ------------------------------------------------------------------------
def test_without_its_record_there_is_no_answer(page):
    assert answer_of(make_results()) is None
    assert "class=answer" not in page


def test_the_answer_has_a_row_for_each_endpoint():
    arm = make_arm(make_runs([100.0 + n for n in range(8)]))
    rows = ("hello", "validated", "5 ms of CPU", "waits")
    arms = {f"{name}, {row}": arm for row in rows for name in ("Flask", "FastAPI")}
    found = answer_of([replace(make_reproduced(), name="24_fastapi_vs_flask", arms=arms)])
    assert found and len(found.rows) == 4
    assert all("as fast" in row[1] for row in found.rows)
    assert "as fast" in found.text


# ---- The recorded results --------------------------------------------------------------
def read_recorded() -> list[Result]:
    paths = sorted((ROOT / "results").glob("[0-9]*.json"))
    return [Result.from_json(json.loads(path.read_text(encoding="utf-8"))) for path in paths]


@pytest.mark.slow
def test_the_page_and_the_pictures_are_what_the_records_say(tmp_path):
    """Else: python summarize.py --html docs/index.html results"""
    page = ROOT / "docs/index.html"
    results = read_recorded()
    made = make_page(results, ROOT / "results", page)
    assert len(made.encode()) <= LARGEST_BYTES
    assert page.read_text(encoding="utf-8") == made
    write_page(results, ROOT / "results", tmp_path / "index.html")
    forest = page.with_name("claims.svg").read_text(encoding="utf-8")
    assert forest == (tmp_path / "claims.svg").read_text(encoding="utf-8")
    assert page.with_name("claims.png").exists()
