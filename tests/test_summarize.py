"""Tests of summarize.py.

The texts in golden/ are compared exactly. After a change that is meant, write them anew and
read the difference:

    UPDATE_GOLDEN=1 python -m pytest tests/test_summarize.py -k golden && git diff tests/golden
"""

import argparse
import copy
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import example, given, settings
from hypothesis import strategies as st

import summarize
from summarize import (
    BROKEN,
    INCONCLUSIVE,
    LIMITS,
    LONGEST_NS,
    NOT_REPRODUCED,
    PERCENTILES,
    REPRODUCED,
    TABLE_BEGIN,
    TABLE_END,
    Cause,
    Histogram,
    Interval,
    Output,
    Ratio,
    Result,
    Run,
    Table,
    Unreadable,
    add_ratio,
    arm,
    claims_table,
    compare,
    decide,
    doubts,
    duration,
    edges_s,
    explain,
    histogram_rows,
    judged,
    main,
    median_interval,
    merge,
    read,
    report,
    report_result,
    satisfies,
    size,
    text_of,
    three_digits,
    unit_of,
    words,
)

HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parent / "summarize.py"
WIDTH = 79
RESOLUTION = 0.001

settings.register_profile(
    "summarize", max_examples=50, deadline=None, database=None, derandomize=True
)
settings.load_profile("summarize")
few = settings(max_examples=20)

# ---- Inputs, from fixed numbers ------------------------------------------------------

ENVIRONMENT = {
    "cpu": "AMD EPYC",
    "cores": 2,
    "kernel": "Linux 6.18.44",
    "python": "3.11.7",
    "command": "python loadgen.py -c 20 -z 1s http://127.0.0.1:8000/",
    "commit": "4a33e32",
    "packages": {"fastapi": "0.163.2", "uvicorn": "0.54.0"},
    "load_average": 0.25,
    "steal": 0.0,
}
LOAD = {
    "url": "http://127.0.0.1:8000/",
    "method": "GET",
    "connections": 20,
    "requests": None,
    "duration_s": 1.0,
    "rate": None,
    "arrivals": None,
    "timeout_s": 20.0,
    "keepalive": True,
    "client": "wire",
    "processes": 1,
    "warmup_s": 0.0,
}
CLIENT = {
    "loop_lag_s": 0.0002,
    "queued_s": 0.001,
    "in_flight": 20.0,
    "listen_overflows": 0,
    "neighbour": "cron (process 7)",
    "neighbour_busy": 0.01,
}
SERVER = {"cpu_s": 0.5, "rss_bytes": 48_200_000, "processes": 1, "threads": 3, "replaced": 0}
STARTED = "2026-11-20T10:49:26+00:00"


def exponential_s(count: int, mean_s: float, floor_s: float = 0.0) -> list[float]:
    """As many quantiles of a shifted exponential distribution, at even ranks."""
    ranks = (np.arange(count) + 0.5) / count
    return list(floor_s - mean_s * np.log1p(-ranks))


STEADY_S = exponential_s(100, 0.02, floor_s=0.1)


def a_run(latency_s=STEADY_S, *, failed=0, busy=0.2, load=None, client=None, **fields) -> Run:
    """A run that nothing is wrong with, but for what is asked."""
    count, elapsed_s = len(latency_s), fields.pop("elapsed_s", 1.0)
    lag_s = fields.pop("lag_s", 0.0)
    run = Run(
        name="http://127.0.0.1:8000/",
        started=STARTED,
        elapsed_s=elapsed_s,
        load=LOAD | (load or {}),
        ok=count,
        failed=failed,
        unfinished=0,
        statuses={"200": count} if count else {},
        errors={"timeout": failed} if failed else {},
        histograms={
            "latency_s": Histogram.of_seconds(latency_s),
            "service_s": Histogram.of_seconds(latency_s),
            "send_lag_s": Histogram.of_seconds([lag_s] * count),
            "failed_s": Histogram.of_seconds([20.0] * failed),
        },
        series=[{"time": elapsed_s, "ok": count, "failed": failed, "p50": 0.1, "p99": None}],
        connections={"opened": 20, "dns_s": 0.00364, "connect_s": 0.00197, "tls_s": None},
        client=CLIENT | {"cpu_s": busy * elapsed_s} | (client or {}),
        server=dict(SERVER),
        environment=ENVIRONMENT,
    )
    return judged(replace(run, **fields))


def rounds(throughputs, **changes) -> list[Run]:
    """A run of 100 successes for each throughput."""
    return [a_run(elapsed_s=100 / throughput, **changes) for throughput in throughputs]


def a_result(**fields) -> Result:
    about = {"name": "03_blocking_sleep", "title": "time.sleep() holds up", "started": STARTED}
    load = LOAD | {"rounds": 6, "seed": 1, "launches": 1}
    return Result(**about | {"load": load, "environment": ENVIRONMENT} | fields)


SLOW = (98.0, 99.0, 100.0, 101.0, 102.0, 103.0)
CLAIM = Ratio("fast", "slow", reproduced="> 5", not_reproduced="< 2")


def decided(fast, slow, claim=CLAIM, subject=()):
    """Verdict, reasons and interval of two arms, each given as its runs."""
    result = a_result(arms={"fast": arm(fast), "slow": arm(slow)})
    verdict, reasons, intervals = decide(result, claim, subject)
    return verdict, reasons, intervals[0] if intervals else None


def too_wide(text: str) -> list[str]:
    """The lines beyond the width, but for rows of Markdown tables, which cannot be broken."""
    return [line for line in text.split("\n") if len(line) > WIDTH and not line.startswith("|")]


# ---- Histogram -----------------------------------------------------------------------

durations_ns = st.floats(0, math.log10(LONGEST_NS)).map(lambda power: int(10**power))
near_ns = st.tuples(st.integers(1, 10**9), st.lists(st.floats(1, 10), min_size=1, max_size=30)).map(
    lambda drawn: [int(drawn[0] * factor) for factor in drawn[1]]
)
samples_ns = st.lists(durations_ns, min_size=1, max_size=30) | near_ns


def recorded(values_ns) -> Histogram:
    histogram = Histogram()
    histogram.record(np.array(values_ns, dtype=np.int64))
    return histogram


many_ns = st.lists(durations_ns, min_size=20, max_size=200)


@given(samples_ns | many_ns, st.sampled_from([1, 2, 30, 999, 1000]))
def test_figures_agree_with_numpy(values_ns, times):
    values = np.tile(np.array(values_ns, dtype=np.int64), times)
    histogram, values_s = recorded(values), values / 1e9
    summary = histogram.summary_s()
    assert histogram.count == int(histogram.counts.sum()) == len(values)
    assert summary["min"] == values_s.min()
    assert summary["max"] == values_s.max()
    tolerance_s = 0.002 * max(values_s.mean(), values_s.std())
    assert summary["mean"] == pytest.approx(values_s.mean(), rel=0.002)
    assert summary["stdev"] == pytest.approx(values_s.std(), abs=tolerance_s)
    for percentile in PERCENTILES:
        share = Fraction(str(percentile)) / 100
        shown = summary[f"p{percentile:g}"]
        assert (shown is None) == (len(values) * (1 - share) < 10)
        if shown is not None:  # float(share), because 99.9 / 100 is above 0.999
            exact = np.quantile(values_s, float(share), method="inverted_cdf")
            assert exact - 1e-12 <= shown <= exact * (1 + RESOLUTION)


