"""Histograms and lines of bars: every sample has a row, and every row its place."""

import math
from itertools import pairwise

import numpy as np
import pytest
from builders import find_too_wide
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.facts.errors import Unreadable
from lab.facts.histogram import LONGEST_NS, Histogram
from lab.facts.records import Second
from lab.reports.chart import (
    choose_edges_s,
    draw_buckets,
    draw_histograms,
    draw_sparkline,
    find_moments,
    list_percentiles,
)

few = settings(max_examples=20, deadline=None)
durations_ns = st.floats(0, math.log10(LONGEST_NS)).map(lambda power: int(10**power))
samples_ns = st.lists(durations_ns, min_size=1, max_size=30)


def record(values_ns) -> Histogram:
    histogram = Histogram()
    histogram.record(np.array(values_ns, dtype=np.int64))
    return histogram


# ---- Edges and rows --------------------------------------------------------------------
@few
@given(st.lists(samples_ns, min_size=1, max_size=4))
@example([[999_910, 20_000_000]])
@example([[1_000_300]])
@example([[999_999]])
@example([[6, 12]])
@example([[100_000] * 1000 + [10**9]])
def test_edges_hold_every_sample(several_ns):
    histograms = [record(values_ns) for values_ns in several_ns]
    edges = choose_edges_s(histograms)
    assert all(a < b for a, b in pairwise(edges))
    assert edges[0] <= min(h.min_ns for h in histograms) / 1e9 * (1 + 1e-9)
    assert edges[-1] > max(h.max_ns for h in histograms) / 1e9
    assert len(edges) <= 50
    for histogram in histograms:
        assert sum(histogram.between(edges)) == histogram.count


@few
@given(st.lists(samples_ns, min_size=1, max_size=6), st.text("abc xyz", max_size=60))
@example([[10**8] * 100], "")
def test_rows_keep_to_the_width(several_ns, name):
    rows = draw_histograms({f"{number} {name}": record(ns) for number, ns in enumerate(several_ns)})
    assert rows
    assert find_too_wide("\n".join(rows)) == []


def test_rows_keep_to_the_width_however_many():
    named = {f"arm {number}": record([10**6, 10**7] * 50_000) for number in range(12)}
    assert find_too_wide("\n".join(draw_histograms(named))) == []


@few
@given(samples_ns)
def test_all_rows_have_one_unit_and_no_two_the_same_edges(values_ns):
    rows = draw_histograms({"": record(values_ns)})
    labels = [row.partition("|")[0].split() for row in rows]
    assert len({label[-1] for label in labels}) == 1
    assert len({tuple(label) for label in labels}) == len(labels)


@pytest.mark.parametrize(
    ("values_s", "label"),
    [
        ([0.0001, 0.03] * 50, "20 to 50 ms"),
        ([0.0501, 0.3] * 50, "50 to 100 ms"),
        ([0.00005, 1.5] * 50, "0.05 to 0.1 ms"),
        (np.linspace(0.1, 0.25, 50), "100 to 120 ms"),
        (np.linspace(0.02, 0.0203, 50), "20.00 to 20.05 ms"),
    ],
)
def test_edges_are_said_as_people_say_them(values_s, label):
    rows = draw_histograms({"": Histogram.of_seconds(values_s)})
    assert label in [row.partition("|")[0].strip() for row in rows]


@pytest.mark.parametrize("spread_s", [0.0, 0.0008, 0.003, 0.02])
def test_edges_are_told_apart(spread_s):
    values_s = np.linspace(0.1002, 0.1002 + spread_s, 50)
    rows = draw_histograms({"": Histogram.of_seconds(values_s)})
    marks = [row.split(" ms ")[0].split(" to ") for row in rows]
    assert [mark for mark in marks if len(set(mark)) != 2] == []


