"""Files that were made to do harm: each is refused in one line, in bounded time and memory."""

import base64
import json
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import pytest
from builders import make_reproduced, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.facts.errors import Unreadable
from lab.facts.histogram import LONGEST_NS
from lab.readers import files
from lab.readers.files import read

ROOT = Path(__file__).resolve().parents[2]
MB = 1 << 20
RUN = make_run(unfinished=1).to_json()
REPORTS = sorted((ROOT / "tests" / "samples").glob("*.json"))


def change(record: dict, place: str, value: object) -> str:
    """The JSON of a record with another value at a place such as "client.cpu_s"."""
    whole = json.loads(json.dumps(record))
    *outer, last = place.split(".")
    inner = whole
    for key in outer:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[last] = value
    return json.dumps(whole)


def pack_histogram(
    counts: list[int] | bytes, digits: int = 3, lowest: int = 1, highest: int = LONGEST_NS
) -> str:
    """An HdrHistogram V2 of these counts, or of their bytes, and with this layout."""
    body = counts if isinstance(counts, bytes) else b"".join(map(pack_count, counts))
    head = struct.pack(">IIIIQQd", 0x1C849313, len(body), 0, digits, lowest, highest, 1.0)
    packed = zlib.compress(head + body)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode()


def pack_count(count: int) -> bytes:
    """A count as ZigZag LEB128, of which the ninth byte is whole."""
    left, packed = (count << 1 ^ count >> 63) & (1 << 64) - 1, b""
    while len(packed) < 8 and left >= 0x80:
        packed += bytes([left & 0x7F | 0x80])
        left >>= 7
    return packed + bytes([left & 0xFF])


# ---- Records of ours -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("ok", -5, "`$.ok`"),
        ("ok", 10**400, "`$.ok`"),
        ("ok", 1e15, "`$.ok`"),
        ("ok", True, "`$.ok`"),
        ("requests", 5, "requests is not ok + failed + unfinished"),
        ("elapsed_s", 1e300, "`$.elapsed_s`"),
        ("elapsed_s", -1, "`$.elapsed_s`"),
        ("elapsed_s", float("inf"), "cut off or damaged"),
        ("elapsed_s", float("nan"), "cut off or damaged"),
        ("statuses", {"200": -1}, "`$.statuses[...]`"),
        ("load", [], "`$.load`"),
        ("load.connections", 0, "`$.load.connections`"),
        ("load.processes", 0, "`$.load.processes`"),
        ("load.rate", 1e300, "`$.load.rate`"),
        ("histograms", [], "not a whole record"),
        ("histograms.latency_s", {}, "not a whole record"),
        ("histograms.latency_s", "AAAA", "not an HdrHistogram"),
        ("latency_s", [], "not a whole record"),
        ("latency_s.min", -1e300, "not an HdrHistogram that ends at"),
        ("latency_s.max", 1e300, "not an HdrHistogram that ends at"),
        ("latency_s.max", 0.5, "not an HdrHistogram that ends at 0.5 s"),
        ("series", {}, "`$.series`"),
        ("series", [[]], "`$.series[0]`"),
        ("series.0.ok", -1, "`$.series[0].ok`"),
        ("client", [], "`$.client`"),
        ("server", "x", "`$.server`"),
        ("validity", None, "`$.validity`"),
        ("targets", 5, "not a whole record"),
        ("targets", [5], "not a whole record"),
        ("slo", "x", "not a whole record"),
    ],
)
def test_a_record_that_cannot_be_is_refused(refuse, place, value, said):
    assert said in refuse(change(RUN, place, value))


@pytest.mark.parametrize("place", ["arms", "arms.time.sleep", "arms.time.sleep.run", "load"])
@pytest.mark.parametrize("value", [None, 5, "x", []], ids=repr)
def test_a_result_that_cannot_be_is_refused(refuse, place, value):
    if place == "load" and value in (None, []):
        return  # there is none
    name, dot, rest = place.partition("arms.time.sleep")
    whole = json.loads(json.dumps(make_reproduced().to_json()))
    if not dot:
        whole[name] = value
    elif rest:
        whole["arms"]["time.sleep"]["run"] = value
    else:
        whole["arms"]["time.sleep"] = value
    assert "not a whole record" in refuse(json.dumps(whole))