@pytest.mark.parametrize(
    ("percentile", "enough"), [(50, 20), (75, 40), (90, 100), (95, 200), (99, 1000), (99.9, 10_000)]
)
def test_percentile_needs_ten_samples_beyond_it(percentile, enough):
    key = f"p{percentile:g}"
    assert Histogram.of_seconds([0.1] * (enough - 1)).summary_s()[key] is None
    assert Histogram.of_seconds([0.1] * enough).summary_s()[key] == 0.1


def test_empty_histogram_has_no_figures():
    histogram = Histogram.of_seconds([])
    assert histogram.count == 0
    assert set(histogram.summary_s().values()) == {None}
    assert Histogram.decode(histogram.encode()).count == 0


def test_values_beyond_the_ends_are_counted_there():
    histogram = Histogram.of_seconds([-1.0, 0.0, 3600.0, 7200.0])
    assert histogram.count == 4
    assert histogram.summary_s()["min"] == 1e-9
    assert histogram.summary_s()["max"] == 3600.0
    assert histogram.between([1e-9, 2e-9, 3599.0, math.inf]) == [2, 0, 2]


@given(samples_ns)
def test_decoding_gives_back_what_was_encoded(values_ns):
    histogram = recorded(values_ns)
    again = Histogram.decode(histogram.encode())
    assert np.array_equal(again.counts, histogram.counts)
    assert again.count == len(values_ns)
    assert again.encode() == histogram.encode()


@few
@given(samples_ns)
def test_other_tools_read_the_histogram(values_ns):
    """Recording in bulk, encoded, is what hdrhistogram records one by one."""
    theirs = HdrHistogram(1, LONGEST_NS, 3)
    for value in values_ns:
        theirs.record_value(value)
    read_back = HdrHistogram.decode(recorded(values_ns).encode())
    assert read_back.total_count == theirs.total_count
    for percentile in (0, 1, 25, *PERCENTILES, 100):
        found = read_back.get_value_at_percentile(percentile)
        assert found == theirs.get_value_at_percentile(percentile)


@few
@given(st.lists(durations_ns, min_size=10, max_size=20))
def test_percentiles_are_those_of_hdrhistogram(values_ns):
    # its rank is rounded to the nearest and ours up: the same where the rank is whole
    values = [value // 2 + 1 for value in values_ns] * 1000 + [LONGEST_NS]
    histogram = recorded(values[:-1])
    theirs = HdrHistogram.decode(histogram.encode())
    for percentile in PERCENTILES:
        ours_ns = round(histogram.percentile_s(percentile) * 1e9)
        top_ns = theirs.get_value_at_percentile(percentile)
        assert ours_ns == min(top_ns, max(values[:-1]))


@given(st.lists(durations_ns, max_size=30), st.lists(durations_ns, max_size=30))
@example([1_000_300], [5_000_300])
@example([1_000_300], [])
@example([], [1_000_300])
def test_merging_is_recording_both(some_ns, more_ns):
    merged, whole = recorded(some_ns), recorded(some_ns + more_ns)
    merged.add(recorded(more_ns))
    assert merged.encode() == whole.encode()
    assert merged.count == whole.count
    assert merged.summary_s() == whole.summary_s()


@pytest.mark.parametrize("text", ["", "HISTFAAA", "not base64 at all", "é", "AAAA" * 20])
def test_what_is_no_histogram_is_unreadable(text):
    with pytest.raises(Unreadable, match=r"^[^\n]+$"):
        Histogram.decode(text)


# ---- Histogram rows ------------------------------------------------------------------


@few
@given(st.lists(samples_ns, min_size=1, max_size=4))
@example([[999_910, 20_000_000]])
@example([[1_000_300]])
@example([[999_999]])
@example([[6, 12]])
@example([[100_000] * 1000 + [10**9]])
def test_edges_hold_every_sample(several_ns):
    histograms = [recorded(values_ns) for values_ns in several_ns]
    edges = edges_s(histograms)
    low = min(histogram.summary_s()["min"] for histogram in histograms)
    high = max(histogram.summary_s()["max"] for histogram in histograms)
    assert all(a < b for a, b in pairwise(edges))
    assert edges[0] <= low * (1 + 1e-9)
    assert edges[-1] > high
    assert len(edges) <= 50
    for histogram in histograms:
        assert sum(histogram.between(edges)) == histogram.count


@few
@given(st.lists(samples_ns, min_size=1, max_size=6), st.text("abc xyz", max_size=60))
@example([[10**8] * 100], "")
def test_histogram_rows_keep_to_the_width(several_ns, name):
    named = {f"{number} {name}": recorded(ns) for number, ns in enumerate(several_ns)}
    rows = histogram_rows(named)
    assert rows
    assert too_wide("\n".join(rows)) == []


def test_histogram_rows_keep_to_the_width_however_many():
    named = {f"arm {number}": recorded([10**6, 10**7] * 50_000) for number in range(12)}
    assert too_wide("\n".join(histogram_rows(named))) == []


@pytest.mark.parametrize("spread_s", [0.0, 0.0008, 0.003, 0.02])
def test_labels_of_rows_are_told_apart(spread_s):
    rows = histogram_rows({"": Histogram.of_seconds(np.linspace(0.1002, 0.1002 + spread_s, 50))})
    marks = [row.split(" ms ")[0].split(" to ") for row in rows]
    assert [mark for mark in marks if len(set(mark)) != 2] == []


def test_histogram_rows_count_every_sample():
    latency_s = [0.101] * 7 + [0.122] * 30 + [0.138] * 2
    rows = histogram_rows({"": Histogram.of_seconds(latency_s)})
    assert sum(int(row.split()[-1].strip("|")) for row in rows if row[-1].isdigit()) == 39
    assert histogram_rows({"": Histogram()}) == []


def test_a_long_thin_tail_gets_the_last_row():
    rows = histogram_rows({"": Histogram.of_seconds([*np.linspace(0.1, 0.2, 2000), 9.0])})
    assert rows[-1].startswith("over ")
    assert rows[-1].endswith("|1")


# ---- The interval of a median --------------------------------------------------------


@pytest.mark.parametrize("count", range(6))
def test_too_few_values_have_no_interval(count):
    assert median_interval([1.0] * count) is None


@pytest.mark.parametrize(
    ("count", "low", "high", "coverage"),
    [(6, 1, 6, 0.96875), (7, 1, 7, 0.984375), (9, 2, 8, 0.9609375), (15, 4, 12, 0.96484375)],
)
def test_known_intervals(count, low, high, coverage):
    interval = median_interval([float(value) for value in range(1, count + 1)])
    assert interval == Interval((count + 1) / 2, low, high, coverage, count)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_interval_is_the_narrowest_that_covers_enough(confidence):
    for count in range(1, 40):
        covers = {  # from the k-th lowest to the k-th highest
            k: 1 - 2 * Fraction(sum(math.comb(count, below) for below in range(k)), 2**count)
            for k in range(1, count // 2 + 1)
        }
        enough = [k for k, coverage in covers.items() if coverage >= confidence]
        interval = median_interval(list(range(1, count + 1)), confidence)
        if not enough:
            assert interval is None
        else:
            assert (interval.low, interval.high) == (enough[-1], count + 1 - enough[-1])
            assert interval.confidence == pytest.approx(float(covers[enough[-1]]))


@pytest.mark.parametrize("count", [6, 10, 15, 31])
def test_interval_covers_the_median_as_often_as_it_says(count):
    samples = np.random.default_rng(count).lognormal(0.0, 1.5, (4000, count))  # true median 1
    intervals = [median_interval(sample) for sample in samples]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in intervals])
    assert abs(covered - intervals[0].confidence) <= 0.015


