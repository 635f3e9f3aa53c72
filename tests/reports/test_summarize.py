"""The command line of summarize.py, and what a notebook takes of it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from builders import ENVIRONMENT, find_too_wide, make_pair, make_reproduced, make_run

import summarize
from lab.facts.form import write
from lab.reports.changes import report_changes
from lab.reports.claims import END, MARK, make_blocks
from lab.reports.report import report
from lab.reports.result import report_result
from lab.reports.several import compare
from summarize import main

SCRIPT = Path(summarize.__file__)


@pytest.fixture
def saved(tmp_path) -> list[Path]:
    """The files of two runs and a result."""
    paths = [tmp_path / name for name in ("a.json", "b.json", "result.json")]
    for path, record in zip(paths, [*make_pair(), make_reproduced()], strict=True):
        write(record, path)
    return paths


@pytest.fixture
def command(capsys):
    """Runs the command in this process: exit status, what it printed, what it complained."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(str(end.code))
        said = capsys.readouterr()
        assert find_too_wide(said.out) == []
        return status, said.out, said.err

    return run


def complained(done: tuple[int, str, str], status: int, *parts: str) -> None:
    """Check that it ended so, with one line of complaint that has these parts."""
    assert (done[0], done[1]) == (status, "")
    assert done[2].startswith("summarize.py: ")
    assert done[2].count("\n") == 1
    for part in parts:
        assert part in done[2]


# ---- What is shown ---------------------------------------------------------------------
def test_one_file_is_a_report(saved, command):
    assert command(saved[0]) == (0, report(make_pair()[0]) + "\n", "")
    assert command(saved[0], "--markdown")[1] == report(make_pair()[0], markdown=True) + "\n"


def test_several_files_are_compared(saved, command):
    assert command(*saved[:2])[1] == compare(make_pair()) + "\n"
    assert command(*saved[:2], "--markdown")[1] == compare(make_pair(), markdown=True) + "\n"


def test_runs_and_a_result_are_shown_in_turn(saved, command):
    expected = f"{compare(make_pair())}\n\n{report_result(make_reproduced())}\n"
    assert command(saved[0], saved[2], saved[1])[1] == expected


def test_two_results_of_one_experiment_are_compared(saved, command, tmp_path):
    older = replace(make_reproduced(), verdict="INCONCLUSIVE")
    write(older, tmp_path / "older.json")
    done = command(tmp_path / "older.json", saved[2])
    assert done[1] == report_changes(older, make_reproduced()) + "\n"
    write(replace(older, name="04_other"), tmp_path / "older.json")
    assert "The verdict changed" not in command(tmp_path / "older.json", saved[2])[1]


def test_percentiles_are_those_that_are_asked_for(saved, command):
    assert "p12.5" in command(saved[0], "--percentiles", "12.5,99")[1]


def test_the_ratios_are_to_the_baseline(saved, command):
    assert "each against Flask" in command(*saved[:2], "--baseline", "Flask")[1]
    complained(command(*saved[:2], "--baseline", "x"), 2, "no run is named 'x'")


def test_files_are_merged_into_one_run(saved, command):
    assert "16205: 16200 ok" in command("--merge", *saved[:2])[1]
    complained(command("--merge", saved[0], saved[2]), 1, "merge exactly")


def test_percentiles_of_one_run_are_written(saved, command, tmp_path):
    assert command(saved[0], "--hgrm", tmp_path / "x.hgrm")[0] == 0
    assert "Value(ms)" in (tmp_path / "x.hgrm").read_text()
    complained(command(*saved[:2], "--hgrm", tmp_path / "x.hgrm"), 2, "not of 2: see --merge")


def test_runs_of_two_machines_are_compared_only_if_asked(command, tmp_path):
    here, there = make_run(), make_run(environment=replace(ENVIRONMENT, cpu="Apple M1"))
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, run in zip(paths, (here, there), strict=True):
        write(run, path)
    complained(command(*paths), 1, "different machines")
    assert command("--across-machines", *paths)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "begins"), [("x.svg", b"<"), ("x.png", b"\x89PNG\r\n\x1a\n")])
