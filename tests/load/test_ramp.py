"""An open loop whose rate changes from its start to its end."""

from __future__ import annotations

import math
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import URL, complains, holds, plan_ns, said, slow
from hypothesis import given
from hypothesis import strategies as st
from servers import Server, one_at_a_time

from lab.facts.ramp import trace_ramp
from lab.facts.records import Run
from lab.load.inputs import parse_ramp
from lab.load.load import Load
from lab.load.pacing import add_rates, plan_due_ns, split_load
from lab.load.run import run
from lab.readers.files import read
from lab.reports.plot import plot
from lab.reports.report import report

ENDS = st.floats(0, 3000).map(lambda rate: round(rate, 1))


@given(ENDS, ENDS, st.floats(0.1, 3))
def test_a_constant_ramp_asks_for_the_area_under_it(a: float, b: float, s: float) -> None:
    if a + b == 0:
        return
    due_s = np.array(plan_ns(Load(url=URL, ramp=(a, b), duration_s=s))) / 1e9
    assert len(due_s) == math.ceil((a + b) / 2 * s - 1e-9)
    assert (np.diff(due_s) >= 0).all()
    asked = a * due_s + (b - a) / (2 * s) * due_s**2
    assert np.allclose(asked, np.arange(len(due_s)), atol=1e-4)


@pytest.mark.parametrize("ends", [(0.0, 8000.0), (8000.0, 0.0), (3000.0, 5000.0)])
def test_a_poisson_ramp_has_the_rates_of_the_constant_one(ends: tuple[float, float]) -> None:
    load = Load(url=URL, ramp=ends, duration_s=10.0, arrivals="poisson")
    seconds = np.bincount((np.array(plan_ns(load)) / 1e9).astype(int), minlength=10)
    first, last = ends
    expected = [first + (last - first) * (n + 0.5) / 10 for n in range(10)]
    assert np.abs(seconds - expected).max() < 5 * math.sqrt(8000)
    assert plan_ns(load) == plan_ns(load)


def test_the_shares_of_a_ramp_add_up() -> None:
    whole = Load(url=URL, ramp=(10.0, 400.0), duration_s=2.0, connections=6, processes=3)
    parts = [list(plan_due_ns(part, math.inf, 2.0)) for part in split_load(whole)]
    assert sorted(chain(*parts)) == plan_ns(whole)


def test_ramps_are_read_as_they_are_written() -> None:
    assert parse_ramp("100..2k") == (100, 2000)
    assert parse_ramp("500..0/s") == (500, 0)
    for text in ("100", "100..", "1..2..3", "a..b", "-5..7", ""):
        with pytest.raises(ValueError, match="write"):
            parse_ramp(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ramp", "100", URL], "write 100..2k"),
        (["--ramp", "0..0", URL], "above 0"),
        (["--ramp", "1..9", "-q", 5, URL], "leave out -q"),
        (["--ramp", "1..9", "--find-max", "--slo", "p99<1s", URL], "leave out -q"),
        (["--ramp", "1..9", "--warmup", "1s", URL], "begin with a low rate"),
        (["--ramp", "1..9", "--think", "1s", URL], "closed loop"),
    ],
    ids=str,
)
def test_wrong_usage_of_a_ramp(
    arguments: list[Any], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in complains(capsys, 2, *arguments)


def test_requests_alone_say_how_long_a_ramp_takes() -> None:
    load = Load(url=URL, ramp=(0.0, 100.0), requests=200)
    assert (load.rate, load.duration_s) == (50, 4)
    assert len(plan_ns(load)) == 200


def of_ramp(**asked: Any) -> Run:
    """A ramp from 0 to 300/s on a server that can do 100/s: it is reached after a third."""
    with Server(one_at_a_time(0.01)) as server:
        result = run(Load(url=server.url, ramp=(0.0, 300.0), duration_s=3.0, **asked))
    holds(result, 450)
    return result


@slow
@pytest.mark.parametrize("processes", [1, 2])
def test_the_series_of_a_ramp_tells_where_the_server_gives_in(
    processes: int, tmp_path: Path
) -> None:
    result = of_ramp(processes=processes, connections=200)
    ends_s = [0.0, *(second.time for second in result.series[:2])]
    assert [second.rate for second in result.series[:2]] == pytest.approx(
        [50 * (low_s + high_s) for low_s, high_s in pairwise(ends_s)], rel=0.01
    )
    assert sum(second.ok for second in result.series) == 450
    assert all(second.p99 is not None for second in result.series if second.ok)
    points = trace_ramp(result.series[:3], most=40)
    assert points[0].throughput == pytest.approx(points[0].rate, rel=0.25)
    assert points[2].throughput == pytest.approx(100, rel=0.25)
    assert points[0].p99_s < points[1].p99_s < points[2].p99_s
    assert all(point.rate > 0 for point in trace_ramp(result.series, most=40))
    assert "open loop from 0/s to 300/s" in report(result)
    assert "Rates of the ramp" in report(result)
    plot([result], tmp_path / "ramp.svg")
    assert "requests/s asked for" in (tmp_path / "ramp.svg").read_text()


def test_points_of_a_ramp_are_exact_for_seconds_on_end() -> None:
    with Server() as server:
        result = run(Load(url=server.url, ramp=(100.0, 400.0), duration_s=2.2))
    (point,) = trace_ramp(result.series, most=1)
    assert point.requests == result.ok == 550
    assert point.rate == pytest.approx(550 / result.elapsed_s, rel=0.01)
    for percentile, found_s in ((50, point.p50_s), (99, point.p99_s)):
        assert found_s == result.histogram.percentile_s(percentile, beyond=0)


def test_a_ramp_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server() as server:
        status, stdout, _ = said(capsys, "--ramp", "50..250", "-z", "400ms", "-o", path, server.url)
    assert (status, len(server.requests)) == (0, 60)
    record = read(path)
    assert isinstance(record, Run)
    assert (record.load.ramp, record.load.rate) == ((50, 250), 150)
    assert "from 50/s to 250/s" in stdout


def test_only_a_ramp_has_rates_in_its_series() -> None:
    with Server() as server:
        result = run(Load(url=server.url, rate=200.0, duration_s=0.2))
    assert [second.rate for second in result.series] == [None]
    assert add_rates(Load(url=URL, rate=5.0), result.series) == result.series
    assert trace_ramp(result.series, most=5) == []
