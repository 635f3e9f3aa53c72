"""Tests of what summarize.py reads of other tools.

samples/ holds outputs of hey, ab, wrk, Locust and autocannon of a server that answers after
20 ms, and, of tools that are not easily had, files of the form that they document. Their texts
are in golden/readers; after a change that is meant, write them anew and read the difference:

    UPDATE_GOLDEN=1 python -m pytest tests/test_readers.py -k golden && git diff tests/golden
"""

import base64
import csv
import io
import json
import math
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import summarize
from summarize import (
    READERS,
    Foreign,
    Histogram,
    Unreadable,
    compare,
    main,
    merge_all,
    moments,
    percentile_table,
    plot,
    read,
    read_all,
    report,
    sparkline,
)

HERE = Path(__file__).resolve().parent
SAMPLES = sorted((HERE / "samples").iterdir())
DELAY_S = 0.020
few = settings(max_examples=12, deadline=None, database=None, derandomize=True)

every_sample = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("readers")


def reading(folder: Path, content: str | bytes) -> Foreign:
    """What a file of this content is read as."""
    path = folder / "made"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path)


def refused(folder: Path, content: str | bytes, *parts: str) -> None:
    with pytest.raises(Unreadable) as caught:
        reading(folder, content)
    said = str(caught.value)
    assert said.startswith(f"{folder / 'made'}: ")
    assert "\n" not in said
    for part in parts:
        assert part in said


def sample(name: str) -> Foreign:
    return read(HERE / "samples" / name)


# ---- The samples ---------------------------------------------------------------------

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


@every_sample
def test_counts_of_the_samples(path):
    requests, failed, every = KNOWN[path.name]
    found = read(path)
    assert (found.requests, found.failed, found.histogram is not None) == (requests, failed, every)
    if failed is not None:
        assert found.ok == requests - failed
        assert found.throughput == pytest.approx(found.ok / found.elapsed_s, rel=0.001)
    if every and failed is not None:
        assert found.histogram.count == found.ok


@every_sample
def test_response_times_of_the_samples(path):
    """Known to within 5 % of the server's delay, where the source has them."""
    latency_s = read(path).latency_s
    if path.name in ("hey-refused.txt", "autocannon-rate.json"):
        assert not any(latency_s.values())
        return
    assert latency_s["p50"] or latency_s["max"]
    for key in ("min", "mean", "p50"):
        assert latency_s[key] is None or latency_s[key] == pytest.approx(DELAY_S, rel=0.065), key


def test_every_reader_has_a_sample():
    """wrk2 is read by the reader of wrk."""
    assert {read(path).source for path in SAMPLES} == {r.source for r in READERS} | {"wrk2"}
    assert all(reader.cannot_know for reader in READERS)


def texts() -> dict[str, str]:
    found = {path.name: report(read(path)) for path in SAMPLES}
    several = [sample(name) for name in ("hey.csv", "plain.hlog", "locust.csv", "wrk.txt")]
    found["compare"] = compare(several)
    found["compare_markdown"] = compare(several, markdown=True)
    found["compare_asked"] = compare(several, percentiles=[10.0, 99.99], baseline="locust")
    found["report_markdown"] = report(sample("hey.txt"), markdown=True)
    found["page"] = compare(read_all(HERE / "page.md"))
    found["hgrm"] = percentile_table(sample("hey.csv"))
    found["sparkline"] = "\n".join(sparkline(STALLED))
    return found


def test_golden_texts():
    found = {f"{name}.txt": f"{text}\n" for name, text in texts().items()}
    golden = HERE / "golden" / "readers"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.mkdir(exist_ok=True)
        for path in golden.glob("*.txt"):
            path.unlink()
        for name, text in found.items():
            (golden / name).write_text(text, encoding="utf-8")
    assert sorted(found) == sorted(path.name for path in golden.glob("*.txt"))
    for name, text in found.items():
        assert text == (golden / name).read_text(encoding="utf-8"), name


def test_texts_keep_to_the_width():
    for name, text in texts().items():
        wide = [line for line in text.split("\n") if len(line) > 79 and line[0] != "|"]
        assert wide == [], name


# ---- What is known of each tool ------------------------------------------------------


