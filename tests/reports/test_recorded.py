"""Everything that is recorded: each script has a record and a row, and each record is shown."""

import re
from pathlib import Path

import pytest
from builders import find_too_wide

from lab.facts.results import Result
from lab.readers.files import read
from lab.reports.finding import Finding, claimed_of
from lab.reports.result import report_result

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "experiments").glob("[0-9]*.py"))
RECORDS = sorted((ROOT / "results").glob("[0-9]*.json"))
OLDER = sorted((ROOT / "results" / "older").glob("[0-9]*.json"))
README = (ROOT / "README.md").read_text(encoding="utf-8")

every_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
every_record = pytest.mark.parametrize("path", [*RECORDS, *OLDER], ids=lambda path: path.stem)


@every_script
def test_a_script_has_a_record(path):
    assert (ROOT / "results" / f"{path.stem}.json").exists()


@every_script
def test_a_script_has_a_row_in_the_readme(path):
    number = path.stem[:2]
    assert README.count(f"\n| [{number}] |") == 1
    assert README.count(f"\n[{number}]: experiments/{path.name}\n") == 1


def test_every_record_has_its_script():
    assert {path.stem for path in RECORDS} <= {path.stem for path in SCRIPTS}


def test_questions_lead_to_experiments_that_are_recorded():
    questions = README.partition("## Questions")[2].partition("\n## ")[0]
    numbers = set(re.findall(r"\[(\d\d)\]", questions))
    assert numbers >= {f"{number}" for number in range(25, 39)}
    assert numbers <= {path.stem[:2] for path in RECORDS}


@every_record
def test_the_answer_comes_first(path):
    result = read(path)
    assert isinstance(result, Result)
    text = report_result(result)
    head = " ".join(text.partition("\n\n")[0].split())
    ratios = Finding(result).claims
    assert find_too_wide(text) == []
    assert result.verdict in head
    assert "95 % CI" in head or not ratios
    assert all(claimed_of(ratio) in head for ratio in ratios)
    assert " why " in head or not (result.why or result.reasons or result.cause)


@every_record
def test_what_is_read_is_written_as_it_was(path):
    result = read(path)
    assert isinstance(result, Result)
    again = Result.from_json(result.to_json())
    assert again.to_json() == result.to_json()