@given(st.lists(st.floats(0.01, 100), min_size=6, max_size=20), st.randoms(use_true_random=False))
def test_interval_does_not_depend_on_the_order(values, random):
    shuffled = random.sample(values, len(values))
    assert median_interval(shuffled) == median_interval(values)


# ---- Rules, verdicts and words -------------------------------------------------------


def between(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.96875, 6)


@pytest.mark.parametrize(
    ("rule", "low", "high", "kept"),
    [
        ("> 5", 5.1, 9, True),
        ("> 5", 5.0, 9, False),
        ("> 5", 4, 9, False),
        ("< 2", 1, 1.9, True),
        ("< 2", 1, 2.0, False),
        ("< 2", 1, 3, False),
        ("inside 1.05 to 1.5", 1.05, 1.5, True),
        ("inside 1.05 to 1.5", 1.04, 1.4, False),
        ("inside 1.05 to 1.5", 1.1, 1.6, False),
        ("outside 2 to 5", 1, 1.9, True),
        ("outside 2 to 5", 5.1, 6, True),
        ("outside 2 to 5", 1, 2.1, False),
        ("outside 2 to 5", 1, 6, False),
        ("overlaps 24 to 96", 90, 100, True),
        ("overlaps 24 to 96", 96, 100, True),
        ("overlaps 24 to 96", 20, 24, True),
        ("overlaps 24 to 96", 97, 100, False),
        ("overlaps 24 to 96", 1, 23, False),
        ("> 5 or < 2", 6, 7, True),
        ("> 5 or < 2", 1, 1.5, True),
        ("> 5 or < 2", 1, 6, False),
        ("< 0.9 or inside 1 to 2 or > 10", 1.2, 1.3, True),
    ],
)
def test_rules(rule, low, high, kept):
    assert satisfies(between(low, high), rule) is kept


@pytest.mark.parametrize(
    "rule",
    [
        *("", "5", "> ", "> x", ">5", " > 5", "> -1", "> 1.2.3", ">= 5", "= 1", "faster"),
        *("inside 1", "inside 1 to", "outside 1 to 2 to 3"),
        *("> 5 and < 9", "> 5 or", "> 5 or nonsense"),
    ],
)
def test_nonsense_is_no_rule(rule):
    with pytest.raises(ValueError, match=r".+"):
        satisfies(between(6, 7), rule)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (5.1, 6, REPRODUCED),
        (4.9, 6, INCONCLUSIVE),
        (2.5, 3, INCONCLUSIVE),
        (1.5, 2.1, INCONCLUSIVE),
        (1.5, 1.9, NOT_REPRODUCED),
    ],
)
def test_verdict_of_a_ratio(low, high, verdict):
    assert CLAIM.verdict(between(low, high)) == verdict


def test_rule_of_a_ratio_names_both_sides():
    assert CLAIM.rule == "> 5 is reproduced, < 2 is not"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.1, 1.3, "faster"),
        (1.01, 1.06, "faster"),
        (0.7, 0.9, "slower"),
        (0.94, 0.99, "slower"),
        (0.95, 1.05, "no difference"),
        (1.01, 1.04, "no difference"),
        (0.9, 1.01, "not enough data"),
        (1.0, 1.2, "not enough data"),
    ],
)
def test_words(low, high, said):
    assert words(between(low, high)) == said


def said_of(ours, theirs) -> str:
    """What is said of two arms of these throughputs, round by round."""
    arms = {
        name: {"rounds": [{"throughput": value, "doubts": {}} for value in values]}
        for name, values in (("ours", ours), ("theirs", theirs))
    }
    return words(add_ratio(a_result(arms=arms), "ours", "theirs"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [6, 15])
def test_equal_arms_are_seldom_told_apart(count):
    random, trials = np.random.default_rng(count), 3000
    claimed = {1.0: 0, 1.5: 0}
    for _ in range(trials):
        drift = 1000 * np.cumprod(random.lognormal(0, 0.1, count))
        noise = random.lognormal(0, 0.1, (2, count))
        for speed in claimed:
            said = said_of(speed * drift * noise[0], drift * noise[1])
            claimed[speed] += said in ("faster", "slower")
    assert claimed[1.0] <= 0.05 * trials
    assert claimed[1.5] >= 0.90 * trials  # and arms that differ are told apart


# ---- Decisions -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "verdict", "reasons"),
    [(6.0, REPRODUCED, 0), (1.5, NOT_REPRODUCED, 0), (3.0, INCONCLUSIVE, 1)],
)
def test_decisions(times, verdict, reasons):
    found, why, interval = decided(rounds([times * value for value in SLOW]), rounds(SLOW))
    assert (found, len(why)) == (verdict, reasons)
    assert interval.estimate == pytest.approx(times)
    if why:
        assert "the interval decides neither way" in why[0]
        assert "--rounds" in why[0]


def doubtful(count: int = 2, **changes) -> dict:
    """Six good fast rounds, but that the first ones have these changes."""
    fast = rounds([6 * value for value in SLOW])
    changed = rounds([6 * value for value in SLOW[:count]], **changes)
    return {"fast": [*changed, *fast[count:]], "slow": rounds(SLOW)}