@pytest.mark.parametrize(
    "text",
    [
        pack_histogram([5]),
        pack_histogram([1 << 60] * 3),
        pack_histogram([1 << 53, 1]),
        pack_histogram([3, -(1 << 62)]),
        pack_histogram(b"\x02" * 900_000),
        pack_histogram(b"\x02" * 1_000_000, digits=5, highest=1 << 62),
        pack_histogram(b"\x80" * 100),
        pack_histogram([1], digits=9),
        pack_histogram([1], lowest=0),
        pack_histogram([1], lowest=1 << 63, highest=(1 << 64) - 1),
    ],
    ids=["few", "many", "too many", "negative", "slots", "digits", "bytes", "9", "0", "large"],
)
def test_a_forged_histogram_is_refused(refuse, text):
    said = refuse(change(RUN, "histograms.latency_s", text))
    assert "HdrHistogram" in said or "as many as were ok" in said


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=6) | st.binary(max_size=20),
    st.integers(0, 6),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
)
def test_any_histogram_is_refused_in_a_line_or_read(made, counts, digits, lowest, highest):
    made.write_text(
        change(RUN, "histograms.failed_s", pack_histogram(counts, digits, lowest, highest))
    )
    try:
        read(made)
    except Unreadable as error:
        assert str(error).isprintable()


def test_a_histogram_that_unpacks_to_much_takes_no_memory(refuse):
    bomb = base64.b64encode(bytes(8) + zlib.compress(bytes(100 * MB), 1)).decode()
    content = change(RUN, "histograms.latency_s", bomb)
    tracemalloc.start()
    assert "it unpacks to too much" in refuse(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < files.LARGEST + 10 * MB


# ---- JSON ------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ['"format": "loadgen-run/1", ', ""], ids=["ours", "other"])
@pytest.mark.parametrize("end", ["]" * 500_000, ""], ids=["closed", "open"])
def test_json_that_is_nested_deeply_is_refused(refuse, form, end):
    assert "nested too deeply" in refuse(f'{{{form}"load": {"[" * 500_000}{end}}}')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps(RUN).replace('"elapsed_s": ', '"elapsed_s": 1e999, "x": ').encode(), "range"),
        (json.dumps(RUN).encode().replace(b'"name": "', b'"name": "\xff\xfe'), "utf-8"),
        (json.dumps(RUN).encode().replace(b'"name": "', b'"name": "\0'), "cut off or damaged"),
        (json.dumps(RUN)[:-9].encode(), "a record of loadgen.py that was cut off"),
        (b'{"format": "loadgen-run/1"}', "not a whole record: no "),
        (b'{"format": ["loadgen-run/1"]}', "no known `format`"),
        (b'{"\xff": 1}', "not JSON"),
        (b"\0" * 1000, "no output of a tool that is known"),
        (b"\xff\xfe" * 1000, "no output of a tool that is known"),
        ("{" + '"a": 1, ' * 10 + '"a": ' + "9" * 5000 + "}", "no known `format`"),
    ],
    ids=str,
)
def test_damaged_json_is_refused(refuse, content, said):
    assert said in refuse(content)


def test_json_of_too_many_values_is_refused(refuse, monkeypatch):
    monkeypatch.setattr(files, "MOST_VALUES", 1000)
    assert "over 1,000 values" in refuse('{"said": [' + "[]," * 1000 + "[]]}")


@pytest.mark.parametrize("damage", ["missing", None, "x", [], {}, -1, 1e400, 1e300], ids=repr)
@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.name)
def test_damaged_json_of_a_tool_is_refused_in_a_line_or_read(path, made, damage):
    """Each value of a sample in turn."""
    whole = path.read_text()
    for place in list_places(json.loads(whole)):
        data = json.loads(whole)
        inner = data
        for key in place[:-1]:
            inner = inner[key]
        if damage == "missing":
            del inner[place[-1]]
        else:
            inner[place[-1]] = damage
        made.write_text(json.dumps(data))
        try:
            read(made)
        except Unreadable as error:
            assert str(error).isprintable(), place


