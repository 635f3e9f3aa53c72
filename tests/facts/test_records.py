"""Records survive their JSON, and what is not a whole record is refused in one line."""

import json
import os
from pathlib import Path

import pytest
from builders import (
    CLIENT,
    exponential_s,
    make_behaviour,
    make_inconclusive,
    make_reproduced,
    make_results,
    make_run,
)
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.facts.errors import Unreadable
from lab.facts.form import MOST_HISTOGRAMS, write
from lab.facts.histogram import Histogram
from lab.facts.named import NamedTimes
from lab.facts.records import Objectives, Point, Run, Target
from lab.facts.results import Result

KEYS = {
    *("format", "name", "started", "elapsed_s", "load", "requests", "ok", "failed"),
    *("unfinished", "throughput", "statuses", "errors", "latency_s", "service_s"),
    *("send_lag_s", "histograms", "series", "connections", "client", "server", "validity"),
    "environment",
}
FIGURES = ["min", "mean", "stdev", "p50", "p75", "p90", "p95", "p99", "p99.9", "max"]


def through_json(record: Run | Result):
    """The JSON of a record, as a file has it."""
    return json.loads(json.dumps(record.to_json()))


def full_run() -> Run:
    """A run with something in every field."""
    times = Histogram.of_seconds(exponential_s(50, 0.1))
    target = Target(name="a", ok=50, failed=0, statuses={"200": 50}, errors={}, histogram=times)
    point = Point(
        rate=50.0, throughput=49.0, failed=1, requests=50, p50_s=0.1, p99_s=None, kept=True
    )
    return make_run(
        exponential_s(500, 0.1),
        failed=3,
        unfinished=2,
        elapsed_s=2.0,
        interrupted=True,
        targets=[target],
        curve=[point],
        slo=Objectives(asked="p99<1s", broken=["p99 is 2 s"], sought=True, max_rate=50.0),
    )


# ---- What survives ---------------------------------------------------------------------
def test_a_record_has_every_key_of_the_design():
    data = through_json(full_run())
    assert set(data) >= KEYS
    assert data["format"] == "loadgen-run/1"
    assert data["requests"] == 505
    assert data["throughput"] == 250.0
    for key in ("latency_s", "service_s", "send_lag_s"):
        assert list(data[key]) == FIGURES
        assert [figure for figure in FIGURES if data[key][figure] is None] == ["p99", "p99.9"]
        assert HdrHistogram.decode(data["histograms"][key]).total_count == 500
    assert data["client"]["busy"] == pytest.approx(0.2)
    assert data["client"]["cpu_us_per_request"] == pytest.approx(0.4 / 505 * 1e6)
    assert set(data["validity"]) == {"verdict", "reasons"}
    assert data["targets"][0]["latency_s"]["p50"] == pytest.approx(0.07, rel=0.05)
    assert data["slo"] == {"asked": "p99<1s", "broken": ["p99 is 2 s"], "max_rate": 50.0}


@pytest.mark.parametrize(
    "run",
    [full_run(), make_run([], server=None), make_run([1e-9, 4000.0, 0.0010003])],
    ids=["full", "empty", "beyond the ends"],
)
def test_a_run_survives_its_json(run):
    assert Run.from_json(through_json(run)).to_json() == run.to_json()


@pytest.mark.parametrize("name", make_results())
def test_a_result_survives_its_json(name):
    result = make_results()[name]
    assert Result.from_json(through_json(result)).to_json() == result.to_json()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 4000), min_size=1, max_size=30))
def test_any_times_survive(values_s):
    run = make_run(values_s)
    assert Run.from_json(through_json(run)).to_json() == run.to_json()


def test_keys_of_later_versions_are_left_alone():
    data = through_json(make_run()) | {"invented_later": 1}
    assert Run.from_json(data).to_json() == make_run().to_json()


def test_what_the_record_says_of_itself_is_not_judged_again():
    data = through_json(make_run())
    data["client"]["busy"] = 0.99
    assert Run.from_json(data).validity.verdict == "VALID"


def test_no_objective_and_no_load_are_empty_in_json():
    assert through_json(make_run())["slo"] == {}
    assert through_json(make_behaviour())["load"] == {}


# ---- What is refused -------------------------------------------------------------------
def refuse(kind: type[Run] | type[Result], data) -> str:
    """What is said of such a record."""
    with pytest.raises(Unreadable) as caught:
        kind.from_json(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", ["requests", "ok", "failed", "unfinished"])
def test_requests_that_do_not_add_up_are_refused(key):
    data = through_json(make_run())
    data[key] += 1
    assert "ok + failed + unfinished" in refuse(Run, data)


def test_classes_that_do_not_hold_all_answers_are_refused():
    times = NamedTimes(name="2xx", histogram=Histogram.of_seconds([0.1, 0.2]))
    good = make_run([0.1], failed=1, statuses={"200": 1, "204": 1}, classes=[times])
    Run.from_json(through_json(good))
    wrong = make_run([0.1], failed=1, statuses={"200": 1, "500": 1}, classes=[times])
    assert "classes of status" in refuse(Run, through_json(wrong))


def test_a_histogram_of_other_requests_is_refused():
    data, other = through_json(make_run([0.1, 0.2])), through_json(make_run([0.1, 0.1, 0.2]))
    data["histograms"] = other["histograms"]
    assert "as many as were ok" in refuse(Run, data)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5},
        {"elapsed_s": "1"},
        {"elapsed_s": -1.0},
        {"ok": 1.5},
        {"statuses": []},
        {"series": [{"time": 1.0}]},
        {"client": {"cpu_s": 1.0, "queued_s": -1}},
        {"load": {"connections": 5}},
        {"validity": {"verdict": "GOOD"}},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_and_named(changes):
    (key,) = changes
    assert key in refuse(Run, through_json(make_run()) | changes)


@pytest.mark.parametrize("histogram", [None, 5, "x", "HISTFAAA"])
def test_a_wrong_histogram_is_refused(histogram):
    data = through_json(make_run())
    data["histograms"]["latency_s"] = histogram
    with pytest.raises((Unreadable, TypeError)):
        Run.from_json(data)


@pytest.mark.parametrize("changes", [{"ratios": "x"}, {"name": 5}, {"load": "x"}], ids=str)
def test_a_wrong_result_is_refused(changes):
    refuse(Result, through_json(make_inconclusive()) | changes)


def test_an_arm_without_rounds_is_refused():
    data = through_json(make_reproduced())
    data["arms"]["time.sleep"]["rounds"] = []
    assert "no rounds of time.sleep" in refuse(Result, data)


# ---- Writing ---------------------------------------------------------------------------
def test_a_record_of_too_many_histograms_is_refused():
    """Each is a short text, and takes 280 kB once it is read."""
    data = through_json(full_run())
    data["targets"] *= MOST_HISTOGRAMS
    assert f"more than {MOST_HISTOGRAMS} histograms" in refuse(Run, data)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    path.write_text("old")

    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        patch.setattr(Path, "replace", kill)
        with pytest.raises(KeyboardInterrupt):
            write(make_run(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write(make_run(), path)
    assert json.loads(path.read_text()) == through_json(make_run())
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_goes_into_a_device_as_it_is():
    write(make_run(), Path(os.devnull))
    assert not Path(os.devnull).is_file()


# ---- Costs -----------------------------------------------------------------------------
def test_costs_are_shared_out():
    cost = CLIENT.spread_over(1000, 4.0, processes=2)
    assert cost.cpu_us_per_request == pytest.approx(CLIENT.cpu_s / 1000 * 1e6)
    assert cost.busy == pytest.approx(CLIENT.cpu_s / 4 / 2)