OPEN = {"rate": 100.0, "arrivals": "constant"}
DOUBTS = {
    "client": (doubtful(busy=0.9), ("90 % of a core", "go by the CPU time")),
    "lag": (doubtful(client={"loop_lag_s": 0.4}), ("stood still for up to 400 ms", "close")),
    "failures": (doubtful(failed=1), ("1 of 101 requests failed (1 timeout)", "look at")),
    "little": (
        doubtful(client={"in_flight": 15.0}),
        ("15.0 of 20 connections", "use fewer --connections"),
    ),
    "sent": (
        doubtful(load=OPEN, client={"planned": 100, "sent": 97}),
        ("only 97 % of what was planned", "lower rate"),
    ),
    "resolution": (
        doubtful(load=OPEN, client={"planned": 100, "sent": 100}, lag_s=0.05),
        ("mostly send lag", "use more (-c)"),
    ),
    "overflows": (doubtful(client={"listen_overflows": 3}), ("was full 3 times", "backlog")),
    "restarts": (
        doubtful(server=SERVER | {"replaced": 2}),
        ("2 of the server's processes ended", "switch off"),
    ),
    "steal": (
        doubtful(environment=ENVIRONMENT | {"steal": 0.05}),
        ("kept 5 % of its time for others", "run again"),
    ),
    "neighbour": (
        doubtful(client={"neighbour_busy": 0.5}),
        ("close cron (process 7)", "used 50 % of a core"),
    ),
}


@pytest.mark.parametrize("topic", DOUBTS)
def test_each_doubt_makes_it_inconclusive(topic):
    runs, parts = DOUBTS[topic]
    verdict, reasons, interval = decided(**runs)
    assert verdict == INCONCLUSIVE
    assert interval is None if topic in BROKEN else interval.low > 5
    assert len(reasons) == 1
    for part in ("fast, 2 of 6 rounds: ", *parts):
        assert part in reasons[0]


@pytest.mark.parametrize("topic", LIMITS)
def test_noise_in_one_round_of_six_is_let_pass(topic):
    changes = {
        "client": {"busy": 0.9},
        "queued": {"client": {"queued_s": 5.0}},
        "lag": {"client": {"loop_lag_s": 0.4}},
        "steal": {"environment": ENVIRONMENT | {"steal": 0.05}},
        "neighbour": {"client": {"neighbour_busy": 0.5}},
    }[topic]
    assert decided(**doubtful(count=1, **changes))[0] == REPRODUCED
    assert decided(**doubtful(count=2, **changes))[0] == INCONCLUSIVE


def test_a_lag_of_microseconds_is_told_from_a_queue():
    run = a_run([0.0001] * 100, load=OPEN, client={"planned": 100, "sent": 100}, lag_s=5e-5)
    assert "under the resolution" in doubts(run)["resolution"]


def test_every_doubt_is_named_and_every_round_counted_once():
    _, reasons, _ = decided(rounds([600.0] * 6, busy=0.9, failed=2), rounds([100.0] * 6))
    for part in ("generator used 90 % of a core", "2 of 102 requests failed", "6 of 6 rounds"):
        assert part in " ".join(reasons)
    assert "12 of" not in " ".join(reasons)


@pytest.mark.parametrize("changed", ["fast", "slow"])
def test_rounds_that_spread_make_it_inconclusive(changed):
    wide = [60.0, 80.0, 100.0, 120.0, 140.0, 160.0]
    arms = {"fast": rounds([1000.0] * 6), "slow": rounds([100.0] * 6)}
    arms[changed] = rounds([value * (10 if changed == "fast" else 1) for value in wide])
    verdict, reasons, _ = decided(**arms)
    assert verdict == INCONCLUSIVE
    assert len(reasons) == 1
    assert reasons[0].startswith(f"{changed}: its rounds spread by 31 %")
    assert "--duration" in reasons[0]


def test_too_few_rounds_make_it_inconclusive():
    fast = rounds([6 * value for value in SLOW])
    verdict, reasons, interval = decided(fast[:5], rounds(SLOW[:5]))
    assert (verdict, interval) == (INCONCLUSIVE, None)
    assert len(reasons) == 1
    assert "too few rounds" in reasons[0]
    assert "--rounds 6" in reasons[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"busy": 0.84},
        {"client": {"in_flight": 19.1}},
        {"environment": ENVIRONMENT | {"steal": 0.019}},
        {"client": {"neighbour_busy": 0.19}},
        {"load": {"requests": 10}, "client": {"in_flight": 10.0}},  # no more than are asked for
        {"load": OPEN, "client": {"planned": 100, "sent": 98, "in_flight": 3.0}},
        {"client": {"loop_lag_s": 0.09}},
        {"server": SERVER | {"replaced": 0}},
    ],
)
def test_what_is_within_its_limit_is_no_doubt(changes):
    assert decided(**doubtful(**changes))[:2] == (REPRODUCED, [])


def test_a_failure_in_a_thousand_is_no_doubt():
    allowed = a_run([0.1] * 999, failed=1)
    assert allowed.validity == {"verdict": "VALID", "reasons": []}
    assert a_run([0.1] * 998, failed=1).validity["verdict"] == "SUSPECT"


@pytest.mark.parametrize("topic", ["failures", "overflows"])
def test_the_subject_is_no_reason_for_doubt(topic):
    runs, _ = DOUBTS[topic]
    other = "overflows" if topic == "failures" else "failures"
    assert decided(**runs, subject=(topic,))[:2] == (REPRODUCED, [])
    assert decided(**runs, subject=(topic, other))[0] == REPRODUCED
    assert decided(**runs, subject=(other,))[0] == INCONCLUSIVE


def test_ratios_are_of_the_same_round():
    drift = [86.0, 92.0, 98.0, 104.0, 110.0, 116.0]
    fast, claim = [1.2 * value for value in drift], Ratio("fast", "slow", "> 1.15", "< 1.15")
    verdict, _, interval = decided(rounds(fast), rounds(drift), claim)
    assert verdict == REPRODUCED
    assert (three_digits(interval.low), three_digits(interval.high)) == ("1.20", "1.20")
    # the averages are the same, but no round is like another
    assert decided(rounds(reversed(fast)), rounds(drift), claim)[0] == INCONCLUSIVE


def test_the_ratio_is_no_ratio_of_averages():
    fast, claim = [111.0] * 12 + [90.0] * 3, Ratio("fast", "slow", "> 1.1", "< 1.1")
    assert np.mean(fast) / 100 < 1.1
    assert decided(rounds(fast), rounds([100.0] * 15), claim)[:2] == (REPRODUCED, [])


@pytest.mark.parametrize(("metric", "estimate"), [("p50_s", 0.1), ("server_cpu_us", 3.0)])
def test_a_claim_may_be_about_another_metric(metric, estimate):
    fast = [a_run(np.array(STEADY_S) / 10, server=SERVER | {"cpu_s": 1.5}) for _ in range(6)]
    claim = Ratio("fast", "slow", "inside 0.05 to 5", "> 5", metric)
    verdict, reasons, interval = decided(fast, rounds([100.0] * 6), claim)
    assert (verdict, reasons) == (REPRODUCED, [])
    assert interval.estimate == pytest.approx(estimate, rel=0.003)


