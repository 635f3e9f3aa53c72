"""What is recorded: a result for every experiment, and a page that shows no other."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted((ROOT / "experiments").glob("[0-9]*.py"))
RECORDED = sorted((ROOT / "results").glob("[0-9]*.json"))

every_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)


@every_experiment
def test_an_experiment_has_a_recorded_result(path):
    assert (ROOT / "results" / f"{path.stem}.json").exists()


@every_experiment
def test_an_experiment_has_a_row_in_the_readme(path):
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith(f"| [{path.stem[:2]}](experiments/")]
    assert [path.name in row for row in rows] == [True]


def test_every_result_has_its_experiment():
    assert {path.stem for path in RECORDED} <= {path.stem for path in EXPERIMENTS}
