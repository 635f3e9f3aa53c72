"""How sure a percentile is, from how the answers lie in time."""

from __future__ import annotations

import numpy as np
import pytest

from lab.facts.histogram import PERCENTILES, Histogram
from lab.facts.interval import percentile_interval
from lab.load.stretches import FEWEST, MOST, StretchCounter


def count(seconds: list[np.ndarray], end_s: float = 0.0) -> tuple[StretchCounter, Histogram]:
    """A run whose seconds had these times, in s; the last one may be `end_s` long."""
    counter, histogram = StretchCounter(), Histogram()
    for number, times_s in enumerate(seconds, 1):
        histogram.record(np.rint(times_s * 1e9).astype(np.int64))
        is_last = number == len(seconds) and end_s
        counter.end_second(histogram, end_s if is_last else 1.0)
    return counter, histogram


@pytest.mark.parametrize("seconds", [FEWEST, MOST - 1, MOST, 3 * MOST + 1, 1000])
def test_no_answer_is_left_out_however_long_it_lasts(seconds):
    random = np.random.default_rng(seconds)
    counter, histogram = count([random.exponential(0.01, 100) for _ in range(seconds)])
    found = counter.against(histogram)
    assert sum(found.counts) == histogram.count
    assert FEWEST <= len(found.counts) < MOST
    assert all(len(row) == len(found.counts) for row in found.above)
    shares = [sum(row) / histogram.count for row in found.above]
    expected = [1 - percentile / 100 for percentile in PERCENTILES]
    assert shares == pytest.approx(expected, abs=0.03)


def test_a_short_run_has_no_stretches():
    counter, histogram = count([np.full(100, 0.01)] * (FEWEST - 1))
    assert counter.against(histogram) is None


def test_what_comes_after_the_last_whole_second_belongs_to_it():
    counter, histogram = count([np.full(100, 0.01)] * FEWEST + [np.full(7, 0.01)], end_s=0.2)
    assert counter.against(histogram).counts == [100] * (FEWEST - 1) + [107]


def test_bursts_make_a_percentile_less_sure_than_the_same_times_in_any_order():
    random = np.random.default_rng(1)
    pace = random.choice([0.010, 0.013], size=(20, 1))
    bursts = pace * random.normal(1, 0.1, (20, 1000))
    shuffled = random.permutation(bursts.ravel()).reshape(bursts.shape)
    widths = []
    for table in (bursts, shuffled):
        counter, histogram = count(list(table))
        found = counter.against(histogram)
        interval = percentile_interval(histogram.ranked_s, 50.0, found.counts, found.above[:1])
        assert interval.low < interval.estimate < interval.high
        widths.append(interval.high - interval.low)
    assert widths[0] > 5 * widths[1]