def list_places(data):
    """The path of every value in JSON data."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (key,)
        if isinstance(value, dict | list):
            yield from ((key, *rest) for rest in list_places(value))


# ---- Sizes -----------------------------------------------------------------------------
BEGINNINGS = {
    "hey": "Summary:\n  Total:\t0.8393 secs\n",
    "ab": "This is ApacheBench\nConcurrency Level:      10\n",
    "wrk": "Running 2s test @ http://x/\n",
    "vegeta": "Requests      [total, rate, throughput] ",
    "Locust": "Type,Name,Request Count,Failure Count,",
    "hgrm": "   Value   Percentile TotalCount\n",
    "ab -e": "Percentage served,Time in ms\n",
    "hey csv": "response-time,DNS+dialup,\n",
    "hlog": '"StartTimestamp","Interval_Length"\n',
    "k6": '{"metric":"a","type":"Point","data":{}}\n',
    "a record": '{"format": "loadgen-run/1", "a": ',
    "nothing": "",
}
REPEATED = [
    "1",
    " ",
    "\n",
    "\t",
    "[",
    "/",
    "\0",
    "é",
    "1 [1] ",
    "50% in ",
    "0 0 1\n",
    "name: x",
    "{}",
]


@pytest.mark.slow
@pytest.mark.parametrize("repeated", REPEATED, ids=repr)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_time_grows_with_the_size_and_no_faster(made, beginning, repeated):
    """What takes the square of it would take minutes for each of these."""
    made.write_text(BEGINNINGS[beginning] + repeated * (300_000 // len(repeated)))
    with pytest.raises(Unreadable):
        read(made)


def test_a_page_of_too_many_outputs_is_refused(refuse):
    assert "more than 1000 outputs" in refuse("Running 1s test @ http://x/\n" * 1500)


def test_what_is_too_large_is_refused(refuse, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 1 << 17)
    assert "over 131 kB" in refuse(b"x" * (1 << 18))


HOSTILE = {
    "line of a list": (BEGINNINGS["hey csv"], "1", 64),
    "lines of a list": (BEGINNINGS["hey csv"], "\n", 64),
    "line of JSON": (BEGINNINGS["k6"], "[", 64),
    "text": ("", "x", 64),
    "text of wide characters": ("", "😀", 7),
    "output": (BEGINNINGS["hey"] + "Requests/sec:\t1.0 \n", " [1]\tx\n", 28),
    "rows": (BEGINNINGS["hgrm"], "0 0 1\n", 28),
    "percentiles": (BEGINNINGS["ab -e"], "1,1\n", 28),
    "columns": (BEGINNINGS["Locust"], ",", 28),
    "outputs": ("", "Running 1s test @ x\n", 28),
    "objects": ('{"format": "loadgen-run/1", "a": [', "{},", 28),
    "keys": ('{"latencies": {}, "requests": {}, "status_codes": {', '"1": 1,', 28),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", HOSTILE)
def test_memory_is_bounded(made, name):
    """In a process that may have as much as ten honest files take.

    Read from VmHWM, which begins anew at exec: ru_maxrss is never below what the parent had.
    """
    beginning, repeated, size_mb = HOSTILE[name]
    made.write_text(beginning + repeated * (size_mb * MB // len(repeated)))
    code = (
        "import re, sys; from pathlib import Path; from lab.readers.files import read;"
        f"from lab.facts.errors import Unreadable\ntry: read(Path({str(made)!r}))\n"
        "except Unreadable as error: print(error)\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', status)[1])"
    )
    asked = [sys.executable, "-c", code]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    *said, peak_kb = done.stdout.splitlines()
    assert all(line.startswith(str(made)) for line in said)
    assert int(peak_kb) < 400_000
    made.unlink()


def test_a_list_may_be_damaged_in_a_line_that_is_named_only(refuse):
    """What an error quotes of a file is short."""
    said = refuse('{"metric":"a","type":"Point","data":{}}\n{"metric":"' + "x" * 100_000 + "\n")
    assert "in line 2" in said
    assert len(said) < 300