def test_every_sample_is_counted_in_a_row():
    rows = draw_histograms({"": Histogram.of_seconds([0.101] * 7 + [0.122] * 30 + [0.138] * 2)})
    assert sum(int(row.split()[-1].strip("|")) for row in rows if row[-1].isdigit()) == 39


def test_no_samples_have_no_rows():
    assert draw_histograms({"": Histogram()}) == []
    assert draw_buckets({0.1: 0}) == []


def test_a_long_thin_tail_gets_the_last_row():
    rows = draw_histograms({"": Histogram.of_seconds([*np.linspace(0.1, 0.2, 2000), 9.0])})
    assert rows[-1].startswith("over ")
    assert rows[-1].endswith("|1")


def test_a_long_name_stands_over_its_bars_in_several_lines():
    named = {"asyncio.sleep in an endpoint that is async": record([10**8]), "b": record([10**8])}
    first, second, *_ = draw_histograms(named)
    assert first.split("  ")[0] == "response time"
    assert "asyncio.sleep in an" in first
    assert second.strip().startswith("endpoint that is async")


def test_buckets_of_another_tool_keep_their_edges():
    rows = draw_buckets({0.01: 3, 0.02: 6, math.inf: 1})
    assert [row.partition("|")[0].strip() for row in rows] == ["to 10 ms", "to 20 ms", "over 20 ms"]


# ---- Percentiles in the form of HdrHistogram's tools ------------------------------------
def test_percentiles_end_with_all_samples():
    text = list_percentiles("x", record(range(10**6, 2 * 10**6, 10**3)))
    rows = [line.split() for line in text.splitlines()[2:-2]]
    totals = [int(row[2]) for row in rows]
    assert totals == sorted(totals)
    assert rows[-1][1:] == ["1.000000000000", "1000"]
    assert "#[Max     =     1.999000, Total count    =         1000]" in text


@pytest.mark.parametrize("histogram", [None, Histogram()])
def test_without_samples_there_are_no_percentiles(histogram):
    with pytest.raises(Unreadable, match="no samples"):
        list_percentiles("x", histogram)


# ---- The seconds of a run --------------------------------------------------------------
def make_seconds(*pairs: tuple[int, int]) -> list[Second]:
    """A second for each (ok, failed)."""
    return [Second(time=n, ok=ok, failed=failed) for n, (ok, failed) in enumerate(pairs, 1)]


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([(100, 0)] * 3, []),
        ([(100, 0)] * 20, []),
        ([(20, 0)] * 3 + [(100, 0)] * 17, ["warm-up until 3 s"]),
        ([(100, 0)] * 9 + [(0, 0)] * 2 + [(100, 0)] * 9, ["stall from 9 s to 11 s"]),
        (
            [(100, 0)] * 9 + [(0, 50)] + [(100, 0)] * 9,
            ["restart or outage from 9 s to 10 s: 50 requests failed"],
        ),
        ([(100, 0)] * 15 + [(30, 0)] * 5, ["slower from 15 s on"]),
        ([(4, 0), (5, 0), (1, 0), (5, 0)] * 5, []),  # few enough to be chance
    ],
)
def test_moments_in_which_less_was_answered(pairs, found):
    assert find_moments(make_seconds(*pairs)) == found


def test_a_line_of_bars_is_drawn_where_something_happened():
    assert draw_sparkline(make_seconds(*[(100, 0)] * 20)) == []
    title, bars, moment = draw_sparkline(make_seconds((0, 0), *[(100, 0)] * 19))
    assert title == "Requests/s over time"
    assert bars.split()[0] == "▁" + "█" * 19
    assert moment == "  - warm-up until 1 s"


def test_a_long_run_keeps_to_the_width():
    pairs = [(10, 0)] * 5 + [(100, 0)] * 4000
    assert find_too_wide("\n".join(draw_sparkline(make_seconds(*pairs)))) == []


@few
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=200))
def test_any_seconds_can_be_drawn(pairs):
    assert find_too_wide("\n".join(draw_sparkline(make_seconds(*pairs)))) == []
