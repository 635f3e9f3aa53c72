"""How a file is known: as ours, as a tool's, as a page that quotes several, or as neither."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import make_reproduced, make_run

import lab.readers
from lab.facts.errors import Unreadable
from lab.facts.form import write
from lab.facts.records import Run
from lab.facts.results import Result
from lab.readers.files import find_readers, read, read_all

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
PAGE = TESTS / "page.md"
HIT = '{"timestamp":"2026-11-20T13:00:00Z","code":200,"latency":100}'


# ---- Our own ---------------------------------------------------------------------------
@pytest.mark.parametrize("record", [make_run(), make_reproduced()], ids=["run", "result"])
def test_a_record_is_read_as_it_was_written(tmp_path, record):
    path = tmp_path / "record.json"
    write(record, path)
    found = read(path)
    assert type(found) is type(record)
    assert found.to_json() == record.to_json()


def test_the_order_of_its_keys_makes_no_difference(tmp_path):
    data = make_run().to_json()
    path = tmp_path / "sorted.json"
    path.write_text(json.dumps(data, sort_keys=True))
    found = read(path)
    assert isinstance(found, Run)
    assert found.to_json() == data


def test_a_record_that_quotes_a_tool_is_ours(tmp_path):
    result = make_reproduced()
    result.findings.append("Running 2s test @ http://x/ and Concurrency Level: 10")
    path = tmp_path / "record.json"
    write(result, path)
    assert isinstance(read(path), Result)


def test_a_record_is_read_without_the_readers_of_tools(tmp_path):
    path = tmp_path / "run.json"
    write(make_run(), path)
    code = (
        "import sys; from pathlib import Path; from lab.readers.files import read;"
        f"read(Path({str(path)!r}));"
        "print([name for name in sys.modules if name.startswith('lab.readers.h')])"
    )
    asked = [sys.executable, "-c", code]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_standard_input_is_read_where_no_file_is_named(monkeypatch):
    content = io.BytesIO((TESTS / "samples" / "hey.csv").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    found = read(None)
    assert (found.name, found.requests) == ("standard input", 400)


def test_a_closed_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Unreadable, match=r"^standard input: it is closed"):
        read(None)


# ---- A tool that is new ----------------------------------------------------------------
NEW_TOOL = """
from lab.facts.foreign import Foreign
from lab.readers.reader import TextReader

def read_text(text):
    return Foreign(requests=int(text.split()[2]))

READERS = (
    TextReader(source="new", cannot_know="much", looks="new tool: ", read=read_text),
)
"""


def test_a_new_tool_is_one_new_file(tmp_path, monkeypatch, read_content):
    (tmp_path / "newtool.py").write_text(NEW_TOOL)
    monkeypatch.setattr(lab.readers, "__path__", [*lab.readers.__path__, str(tmp_path)])
    find_readers.cache_clear()
    try:
        found = read_content("new tool: 7 requests")
    finally:
        find_readers.cache_clear()
        sys.modules.pop("lab.readers.newtool", None)
    assert (found.name, found.source, found.requests) == ("made", "new", 7)
    assert found.cannot_know == "much"


# ---- Pages -----------------------------------------------------------------------------
def test_each_output_that_a_page_quotes_is_a_record(samples):
    outputs = read_all(PAGE)
    assert [(run.name, run.source) for run in outputs] == [
        ("Eight threads", "hey"),
        ("One process", "ab"),
        ("The same on another day", "ab"),
        ("Four workers", "wrk"),
    ]
    assert [run.requests for run in outputs] == [400, 400, 400, 970]
    assert [run.failed for run in outputs] == [None, 20, 0, 48]
    assert list(outputs[0].buckets.values()) == list(samples("hey.txt").buckets.values())
    assert outputs[2].latency_s == outputs[1].latency_s == samples("ab.txt").latency_s


def test_of_a_page_there_is_not_the_one_record():
    with pytest.raises(Unreadable, match="4 outputs, expected one"):
        read(PAGE)


def test_a_page_may_show_json_beside_an_output(read_content, sample_text):
    page = f'Answer:\n\n```\n{{"a": 1}}\n```\n\n{sample_text("wrk.txt")}'
    assert read_content(page).requests == 970


# ---- What cannot be read ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "nothing in it"),
        (" \n\n", "nothing in it"),
        ("Summary: all is well", "no output of a tool that is known"),
        ("[1, 2]", "no output of a tool that is known"),
        ("{]", "not JSON"),
        ("{}", "no known `format`"),
        ('{"format": "loadgen-run/9"}', "no known `format`"),
        ('{"format": "loadgen-run/1"', "a record of loadgen.py that was cut off"),
        ('{"latencies": 1, "status_codes": 2, "requests": 3}', "vegeta: cut off or damaged"),
        ("response-time,DNS+dialup,DNS\n", "hey csv: no sample in it"),
        ("response-time,DNS+dialup,DNS\n0.1,0.1\n", "in line 2"),
        ("starttime\tseconds\tctime\tdtime\tttime\twait\na\t1\t2\t3\tx\t5\n", "in line 2"),
        ("Type,Name,Request Count,Failure Count,\n", "no whole row 'Aggregated'"),
        ("Running 2s test @ http://x/\n 1 threads and 2 connections\n", "no Requests/sec"),
        ("Summary:\n  Total:\t0.8393 secs\n", "no Requests/sec"),
        ("Concurrency Level:  10\n", "no Complete requests"),
        ('{"metric":"vus","type":"Point","data":{}}\n', "no sample in it"),
        ('{"timestamp":"2026-11-20T13:00:00Z","code":999999999,"latency":1}\n', "beyond 599"),
        ('{"timestamp":"2026-11-20T13:00:00Z","code":-1,"latency":1}\n', "beyond 599"),
        ('{"timestamp":"2026-11-20T13:00:00Z","code":200,"latency":1e999}\n', "in line 1"),
        (f"{HIT}\n{HIT.replace('200', '')}\n", "in line 2"),
        (f"{HIT}\n{HIT.replace('100', '-100')}\n", "below 0"),
    ],
)
def test_what_is_said_of_what_cannot_be_read(refuse, content, said):
    assert said in refuse(content)


@pytest.mark.parametrize("name", ["vegeta.ndjson", "vegeta.csv", "hey.csv", "k6.ndjson"])
def test_a_damaged_line_is_named(refuse, sample_text, name):
    lines = sample_text(name).splitlines()
    lines[20] = lines[20][: len(lines[20]) // 8]
    assert "line 21" in refuse("\n".join(lines))


def test_time_stamps_far_apart_are_refused(refuse, sample_text):
    lines = sample_text("vegeta.csv").splitlines()
    lines[5] = "1" + lines[5]
    assert "more than a week apart" in refuse("\n".join(lines))


@pytest.mark.parametrize("status", ["99", "600", "2e2", "", "-1"])
def test_a_status_that_is_none_is_refused(refuse, status):
    line = f"1795179600000123456,{status},20000000,0,0,,,,0,GET,http://x/,\n"
    first = line.replace(f",{status},", ",200,", 1)
    assert "in line 2" in refuse(first + line)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Unreadable, match=r"missing\.json: No such file or directory$"):
        read(tmp_path / "missing.json")
    with pytest.raises(Unreadable, match=r"Is a directory$"):
        read(tmp_path)


def test_a_name_with_control_characters_is_said_in_one_line(tmp_path):
    path = tmp_path / "a\nb\x1b[2J.json"
    path.write_text("{}")
    with pytest.raises(Unreadable) as caught:
        read(path)
    assert str(caught.value).isprintable()