def test_a_picture_is_drawn_beside_the_text(saved, command, tmp_path, name, begins):
    status, text, _ = command(*saved[:2], "--plot", tmp_path / name)
    assert (status, text) == (0, compare(make_pair()) + "\n")
    assert (tmp_path / name).read_bytes().startswith(begins)


# ---- Pages made of records -------------------------------------------------------------
@pytest.fixture
def folder(tmp_path) -> Path:
    records = tmp_path / "results"
    records.mkdir()
    write(make_reproduced(), records / "03_blocking_sleep.json")
    return records


def test_a_readme_is_written_and_checked(folder, command, monkeypatch):
    monkeypatch.chdir(folder.parent)
    page = Path("README.md")
    page.write_text(f"{MARK.format(name='the claims')}\n{END.format(name='the claims')}\n")
    complained(command("--readme", page, "--check", "results"), 1, "stale", "--readme")
    assert command("--readme", page, "results")[0] == 0
    assert make_blocks([make_reproduced()])["the claims"] in page.read_text()
    assert command("--readme", page, "--check", "results")[0] == 0


def test_a_folder_without_records_is_an_error(command, tmp_path):
    page = tmp_path / "README.md"
    page.touch()
    for records in (tmp_path, tmp_path / "missing"):
        complained(command("--readme", page, records), 1, "no recorded results")


def test_a_run_among_the_records_is_an_error(folder, command, tmp_path):
    write(make_run(), folder / "04_run.json")
    complained(command("--readme", tmp_path / "x", folder), 1, "the record of one run")


# ---- Wrong usage -----------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["--check", "x"],
        ["--readme", "x"],
        ["--readme", "x", "a", "b"],
        ["--plot"],
        ["--plot", "x.gif", "y"],
        ["--mark", "x"],
        ["--percentiles", "101", "x"],
        ["--percentiles", "p99", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_a_line_and_status_2(command, arguments):
    complained(command(*arguments), 2, "--help")


def test_what_cannot_be_read_is_a_line_and_status_1(saved, command, tmp_path):
    empty = tmp_path / "empty.json"
    empty.touch()
    complained(command(tmp_path / "missing.json"), 1, "missing.json", "No such file")
    complained(command(tmp_path), 1, "Is a directory")
    complained(command(empty), 1, "empty.json", "nothing in it")
    complained(command(saved[0], empty), 1, "empty.json")


def test_a_picture_of_nothing_is_a_line_and_status_1(command, tmp_path):
    write(make_run([], failed=3, server=None), tmp_path / "a.json")
    status, _, said = command(tmp_path / "a.json", "--plot", tmp_path / "x.svg")
    assert status == 1
    assert said.count("\n") == 1
    assert not (tmp_path / "x.svg").exists()


# ---- As a program ----------------------------------------------------------------------
def start(*arguments: object, stdin: str = "", **more) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(asked, input=stdin, text=True, check=False, **more)


@pytest.mark.slow
def test_standard_input_is_read(saved):
    piped, first = saved[0].read_text(), report(make_pair()[0]) + "\n"
    assert start(stdin=piped, capture_output=True).stdout == first
    assert start("-", stdin=piped, capture_output=True).stdout == first
    cut = start("-", stdin=piped[:-9], capture_output=True)
    assert (cut.returncode, cut.stderr.count("\n")) == (1, 1)


def test_help_keeps_to_the_width():
    done = start("--help", capture_output=True, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0
    assert "--markdown" in done.stdout
    assert find_too_wide(done.stdout) == []


def test_a_reader_that_has_gone_is_no_error(saved):
    """As in `| head -1`, but that the reader has certainly gone before anything is printed."""
    reading, writing = os.pipe()
    os.close(reading)
    done = start(saved[0], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.stderr == ""


# ---- In a notebook ---------------------------------------------------------------------
def test_a_notebook_reads_reports_and_compares(saved):
    run = summarize.read(saved[0])
    assert isinstance(run, summarize.Run)
    assert summarize.report(run) == report(make_pair()[0])
    assert summarize.compare([run, run]).startswith("2 runs, each against 1 FastAPI")
    assert summarize.Run.from_json(json.loads(saved[0].read_text())).ok == 1200
