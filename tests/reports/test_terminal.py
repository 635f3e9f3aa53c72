"""What the commands share at the terminal."""

import argparse
import json

import pytest
from builders import make_run

from lab.readers.files import read
from lab.reports.terminal import Output, Parser


def test_a_wrong_option_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        Parser(prog="x.py").parse_args(["--nonsense"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said == "x.py: unrecognized arguments: --nonsense; --help shows how\n"


def test_what_is_typed_cannot_steer_the_terminal(capsys):
    with pytest.raises(SystemExit):
        Parser(prog="x.py").parse_args(["--\x1b[31m\n"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_an_option_cannot_be_cut_short():
    parser = Parser(prog="x.py")
    parser.add_argument("--markdown", action="store_true")
    with pytest.raises(SystemExit):
        parser.parse_args(["--mark"])


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "run.json"):
        with pytest.raises(argparse.ArgumentTypeError, match=path.name):
            Output(str(path))


def test_a_record_goes_where_it_is_asked_to(tmp_path, capsys):
    run = make_run()
    Output("").write(run)
    assert capsys.readouterr().out == ""
    Output("-").write(run)
    assert json.loads(capsys.readouterr().out)["name"] == run.name
    Output(str(tmp_path / "run.json")).write(run)
    assert read(tmp_path / "run.json").to_json() == run.to_json()