def test_cause_says_what_the_control_arm_shows():
    result = a_result(arms={"fast": arm(rounds([600.0] * 6)), "slow": arm(rounds([100.0] * 6))})
    explain(result, Cause("fast", "slow", when="> 5", then="it is {ratio}", otherwise="it is not"))
    explain(result, Cause("slow", "fast", when="> 5", then="it is", otherwise="only {ratio}"))
    explain(result, Cause("fast", "missing", when="> 5", then="it is", otherwise="it is not"))
    assert result.cause == ["it is × 6.00", "only × 0.167"]


def test_validity():
    assert a_run().validity == {"verdict": "VALID", "reasons": []}
    assert a_run(busy=0.9).validity["verdict"] == "SUSPECT"
    assert "to its end" in a_run(interrupted=True).validity["reasons"][0]
    nothing = a_run([], failed=5)
    assert nothing.validity["verdict"] == "INVALID"
    assert "no request was answered" in nothing.validity["reasons"][0]


# ---- Records -------------------------------------------------------------------------

KEYS = {
    *("format", "name", "started", "elapsed_s", "load", "requests", "ok", "failed"),
    *("unfinished", "throughput", "statuses", "errors", "latency_s", "service_s"),
    *("send_lag_s", "histograms", "series", "connections", "client", "server", "validity"),
    "environment",
}


def json_of(record: Run | Result):
    return json.loads(json.dumps(record.to_json()))


def test_record_has_every_key_of_the_design():
    data = json_of(a_run(exponential_s(500, 0.1), failed=3, unfinished=2, elapsed_s=2.0))
    assert set(data) >= KEYS
    assert data["format"] == "loadgen-run/1"
    assert data["requests"] == 505
    assert data["throughput"] == 250.0
    figures = ["min", "mean", "stdev", "p50", "p75", "p90", "p95", "p99", "p99.9", "max"]
    for key in ("latency_s", "service_s", "send_lag_s"):
        assert list(data[key]) == figures
        assert [k for k in figures if data[key][k] is None] == ["p99", "p99.9"]
        assert HdrHistogram.decode(data["histograms"][key]).total_count == 500
    assert {"cpu_s", "cpu_us_per_request", "busy"} <= set(data["client"])
    assert data["client"]["busy"] == pytest.approx(0.2)
    assert data["client"]["cpu_us_per_request"] == pytest.approx(0.4 / 505 * 1e6)
    assert {"verdict", "reasons"} == set(data["validity"])


@pytest.mark.parametrize(
    "run",
    [
        a_run(exponential_s(500, 0.1), failed=3, unfinished=2, interrupted=True),
        a_run([], server=None),
        a_run([1e-9, 4000.0, 0.0010003]),
    ],
    ids=["full", "empty", "ends"],
)
def test_a_run_survives_its_file(run, tmp_path):
    run.save(tmp_path / "run.json")
    assert read(tmp_path / "run.json").to_json() == run.to_json()


@few
@given(samples_ns)
def test_a_run_survives_its_json(values_ns):
    run = a_run()
    run.histograms["latency_s"] = recorded(values_ns)
    assert Run.from_json(json_of(run)).to_json() == run.to_json()


def test_a_result_survives_its_file(tmp_path):
    for name, result in results().items():
        result.save(tmp_path / f"{name}.json")
        assert read(tmp_path / f"{name}.json").to_json() == result.to_json()


def test_keys_of_later_versions_are_left_alone():
    data = json_of(a_run()) | {"invented_later": 1}
    assert Run.from_json(data).to_json() == a_run().to_json()


def test_merge_adds_up():
    first = a_run(exponential_s(50, 0.1), failed=2, unfinished=1, elapsed_s=1.0)
    larger = SERVER | {"rss_bytes": 9e7}
    second = a_run(exponential_s(70, 0.2), unfinished=4, elapsed_s=3.0, server=larger)
    before = [first.to_json(), second.to_json()]
    merged = merge([first, second])
    assert (merged.ok, merged.failed, merged.unfinished, merged.requests) == (120, 2, 5, 127)
    assert merged.elapsed_s == 4.0
    assert merged.throughput == 30.0
    assert merged.statuses == {"200": 120}
    assert merged.errors == {"timeout": 2}
    assert merged.connections["opened"] == 40
    assert merged.client["cpu_s"] == pytest.approx(0.8)
    assert merged.client["busy"] == pytest.approx(0.2)
    assert merged.server is not None
    assert merged.server["cpu_s"] == 1.0
    assert merged.server["cpu_us_per_request"] == pytest.approx(1e6 / merged.requests)
    assert [merged.server[k] for k in ("rss_bytes", "processes", "threads")] == [9e7, 1, 3]
    assert merged.server_cpu_us == pytest.approx(1e6 / merged.requests)
    counts = first.histograms["latency_s"].counts + second.histograms["latency_s"].counts
    assert np.array_equal(merged.histograms["latency_s"].counts, counts)
    assert merged.histograms["failed_s"].count == 2
    assert [first.to_json(), second.to_json()] == before


def test_merge_keeps_the_exact_ends():
    merged = merge([a_run([0.1000301, 0.2000301]), a_run([0.3000301])])
    assert merged.latency_s["min"] == 0.1000301
    assert merged.latency_s["max"] == 0.3000301


def test_a_round_without_answers_can_be_merged_and_shown():
    merged = merge([a_run([], failed=5), a_run()])
    assert merged.latency_s["min"] == a_run().latency_s["min"]
    assert "100 ok, 5 failed" in report(merged)


# ---- What cannot be read -------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("records")


def refused(folder: Path, content: str | bytes) -> None:
    """Check that a file of this content is refused in one line that names it."""
    path = folder / "refused.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(Unreadable) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


WHOLE = json.dumps(a_run(exponential_s(30, 0.1), failed=1).to_json())


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_record_is_refused(folder, end):
    refused(folder, WHOLE[:end])


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(folder, content):
    refused(folder, content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values)
@example({"format": "loadgen-run/1"})
@example({"format": "loadgen-result/1"})
@example({"format": "loadgen-run/2"})
@example({"format": ["loadgen-run/1"]})
def test_other_json_is_refused(folder, value):
    refused(folder, json.dumps(value))


@pytest.mark.parametrize("brackets", ["[", '{"a":'])
def test_deeply_nested_json_is_refused(folder, brackets):
    refused(folder, brackets * 100_000)


@pytest.mark.parametrize("key", ["requests", "ok", "failed", "unfinished"])
def test_requests_that_do_not_add_up_are_refused(folder, key):
    data = json.loads(WHOLE)
    data[key] += 1
    refused(folder, json.dumps(data))


WRITTEN = sorted(set(json.loads(WHOLE)) - {"throughput", "validity"})  # these are made anew


