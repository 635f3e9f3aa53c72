"""Several runs as one: sums, exact histograms, and what must not be changed by it."""

from dataclasses import replace

import numpy as np
import pytest
from builders import CLIENT, ENVIRONMENT, SERVER, exponential_s, make_run

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.histogram import Histogram
from lab.facts.merging import merge, merge_records, merge_targets
from lab.facts.records import Run, Target, Trust


def make_parts() -> list[Run]:
    """Two rounds that differ in everything that is added up."""
    larger = replace(SERVER, rss_bytes=90_000_000)
    first = make_run(exponential_s(50, 0.1), failed=2, unfinished=1)
    second = make_run(exponential_s(70, 0.2), unfinished=4, elapsed_s=3.0, server=larger)
    return [first, second]


def test_counts_and_times_add_up():
    merged = merge(make_parts())
    assert (merged.ok, merged.failed, merged.unfinished, merged.requests) == (120, 2, 5, 127)
    assert merged.elapsed_s == 4.0
    assert merged.throughput == 30.0
    assert merged.statuses == {"200": 120}
    assert merged.errors == {"timeout": 2}
    assert merged.connections.opened == 40


def test_costs_add_up_and_are_shared_out_anew():
    merged = merge(make_parts())
    assert merged.client.cpu_s == pytest.approx(0.8)
    assert merged.client.busy == pytest.approx(0.2)
    assert merged.server is not None
    assert merged.server.cpu_s == 1.0
    assert merged.server_cpu_us == pytest.approx(1e6 / merged.requests)
    memory = merged.server.rss_bytes, merged.server.processes, merged.server.threads
    assert memory == (90_000_000, 1, 3)


def test_what_disturbed_one_round_is_kept():
    worse = replace(CLIENT, neighbour="python", neighbour_busy=0.9, loop_lag_s=0.5)
    disturbed = make_run(client=worse, environment=replace(ENVIRONMENT, steal=0.3))
    merged = merge([make_run(), disturbed])
    assert merged.client.neighbour == "python"
    assert merged.client.loop_lag_s == 0.5
    assert merged.environment.steal == 0.3
    assert merged.validity.verdict == Trust.SUSPECT


def test_histograms_merge_exactly():
    first, second = make_parts()
    merged = merge([first, second])
    assert np.array_equal(merged.histogram.counts, first.histogram.counts + second.histogram.counts)
    assert merged.histograms.failed_s.count == 2


def test_the_exact_ends_are_kept():
    merged = merge([make_run([0.1000301, 0.2000301]), make_run([0.3000301])])
    assert merged.latency_s["min"] == 0.1000301
    assert merged.latency_s["max"] == 0.3000301


def test_the_rounds_stay_as_they_were():
    parts = make_parts()
    before = [part.to_json() for part in parts]
    merge(parts)
    assert [part.to_json() for part in parts] == before


def test_a_round_without_answers_can_be_merged():
    merged = merge([make_run([], failed=5), make_run()])
    assert merged.latency_s["min"] == make_run().latency_s["min"]
    assert (merged.ok, merged.failed) == (100, 5)


def test_of_quoted_times_the_median_is_taken():
    quoted = [{"p50": 0.1, "p99": None}, {"p50": 0.3, "p99": 1.0}, {"p50": 0.2, "p99": 1.0}]
    merged = merge([make_run(quoted_s=figures) for figures in quoted])
    assert merged.quoted_s == {"p50": 0.2, "p99": None}


def test_the_same_target_of_several_runs_is_one():
    parts = [
        Target(
            name="/a",
            ok=count,
            failed=1,
            statuses={"200": count},
            errors={"timeout": 1},
            histogram=Histogram.of_seconds([0.1] * count),
        )
        for count in (2, 3)
    ]
    merged = merge_targets(parts)
    assert (merged.ok, merged.failed) == (5, 2)
    assert (merged.statuses, merged.errors) == ({"200": 5}, {"timeout": 2})
    assert merged.histogram.count == 5


# ---- Records of any source -------------------------------------------------------------
def make_list(count: int, **fields) -> Foreign:
    """A list of samples, as another tool wrote it."""
    histogram = Histogram.of_seconds([0.1] * count)
    about = {"name": "x", "source": "hey csv", "cannot_know": "much"}
    counts = {"requests": count, "failed": 0, "elapsed_s": 1.0}
    return Foreign(**{**about, **counts, "histogram": histogram, **fields})


def test_runs_of_ours_merge():
    assert merge_records(make_parts()).to_json() == merge(make_parts()).to_json()


def test_lists_of_samples_merge():
    merged = merge_records([make_list(3, statuses={"200": 3}), make_list(4, statuses={"200": 4})])
    assert (merged.requests, merged.elapsed_s, merged.statuses) == (7, 2.0, {"200": 7})
    assert merged.histogram is not None
    assert merged.histogram.count == 7


def test_what_one_list_does_not_know_is_not_known_of_all():
    merged = merge_records([make_list(3), make_list(4, failed=None, elapsed_s=None)])
    assert (merged.requests, merged.failed, merged.elapsed_s) == (7, None, None)


@pytest.mark.parametrize(
    "others", [[make_list(3, histogram=None)], [make_list(3), make_run()]], ids=["text", "mixed"]
)
def test_what_has_no_samples_or_is_of_two_kinds_does_not_merge(others):
    with pytest.raises(Unreadable, match="merge exactly"):
        merge_records([make_list(2), *others])
