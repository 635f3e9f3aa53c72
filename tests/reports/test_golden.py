"""The texts in golden/, compared exactly. After a change that is meant, write them anew and
read the difference:

    UPDATE_GOLDEN=1 python -m pytest tests/reports/test_golden.py && git diff tests/golden
"""

import os
from pathlib import Path

import pytest
from builders import find_too_wide, make_pair, make_results, make_run

from lab.reports.claims import tabulate_claims
from lab.reports.finding import Finding
from lab.reports.report import report
from lab.reports.result import report_result
from lab.reports.several import compare

GOLDEN = Path(__file__).parents[1] / "golden"


def write_texts() -> dict[str, str]:
    """Every text that golden/ holds, by its name."""
    texts, results = {}, make_results()
    for form, markdown in (("", False), ("_markdown", True)):
        texts[f"report{form}"] = report(make_pair()[0], markdown)
        texts[f"compare{form}"] = compare(make_pair(), markdown)
        for name, result in results.items():
            texts[f"{name}{form}"] = report_result(result, markdown)
    texts["report_nothing"] = report(make_run([], failed=3, server=None))
    texts["claims"] = tabulate_claims([Finding(result) for result in results.values()])
    return texts


TEXTS = write_texts()
every_text = pytest.mark.parametrize("name", TEXTS)


@every_text
def test_a_text_is_as_it_was(name):
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(f"{TEXTS[name]}\n", encoding="utf-8")
    assert f"{TEXTS[name]}\n" == path.read_text(encoding="utf-8")


def test_no_golden_text_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(TEXTS)


@every_text
def test_a_text_keeps_to_the_width(name):
    assert find_too_wide(TEXTS[name]) == []


@every_text
def test_no_line_ends_in_blanks(name):
    assert all(line == line.rstrip() for line in TEXTS[name].split("\n"))


@every_text
def test_no_fence_is_empty(name):
    assert "```text\n```" not in TEXTS[name]