@pytest.mark.parametrize("key", WRITTEN)
def test_a_wrong_type_is_refused(folder, key):
    data = json.loads(WHOLE)
    data[key] = "x" if not isinstance(data[key], str) else 5
    refused(folder, json.dumps(data))


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": []},
        {"arms": {"a": {}}},
        {"arms": {"a": "x"}},
        {"arms": {"a": {"run": {}}}},
        {"ratios": "x"},
        {"name": 5},
        {"load": "x"},
    ],
)
def test_a_wrong_result_is_refused(folder, changes):
    refused(folder, json.dumps(json_of(results()["inconclusive"]) | changes))


@pytest.mark.parametrize("histogram", [None, 5, "x", "HISTFAAA"])
def test_a_wrong_histogram_is_refused(folder, histogram):
    data = json.loads(WHOLE)
    data["histograms"]["latency_s"] = histogram
    refused(folder, json.dumps(data))


@pytest.mark.parametrize("key", ["latency_s", "failed_s"])
def test_a_missing_histogram_is_refused(folder, key):
    data = json.loads(WHOLE)
    del data["histograms"][key]
    refused(folder, json.dumps(data))


def places(data) -> Iterator[tuple]:
    """The path of every value in a record; of a list, that of its first."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data[:1])
    for key, value in pairs:
        yield (key,)
        if isinstance(value, dict | list):
            yield from ((key, *rest) for rest in places(value))


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", None, "x", [], {}, -1], ids=repr)
@pytest.mark.parametrize("kind", ["run", "result"])
def test_no_damage_ends_in_a_traceback(folder, kind, damage, capsys):
    """Whatever one value is, a record is shown or refused in one line."""
    whole = json.loads(WHOLE) if kind == "run" else json_of(results()["reproduced"])
    if kind == "result":  # one arm's run is as good as the others
        del whole["arms"]["def + time.sleep"]
    path, tracebacks = folder / "damaged.json", []
    for place in places(whole):
        data = copy.deepcopy(whole)
        inner = data
        for key in place[:-1]:
            inner = inner[key]
        if damage == "missing":
            del inner[place[-1]]
        else:
            inner[place[-1]] = damage
        path.write_text(json.dumps(data))
        try:
            status = main([str(path)])
        except Exception as error:  # all of them, to name every place at once
            tracebacks.append(f"{'.'.join(map(str, place))}: {error!r}")
            continue
        said = capsys.readouterr().err
        assert (status, said.count("\n")) in ((0, 0), (1, 1)), place
    assert not tracebacks, "\n".join(tracebacks)


# ---- Writing -------------------------------------------------------------------------


def killed(*_):
    raise KeyboardInterrupt


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            a_run().save(path)
    with pytest.raises(TypeError):
        a_run(series=[object()]).save(path)  # what is no JSON
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    a_run().save(path)
    assert json.loads(path.read_text()) == json_of(a_run())
    assert list(tmp_path.iterdir()) == [path]


def test_output_is_refused_before_anything_is_measured(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "run.json"):
        with pytest.raises((OSError, argparse.ArgumentTypeError), match=path.name):
            Output(str(path))


def test_output_goes_where_it_is_asked_to(tmp_path, capsys):
    run = a_run()
    Output("").write(run)
    assert capsys.readouterr().out == ""
    Output("-").write(run)
    assert json.loads(capsys.readouterr().out) == json_of(run)
    Output(str(tmp_path / "run.json")).write(run)
    assert read(tmp_path / "run.json").to_json() == run.to_json()


# ---- Numbers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9.999, "10.0"),
        (0.0123, "0.0123"),
        (0.001, "0.00100"),
        (9.91, "9.91"),
        (99.96, "100"),
        (196, "196"),
        (999.6, "1000"),
        (7890, "7890"),
        (1234567, "1230000"),
        (-9.999, "-10.0"),
        (1e-7, "0.000000100"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_three_digits(value, text):
    assert three_digits(value) == text


@given(st.floats(1e-12, 1e15))
def test_three_digits_are_three(value):
    text = three_digits(value)
    assert float(text) == pytest.approx(value, rel=0.0051)
    assert set(text) <= set("0123456789.")
    digits = text.replace(".", "").lstrip("0")
    assert len(digits) == 3 if "." in text else set(digits[4:]) <= {"0"}


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (75, "75.0 s"),
        (1, "1.00 s"),
        (0.102, "102 ms"),
        (0.001, "1.00 ms"),
        (0.0000123, "12.3 µs"),
        (1e-9, "1.00 ns"),
    ],
)
def test_duration(value_s, text):
    assert duration(value_s) == text


@pytest.mark.parametrize(
    ("value_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (48_200_000, "48.2 MB"),
        (1.5e9, "1.50 GB"),
        (2.5e12, "2500 GB"),
    ],
)
def test_size(value_bytes, text):
    assert size(value_bytes) == text


@pytest.mark.parametrize(
    ("values_s", "unit"),
    [
        ([2.0, 0.1], (1e-3, "ms")),
        ([2.0, 1.0], (1.0, "s")),
        ([0.0, None, 3e-6], (1e-6, "µs")),
        ([5e-9, math.inf], (1e-9, "ns")),
        ([1e-10], (1e-9, "ns")),
        ([None], (1.0, "s")),
        ([], (1.0, "s")),
    ],
)
def test_unit_of(values_s, unit):
    assert unit_of(values_s) == unit


# ---- Texts ---------------------------------------------------------------------------


def runs() -> list[Run]:
    """Two runs: one with everything in it, and one of another server."""
    short = a_run(
        exponential_s(1200, 0.02, floor_s=0.1),
        failed=4,
        unfinished=1,
        elapsed_s=7.5,
        busy=0.13,
        client={"in_flight": 19.9},
        statuses={"200": 1200, "503": 1},
        errors={"status": 1, "timeout": 3},
        name="FastAPI",
    )
    return [short, a_run(exponential_s(15_000, 0.4, 0.00004), elapsed_s=40.0, name="Flask")]


def results() -> dict[str, Result]:
    command = "uvicorn 03_blocking_sleep:app --no-access-log --port 40213"
    arms = {
        "time.sleep": (rounds(np.array(SLOW) / 10), "/blocking"),
        "asyncio.sleep": (rounds(np.array(SLOW[::-1]) * 1.95, busy=0.04), "/cooperative"),
        "def + time.sleep": (rounds(np.array(SLOW) * 1.94), "/threaded"),
    }
    reproduced = a_result(
        title="time.sleep() in an async endpoint holds up every other request",
        claim="An `async def` endpoint that calls time.sleep() serves one request at a time.",
        source='Stack Overflow, "Architecture Flask vs FastAPI", 2020 (no figures)',
        expect="One process, 20 clients, 0.1 s: 1 / 0.1 s = 10 requests/s against 200.",
        arms={name: arm(runs, command=command, path=path) for name, (runs, path) in arms.items()},
    )
    claim = Ratio("asyncio.sleep", "time.sleep", "> 5", "< 2")
    control = Cause("def + time.sleep", "time.sleep", "> 5", "a thread pool has {ratio}", "none")
    reproduced.rule = claim.rule
    reproduced.verdict, reproduced.reasons, _ = decide(reproduced, claim)
    explain(reproduced, control)

    workers = "gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:40217 -w 2 04_workers:app"
    inconclusive = replace(
        reproduced,
        name="04_workers",
        mode="quick",
        load=reproduced.load | {"launches": 3, "keepalive": False, "requests": 5000},
        arms={
            "one": arm(rounds([100.0, 150.0, 90.0, 100.0, 70.0, 100.0]), command=command),
            "two": arm(rounds([300.0] * 6, busy=0.9, failed=2), command=workers, workers=2),
        },
        ratios=[],
        cause=[],
        then="REPRODUCED × 5.40 (5.10 to 5.70 at 96.9 %, 6 rounds)",
    )
    verdict, reasons, _ = decide(inconclusive, Ratio("two", "one", "> 5", "< 2"))
    inconclusive = replace(inconclusive, verdict=verdict, reasons=reasons)

    asked = {"command": "gunicorn -b 127.0.0.1:40213 01_async:flask_app", "request": "GET /async"}
    error = "RuntimeError: Install Flask with the 'async' extra in order to use async views."
    behaviour = a_result(
        name="01_async",
        title="A Flask view cannot be async def",
        claim="A Flask view cannot be `async def`.",
        source="github.com/afiorillo/flask-in-fastapi, July 2020",
        expect="Flask 1 hands the coroutine on as the response: TypeError.",
        rule="reproduced when every one fails, not when any answers 200",
        verdict=NOT_REPRODUCED,
        then=REPRODUCED,
        cause=["Flask runs an async view through asgiref"],
        load={},
        evidence=[
            {"arm": "Flask", "status": 200, "answer": "slept", **asked},
            {"arm": "Flask without asgiref", "status": 500, "answer": error, **asked},
        ],
    )
    comparison = a_result(
        name="comparison",
        title="2 URLs, each against the first",
        arms={url: arm(rounds(np.array(SLOW) * n, server=None)) for n, url in enumerate(URLS, 1)},
    )
    add_ratio(comparison, URLS[1], URLS[0])
    return {
        "reproduced": reproduced,
        "inconclusive": inconclusive,
        "behaviour": behaviour,
        "comparison": comparison,
    }


URLS = "http://127.0.0.1:8000/a", "http://127.0.0.1:8000/b"


def texts(tmp_path: Path) -> dict[str, str]:
    """Every text that golden/ holds, by the name of its file."""
    found = {}
    for form, markdown in (("", False), ("_markdown", True)):
        found[f"report{form}"] = report(runs()[0], markdown)
        found[f"compare{form}"] = compare(runs(), markdown)
        for name, result in results().items():
            found[f"{name}{form}"] = text_of(result, markdown)
    found["report_nothing"] = report(a_run([], failed=3, server=None))
    for name in ("reproduced", "behaviour"):
        result = results()[name]
        result.save(tmp_path / f"{result.name}.json")
    return found | {"claims": claims_table(tmp_path)}


def test_golden_texts(tmp_path):
    found = {f"{name}.txt": f"{text}\n" for name, text in texts(tmp_path).items()}
    golden = HERE / "golden"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        for path in golden.glob("*.txt"):
            path.unlink()
        for name, text in found.items():
            (golden / name).write_text(text, encoding="utf-8")
    assert sorted(found) == sorted(path.name for path in golden.glob("*.txt"))
    for name, text in found.items():
        assert text == (golden / name).read_text(encoding="utf-8"), name


def test_texts_keep_to_the_width_and_end_without_blanks(tmp_path):
    for name, text in texts(tmp_path).items():
        assert too_wide(text) == [], name
        assert all(line == line.rstrip() for line in text.split("\n")), name


@pytest.mark.parametrize("length", [30, 100])
@pytest.mark.parametrize("markdown", [False, True])
def test_long_names_keep_to_the_width(length, markdown):
    url = "http://127.0.0.1:8000/" + "x" * length
    pair = [replace(run, name=url) for run in runs()]
    comparison = a_result(arms={url + end: arm(rounds(SLOW)) for end in "ab"})
    add_ratio(comparison, url + "a", url + "b")
    for text in (
        report(pair[0], markdown), compare(pair, markdown), report_result(comparison, markdown)
    ):  # fmt: skip
        assert too_wide(text) == []


def test_a_long_load_keeps_to_the_width():
    load = {"connections": 1000, "requests": 100_000, "keepalive": False, "client": "aiohttp"}
    assert too_wide(report(a_run(load=load))) == []


def test_equal_times_are_shown():
    assert "|■■■" in report(a_run([0.1] * 100))


@pytest.mark.parametrize("name", ["http://127.0.0.1:8000/", "http://127.0.0.1:8000/" + "x" * 60])
def test_runs_of_one_name_are_told_apart(name):
    lines = compare([a_run(name=name), a_run(name=name, elapsed_s=2.0)]).split("\n")
    (row,) = (n for n, line in enumerate(lines) if line.split()[:2] == ["run", "requests/s"])
    width = lines[row].index("requests/s")
    assert lines[row + 1][:width] != lines[row + 2][:width]
    (titles,) = (line for line in lines if line.startswith("response time  "))
    _, first, second = re.split("  +", titles.strip())
    assert first != second
    assert lines[row + 2].split()[-5] == "0.500"


def test_runs_without_answers_are_shown():
    nothing = a_run([], failed=3, server=None)
    assert "INVALID" in report(nothing)
    assert "no request was answered" in compare([nothing, a_run()])


def test_a_comparison_with_too_few_rounds_says_so():
    comparison = a_result(arms={url: arm(rounds(SLOW[:3])) for url in URLS})
    assert add_ratio(comparison, URLS[1], URLS[0]) is None
    assert "not enough data" in report_result(comparison)


def test_markdown_of_a_comparison_has_a_plain_heading():
    first = report_result(results()["comparison"], markdown=True).split("\n")[0]
    assert first == "### 2 URLs, each against the first"


def test_markdown_has_no_empty_fence(tmp_path):
    for name, text in texts(tmp_path).items():
        assert "```text\n```" not in text, name


def test_the_verdict_on_the_old_versions_is_shown():
    result = results()["inconclusive"]
    assert result.then in " ".join(report_result(result).split())


def test_markdown_cells_may_hold_a_bar():
    rows = Table([["a", "b"], ["x | y", "z"]], "<<").markdown()
    assert {row.replace("\\|", "").count("|") for row in rows} == {3}


# ---- The table of claims -------------------------------------------------------------


@pytest.fixture
def claims(tmp_path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("reproduced", "behaviour"):
        result = results()[name]
        result.save(folder / f"{result.name}.json")
    return folder


def test_claims_are_in_order_a_row_each(claims):
    table, _, versions = claims_table(claims).partition("\n\n")
    header, _, *rows = table.split("\n")
    assert header.startswith("|  | claim | source | now | then | measured | cause | recorded |")
    assert rows[0].startswith("| [01](experiments/01_async.py) | ")
    assert rows[1].startswith("| [03](experiments/03_blocking_sleep.py) | ")
    assert "**NOT REPRODUCED** | REPRODUCED" in rows[0]
    assert len(rows) == 2
    assert versions.startswith("Recorded with ")


def test_a_claim_says_what_it_alone_was_made_with(claims):
    """What all share stands once; a version of its own, in the row of the claim."""
    other = results()["reproduced"]
    other.environment = other.environment | {"python": "3.14.0"}
    other.save(claims / "05_other.json")
    table, _, versions = claims_table(claims).partition("\n\n")
    rows = table.split("\n")
    assert [row.count("Python") for row in rows] == [0] * (len(rows) - 1) + [1]
    assert rows[-1].endswith(", Python 3.14.0 |")
    assert "Python 3.14.0" not in versions


def test_a_claim_leaves_the_reasons_of_a_doubt_to_its_record(claims):
    doubtful = results()["reproduced"]
    doubtful.cause = ["a / b is in doubt: b: close python"]
    doubtful.then = "INCONCLUSIVE × 1.52 (1.45 to 1.59 at 96.5 %, 15 rounds) a: close python"
    doubtful.save(claims / "05_other.json")
    row = claims_table(claims).partition("\n\n")[0].split("\n")[-1]
    assert "| INCONCLUSIVE × 1.52 (1.45 to 1.59 at 96.5 %, 15 rounds) |" in row
    assert "| a / b is in doubt |" in row


def test_a_claim_without_an_interval_has_a_row_too(claims):
    few_rounds = replace(
        results()["inconclusive"], ratios=[], reasons=["too few rounds for an interval"]
    )
    few_rounds.save(claims / "04_workers.json")
    assert "[04](experiments/04_workers.py)" in claims_table(claims)
    assert "**INCONCLUSIVE**" in claims_table(claims)


def test_no_claims_are_unreadable(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(Unreadable, match="no recorded results"):
            claims_table(folder)


# ---- Command line --------------------------------------------------------------------


def cli(*arguments, stdin="", folder=None, **environment) -> subprocess.CompletedProcess:
    """Run summarize.py in a folder; what it prints keeps to the width, whatever it is."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | environment,
        check=False,
    )
    assert too_wide(done.stdout) == []
    assert "Traceback" not in done.stderr
    return done


