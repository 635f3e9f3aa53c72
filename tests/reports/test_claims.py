"""What README shows is made from the records, between its marks, and from nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import (
    ENVIRONMENT,
    make_arms,
    make_behaviour,
    make_ratio,
    make_reproduced,
    make_result,
)

from lab.facts.errors import Unreadable
from lab.facts.results import Result
from lab.readers.files import read
from lab.reports.claims import (
    END,
    MARK,
    WIDEST_CELL,
    find_address,
    is_stale,
    make_blocks,
    tabulate_claims,
    write_readme,
)
from lab.reports.finding import Finding

ROOT = Path(__file__).parents[2]
RESULTS = [make_behaviour(), make_reproduced()]


def make_page(tmp_path: Path, *names: str) -> Path:
    """A page with marks for these blocks."""
    page = tmp_path / "README.md"
    marks = [f"{MARK.format(name=name)}\nstale text\n{END.format(name=name)}" for name in names]
    page.write_text("\n\n".join(["# Title", *marks, "The end."]), encoding="utf-8")
    return page


def rows_of(results: list[Result]) -> list[list[str]]:
    table = tabulate_claims([Finding(result) for result in results])
    lines = [line for line in table.split("\n") if line.startswith("| [")]
    return [line.strip("| ").split(" | ") for line in lines]


# ---- Marks -----------------------------------------------------------------------------
def test_what_stands_between_marks_is_made_anew(tmp_path):
    page = make_page(tmp_path, "the claims", "the trust")
    assert is_stale(page, RESULTS)
    write_readme(page, RESULTS)
    text = page.read_text(encoding="utf-8")
    assert "stale text" not in text
    assert make_blocks(RESULTS)["the claims"] in text
    assert text.startswith("# Title\n\n")
    assert text.endswith("\n\nThe end.")
    assert not is_stale(page, RESULTS)


def test_a_changed_figure_is_stale(tmp_path):
    page = make_page(tmp_path, "the claims")
    write_readme(page, RESULTS)
    page.write_text(page.read_text().replace("19.5×", "19.6×"))
    assert is_stale(page, RESULTS)


def test_writing_twice_changes_nothing(tmp_path):
    page = make_page(tmp_path, *make_blocks(RESULTS))
    write_readme(page, RESULTS)
    once = page.read_text()
    write_readme(page, RESULTS)
    assert page.read_text() == once


def test_a_mark_without_its_end_is_an_error(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(MARK.format(name="the claims"))
    with pytest.raises(Unreadable, match="end of the claims"):
        write_readme(page, RESULTS)


# ---- The table of claims ---------------------------------------------------------------
def test_a_row_has_number_claim_verdict_and_figure():
    number, claim, verdict, measured = rows_of([make_reproduced()])[0]
    assert number == "[03]"
    title = "time.sleep() in an async endpoint holds up every other request"
    assert claim == f"{title} (Stack Overflow)"
    assert (verdict, measured) == ("REPRODUCED", "19.5× (18.6–20.5)")


def test_claimed_stands_beside_measured():
    arms = make_arms(fast=2, slow=1)
    ratios = [make_ratio(arms, "fast", "slow", claim=True, claimed=48.2)]
    result = make_result(claim="x", arms=arms, ratios=ratios, verdict="EXAGGERATED")
    assert rows_of([result])[0][3] == "48.2× → 2.00× (2.00–2.00)"


def test_another_reason_and_an_old_verdict_stand_with_the_word():
    result = replace(make_reproduced(), another_reason=True, then="EXAGGERATED 2.00× (…)")
    assert rows_of([result])[0][2] == "REPRODUCED, for another reason; then EXAGGERATED"
    same = replace(result, then="REPRODUCED 2.00×")
    assert rows_of([same])[0][2] == "REPRODUCED, for another reason"


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("https://a.org/b-c, 2020: ab", "https://a.org/b-c"),
        ("(https://a.org/b).", "https://a.org/b"),
        ("github.com/x/y, July 2020", "https://github.com/x/y"),
        ('Stack Overflow, "Architecture", 2020', ""),
    ],
)
def test_the_address_of_a_source_is_the_one_it_gives(source, address):
    assert find_address(Finding(replace(make_reproduced(), source=source))) == address


def test_a_source_of_several_claims_stands_once():
    results = [
        replace(make_reproduced(), name=name, source="https://a.org/b, 2020")
        for name in ("03_a", "08_b")
    ]
    table = tabulate_claims([Finding(result) for result in results])
    assert table.count("https://a.org/b") == 1
    assert table.count("][s1]") == 2
    assert "request](https://a.org/b)" in tabulate_claims([Finding(results[0])])


def test_the_address_of_each_script_stands_below_so_that_any_text_can_name_it():
    results = [replace(make_reproduced(), name=name) for name in ("03_a", "08_b")]
    lines = tabulate_claims([Finding(result) for result in results]).split("\n")
    assert lines[-2:] == ["[03]: experiments/03_a.py", "[08]: experiments/08_b.py"]


def test_claims_are_grouped_by_question_and_in_order():
    table = tabulate_claims([Finding(result) for result in reversed(RESULTS)])
    places = [
        table.index(text)
        for text in ("**Async and threads**", "[03]", "**Features and what they cost**", "[01]")
    ]
    assert places == sorted(places)


def test_no_cell_is_wider_than_it_may():
    behaviour = make_behaviour()
    evidence = [replace(asked, arm="a long name " * 9) for asked in behaviour.evidence]
    result = replace(behaviour, evidence=evidence, title="a title " * 30)
    for row in rows_of([result]):
        assert max(map(len, row[1:])) <= WIDEST_CELL


def test_names_do_not_break_a_row():
    rows = rows_of([replace(make_reproduced(), title="a | b <script>")])
    assert rows[0][1] == "a \\| b \\<script> (Stack Overflow)"


# ---- The rest --------------------------------------------------------------------------
def test_the_machine_is_that_of_most_records():
    other = replace(make_reproduced(), environment=replace(ENVIRONMENT, python="3.14.0"))
    said = make_blocks([*RESULTS, other])["the claims"]
    assert "Recorded 2026-11-20 with the versions in requirements.txt, Python 3.11.7, AMD" in said
    assert "3.14.0" not in said


def test_one_run_is_shown_up_to_how_it_was_made():
    shown = make_blocks(RESULTS)["a run"]
    assert "$ python experiments/03_blocking_sleep.py --full" in shown
    assert "REPRODUCED   asyncio.sleep is 19.5× faster" in shown
    assert "source" not in shown


def test_verdicts_are_counted():
    said = make_blocks(RESULTS)["the claims"]
    assert said.startswith("Of 2 claims: 1 REPRODUCED, 1 NOT REPRODUCED.")


def test_load_generators_are_told_by_their_plain_load():
    arm = make_arms(x=1)["x"]
    arms = {"wire, GET": arm, "wrk, GET": arm, "wire, TLS": arm}
    said = make_blocks([replace(make_reproduced(), name="22_load_generators", arms=arms)])
    assert "CPU µs per request of wire " in said["the trust"]
    assert " · wrk " in said["the trust"]
    assert "TLS" not in said["the trust"]


def test_reasons_to_trust_it_have_the_figures_of_the_records():
    said = make_blocks(RESULTS)["the trust"]
    assert len(said.split("\n")) == 5
    assert "0.00180 million in these records" in said
    assert "6 rounds in 1 launches decided" in said


# ---- The page of this repository -------------------------------------------------------
def read_recorded() -> list[Result]:
    records = [read(path) for path in sorted((ROOT / "results").glob("[0-9]*.json"))]
    return [record for record in records if isinstance(record, Result)]


def test_the_readme_shows_what_is_recorded():
    assert not is_stale(ROOT / "README.md", read_recorded())


def test_the_readme_has_every_block_that_there_is():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in make_blocks(read_recorded()):
        assert MARK.format(name=name) in text