def test_failures_are_no_throughput():
    hey, plain = sample("hey.txt"), sample("hey.csv")
    assert hey.rate == pytest.approx(400 / hey.elapsed_s, rel=0.001)
    assert hey.throughput == pytest.approx(380 / hey.elapsed_s)
    assert plain.statuses == {"200": 380, "503": 20}
    assert plain.histogram.count == 380


def test_hey_of_more_than_a_million_knows_no_failures(folder):
    text = (HERE / "samples" / "hey.txt").read_text()
    found = reading(folder, text.replace("476.5886", "4765886.0"))
    assert (found.requests, found.failed) == (round(4765886 * 0.8393), None)


def test_hey_leaves_out_percentiles_that_it_did_not_reach(folder):
    text = (HERE / "samples" / "hey.txt").read_text()
    found = reading(folder, text.replace("99% in 0.0255", "0% in 0.0000"))
    assert found.latency_s["min"] == 0.0197


def test_hey_has_the_edges_that_it_used():
    edges = list(sample("hey.txt").buckets)
    assert (edges[0], edges[-1]) == (0.0197, pytest.approx(0.0258))
    assert np.diff(edges) == pytest.approx(0.00061)


def test_ab_does_not_fail_for_a_length(folder):
    text = (HERE / "samples" / "ab.txt").read_text()
    found = reading(
        folder,
        text.replace(
            "Failed requests:        0",
            "Failed requests:        9\n   (Connect: 1, Receive: 2, Length: 6, Exceptions: 0)",
        ),
    )
    assert found.failed == 1 + 2 + 20
    assert found.errors == {"connect": 1, "receive": 2, "status": 20}


def test_wrk_counts_what_was_not_answered(folder):
    text = (HERE / "samples" / "wrk.txt").read_text()
    line = "  Socket errors: connect 1, read 2, write 0, timeout 4\n"
    found = reading(folder, text.replace("  Non-2xx", line + "  Non-2xx"))
    assert (found.requests, found.ok) == (977, 922)
    assert found.errors == {"connect": 1, "read": 2, "timeout": 4, "status": 48}


def test_wrk2_gives_the_corrected_times_first():
    assert sample("wrk2-uncorrected.txt").latency_s == sample("wrk2-latency.txt").latency_s


def test_wrk2_of_a_short_run_has_no_times(folder):
    text = (HERE / "samples" / "wrk2.txt").read_text()
    start = text.index("    Latency")
    cut = text[:start] + "    Latency    -nanus    -nanus   0.00us    -nan%\n"
    found = reading(folder, cut + text[text.index("    Req/Sec") :])
    assert found.latency_s["mean"] is None


def test_autocannon_has_no_times_that_it_made_up():
    found = sample("autocannon-rate.json")
    assert "12198 of 600" in found.cannot_know
    assert not any(found.latency_s.values())


def test_oha_was_still_waiting_at_the_end():
    assert sample("oha.json").errors == {"connection closed before message completed": 1}


@pytest.mark.parametrize("count", [999, 1000])
def test_a_percentile_needs_ten_samples_beyond_it(count):
    said = Foreign(name="", source="", cannot_know="", requests=count, latency_s={"p99": 0.1})
    assert said.latency_s["p99"] == (0.1 if count == 1000 else None)


def test_the_hgrm_that_we_write_is_read(folder):
    hey = sample("hey.csv")
    found = reading(folder, percentile_table(hey))
    assert found.requests == hey.histogram.count
    for key in ("min", "mean", "p50", "p75", "p90", "max"):
        assert found.latency_s[key] == pytest.approx(hey.latency_s[key], rel=0.01), key


