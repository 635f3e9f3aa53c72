"""What another tool says is taken as it is, without what cannot be or its count cannot carry."""

import math

import pytest

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.histogram import FIGURES, Histogram


@pytest.mark.parametrize("count", [999, 1000])
def test_a_percentile_needs_ten_samples_beyond_it(count):
    said = Foreign(requests=count, latency_s={"p99": 0.1})
    assert said.latency_s["p99"] == (0.1 if count == 1000 else None)


def test_figures_stand_in_one_order_and_others_after_them():
    said = Foreign(latency_s={"p97.5": 0.2, "max": 0.3, "p50": 0.1})
    assert list(said.latency_s) == [*FIGURES, "p97.5"]
    assert said.latency_s["min"] is None


def test_figures_are_those_of_the_samples_where_there_are_some():
    said = Foreign(histogram=Histogram.of_seconds([0.1, 0.3]), latency_s={"max": 5.0})
    assert said.latency_s["max"] == 0.3


def test_throughput_is_of_successes_where_failures_are_known():
    assert Foreign(requests=10, failed=2, elapsed_s=2.0, rate=5.0).throughput == 4.0
    assert Foreign(requests=10, elapsed_s=2.0, rate=5.0).throughput == 5.0
    assert Foreign(requests=10, failed=2, elapsed_s=0.0).throughput is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"requests": -1}, "a count of -1"),
        ({"requests": 1 << 60}, "a count of 1.15e+18"),
        ({"requests": 1, "failed": 2}, "2 failed of 1 requests"),
        ({"statuses": {"200": -1}}, "a count of -1"),
        ({"errors": {"x": -1}}, "a count of -1"),
        ({"buckets": {0.1: -1}}, "a count of -1"),
        ({"buckets": {-0.1: 1}}, "a bucket of times below 0"),
        ({"buckets": {math.nan: 1}}, "a bucket of times below 0"),
        ({"elapsed_s": math.inf}, "a time or rate of inf"),
        ({"elapsed_s": -1.0}, "a time or rate of -1"),
        ({"rate": math.nan}, "a time or rate of nan"),
        ({"latency_s": {"p50": -0.1}}, "a time or rate of -0.1"),
    ],
)
def test_figures_that_cannot_be_are_refused(fields, said):
    with pytest.raises(Unreadable) as caught:
        Foreign(**fields)
    assert str(caught.value) == said
