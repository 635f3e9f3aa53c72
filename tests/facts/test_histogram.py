"""Figures, merging and encoding of histograms, held against numpy and hdrhistogram."""

import base64
import math
import zlib
from fractions import Fraction

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.facts.errors import Unreadable
from lab.facts.histogram import LONGEST_NS, PERCENTILES, Histogram

RESOLUTION = 0.001
few = settings(max_examples=20, deadline=None)

durations_ns = st.floats(0, math.log10(LONGEST_NS)).map(lambda power: int(10**power))
near_ns = st.tuples(st.integers(1, 10**9), st.lists(st.floats(1, 10), min_size=1, max_size=30)).map(
    lambda drawn: [int(drawn[0] * factor) for factor in drawn[1]]
)
samples_ns = st.lists(durations_ns, min_size=1, max_size=30) | near_ns
many_ns = st.lists(durations_ns, min_size=20, max_size=200)


def record(values_ns) -> Histogram:
    histogram = Histogram()
    histogram.record(np.array(values_ns, dtype=np.int64))
    return histogram


@settings(max_examples=50, deadline=None)
@given(samples_ns | many_ns, st.sampled_from([1, 2, 30, 999, 1000]))
def test_figures_agree_with_numpy(values_ns, times):
    values = np.tile(np.array(values_ns, dtype=np.int64), times)
    histogram, values_s = record(values), values / 1e9
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
def test_a_percentile_needs_ten_samples_beyond_it(percentile, enough):
    key = f"p{percentile:g}"
    assert Histogram.of_seconds([0.1] * (enough - 1)).summary_s()[key] is None
    assert Histogram.of_seconds([0.1] * enough).summary_s()[key] == 0.1


@pytest.mark.parametrize(("rank", "value_s"), [(0, 0.1), (1, 0.1), (2, 0.2), (3, 0.3)])
def test_a_rank_names_a_sample(rank, value_s):
    histogram = Histogram.of_seconds([0.3, 0.1, 0.2])
    assert histogram.ranked_s(rank) == pytest.approx(value_s, rel=RESOLUTION)


def test_an_empty_histogram_has_no_figures():
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


def test_values_are_recorded_as_often_as_their_counts_say():
    histogram = Histogram()
    histogram.record(np.array([10, 20]), np.array([3, 1]))
    assert histogram.count == 4
    assert histogram.between([1e-9, 1.5e-8, 1e-6]) == [3, 1]


@given(samples_ns, st.floats(1e-9, 3600))
def test_above_counts_what_exceeds_a_value(values_ns, limit_s):
    found = record(values_ns).above(limit_s)
    certain = sum(value > limit_s * 1e9 * (1 + RESOLUTION) for value in values_ns)
    possible = sum(value > limit_s * 1e9 * (1 - RESOLUTION) for value in values_ns)
    assert certain <= found <= possible


@given(samples_ns)
def test_used_slots_hold_all_samples(values_ns):
    lowest, width, counts = record(values_ns).used()
    assert counts.min() > 0
    for value in values_ns:
        assert ((lowest <= max(value, 1)) & (max(value, 1) < lowest + width)).sum() == 1
    assert counts.sum() == len(values_ns)


@given(samples_ns)
def test_decoding_gives_back_what_was_encoded(values_ns):
    histogram = record(values_ns)
    ends_s = histogram.min_ns / 1e9, histogram.max_ns / 1e9
    again = Histogram.decode(histogram.encode(), *ends_s)
    assert np.array_equal(again.counts, histogram.counts)
    assert again.summary_s() == histogram.summary_s()
    assert again.encode() == histogram.encode()


@few
@given(samples_ns)
def test_other_tools_read_the_histogram(values_ns):
    """Recording in bulk, encoded, is what hdrhistogram records one by one."""
    theirs = HdrHistogram(1, LONGEST_NS, 3)
    for value in values_ns:
        theirs.record_value(value)
    read_back = HdrHistogram.decode(record(values_ns).encode())
    assert read_back.total_count == theirs.total_count
    for percentile in (0, 1, 25, *PERCENTILES, 100):
        found = read_back.get_value_at_percentile(percentile)
        assert found == theirs.get_value_at_percentile(percentile)


@few
@given(st.lists(durations_ns, min_size=10, max_size=20))
def test_percentiles_are_those_of_hdrhistogram(values_ns):
    # its rank is rounded to the nearest and ours up: the same where the rank is whole
    values = [value // 2 + 1 for value in values_ns] * 1000
    histogram = record(values)
    theirs = HdrHistogram.decode(histogram.encode())
    for percentile in PERCENTILES:
        ours_ns = round((histogram.percentile_s(percentile) or 0) * 1e9)
        assert ours_ns == min(theirs.get_value_at_percentile(percentile), max(values))


@given(st.lists(durations_ns, max_size=30), st.lists(durations_ns, max_size=30))
@example([1_000_300], [5_000_300])
@example([1_000_300], [])
@example([], [1_000_300])
def test_merging_is_recording_both(some_ns, more_ns):
    merged, whole = record(some_ns), record(some_ns + more_ns)
    merged.add(record(more_ns))
    assert merged.encode() == whole.encode()
    assert merged.count == whole.count
    assert merged.summary_s() == whole.summary_s()


@pytest.mark.parametrize("text", ["", "HISTFAAA", "not base64 at all", "é", "AAAA" * 20])
def test_what_is_no_histogram_is_unreadable(text):
    with pytest.raises(Unreadable, match=r"^[^\n]+$"):
        Histogram.decode(text)


def test_what_unpacks_to_too_much_is_unreadable():
    packed = base64.b64encode(bytes(8) + zlib.compress(bytes(1 << 24))).decode()
    with pytest.raises(Unreadable, match="unpacks to too much"):
        Histogram.decode(packed)
