"""One run as a report, and several beside each other."""

from dataclasses import replace

import pytest
from builders import CLIENT, LOAD, OPEN_LOOP, find_too_wide, make_pair, make_run

from lab.facts.foreign import Foreign
from lab.facts.histogram import Histogram
from lab.facts.records import Objectives, Point, Stretches, Target
from lab.reports.parts import tabulate_curve
from lab.reports.report import describe_load, describe_point, report
from lab.reports.several import compare


def squeeze(text: str) -> str:
    return " ".join(text.split())


# ---- The load in words -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "20 connections, closed loop, 1.00 s, wire client"),
        ({"connections": 1, "duration_s": None, "requests": 1}, "1 connection, closed loop, 1 req"),
        ({"keepalive": False}, "20 connections, a new one for each request, closed loop"),
        ({"requests": 100}, "100 requests or 1.00 s"),
        ({"think_s": (0.05, 0.2)}, "closed loop, 50.0 ms to 200 ms between requests"),
        ({"think_s": (0.05, 0.05)}, "closed loop, 50.0 ms between requests"),
        ({"rate": 200.0, "arrivals": "poisson"}, "open loop at 200/s, poisson arrivals"),
        ({"processes": 2, "client": "aiohttp"}, "aiohttp client in 2 processes"),
    ],
    ids=str,
)
def test_the_load_in_words(changes, said):
    assert said in describe_load(replace(LOAD, **changes))


# ---- One run ---------------------------------------------------------------------------
def test_a_lag_of_nanoseconds_is_no_figure():
    sent = replace(CLIENT, planned=100, sent=100)
    text = report(make_run(load=OPEN_LOOP, client=sent, lag_s=3e-7))
    assert "send lag       p50 under 1 µs" in text
    assert " ns" not in text


def test_an_open_loop_has_its_plan():
    sent = replace(CLIENT, planned=100, sent=98)
    text = report(make_run(load=OPEN_LOOP, client=sent))
    assert "planned        100 requests, 98 of them sent" in text


def test_targets_have_a_row_each():
    times = Histogram.of_seconds([0.1] * 2000)
    target = Target(name="/a", ok=2000, failed=1, statuses={}, errors={}, histogram=times)
    text = squeeze(report(make_run(targets=[target])))
    assert "target ok failed p50 ms p99 ms /a 2000 1 100 100" in text


@pytest.mark.parametrize(
    ("slo", "said"),
    [
        (Objectives(asked="p99<1s"), "Objective p99<1s kept"),
        (
            Objectives(asked="p99<1s", broken=["p99 is 2 s, not below 1 s"]),
            "broken: p99 is 2 s, not below 1 s",
        ),
        (Objectives(asked="p99<1s", sought=True), "no rate keeps it"),
        (
            Objectives(asked="p99<1s", sought=True, max_rate=123.4),
            "kept up to 123 requests/s",
        ),
    ],
    ids=str,
)
def test_what_became_of_an_objective(slo, said):
    assert said in squeeze(report(make_run(slo=slo)))


def test_rates_that_were_tried_have_a_row_each():
    point = Point(rate=50.0, throughput=49.0, failed=1, requests=50, p50_s=0.01, p99_s=None)
    text = squeeze(report(make_run(curve=[point])))
    assert "rate requests/s p50 ms p99 ms failed 50.0 49.0 10.0 - 1" in text
    assert describe_point(point) == "      50/s  p50 10.0 ms, p99 -, 1 failed: broken"
    again = replace(point, kept=True, confirmed_s=12.0)
    assert describe_point(again).endswith("1 failed: kept for 12.0 s")
    assert tabulate_curve([point]).rows[0][-1] == "failed"
    assert [row[-1] for row in tabulate_curve([point, again]).rows] == ["again for", "", "12.0 s"]


def test_what_was_asked_for_is_shown_of_percentiles():
    text = report(make_run([0.1] * 100), percentiles=[25.0, 99.9])
    rows = [line.split() for line in text.partition("Latency distribution")[2].split("\n")]
    assert ["p25", "100"] in rows
    assert ["p99.9", "-"] in rows
    assert "p50" not in [row[0] for row in rows if row]


def test_equal_times_are_shown():
    assert "|■■■" in report(make_run([0.1] * 100))


