"""What holds for each file in samples/.

They are outputs of hey, ab, wrk, Locust and autocannon of a server that answers after 20 ms,
and, of tools that are not easily had, files of the form that they document. Their reports are
in golden/readers; after a change that is meant, write them anew and read the difference:

    UPDATE_GOLDEN=1 python -m pytest tests/readers -k golden && git diff tests/golden
"""

import os
from pathlib import Path

import pytest
from builders import find_too_wide
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.facts.errors import Unreadable
from lab.readers.files import find_readers, read
from lab.reports.report import report
from lab.reports.several import compare

GOLDEN = Path(__file__).parents[1] / "golden" / "readers"
SAMPLES = Path(__file__).parents[1] / "samples"
DELAY_S = 0.020
DIGITS = bytes(ord("0") if chr(byte).isdigit() else ord("x") for byte in range(256))
few = settings(max_examples=12, deadline=None, database=None, derandomize=True)

# requests, failed, and whether every sample is in it
KNOWN = {
    "ab-e.csv": (None, None, False),
    "ab-g.tsv": (400, None, True),
    "ab.txt": (400, 20, False),
    "autocannon-rate.json": (600, 30, False),
    "autocannon.json": (1430, 71, False),
    "bombardier.json": (40, 2, False),
    "hey-refused.txt": (50, 50, False),
    "hey.csv": (400, 20, True),
    "hey.txt": (400, 20, False),
    "k6.ndjson": (40, 2, True),
    "locust.csv": (1366, 16, False),
    "oha.csv": (39, 1, True),
    "oha.json": (40, 2, False),
    "plain.hgrm": (2000, None, False),
    "plain.hlog": (2000, None, True),
    "vegeta.csv": (40, 2, True),
    "vegeta.hgrm": (2000, None, False),
    "vegeta.json": (40, 2, False),
    "vegeta.ndjson": (40, 2, True),
    "vegeta.txt": (40, 2, False),
    "wrk-latency.txt": (970, 0, False),
    "wrk.txt": (970, 48, False),
    "wrk2-latency.txt": (6000, 0, False),
    "wrk2-uncorrected.txt": (6000, 0, False),
    "wrk2.txt": (6000, 0, False),
}


def test_counts_are_those_of_the_load(sample):
    requests, failed, every = KNOWN[sample.name]
    found = read(sample)
    assert (found.requests, found.failed, found.histogram is not None) == (requests, failed, every)
    if failed is not None:
        assert found.ok == requests - failed
        assert found.throughput == pytest.approx(found.ok / found.elapsed_s, rel=0.001)
    if every and failed is not None:
        assert found.histogram.count == found.ok


def test_response_times_are_those_of_the_server(sample):
    """Known to within 5 % of its delay, where the source has them."""
    latency_s = read(sample).latency_s
    if sample.name in ("hey-refused.txt", "autocannon-rate.json"):
        assert not any(latency_s.values())
        return
    assert latency_s["p50"] or latency_s["max"]
    for key in ("min", "mean", "p50"):
        assert latency_s[key] is None or latency_s[key] == pytest.approx(DELAY_S, rel=0.065), key


def test_every_reader_has_a_sample():
    """wrk2 is read by the reader of wrk."""
    found = {read(path).source for path in SAMPLES.iterdir()}
    assert found == {reader.source for reader in find_readers()} | {"wrk2"}
    assert all(reader.cannot_know for reader in find_readers())


def test_the_report_is_the_golden_text(sample):
    text = report(read(sample))
    path = GOLDEN / f"{sample.name}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(f"{text}\n", encoding="utf-8")
    assert f"{text}\n" == path.read_text(encoding="utf-8")
    assert find_too_wide(text) == []


def test_line_ends_of_windows_make_no_difference(sample, read_content):
    content = sample.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    found, expected = read_content(content), read(sample)
    assert (found.requests, found.failed) == (expected.requests, expected.failed)
    assert found.latency_s == expected.latency_s


def test_a_byte_order_mark_makes_no_difference(sample, read_content):
    found, expected = read_content(b"\xef\xbb\xbf" + sample.read_bytes()), read(sample)
    assert (found.requests, found.failed) == (expected.requests, expected.failed)


# ---- Cut off, or damaged ---------------------------------------------------------------
@few
@given(data=st.data())
def test_a_cut_output_tells_no_lie(sample, made, data):
    """It is refused, or what is still there is what was there."""
    content = sample.read_bytes()
    end = data.draw(
        st.integers(0, len(content)) | st.integers(max(0, len(content) - 200), len(content))
    )
    made.write_bytes(content[:end])
    try:
        found = read(made)
    except Unreadable as error:
        assert "\n" not in str(error)
        return
    whole = read(sample)
    if whole.histogram:
        assert found.histogram.count <= whole.histogram.count
        assert found.latency_s["min"] >= whole.latency_s["min"]
        assert found.latency_s["max"] <= whole.latency_s["max"]
        return
    assert found.requests == pytest.approx(whole.requests, abs=1)  # hey says it in two figures
    assert found.failed in (None, whole.failed)
    for key, value in found.latency_s.items():
        assert value is None or value == whole.latency_s[key] or sample.name == "ab-e.csv", key


@pytest.mark.parametrize("share", [0.06, 0.15, 0.3, 0.6, 0.9, 0.99])
def test_of_a_cut_output_the_tool_is_named(sample, made, share):
    """A cut within the first words leaves nothing to know it by."""
    content = sample.read_bytes()
    made.write_bytes(content[: max(int(len(content) * share), 40)])
    try:
        read(made)
    except Unreadable as error:
        tool = read(sample).source.removesuffix("2")
        assert str(error).startswith(f"{made}: {tool}: ")


@pytest.mark.slow
@few
@given(junk=st.binary(max_size=60) | st.text(max_size=60).map(str.encode), at=st.floats(0, 1))
def test_junk_is_refused_in_a_line_or_can_be_shown(sample, made, samples, junk, at):
    content = sample.read_bytes()
    place = round(at * len(content))
    for damaged in (content[:place] + junk + content[place:], content[:place] + junk):
        made.write_bytes(damaged)
        try:
            found = read(made)
        except Unreadable as error:
            assert "\n" not in str(error)
        else:
            assert "Not known" in report(found)
            assert "no interval" in compare([found, samples("hey.txt")])


def test_numbers_too_large_are_refused_in_a_line_or_can_be_shown(sample, made):
    """Each number of a sample, one after the other, as a count or time that cannot be."""
    content = sample.read_bytes()
    places = [
        n for n in range(1, len(content)) if content[n - 1 : n + 1].translate(DIGITS) == b"x0"
    ]
    for place in places[:: max(len(places) // 10, 1)]:
        made.write_bytes(content[:place] + b"9" * 25 + content[place:])
        try:
            report(read(made))
        except Unreadable as error:
            assert str(error).isprintable()