def test_the_hlog_is_in_the_unit_of_its_maximum(folder):
    """HdrHistogram knows no unit; Interval_Max is in ms."""
    values_ns = np.array([20_000_000, 21_000_000, 30_000_000])
    of = {}
    for unit, name in ((1, "ns"), (1000, "µs")):
        histogram = Histogram()
        histogram.record(values_ns // unit)
        head = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
        of[name] = reading(folder, f"{head}\nTag=A,0.5,1.0,30.0,{histogram.encode()}\n").latency_s
    assert of["ns"]["max"] == pytest.approx(0.030, rel=0.002)
    for key in ("min", "mean", "max"):
        assert of["µs"][key] == pytest.approx(of["ns"][key], rel=0.002)


def test_tools_that_talk_before_their_json(folder):
    text = (HERE / "samples" / "bombardier.json").read_text()
    assert reading(folder, f"Bombarding for 2s\nDone!\n{text}").requests == 40


@every_sample
def test_line_ends_of_windows(folder, path):
    content = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    found, expected = reading(folder, content), read(path)
    assert (found.requests, found.failed) == (expected.requests, expected.failed)
    assert found.latency_s == expected.latency_s


# ---- Pages ---------------------------------------------------------------------------


def test_each_output_that_a_page_quotes_is_a_record():
    outputs = read_all(HERE / "page.md")
    assert [(run.name, run.source) for run in outputs] == [
        ("Eight threads", "hey"),
        ("One process", "ab"),
        ("The same on another day", "ab"),
        ("Four workers", "wrk"),
    ]
    assert [run.requests for run in outputs] == [400, 400, 400, 970]
    assert [run.failed for run in outputs] == [None, 20, 0, 48]
    assert list(outputs[0].buckets.values()) == list(sample("hey.txt").buckets.values())
    assert outputs[2].latency_s == outputs[1].latency_s == sample("ab.txt").latency_s
    with pytest.raises(Unreadable, match="4 outputs, expected one"):
        read(HERE / "page.md")


def test_a_figure_of_a_page_stands_beside_a_run_of_today():
    text = compare([*read_all(HERE / "page.md"), sample("plain.hlog")])
    for name in ("Eight threads", "One process", "Four workers", "plain"):
        assert name in text
    assert "not known from hlog" in text


# ---- What cannot be read -------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "nothing in it"),
        (" \n\n", "nothing in it"),
        ("Summary: all is well", "not JSON"),
        ("[1, 2]", "no known `format`"),
        ('{"latencies": 1, "status_codes": 2, "requests": 3}', "not a whole record"),
        ("response-time,DNS+dialup,DNS\n", "no sample in it"),
        ("response-time,DNS+dialup,DNS\n0.1,0.1\n", "in line 2"),
        ("starttime\tseconds\tctime\tdtime\tttime\twait\na\t1\t2\t3\tx\t5\n", "in line 2"),
        ("Type,Name,Request Count,Failure Count,\n", "no whole row 'Aggregated'"),
        ("Running 2s test @ http://x/\n 1 threads and 2 connections\n", "no 'Requests/sec'"),
        ("Summary:\n  Total:\t0.8393 secs\n", "no 'Requests/sec'"),
        ("Concurrency Level:  10\n", "no 'Time taken for tests'"),
        ('{"metric":"vus","type":"Point","data":{}}\n', "no sample in it"),
        ('{"timestamp":"2026-11-20T13:00:00Z","code":999999999,"latency":1}\n', "beyond 599"),
        ('{"timestamp":"2026-11-20T13:00:00Z","code":-1,"latency":1}\n', "beyond 599"),
        ('{"timestamp":"2026-11-20T13:00:00Z","code":200,"latency":1e999}\n', "no number"),
    ],
)
def test_what_is_said_of_what_cannot_be_read(folder, content, said):
    refused(folder, content, said)