def complains(done: subprocess.CompletedProcess, status: int, *parts: str) -> None:
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.startswith("summarize.py: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    for part in parts:
        assert part in done.stderr


@pytest.fixture
def saved(tmp_path) -> list[Path]:
    """The files of two runs and a result."""
    paths = [tmp_path / name for name in ("a.json", "b.json", "result.json")]
    for path, record in zip(paths, [*runs(), results()["reproduced"]], strict=True):
        record.save(path)
    return paths


def test_cli_one_file_is_a_report(saved):
    done = cli(saved[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == report(runs()[0]) + "\n"


@pytest.mark.slow
def test_cli_markdown(saved):
    assert cli("--markdown", saved[0]).stdout == report(runs()[0], markdown=True) + "\n"
    assert cli(*saved[:2], "--markdown").stdout == compare(runs(), markdown=True) + "\n"


def test_cli_several_files_are_compared(saved):
    assert cli(*saved[:2]).stdout == compare(runs()) + "\n"


def test_cli_runs_and_a_result(saved):
    expected = f"{compare(runs())}\n\n{report_result(results()['reproduced'])}\n"
    assert cli(saved[0], saved[2], saved[1]).stdout == expected


@pytest.mark.slow
def test_cli_reads_standard_input(saved):
    piped, first = saved[0].read_text(), report(runs()[0]) + "\n"
    assert cli(stdin=piped).stdout == first
    assert cli("-", stdin=piped).stdout == first
    assert cli("-", saved[1], stdin=piped).stdout == compare(runs()) + "\n"


@pytest.mark.slow
def test_cli_refuses_what_it_cannot_read(saved, tmp_path):
    empty = tmp_path / "empty.json"
    empty.touch()
    complains(cli(tmp_path / "missing.json"), 1, "missing.json", "No such file")
    complains(cli(tmp_path), 1, "Is a directory")
    complains(cli(empty), 1, "empty.json", "nothing in it")
    complains(cli(saved[0], empty), 1, "empty.json")
    complains(cli(stdin=""), 1, "standard input", "nothing in it")
    complains(cli("-", stdin=saved[0].read_text()[:-9]), 1, "standard input")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["--nonsense"], ["--check", "README.md"], ["--plot"], ["--plot", "x.gif"], ["--mark", "x"]],
    ids=" ".join,
)
def test_cli_wrong_options(arguments):
    complains(cli(*arguments), 2, "--help")


def test_cli_help_keeps_to_the_width():
    done = cli("--help", COLUMNS="200")
    assert done.returncode == 0
    assert "--markdown" in done.stdout


def test_cli_without_a_reader(saved):
    """As in `| head -1`, but that the reader has certainly gone before anything is printed."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(saved[0])], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert done.stderr == b""


@pytest.mark.slow
def test_cli_claims(claims):
    done = cli("--claims", claims)
    assert (done.returncode, done.stdout) == (0, claims_table(claims) + "\n")
    complains(cli("--claims", claims.parent), 1, "no recorded results")


@pytest.mark.slow
def test_cli_check(claims, tmp_path):
    readme, table = tmp_path / "README.md", claims_table(claims)

    def check() -> subprocess.CompletedProcess:
        return cli("--claims", "results", "--check", "README.md", folder=tmp_path)

    complains(check(), 1, "README.md")
    readme.write_text(f"# Title\n\n{table}\n")
    complains(check(), 1, "README.md", "no table between")
    readme.write_text(f"# Title\n\n{TABLE_BEGIN}\n\n{table}\n\n{TABLE_END}\n\nMore.\n")
    done = check()
    assert (done.returncode, done.stdout) == (0, "README.md: its table is up to date\n")
    readme.write_text(readme.read_text().replace("**NOT REPRODUCED**", "**REPRODUCED**"))
    complains(check(), 1, "README.md", "stale", "--claims results")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "begins"), [("x.svg", b"<?xml"), ("x.png", b"\x89PNG\r\n\x1a\n")])
def test_cli_plot(saved, tmp_path, name, begins):
    picture = tmp_path / name
    done = cli(*saved, "--plot", picture)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(compare(runs()))
    assert picture.read_bytes().startswith(begins)
    assert picture.stat().st_size > 5000
    if name.endswith(".svg"):
        assert "<svg" in picture.read_text()


def test_main_returns_its_status(saved, capsys):
    assert main([str(saved[0])]) == 0
    assert capsys.readouterr().out == report(runs()[0]) + "\n"
    assert main([str(saved[0]) + "x"]) == 1
    assert summarize.read(saved[0]).name == "FastAPI"