def test_a_run_without_answers_is_shown():
    assert "INVALID" in report(make_run([], failed=3, server=None))


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize("length", [30, 100])
def test_long_names_keep_to_the_width_and_are_not_cut(length, markdown):
    url = "http://127.0.0.1:8000/" + "x" * length
    pair = [replace(run, name=url) for run in make_pair()]
    for text in (report(pair[0], markdown), compare(pair, markdown)):
        assert [line for line in find_too_wide(text) if not line.startswith("#")] == []
        assert text.count("x") >= length


def test_a_long_load_keeps_to_the_width():
    load = replace(
        LOAD, connections=1000, requests=100_000, keepalive=False, client="aiohttp", processes=8
    )
    assert find_too_wide(report(make_run(load=load))) == []


# ---- What another tool says ------------------------------------------------------------
def make_foreign(**fields) -> Foreign:
    return Foreign(**{"name": "x", "source": "wrk", "cannot_know": "much", **fields})


def test_what_a_source_does_not_say_is_left_out():
    text = report(make_foreign())
    assert text == "x\nwrk\n\nNot known  from wrk: much"


def test_failures_of_a_source_are_not_counted_as_throughput():
    text = report(make_foreign(requests=100, failed=10, elapsed_s=2.0, rate=50.0))
    assert "requests       100: 90 ok, 10 failed" in text
    assert "throughput     45.0 requests/s that succeeded" in text


def test_a_source_that_tells_no_failures_has_its_own_figure():
    assert "50.0 requests/s, as the tool says" in report(make_foreign(rate=50.0))


# ---- Several runs ----------------------------------------------------------------------
@pytest.mark.parametrize("name", ["http://127.0.0.1:8000/", "http://127.0.0.1:8000/" + "x" * 60])
def test_runs_of_one_name_are_told_apart(name):
    text = compare([make_run(name=name), make_run(name=name, elapsed_s=2.0)])
    assert "1 http://127.0.0.1:8000/" in text
    assert "2 http://127.0.0.1:8000/" in text
    assert "0.500" in text.split()


def test_the_ratios_are_to_the_run_that_is_named():
    text = compare(make_pair(), baseline="Flask")
    assert text.startswith("2 runs, each against Flask")
    row = next(line for line in text.split("\n") if line.startswith("FastAPI  "))
    assert row.split()[2] == "0.427"


def test_what_is_the_same_and_what_differs_is_told():
    other = make_run(load=replace(LOAD, connections=9), name="b")
    text = squeeze(compare([make_run(name="a"), other]))
    assert "the same client wire; loop closed; keep-alive yes" in text
    assert "different connections 20 | 9" in text


def test_what_one_source_does_not_say_is_told_apart():
    text = squeeze(compare([make_run(name="a"), make_foreign(name="b", connections=20)]))
    assert "the same connections 20" in text
    assert "not always said loop closed; keep-alive yes" in text
    assert "not known from wrk: much" in text


def test_a_run_without_answers_is_compared():
    nothing = make_run([], failed=3, server=None, name="b")
    assert "no request was answered" in compare([nothing, make_run(name="a")])


def test_several_runs_have_a_table_of_how_sure_their_percentiles_are():
    """A run that is too short has a dash there, and of too few bursts the end is open."""
    even = Stretches(counts=[300] * 10, above=[[n] * 10 for n in (150, 75, 30, 15, 3, 0)])
    burst = Stretches(counts=[300] * 10, above=[[10 * n] + [0] * 9 for n in (15, 7, 3, 2, 3, 0)])
    times_s = [0.1 + 0.0001 * n for n in range(3000)]
    runs = [
        make_run(times_s, name="even", stretches=even),
        make_run(times_s, name="bursts", stretches=burst),
        make_run(times_s, name="short"),
    ]
    text = squeeze(compare(runs))
    assert "95 % CI (ms) p50 p90 p99 even 244–256 366–374 396–398 bursts" in text
    assert " or more" in text
    assert "short - - -" in text
    assert "| 95 % CI (ms) | p50 | p90 | p99 |" in compare(runs, markdown=True)
    assert max(map(len, compare(runs).splitlines())) <= 79
    assert "95 % CI" not in compare([runs[2], runs[2]])
    assert "95 % CI (ms) p75 even" in squeeze(compare(runs, percentiles=[75.0, 99.99]))
