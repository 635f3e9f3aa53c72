"""Lists of samples: what is in them survives, to the last sample, and takes no more memory."""

import base64
import csv
import io
import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.facts.histogram import Histogram
from lab.readers import samples as lists
from lab.readers.parsing import parse_span
from lab.readers.samples import SampleTotals, parse_numbers

few = settings(max_examples=12, deadline=None, database=None, derandomize=True)
times_ns = st.integers(10**4, 10**11)
a_sample = st.tuples(
    times_ns, st.sampled_from([200, 200, 204, 302, 404, 503]), st.integers(0, 10**11)
)
some_samples = st.lists(a_sample, min_size=1, max_size=40)


# ---- Round trips -----------------------------------------------------------------------
def write_hey_csv(rows):
    head = (
        "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset"
    )
    lines = [
        f"{t / 1e9:.4f},0.0000,0.0000,0.0000,{t / 1e9:.4f},0.0000,{s},{at / 1e9:.4f}"
        for t, s, at in rows
    ]
    return "\n".join([head, *lines, ""])


def write_oha_csv(rows):
    head = "request-start,DNS,DNS+dialup,Response-delay,request-duration,bytes,status"
    return "\n".join(
        [head, *(f"{at / 1e9:.9f},0,0,{t / 2e9:.9f},{t / 1e9:.9f},2,{s}" for t, s, at in rows), ""]
    )


def write_vegeta_csv(rows):
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    for n, (t, s, at) in enumerate(rows):
        error = "" if s < 400 else 'it said: "no", twice'
        body = base64.b64encode(b"ok").decode()
        fields = [1795179600 * 10**9 + at, s, t, 0, 2, error, body, "", n, "GET", "http://x/", ""]
        writer.writerow(fields)
    return page.getvalue()


def stamp(at_ns):
    return f"2026-11-20T13:{at_ns // (60 * 10**9):02d}:{at_ns % (60 * 10**9) / 1e9:012.9f}Z"


def write_vegeta_ndjson(rows):
    hits = [{"code": s, "timestamp": stamp(at), "latency": t, "error": "a\nb"} for t, s, at in rows]
    return "".join(json.dumps(hit) + "\n" for hit in hits)


def write_k6(rows):
    points = []
    for t, s, at in rows:
        data = {"time": stamp(at), "value": t / 1e6, "tags": {"status": str(s)}}
        points.append({"metric": "http_req_duration", "type": "Point", "data": data})
        points.append({"metric": "http_reqs", "type": "Point", "data": data | {"value": 1}})
    return "".join(json.dumps(point) + "\n" for point in points)


@pytest.mark.parametrize(
    "write", [write_hey_csv, write_oha_csv, write_vegeta_csv, write_vegeta_ndjson, write_k6]
)
@few
@given(rows=some_samples)
@example(rows=[(10**8, 503, 0)])
@example(rows=[(123_456_789, 200, 0)] * 30)
def test_samples_survive_their_file(read_content, write, rows):
    found = read_content(write(rows))
    digits = 4 if write is write_hey_csv else 9
    ok_s = [round(t / 1e9, digits) for t, status, _ in rows if status < 400]
    assert (found.requests, found.failed) == (len(rows), len(rows) - len(ok_s))
    assert found.histogram.counts.tolist() == Histogram.of_seconds(ok_s).counts.tolist()
    assert sum(found.statuses.values()) == len(rows)
    assert sum(second.ok + second.failed for second in found.series) == len(rows)
    if write is not write_k6:  # which has the time of the end
        ends = [at + t for t, _, at in rows]
        expected_s = (max(ends) - min(at for _, _, at in rows)) / 1e9
        assert found.elapsed_s == pytest.approx(expected_s, abs=3e-4)


@few
@given(st.lists(times_ns, min_size=1, max_size=60))
def test_the_times_of_a_second_are_those_of_its_samples(values_ns):
    totals = SampleTotals()
    values_s = np.array(values_ns) / 1e9
    totals.add(values_s, np.full(len(values_ns), 200), -values_s)
    second = totals.to_foreign().series[-1]
    for found_s, rank in ((second.p50, 50), (second.p99, 99)):
        expected_s = np.percentile(values_ns, rank, method="inverted_cdf") / 1e9
        assert found_s == pytest.approx(expected_s, rel=0.0102)


@few
@given(some_samples)
def test_where_a_block_ends_makes_no_difference(read_content, rows):
    content = write_hey_csv(rows * 3)
    whole = read_content(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "BLOCK", 64)
        assert read_content(content).histogram.counts.tolist() == whole.histogram.counts.tolist()


def test_the_last_line_may_end_without_a_newline(read_content, sample_text):
    assert read_content(sample_text("hey.csv").rstrip()).requests == 400


@pytest.mark.slow
def test_a_long_list_takes_no_more_memory(made, read_content):
    """Ten times the samples, in as much memory."""
    peaks, line = [], "0.0205,0.0000,0.0000,0.0000,0.0204,0.0000,200,0.5000\n"
    for count in (200_000, 2_000_000):
        content = write_hey_csv([]) + line * count
        made.write_text(content)
        del content
        tracemalloc.start()
        from lab.readers.files import read

        assert read(made).requests == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


# ---- Numbers and durations -------------------------------------------------------------
def parse_texts(texts: list[str]) -> list[float]:
    text = ",".join(texts).encode()
    marks = [n for n, byte in enumerate(text) if byte == ord(",")]
    begins, ends = np.array([0, *(n + 1 for n in marks)]), np.array([*marks, len(text)])
    return parse_numbers(np.frombuffer(text or b"x", np.uint8), begins, ends).tolist()


@given(st.lists(st.decimals(0, 10**9, places=6), min_size=1, max_size=30))
def test_numbers_are_read_as_they_stand(numbers):
    expected = [float(number) for number in numbers]
    assert parse_texts([str(n) for n in numbers]) == pytest.approx(expected, rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("text", ["", "-1", "1e5", "1.2.3", " 1", "nan", "é", "9" * 31])
def test_what_is_no_number_is_none(text):
    assert math.isnan(parse_texts([text])[0])


@given(st.lists(st.text("0123456789.e- ", max_size=8), min_size=1, max_size=5))
def test_a_text_is_a_number_or_nan(texts):
    for text, found in zip(texts, parse_texts(texts), strict=True):
        assert math.isnan(found) or found == pytest.approx(float(text if text != "." else 0))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("635.91us", 635.91e-6), ("20.51ms", 0.02051), ("2.00s", 2), ("1.50m", 90), ("1.00h", 3600),
     ("1m0.5s", 60.5), ("762.632µs", 762.632e-6), ("15m0s", 900), ("0s", 0), ("98ns", 98e-9)],
)  # fmt: skip
def test_durations_of_wrk_and_go(text, seconds):
    assert parse_span(text) == pytest.approx(seconds)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_of_go_is_the_sum_of_its_parts(hours, minutes, seconds, ms):
    text = f"{hours}h{minutes}m{seconds}s{ms}ms"
    assert parse_span(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + ms / 1e3)


@pytest.mark.parametrize("text", ["", "-nanus", "12", "s", "abc"])
def test_what_is_no_duration_is_none(text):
    assert math.isnan(parse_span(text))