@pytest.mark.parametrize("name", ["vegeta.ndjson", "vegeta.csv", "hey.csv", "k6.ndjson"])
def test_a_damaged_line_is_named(folder, name):
    lines = (HERE / "samples" / name).read_text().splitlines()
    lines[20] = lines[20][: len(lines[20]) // 8]
    refused(folder, "\n".join(lines), "line 21")


def test_a_list_of_samples_may_end_without_a_newline(folder):
    content = (HERE / "samples" / "hey.csv").read_bytes()
    assert reading(folder, content.rstrip()).requests == 400


def test_time_stamps_far_apart_are_refused(folder):
    lines = (HERE / "samples" / "vegeta.csv").read_text().splitlines()
    lines[5] = "1" + lines[5]
    refused(folder, "\n".join(lines), "more than a week apart")


def test_what_is_too_large_is_refused(folder, monkeypatch):
    monkeypatch.setattr(summarize, "LARGEST", 1 << 17)
    refused(folder, b"x" * (1 << 18), "over 131 kB")
    refused(folder, b"response-time,DNS+dialup,\n" + b"1" * (1 << 24), "a line of more than")


@pytest.mark.parametrize("status", ["99", "600", "2e2", "", "-1"])
def test_a_status_that_is_none_is_refused(folder, status):
    line = f"1795179600000123456,{status},20000000,0,0,,,,0,GET,http://x/,\n"
    first = line.replace(f",{status},", ",200,", 1)
    refused(folder, first + line, "in line 2")


@every_sample
@few
@given(data=st.data())
def test_a_cut_output_tells_no_lie(folder, path, data):
    """It is refused, or what is still there is what was there."""
    content = path.read_bytes()
    end = data.draw(
        st.integers(0, len(content)) | st.integers(max(0, len(content) - 200), len(content))
    )
    try:
        found = reading(folder, content[:end])
    except Unreadable as error:
        assert "\n" not in str(error)
        return
    whole = read(path)
    if whole.histogram:
        assert found.histogram.count <= whole.histogram.count
        assert found.latency_s["min"] >= whole.latency_s["min"]
        assert found.latency_s["max"] <= whole.latency_s["max"]
        return
    assert found.requests == pytest.approx(whole.requests, abs=1)  # hey says it in two figures
    assert found.failed in (None, whole.failed)
    for key, value in found.latency_s.items():
        assert value is None or value == whole.latency_s[key] or path.name == "ab-e.csv", key


@pytest.mark.slow
@every_sample
@few
@given(junk=st.binary(max_size=60) | st.text(max_size=60).map(str.encode), at=st.floats(0, 1))
def test_junk_never_ends_in_a_traceback(folder, path, junk, at):
    content = path.read_bytes()
    place = round(at * len(content))
    for damaged in (content[:place] + junk + content[place:], content[:place] + junk):
        try:
            found = reading(folder, damaged)
        except Unreadable as error:
            assert "\n" not in str(error)
        else:
            assert "Not known" in report(found)
            assert "no interval" in compare([found, sample("hey.txt")])


@few
@given(st.sampled_from(READERS), st.binary(max_size=300))
def test_random_bytes_are_refused_in_a_line(folder, reader, content):
    refused(folder, b"\0" + content)


def places(data):
    """The path of every value in JSON data."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (key,)
        if isinstance(value, dict | list):
            yield from ((key, *rest) for rest in places(value))


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", None, "x", [], {}, -1, 1e400], ids=repr)
@pytest.mark.parametrize("path", [p for p in SAMPLES if p.suffix == ".json"], ids=lambda p: p.name)
def test_no_damaged_json_ends_in_a_traceback(folder, path, damage, capsys):
    whole = path.read_text()
    for place in places(json.loads(whole)):
        data = json.loads(whole)
        inner = data
        for key in place[:-1]:
            inner = inner[key]
        if damage == "missing":
            del inner[place[-1]]
        else:
            inner[place[-1]] = damage
        (folder / "damaged").write_text(json.dumps(data))
        status = main([str(folder / "damaged"), str(HERE / "samples" / "wrk.txt")])
        said = capsys.readouterr().err
        assert (status, said.count("\n")) in ((0, 0), (1, 1)), place


# ---- Round trips ---------------------------------------------------------------------

times_ns = st.integers(10**4, 10**11)
a_sample = st.tuples(
    times_ns, st.sampled_from([200, 200, 204, 302, 404, 503]), st.integers(0, 10**11)
)
samples = st.lists(a_sample, min_size=1, max_size=40)


def hey_csv(rows):
    head = (
        "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset"
    )
    lines = [
        f"{t / 1e9:.4f},0.0000,0.0000,0.0000,{t / 1e9:.4f},0.0000,{s},{at / 1e9:.4f}"
        for t, s, at in rows
    ]
    return "\n".join([head, *lines, ""])


def oha_csv(rows):
    head = "request-start,DNS,DNS+dialup,Response-delay,request-duration,bytes,status"
    return "\n".join(
        [head, *(f"{at / 1e9:.9f},0,0,{t / 2e9:.9f},{t / 1e9:.9f},2,{s}" for t, s, at in rows), ""]
    )


def vegeta_csv(rows):
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


def vegeta_ndjson(rows):
    hits = [{"code": s, "timestamp": stamp(at), "latency": t, "error": "a\nb"} for t, s, at in rows]
    return "".join(json.dumps(hit) + "\n" for hit in hits)


def k6(rows):
    points = []
    for t, s, at in rows:
        data = {"time": stamp(at), "value": t / 1e6, "tags": {"status": str(s)}}
        points.append({"metric": "http_req_duration", "type": "Point", "data": data})
        points.append({"metric": "http_reqs", "type": "Point", "data": data | {"value": 1}})
    return "".join(json.dumps(point) + "\n" for point in points)


@pytest.mark.parametrize("write", [hey_csv, oha_csv, vegeta_csv, vegeta_ndjson, k6])
@few
@given(rows=samples)
@example(rows=[(10**8, 503, 0)])
@example(rows=[(123_456_789, 200, 0)] * 30)
def test_samples_survive_their_file(folder, write, rows):
    found = reading(folder, write(rows))
    digits = 4 if write is hey_csv else 9
    ok_s = [round(t / 1e9, digits) for t, status, _ in rows if status < 400]
    assert (found.requests, found.failed) == (len(rows), len(rows) - len(ok_s))
    assert found.histogram.counts.tolist() == Histogram.of_seconds(ok_s).counts.tolist()
    assert sum(found.statuses.values()) == len(rows)
    assert sum(entry["ok"] + entry["failed"] for entry in found.series) == len(rows)
    if write is not k6:  # which has the time of the end
        ends = [at + t for t, _, at in rows]
        expected_s = (max(ends) - min(at for _, _, at in rows)) / 1e9
        assert found.elapsed_s == pytest.approx(expected_s, abs=3e-4)


@given(st.lists(times_ns, min_size=1, max_size=60))
def test_the_times_of_a_second_are_those_of_its_samples(values_ns):
    found = summarize.Samples()
    found.add(np.array(values_ns) / 1e9, np.full(len(values_ns), 200), -np.array(values_ns) / 1e9)
    (second,) = found.fields()["series"][-1:]
    for key, rank in (("p50", 50), ("p99", 99)):
        expected_s = np.percentile(values_ns, rank, method="inverted_cdf") / 1e9
        assert second[key] == pytest.approx(expected_s, rel=0.0102), key


@few
@given(samples)
def test_blocks_do_not_matter(folder, rows):
    content = hey_csv(rows * 3)
    whole = reading(folder, content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summarize, "BLOCK", 64)
        assert reading(folder, content).histogram.counts.tolist() == whole.histogram.counts.tolist()


@given(st.lists(st.decimals(0, 10**9, places=6), min_size=1, max_size=30))
def test_numbers_are_read_as_they_stand(numbers):
    text = ",".join(map(str, numbers)).encode()
    marks = [n for n, byte in enumerate(text) if byte == ord(",")]
    begins, ends = np.array([0, *(n + 1 for n in marks)]), np.array([*marks, len(text)])
    found = summarize._numbers(np.frombuffer(text, np.uint8), begins, ends)
    assert found == pytest.approx([float(number) for number in numbers], rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("text", ["", "-1", "1e5", "1.2.3", " 1", "nan", "é", "9" * 31])
def test_what_is_no_number_is_none(text):
    data = text.encode()
    array = np.frombuffer(data or b"x", np.uint8)
    assert math.isnan(summarize._numbers(array, np.array([0]), np.array([len(data)]))[0])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("635.91us", 635.91e-6), ("20.51ms", 0.02051), ("2.00s", 2), ("1.50m", 90), ("1.00h", 3600),
     ("1m0.5s", 60.5), ("762.632µs", 762.632e-6), ("15m0s", 900), ("0s", 0), ("98ns", 98e-9)],
)  # fmt: skip
def test_durations_of_wrk_and_go(text, seconds):
    assert summarize._seconds(text) == pytest.approx(seconds)


@pytest.mark.slow
def test_a_long_list_takes_no_more_memory(folder):
    """Ten times the samples, in as much memory."""
    peaks, line = [], "0.0205,0.0000,0.0000,0.0000,0.0204,0.0000,200,0.5000\n"
    for count in (200_000, 2_000_000):
        path = folder / "long.csv"
        path.write_text(hey_csv([]) + line * count)
        tracemalloc.start()
        assert read(path).requests == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        path.unlink()
    assert peaks[1] < 1.2 * peaks[0]


# ---- Merging, seconds, pictures ------------------------------------------------------


def test_samples_merge_exactly():
    some, more = sample("hey.csv"), sample("oha.csv")
    merged = merge_all([some, more])
    both = some.histogram.counts + more.histogram.counts
    assert merged.histogram.counts.tolist() == both.tolist()
    assert (merged.requests, merged.failed) == (439, 21)
    assert merged.elapsed_s == some.elapsed_s + more.elapsed_s
    assert merged.statuses == {"200": 418, "503": 21}


@pytest.mark.parametrize("other", ["hey.txt", "plain.hgrm", "ab.txt"])
def test_what_has_no_samples_does_not_merge(other):
    with pytest.raises(Unreadable, match="merge exactly"):
        merge_all([sample("hey.csv"), sample(other)])
    with pytest.raises(Unreadable, match="no samples"):
        percentile_table(sample(other))


def seconds(*entries: tuple[int, int]) -> list[dict]:
    return [{"time": n, "ok": ok, "failed": failed} for n, (ok, failed) in enumerate(entries, 1)]


FULL = (480, 0)
STALLED = seconds((200, 0), *[FULL] * 5, (40, 0), (0, 0), *[FULL] * 5, (100, 31), *[FULL] * 6)


@pytest.mark.parametrize(
    ("series", "found"),
    [
        ([], []),
        (seconds(FULL, FULL, (0, 0)), []),  # too few to tell
        (seconds(*[FULL] * 20), []),
        (seconds((200, 0), *[FULL] * 9), ["warm-up until 1 s"]),
        (seconds(*[FULL] * 4, (0, 0), (9, 0), *[FULL] * 5), ["stall from 4 s to 6 s"]),
        (seconds(*[FULL] * 5, (9, 3), *[FULL] * 5),
         ["restart or outage from 5 s to 6 s: 3 requests failed"]),
        (seconds(*[FULL] * 8, (200, 0), (210, 0)), ["slower from 8 s on"]),
        (seconds(*[(n, 0) for n in (10, 9, 5, 11, 8, 10, 6, 12)]), []),  # no more than chance
        ([*seconds(*[FULL] * 9), {"time": 9.01, "ok": 0, "failed": 0}], []),  # no second
    ],
)  # fmt: skip
def test_moments(series, found):
    assert moments(series) == found
    assert bool(sparkline(series)) == bool(found)


def test_a_long_sparkline_keeps_to_the_width():
    lines = sparkline(seconds(*[FULL] * 1000, (0, 0), (0, 0), *[FULL] * 3000))
    assert all(len(line) <= 79 for line in lines)


@few
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 5)), max_size=30))
def test_any_series_can_be_drawn(entries):
    assert all(len(line) <= 79 for line in sparkline(seconds(*entries)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", [["hey.txt"], ["hey.csv", "plain.hlog", "locust.csv"], ["ab-g.tsv"]]
)
@pytest.mark.parametrize("form", ["svg", "png"])
def test_anything_can_be_drawn(tmp_path, names, form):
    plot([sample(name) for name in names], tmp_path / f"x.{form}")
    content = (tmp_path / f"x.{form}").read_bytes()
    assert len(content) > 5000
    panels = content.count(b'<g id="axes_') if form == "svg" else 0
    assert panels == (0 if form == "png" else 3 if "hey.csv" in names else 2)


# ---- Command line --------------------------------------------------------------------


def shown(capsys, *arguments: str) -> str:
    assert main([str(HERE / "samples" / a) if "." in a else a for a in arguments]) == 0
    return capsys.readouterr().out


def test_cli_percentiles(capsys):
    out = shown(capsys, "--percentiles", "10", "hey.csv")
    assert "  p10  20.0\n" in out
    assert "p50" not in out


def test_cli_baseline(capsys):
    assert "each against locust" in shown(capsys, "hey.csv", "locust.csv", "--baseline", "locust")


def test_cli_merge(capsys):
    assert "439: 418 ok, 21 failed" in shown(capsys, "--merge", "hey.csv", "oha.csv")


def test_cli_hgrm(capsys, tmp_path):
    shown(capsys, "hey.csv", "--hgrm", str(tmp_path / "written"))
    assert read(tmp_path / "written").requests == 380


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--percentiles", "0"], "must be percentiles"),
        (["--percentiles", "50,x"], "must be percentiles"),
        (["--baseline", "nobody"], "no run is named 'nobody'"),
        (["--hgrm", "x"], "of one run, not of 2"),
    ],
)
def test_cli_wrong_options(capsys, arguments, said):
    files = [str(HERE / "samples" / name) for name in ("hey.csv", "ab.txt")]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *files])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
