"""What is known of each tool, and of no other."""

import numpy as np
import pytest

from lab.facts.histogram import Histogram
from lab.reports.chart import list_percentiles

HLOG = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


# ---- hey -------------------------------------------------------------------------------
def test_failures_are_no_throughput(samples):
    hey, plain = samples("hey.txt"), samples("hey.csv")
    assert hey.rate == pytest.approx(400 / hey.elapsed_s, rel=0.001)
    assert hey.throughput == pytest.approx(380 / hey.elapsed_s)
    assert plain.statuses == {"200": 380, "503": 20}
    assert plain.histogram.count == 380


def test_hey_of_more_than_a_million_knows_no_failures(read_content, sample_text):
    found = read_content(sample_text("hey.txt").replace("476.5886", "4765886.0"))
    assert (found.requests, found.failed) == (round(4765886 * 0.8393), None)


def test_hey_leaves_out_percentiles_that_it_did_not_reach(read_content, sample_text):
    found = read_content(sample_text("hey.txt").replace("99% in 0.0255", "0% in 0.0000"))
    assert found.latency_s["min"] == 0.0197


def test_hey_has_the_edges_that_it_used(samples):
    edges = list(samples("hey.txt").buckets)
    assert (edges[0], edges[-1]) == (0.0197, pytest.approx(0.0258))
    assert np.diff(edges) == pytest.approx(0.00061)


def test_hey_of_one_response_time_has_one_bucket(read_content, sample_text):
    found = read_content(sample_text("hey.txt").replace("Slowest:\t0.0258", "Slowest:\t0.0197"))
    assert found.buckets == {0.0197: 400}


# ---- ab --------------------------------------------------------------------------------
def test_ab_does_not_fail_for_a_length(read_content, sample_text):
    lines = "Failed requests:        9\n   (Connect: 1, Receive: 2, Length: 6, Exceptions: 0)"
    found = read_content(sample_text("ab.txt").replace("Failed requests:        0", lines))
    assert found.failed == 1 + 2 + 20
    assert found.errors == {"connect": 1, "receive": 2, "status": 20}


def test_ab_names_the_url_and_the_load(samples):
    found = samples("ab.txt")
    assert found.name == "http://127.0.0.1:48123/mixed"
    assert (found.connections, found.keepalive) == (10, True)


def test_ab_that_was_stopped_says_so(refuse, sample_text):
    """Also where nothing but its greeting is there."""
    text = sample_text("ab.txt")
    for mark in ("Copyright", "Server Software", "Document Path", "Complete requests"):
        assert refuse(text[: text.index(mark)]).startswith("ab: cut off")


# ---- wrk and wrk2 ----------------------------------------------------------------------
def test_wrk_counts_what_was_not_answered(read_content, sample_text):
    line = "  Socket errors: connect 1, read 2, write 0, timeout 4\n"
    found = read_content(sample_text("wrk.txt").replace("  Non-2xx", line + "  Non-2xx"))
    assert (found.requests, found.ok) == (977, 922)
    assert found.errors == {"connect": 1, "read": 2, "timeout": 4, "status": 48}


def test_wrk2_gives_the_corrected_times_first(samples):
    assert samples("wrk2-uncorrected.txt").latency_s == samples("wrk2-latency.txt").latency_s


def test_wrk2_of_a_short_run_has_no_times(read_content, sample_text):
    text = sample_text("wrk2.txt")
    start = text.index("    Latency")
    cut = text[:start] + "    Latency    -nanus    -nanus   0.00us    -nan%\n"
    assert read_content(cut + text[text.index("    Req/Sec") :]).latency_s["mean"] is None


# ---- The others ------------------------------------------------------------------------
def test_autocannon_has_no_times_that_it_made_up(samples):
    found = samples("autocannon-rate.json")
    assert "12198 of 600" in found.cannot_know
    assert not any(found.latency_s.values())


def test_oha_was_still_waiting_at_the_end(samples):
    assert samples("oha.json").errors == {"connection closed before message completed": 1}


def test_tools_that_talk_before_their_json(read_content, sample_text):
    text = sample_text("bombardier.json")
    assert read_content(f"Bombarding for 2s\nDone!\n{text}").requests == 40
    said = "Running 3s test @ http://127.0.0.1:48124/mixed\n10 connections\n\n"
    assert read_content(said + sample_text("autocannon.json")).requests == 1430


# ---- HdrHistogram ----------------------------------------------------------------------
def test_the_hgrm_that_we_write_is_read(read_content, samples):
    hey = samples("hey.csv")
    found = read_content(list_percentiles(hey.name, hey.histogram))
    assert found.requests == hey.histogram.count
    for key in ("min", "mean", "p50", "p75", "p90", "max"):
        assert found.latency_s[key] == pytest.approx(hey.latency_s[key], rel=0.01), key


def test_an_hgrm_in_a_unit_that_is_none_is_refused(refuse, sample_text):
    assert "hgrm: " in refuse(sample_text("vegeta.hgrm").replace("Value(ms)", "Value(dogs)"))


@pytest.mark.parametrize("unit_ns", [1, 1_000, 1_000_000])
def test_a_hlog_is_in_the_unit_of_its_maximum(read_content, unit_ns):
    """HdrHistogram knows no unit; Interval_Max is in ms."""
    histogram = Histogram()
    histogram.record(np.array([20_000_000, 21_000_000, 30_000_000]) // unit_ns)
    found = read_content(f"{HLOG}\nTag=A,0.5,1.0,30.0,{histogram.encode()}\n")
    expected = {"min": 0.020, "mean": 0.02367, "max": 0.030}
    for key, value_s in expected.items():
        assert found.latency_s[key] == pytest.approx(value_s, rel=0.002), key


@pytest.mark.parametrize(
    "line",
    [
        "0,1,30.0",
        "0,1,1e-300,{}",
        "0,1,3e9,{}",
        "nan,1,30.0,{}",
        "inf,1,30.0,{}",
        "0,-1,30.0,{}",
        "0,1e9,30.0,{}",
        "0,1,nan,{}",
    ],
)
def test_a_hlog_of_impossible_intervals_is_refused(refuse, line):
    histogram = Histogram.of_seconds([0.030])
    assert "in line 2" in refuse(f"{HLOG}\n{line.format(histogram.encode())}\n")
