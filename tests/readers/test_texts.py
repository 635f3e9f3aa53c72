"""Texts of what other tools wrote, beside each other: exactly those in golden/readers."""

import os
from pathlib import Path

import pytest
from builders import find_too_wide

from lab.facts.records import Second
from lab.readers.files import read, read_all
from lab.reports.chart import draw_sparkline, list_percentiles
from lab.reports.report import report
from lab.reports.several import compare

TESTS = Path(__file__).resolve().parents[1]
GOLDEN = TESTS / "golden" / "readers"
# requests that were right and that failed, second by second: a start, a stall and an outage
COUNTS = [(200, 0), *[(480, 0)] * 5, (40, 0), (0, 0), *[(480, 0)] * 5, (100, 31), *[(480, 0)] * 6]


def write_texts() -> dict[str, str]:
    """What golden/readers holds besides the report of each sample, by its name."""
    hey = read(TESTS / "samples" / "hey.csv")
    names = ("hey.csv", "plain.hlog", "locust.csv", "wrk.txt")
    several = [read(TESTS / "samples" / name) for name in names]
    seconds = [Second(time=n, ok=ok, failed=bad) for n, (ok, bad) in enumerate(COUNTS, 1)]
    return {
        "compare": compare(several),
        "compare_markdown": compare(several, markdown=True),
        "compare_asked": compare(several, percentiles=[10.0, 99.99], baseline="locust"),
        "report_markdown": report(read(TESTS / "samples" / "hey.txt"), markdown=True),
        "page": compare(read_all(TESTS / "page.md")),
        "sparkline": "\n".join(draw_sparkline(seconds)),
        "hgrm": list_percentiles(hey.name, hey.histogram),
    }


TEXTS = write_texts()


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_the_golden_one(name):
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(f"{TEXTS[name]}\n", encoding="utf-8")
    assert f"{TEXTS[name]}\n" == path.read_text(encoding="utf-8")
    assert find_too_wide(TEXTS[name]) == []


def test_no_golden_text_is_left_over():
    samples = {path.name for path in (TESTS / "samples").iterdir()}
    assert {path.stem for path in GOLDEN.glob("*.txt")} == samples | TEXTS.keys()


def test_a_figure_of_a_page_stands_beside_a_run_of_today():
    text = compare([*read_all(TESTS / "page.md"), read(TESTS / "samples" / "plain.hlog")])
    for name in ("Eight threads", "One process", "Four workers", "plain"):
        assert name in text
    assert "not known from hlog" in text
