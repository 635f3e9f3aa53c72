"""The open loop of loadgen.py, its search for the highest rate, and all that a load is made of.

Against known truth: a server that counts and logs, delays that are known, a standstill of known
length, a worker of known capacity. Bounds are wide, for the machine may be busy.
"""

from __future__ import annotations

import asyncio
import csv
import gc
import json
import math
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import chain
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import psutil
import pytest
import servers
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from servers import OK, Answer, Server, answer, delayed, in_turn, one_at_a_time, standing_still
from test_loadgen import ROOT, URL, cli, command, fails, holds, interrupted

import loadgen
import summarize
from loadgen import CannotRun, Load, run
from summarize import Run

BAD = Answer((answer(b"no", "500 Internal Server Error"),))
slow = pytest.mark.slow
both = pytest.mark.parametrize("client", ["wire", "aiohttp"])


@pytest.fixture(scope="module", autouse=True)
def little_to_collect() -> Iterator[None]:
    """A run collects garbage first, which takes long in a process that holds a test suite."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """What a command line ends with: its status and both outputs."""
    try:
        status = loadgen.main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = int(end.code or 0)
    return status, *capsys.readouterr()


def complains(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    """The one line on standard error of a command line that fails."""
    found, stdout, stderr = said(capsys, *arguments)
    assert (found, stdout) == (status, "")
    assert len(stderr.splitlines()) == 1
    return stderr


def percentile_s(result: Run, key: str, percentile: float) -> float:
    value_s = result.histograms[key].percentile_s(percentile, beyond=0)
    assert value_s is not None
    return value_s


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command line under way, which is killed if it does not end."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command(*arguments), cwd=ROOT, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(true: Callable[[], bool], at_most_s: float = 20) -> None:
    until = monotonic() + at_most_s
    while not true():
        assert monotonic() < until
        sleep(0.01)


# ---- The plan ------------------------------------------------------------------------


def plan_ns(load: Load) -> list[int]:
    requests, duration_s = load.requests or math.inf, load.duration_s or math.inf
    return list(loadgen.due_times(load, requests, duration_s))


@settings(deadline=None)
@given(
    st.fractions(Fraction(1, 10), 5000, max_denominator=1000),
    st.fractions(Fraction(1, 100), 9, max_denominator=1000),
)
def test_a_constant_plan_holds_rate_times_duration(rate: Fraction, duration_s: Fraction) -> None:
    assume(rate * duration_s <= 3000)
    due_ns = plan_ns(Load(url=URL, rate=float(rate), duration_s=float(duration_s)))
    assert len(due_ns) == math.ceil(rate * duration_s)  # those of k / rate < duration
    exact_ns = [int(k * 10**9 / rate) for k in range(len(due_ns))]
    assert np.abs(np.array(due_ns) - exact_ns).max() <= 1


@pytest.mark.parametrize(
    ("rate", "duration_s", "requests"),
    [
        (200, 5.0, 1000),
        (0.1, 30.0, 3),
        (1 / 3, 9.0, 3),
        (3, 1 / 3, 1),
        (333.3, 10.0, 3333),
        (29.97, 100.0, 2997),
        (0.7, 10.0, 7),
        (7, 0.7, 5),
        (1e4, 60.0, 600_000),
        (1234.5, 86.4, 106_661),
        (100, 0.001, 1),
    ],
)
def test_a_constant_plan_at_awkward_rates(rate: float, duration_s: float, requests: int) -> None:
    assert len(plan_ns(Load(url=URL, rate=rate, duration_s=duration_s))) == requests


def test_poisson_arrivals_have_the_rate_and_the_spread_of_chance() -> None:
    load = Load(url=URL, rate=1000.0, requests=40_000, arrivals="poisson")
    due_ns = plan_ns(load)
    gaps_s = np.diff([0, *due_ns]) / 1e9
    assert len(due_ns) == 40_000
    assert gaps_s.min() >= 0
    assert gaps_s.mean() == pytest.approx(1 / 1000, rel=0.03)
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(1, abs=0.03)
    assert np.mean(gaps_s > 1 / 1000) == pytest.approx(math.exp(-1), abs=0.02)


@given(st.integers(0, 2**32), st.floats(1, 5000))
def test_poisson_arrivals_are_those_of_the_seed(seed: int, rate: float) -> None:
    asked = {"url": URL, "rate": rate, "duration_s": 500 / rate, "arrivals": "poisson"}
    first, again = (plan_ns(Load(**asked, seed=seed)) for _ in range(2))
    assert first == again != plan_ns(Load(**asked, seed=seed + 1))
    assert first == sorted(first)
    assert min(first) > 0
    assert max(first) < 500 / rate * 1e9
    assert abs(len(first) - 500) < 8 * math.sqrt(500)
    longer = Load(**asked | {"duration_s": 600 / rate}, seed=seed)
    assert plan_ns(longer)[: len(first)] == first


async def planned_ns(load: Load) -> list[int]:
    """What an engine plans, which may be one of several."""
    engine, due_ns = loadgen.OpenLoop(load), []
    engine.begin(load.requests or math.inf, load.duration_s or math.inf)
    while engine.next_ns < math.inf:
        due_ns.append(engine.advance() - engine.began_ns)
    engine.close()
    return due_ns


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 9), st.integers(0, 50), st.integers(1, 400),
    st.sampled_from(["constant", "poisson"]), st.booleans(),
)  # fmt: skip
def test_the_shares_of_processes_add_up(
    n: int, more: int, requests: int, arrivals: str, timed: bool
) -> None:
    asked: dict[str, Any] = {"connections": n + more, "processes": n, "arrivals": arrivals}
    asked |= {"duration_s": requests / 100} if timed else {"requests": requests + n}
    whole = Load(url=URL, rate=100.0, **asked)
    parts = [asyncio.run(planned_ns(part)) for part in loadgen.shares(whole)]
    assert sorted(chain(*parts)) == plan_ns(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    closed = loadgen.shares(Load(url=URL, **asked))
    assert sum(part.connections for part in closed) == n + more
    if not timed:
        assert sum(part.requests or 0 for part in closed) == requests + n


# ---- Arrivals ------------------------------------------------------------------------


@both
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_requests_arrive_as_planned(client: str, arrivals: str) -> None:
    """Three tries: what the client does wrong is there each time, a busy neighbour is not."""
    off_s: list[float] = []
    while min(off_s, default=1) > 0.002 and len(off_s) < 3:
        with Server() as server:
            load = Load(
                url=server.url, rate=200.0, duration_s=0.6, arrivals=arrivals, connections=20,
                client=client, seed=len(off_s),
            )  # fmt: skip
            result = run(load)
        due_s = np.array(plan_ns(load)) / 1e9
        holds(result, len(due_s))
        assert result.ok == len(server.requests) == len(due_s)
        assert (result.client["planned"], result.client["sent"]) == (len(due_s), len(due_s))
        late_s = np.sort(server.arrived_s) - due_s
        off_s.append(float(np.median(np.abs(late_s - np.median(late_s)))))
        low_s, middle_s, high_s = np.quantile(np.diff(np.sort(server.arrived_s)), [0.25, 0.5, 0.75])
        spread = (high_s - low_s) / middle_s  # which one stall of the host does not move
    assert min(off_s) <= 0.002
    if arrivals == "constant":
        assert spread < 0.5
    else:  # of exponential gaps: ln 3 / ln 2
        assert 1.0 < spread < 2.5


@both
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
@pytest.mark.parametrize(
    ("asked", "planned"),
    [
        ({"requests": 30}, 30),
        ({"duration_s": 0.075}, 30),
        ({"requests": 20, "duration_s": 0.075}, 20),
        ({"requests": 90, "duration_s": 0.075}, 30),
        ({"requests": 1}, 1),
    ],
    ids=str,
)
def test_what_ends_an_open_loop(
    client: str, arrivals: str, asked: dict[str, Any], planned: int
) -> None:
    with Server() as server:
        load = Load(url=server.url, rate=400.0, arrivals=arrivals, client=client, **asked)
        result = run(load)
    if arrivals == "poisson" and planned == 30 and "duration_s" in asked:
        planned = len(plan_ns(load))
    holds(result, planned)
    assert result.ok == planned == len(server.requests)
    assert result.elapsed_s >= plan_ns(load)[-1] / 1e9
    assert not result.interrupted


@both
def test_the_warm_up_of_an_open_loop_is_not_counted(client: str) -> None:
    with Server() as server:
        asked = {"rate": 200.0, "requests": 30, "warmup_s": 0.2, "connections": 4}
        result = run(Load(url=server.url, client=client, **asked))
    holds(result, 30)
    assert result.ok == 30
    assert len(server.requests) == 40 + 30
    assert server.connections == result.connections["opened"] <= 4


# ---- Who stands still ----------------------------------------------------------------


def stalled(
    client: str, connections: int, scale: float = 1.0, at: float = 0.4, keepalive: bool = True
) -> Run:
    """5 s at 200/s, of which the server stands still for 1 s, or all of that to a scale."""
    planned = round(1000 * scale)
    with Server(standing_still(round(at * planned), scale)) as server:
        load = Load(
            url=server.url, rate=200.0, duration_s=5 * scale, connections=connections,
            client=client, keepalive=keepalive,
        )  # fmt: skip
        result = run(load)
    holds(result, planned)
    assert result.ok == planned == len(server.requests)
    assert result.client["sent"] == result.client["planned"] == planned
    assert server.connections == result.connections["opened"] <= connections
    return result


def shows_the_stall(result: Run, scale: float, rel: float = 0.2) -> None:
    """A fifth of the requests waited for whatever was left of it, in turn from 1 s to 0."""
    assert percentile_s(result, "latency_s", 50) < 0.1 * scale
    for percentile, waited_s in ((90, 0.5), (95, 0.75), (99, 0.95)):
        assert percentile_s(result, "latency_s", percentile) / scale == pytest.approx(
            waited_s, rel=rel
        )
    assert result.latency_s["max"] >= 0.95 * scale


@slow
@pytest.mark.parametrize("connections", [1000, 5])
def test_a_server_that_stands_still_for_a_second_of_five(connections: int) -> None:
    result = stalled("wire", connections)
    shows_the_stall(result, 1.0)
    lag_s, service_s = (percentile_s(result, key, 95) for key in ("send_lag_s", "service_s"))
    if connections == 1000:
        assert result.connections["opened"] > 100
        assert lag_s < 0.1
        assert service_s == pytest.approx(0.75, rel=0.2)
    else:
        assert lag_s == pytest.approx(0.75, rel=0.2)
        assert service_s < 0.1


@both
@pytest.mark.parametrize("connections", [pytest.param(1000, marks=slow), 5])
def test_a_shortage_of_connections_is_send_lag(client: str, connections: int) -> None:
    """The same standstill, in a second."""
    result = stalled(client, connections, scale=0.2)
    shows_the_stall(result, 0.2, rel=0.4)
    lag_s, service_s = (percentile_s(result, key, 94) for key in ("send_lag_s", "service_s"))
    assert (lag_s < service_s) == (connections == 1000)
    assert min(lag_s, service_s) < 0.05 < 0.1 < max(lag_s, service_s)


@slow
@pytest.mark.parametrize("connections", [1000, 5])
def test_a_standstill_at_the_end_is_not_lost(connections: int) -> None:
    """The last 40 of 400 requests find it, and wait from 0.4 s down to a half of that."""
    result = stalled("wire", connections, scale=0.4, at=0.9)
    assert percentile_s(result, "latency_s", 50) < 0.05
    assert percentile_s(result, "latency_s", 95) == pytest.approx(0.30, rel=0.2)
    assert percentile_s(result, "latency_s", 99) == pytest.approx(0.38, rel=0.2)
    assert result.elapsed_s >= 2.15


@both
@slow
def test_a_client_that_stands_still_is_send_lag_and_no_service_time(client: str) -> None:
    with Server() as server:
        arguments = ["-q", 200, "-z", "2s", "--client", client, "-o", "-", server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 100)
            process.send_signal(signal.SIGSTOP)
            sleep(1)
            process.send_signal(signal.SIGCONT)
            stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")
    result = Run.from_json(json.loads(stdout))
    holds(result, 400)
    assert result.ok == 400
    for key in ("send_lag_s", "latency_s"):  # of half the requests it is from 1 s down to 0
        assert 0.4 <= percentile_s(result, key, 75) <= 0.8
        assert percentile_s(result, key, 100) >= 0.9
    assert percentile_s(result, "service_s", 98) < 0.3
    assert result.validity["verdict"] == "SUSPECT"
    assert "itself stood still" in " ".join(result.validity["reasons"])


# ---- Queues and connections ----------------------------------------------------------


@pytest.mark.slow
@both
def test_past_all_connections_requests_queue_and_none_is_left_out(client: str) -> None:
    """Two connections at 50 ms can do 40/s, and are asked for 200/s."""
    with Server(delayed(0.05)) as server:
        load = Load(url=server.url, rate=200.0, requests=20, connections=2, client=client)
        result = run(load)
    holds(result, 20)
    assert result.ok == len(server.requests) == 20
    assert server.connections == 2
    assert 0.05 <= percentile_s(result, "service_s", 50) < 0.1
    waited_s = result.latency_s["max"] or 0
    assert waited_s >= 20 / 40 - 20 / 200
    assert result.histograms["send_lag_s"].summary_s()["max"] == pytest.approx(
        waited_s - 0.05, abs=0.05
    )


@both
def test_what_waits_past_its_timeout_is_counted_once(client: str, tmp_path: Path) -> None:
    samples = tmp_path / "samples.ndjson"
    with Server() as server:
        load = Load(
            url=f"{server.url}/never", rate=100.0, requests=20, connections=1, timeout_s=0.2,
            client=client, samples=str(samples),
        )  # fmt: skip
        result = run(load)
    holds(result, 20)
    assert result.errors == {"timeout": 20}
    assert result.histograms["failed_s"].summary_s()["min"] >= 0.2
    assert result.client["planned"] == 20
    assert result.client["sent"] == len(server.requests) < 19
    assert result.validity["verdict"] == "INVALID"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(20))
    assert len({row["timestamp"] for row in rows}) == 20


@slow
@both
def test_less_sent_than_planned_is_invalid(client: str) -> None:
    with Server(delayed(0.2)) as server:
        load = Load(
            url=server.url, rate=50.0, requests=25, connections=1, timeout_s=0.45, client=client
        )
        result = run(load)
    holds(result, 25)
    assert result.ok > 0
    assert result.ok + result.failed == 25
    assert set(result.errors) == {"timeout"}
    assert result.client["sent"] == len(server.requests)
    assert result.validity["verdict"] == "INVALID"
    assert "of what was planned could be sent" in " ".join(result.validity["reasons"])


@both
def test_connections_are_opened_when_they_are_needed_and_used_again(client: str) -> None:
    """By Little's law 100/s of 100 ms take ten."""
    with Server(delayed(0.1)) as server:
        load = Load(url=server.url, rate=100.0, requests=40, connections=40, client=client)
        result = run(load)
    holds(result, 40)
    assert result.ok == len(server.requests) == 40
    assert 10 <= server.connections == result.connections["opened"] <= 30


@both
def test_a_server_that_closes_what_is_idle_costs_no_request(client: str) -> None:
    with Server(idle_s=0.05) as server:
        load = Load(url=server.url, rate=5.0, requests=3, connections=2, client=client)
        result = run(load)
    holds(result, 3)
    assert result.ok == server.connections == result.connections["opened"] == 3


@both
def test_without_keepalive_each_request_of_a_plan_has_its_connection(client: str) -> None:
    with Server() as server:
        asked = {"rate": 200.0, "requests": 40, "connections": 5, "keepalive": False}
        result = run(Load(url=server.url, client=client, **asked))
    holds(result, 40)
    assert result.ok == server.connections == result.connections["opened"] == 40


@slow
@both
def test_an_outage_costs_what_was_planned_for_it_and_no_spinning(client: str) -> None:
    with Server() as server:
        arguments = ["-q", 200, "-z", "2s", "-c", 20, "--client", client, "-o", "-", server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 50)
            server.die()
            before = len(server.requests)
            sleep(1)
            assert len(server.requests) == before
            server.listen()
            stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")
    result = Run.from_json(json.loads(stdout))
    holds(result, 400)
    assert result.client["planned"] == 400
    assert set(result.errors) <= {"refused", "reset", "incomplete"}
    assert 150 <= result.errors["refused"] <= 300
    assert sum(entry["ok"] for entry in result.series[-2:]) > 0
    assert result.ok <= len(server.requests)
    assert result.client["cpu_s"] / result.elapsed_s < 0.5


@both
def test_an_open_loop_on_a_closed_port_cannot_be_measured(client: str) -> None:
    load = Load(url=f"http://127.0.0.1:{servers.free_port()}", rate=100.0, client=client)
    with pytest.raises(CannotRun, match=r"refused .* is the server running"):
        run(load)


@both
def test_a_connect_timeout_of_its_own(client: str) -> None:
    with servers.deaf() as port:
        began = monotonic()
        load = Load(url=f"http://127.0.0.1:{port}", connect_timeout_s=0.2, client=client)
        with pytest.raises(CannotRun, match=r"connect timeout \(none in 0.2 s\)"):
            run(load)
    assert monotonic() - began < 10


@both
def test_connect_timeouts_in_an_open_loop(client: str) -> None:
    with servers.deaf(answered=2) as port:
        asked = {"rate": 20.0, "requests": 6, "connections": 4, "connect_timeout_s": 0.2}
        result = run(Load(url=f"http://127.0.0.1:{port}", client=client, **asked))
    holds(result, 6)
    assert result.ok == 2
    assert result.errors == {"connect timeout": 4}
    assert result.elapsed_s < 10


@pytest.mark.parametrize("asked", [{"requests": 50}, {"requests": 50, "rate": 500.0}], ids=str)
@both
def test_a_run_in_a_thread_of_its_own(client: str, asked: dict[str, Any]) -> None:
    handler, results = signal.getsignal(signal.SIGINT), list[Run]()
    with Server() as server:
        load = Load(url=server.url, connections=3, client=client, **asked)
        thread = threading.Thread(target=lambda: results.append(run(load)))
        thread.start()
        thread.join(20)
    holds(results[0], 50)
    assert results[0].ok == len(server.requests) == 50
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    "asked",
    [
        {"rate": 0.0},
        {"rate": -1.0},
        {"rate": math.inf},
        {"rate": math.nan},
        {"rate": 10.0, "arrivals": "bursts"},
        {"rate": 10.0, "think_s": (0.1, 0.1)},
        {"connect_timeout_s": 0.0},
        {"processes": 0},
        {"processes": 3, "connections": 2},
        {"processes": 3, "requests": 2},
        {"samples": "samples.txt"},
        {"samples": "samples"},
        {"samples": "samples.csv", "processes": 2},
        {"targets": ((1, "GET", "http://elsewhere/", b""),)},
        {"targets": ((1, "GET /", URL, b""),)},
    ],
    ids=repr,
)
def test_what_cannot_be_asked_of_a_load(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Load(**{"url": URL} | asked)


# ---- Objectives ----------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(
    st.text()
    | st.from_regex(
        r"(failed|throughput|mean|max|min|p\d{1,3}(\.\d)?) ?[<>=] ?[\w.%/ ]*", fullmatch=True
    )
    | st.from_regex(r"(p99<\d+ms|failed<\d+(\.\d+)?%|,| )*", fullmatch=True)
)
def test_an_objective_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        for objective in summarize.objectives(text):
            assert objective.metric and objective.limit >= 0


def test_objectives_are_read_as_they_are_written() -> None:
    found = summarize.objectives("p99<50ms, failed < 0.1%,throughput>200/s,mean<1s,p99.9>2us")
    assert [(o.metric, o.percentile, o.above, o.limit) for o in found] == [
        ("p99", 99, False, 0.05),
        ("failed", None, False, 0.001),
        ("throughput", None, True, 200),
        ("mean", None, False, 1),
        ("p99.9", 99.9, True, pytest.approx(2e-6)),
    ]


@pytest.fixture(scope="module")
def of_known_latencies() -> Run:
    """Of 40 requests two take 0.3 s, and four of the others fail."""
    late = Answer((OK,), delay_s=0.3)
    with Server(in_turn(*[Answer((OK,))] * 17, BAD, BAD, late)) as server:
        result = run(Load(url=server.url, requests=40, connections=1))
    holds(result, 40)
    assert (result.ok, result.failed) == (36, 4)
    return result


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("p50<200ms", True),
        ("p90<200ms", True),
        ("p94<200ms", True),  # 2 of 36 are 5.6 %
        ("p95<200ms", False),
        ("p99<200ms", False),
        ("p99<5s", True),
        ("p99>200ms", True),
        ("max<200ms", False),
        ("max<5s", True),
        ("mean<200ms", True),
        ("mean<1ms", False),  # 0.6 s by 36 is 17 ms
        ("min<200ms", True),
        ("failed<9%", False),
        ("failed<10%", False),
        ("failed<11%", True),
        ("throughput>1/s", True),
        ("throughput>1000/s", False),
        ("p50<200ms,failed<11%", True),
        ("p50<200ms,failed<9%", False),
    ],
)
def test_what_keeps_an_objective(of_known_latencies: Run, text: str, kept: bool) -> None:
    broken = summarize.broken(of_known_latencies, summarize.objectives(text))
    assert len(broken) == (not kept)


@pytest.mark.parametrize("how", [["-n", 20], ["-n", 20, "-q", 200]], ids=str)
def test_a_broken_objective_is_status_3(
    how: list[object], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.02)) as server:
        for limit, status in (("5ms", 3), ("5s", 0)):
            asked = f"p50<{limit},failed<0.1%"
            arguments = [*how, "--slo", asked, "-o", path, server.url]
            found, stdout, stderr = said(capsys, *arguments)
            assert (found, stderr) == (status, "")
            assert ("broken: p50 is " in stdout) == (status == 3)
            slo = json.loads(path.read_text())["slo"]
            assert (slo["asked"], len(slo["broken"])) == (asked, status == 3)


@slow
def test_the_highest_rate_is_that_of_the_worker(tmp_path: Path) -> None:
    """A worker that takes 5 ms can do 200/s. Three tries, for others may take its processor."""
    path, found = tmp_path / "run.json", list[float]()
    while not any(170 <= rate <= 230 for rate in found) and len(found) < 3:
        with Server(one_at_a_time(0.005)) as server:
            arguments = ["-q", 120, "-z", "800ms", "--find-max", "--slo", "p90<50ms", "-o", path]
            done = cli(*arguments, server.url)
        assert done.returncode == 0
        record = summarize.read(path)
        assert isinstance(record, Run)
        curve, found = record.curve, [*found, record.slo["max_rate"]]
        kept, broken = ([p["rate"] for p in curve if p["kept"] is kept] for kept in (True, False))
        assert kept.count(found[-1]) >= 2  # and the last two confirm it
        assert (curve[-2]["rate"], curve[-2]["kept"]) == (found[-1], True)
        assert not curve[-1]["kept"]
        assert found[-1] < curve[-1]["rate"] == min(r for r in broken if r > found[-1])
        assert curve[-1]["rate"] <= 1.06 * found[-1]
        assert record.load["rate"] == found[-1]
        assert {"rate", "throughput", "p50_s", "p99_s", "failed", "requests"} <= set(curve[0])
        lines = done.stderr.splitlines()
        assert [float(line.split("/s")[0]) for line in lines] == pytest.approx(
            [point["rate"] for point in curve], rel=1e-4
        )
        assert [line.endswith("kept") for line in lines] == [point["kept"] for point in curve]
        assert "Rates tried" in done.stdout and "kept up to" in done.stdout
    assert any(170 <= rate <= 230 for rate in found)


def test_an_objective_that_no_rate_keeps(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.05)) as server:
        arguments = [
            "-q",
            10,
            "-z",
            "50ms",
            "--find-max",
            "--slo",
            "p50<10ms",
            "-o",
            path,
            server.url,
        ]
        status, stdout, stderr = said(capsys, *arguments)
    assert status == 3
    assert "no rate keeps it" in stdout
    record = json.loads(path.read_text())
    assert record["slo"]["max_rate"] is None
    rates = [point["rate"] for point in record["curve"]]
    assert rates == sorted(rates, reverse=True) and len(rates) > 2
    assert len(stderr.splitlines()) == len(rates)


@slow
def test_an_interrupted_search_says_what_it_found() -> None:
    with Server() as server:
        arguments = ["-q", 100, "-z", "500ms", "--find-max", "--slo", "p50<5s", server.url]
        status, stdout, stderr = interrupted(signal.SIGINT, server, 250, *arguments)
    assert status == 130
    assert "100/s" in stderr and "kept" in stderr
    assert "Traceback" not in stderr
    assert "Rates tried" in stdout
    assert "interrupted after" in stdout


# ---- What a load is made of ----------------------------------------------------------

TARGETS = """# the shop
3 GET /a
POST /b?x=1 @body.json     # a comment
  2   put   BASE/c   @body.json

1 DELETE d
"""
MIX = {"GET /a": 3, "POST /b?x=1": 1, "PUT /c": 2, "DELETE /d": 1}


@both
@pytest.mark.parametrize(
    "how",
    [
        {"connections": 1},
        {"connections": 4},
        {"rate": 300.0},
        pytest.param({"processes": 2}, marks=slow),
    ],
    ids=str,
)
def test_targets_are_asked_for_by_their_weights(
    client: str, how: dict[str, Any], tmp_path: Path
) -> None:
    """Exactly, over a whole deck, of which each process has its own."""
    (tmp_path / "body.json").write_bytes(b'{"n": 1}')
    ok = Answer((OK,))
    with Server(lambda _, path: BAD if path == "/c" else ok) as server:
        file = tmp_path / "targets"
        file.write_text(TARGETS.replace("BASE", server.url))
        targets = tuple(loadgen.targets_in(file, server.url))
        load = Load(url=server.url, targets=targets, requests=70, client=client, **how)
        result = run(load)
    holds(result, 70)
    asked = Counter(request.split(b" HTTP/1.1")[0].decode() for request in server.requests)
    assert asked == {what: 10 * weight for what, weight in MIX.items()}
    for request in server.requests:
        has_body = request.startswith((b"POST", b"PUT"))
        assert request.partition(b"\r\n\r\n")[2] == (b'{"n": 1}' if has_body else b"")
    assert result.errors == {"status": 20}
    assert [(t["name"].replace(server.url, ""), t["ok"], t["failed"]) for t in result.targets] == [
        ("GET /a", 30, 0), ("POST /b?x=1", 10, 0), ("PUT /c", 0, 20), ("DELETE /d", 10, 0)
    ]  # fmt: skip
    statuses = [{"200": 30}, {"200": 10}, {"500": 20}, {"200": 10}]
    assert [t["statuses"] for t in result.targets] == statuses
    assert (result.latency_s["min"], result.latency_s["max"]) == (
        min(t["latency_s"]["min"] for t in result.targets if t["ok"]),
        max(t["latency_s"]["max"] for t in result.targets if t["ok"]),
    )


def test_a_target_that_never_was_sent_is_counted_as_itself(tmp_path: Path) -> None:
    with Server() as server:
        targets = tuple((1, "GET", f"{server.url}/never?{n}", b"") for n in range(3))
        load = Load(
            url=server.url, targets=targets, rate=150.0, requests=30, connections=1, timeout_s=0.2
        )
        result = run(load)
    holds(result, 30)
    assert len(server.requests) < 20
    assert [target["failed"] for target in result.targets] == [10, 10, 10]


def test_targets_need_no_url(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "targets"
    with Server() as server:
        file.write_text(f"GET {server.url}/\n3 GET {server.url}/chunked\n")
        status, stdout, stderr = said(capsys, "-n", 8, "--targets", file)
    assert (status, stderr) == (0, "")
    assert Counter(r.split()[1] for r in server.requests) == {b"/": 2, b"/chunked": 6}
    assert "Targets" in stdout
    assert max(map(len, stdout.splitlines())) <= 79


@pytest.mark.parametrize(
    "line",
    [
        "GET",
        "3",
        "3 GET",
        "0 GET /",
        "GET / body",
        "GET / @a @b",
        'GET "/',
        "GET /x @no-such-file",
        "GET ftp://127.0.0.1:9/",
        "GET http://127.0.0.1:8/",
        "GET http://127.0.0.1:99999/",
        "G@T /",
        "-1 GET /",
        "1.5 GET /",
    ],
)
def test_a_bad_target_is_named_with_its_line(
    line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "targets"
    file.write_text(f"GET /\n{line}\n")
    assert f"{file}:2: " in complains(capsys, 2, "--targets", file, URL)


@both
@pytest.mark.parametrize("how", [{"connections": 1}, {"connections": 1, "rate": 300.0}], ids=str)
def test_lines_are_sent_in_turn(client: str, how: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b'{"n": 1}\ntwo two\n\n\xff\x00')
    parser = loadgen._parser()
    with Server() as server:
        options = parser.parse_args(["--lines", str(file), server.url])
        lines = loadgen._load(options, server.url).lines
        load = Load(url=server.url, method="POST", lines=lines, requests=10, client=client, **how)
        result = run(load)
    holds(result, 10)
    assert result.ok == 10
    bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
    turn = [b'{"n": 1}', b"two two", b"", b"\xff\x00"]
    assert bodies == [*turn, *turn, *turn][:10]
    assert {request.split()[0] for request in server.requests} == {b"POST"}


@both
@pytest.mark.parametrize("think_s", [(0.05, 0.05), pytest.param((0.02, 0.08), marks=slow)])
def test_a_connection_thinks_between_its_requests(
    client: str, think_s: tuple[float, float]
) -> None:
    """10 of them at 10 + 50 ms can do 167/s."""
    with Server(delayed(0.01)) as server:
        asked = {"connections": 10, "duration_s": 0.4, "think_s": think_s}
        result = run(Load(url=server.url, client=client, **asked))
    holds(result, len(server.requests))
    assert result.ok == len(server.requests)
    assert 0.6 * 167 < result.throughput < 1.1 * 167
    assert server.connections == 10
    assert "Little" not in " ".join(result.validity["reasons"])
    assert percentile_s(result, "latency_s", 50) < 0.05


@both
def test_one_who_thinks_waits_between_two_requests_and_not_after_the_last(client: str) -> None:
    with Server() as server:
        asked = {"connections": 1, "requests": 4, "think_s": (0.05, 0.1)}
        result = run(Load(url=server.url, client=client, **asked))
    holds(result, 4)
    assert np.diff(server.arrived_s).min() >= 0.045
    assert result.elapsed_s < 3 * 0.1 + 0.1


@both
@pytest.mark.parametrize("how", [{}, {"rate": 300.0}, {"keepalive": False}], ids=str)
def test_a_unix_socket(client: str, how: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Server(unix_socket=path) as server:
        load = Load(
            url="http://shop/chunked", unix_socket=str(path), requests=30, connections=3,
            client=client, **how,
        )  # fmt: skip
        result = run(load)
    holds(result, 30)
    assert result.ok == len(server.requests) == 30
    assert server.connections == result.connections["opened"]
    assert server.connections == 30 if how == {"keepalive": False} else server.connections <= 3
    assert server.requests[0].startswith(b"GET /chunked HTTP/1.1\r\nHost: shop\r\n")


@both
def test_a_unix_socket_that_is_not_there(
    client: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = complains(capsys, 1, "--unix-socket", tmp_path / "none", "--client", client, URL)
    assert "refused" in line


@pytest.mark.parametrize(
    ("path", "follow", "status", "asked"),
    [
        ("/302", 0, "302", 1),
        ("/302", 1, "200", 2),
        ("/302-twice", 1, "302", 2),
        ("/302-twice", 2, "200", 3),
        ("/302-twice", 9, "200", 3),
        ("/302-again", 3, "302", 4),
        ("/", 3, "200", 1),
    ],
)
def test_a_redirect_is_counted_as_its_final_answer(
    path: str, follow: int, status: str, asked: int
) -> None:
    with Server() as server:
        result = run(Load(url=server.url + path, requests=5, connections=2, follow=follow))
    holds(result, 5)
    assert len(server.requests) == 5 * asked
    assert result.statuses == {status: 5}
    too_many = follow and status == "302"
    assert result.errors == ({"status": 5} if too_many else {})


# ---- Samples -------------------------------------------------------------------------

VEGETA = "attack seq code timestamp latency bytes_out bytes_in error body method url headers"


@pytest.mark.slow
@both
@pytest.mark.parametrize("how", [{"connections": 3}, {"connections": 3, "rate": 500.0}], ids=str)
@pytest.mark.parametrize("suffix", [".csv", ".ndjson"])
def test_samples_have_every_request_once(
    client: str, how: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    file = tmp_path / f"samples{suffix}"
    answers = [Answer((OK,), delay_s=0.001 * n) for n in range(7)]
    with Server(in_turn(*answers, BAD, Answer((), "close"), Answer((OK[:25],), "close"))) as server:
        load = Load(
            url=f"{server.url}/", method="POST", body=b"four", requests=60, samples=str(file),
            warmup_s=0.1, client=client, name="shop", **how,
        )  # fmt: skip
        before = datetime.now(UTC)
        result = run(load)
        after = datetime.now(UTC)
    holds(result, 60)
    mean_s = result.latency_s["mean"] or 0
    if suffix == ".csv":
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
        assert list(rows[0]) == loadgen.Samples.HEY.split(",")
        assert Counter(row["status-code"] for row in rows) == result.statuses
        ok_s = [float(row["response-time"]) for row in rows if row["status-code"] == "200"]
        offsets_s = [float(row["offset"]) for row in rows]
        for row in rows:
            parts = ("DNS+dialup", "Request-write", "Response-delay", "Response-read")
            spent_s = sum(float(row[part]) for part in parts)
            assert spent_s == pytest.approx(float(row["response-time"]), abs=1e-8)
        assert 0 <= min(offsets_s) <= max(offsets_s) <= result.elapsed_s
    else:
        hits = [json.loads(line) for line in file.read_text().splitlines()]
        assert [hit["seq"] for hit in hits] == list(range(60))
        assert all(list(hit) == VEGETA.split() for hit in hits)
        codes = Counter(str(hit["code"]) for hit in hits)
        assert {**result.statuses, "0": codes["0"]} == codes
        assert Counter(hit["error"] for hit in hits if hit["error"]) == result.errors
        ok_s = [hit["latency"] / 1e9 for hit in hits if not hit["error"]]
        assert {(h["attack"], h["method"], h["bytes_out"]) for h in hits} == {("shop", "POST", 4)}
        assert {hit["bytes_in"] for hit in hits if hit["code"]} == {2}
        assert {hit["url"] for hit in hits} == {f"{server.url}/"}
        for hit in hits:
            at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d{3}Z$", r"\1+00:00", hit["timestamp"]))
            assert before <= at <= at + timedelta(seconds=hit["latency"] / 1e9) <= after
    assert len(ok_s) == result.ok
    assert np.mean(ok_s) == pytest.approx(mean_s, rel=2e-3)
    assert max(ok_s) == pytest.approx(result.latency_s["max"], rel=1e-6)


@pytest.mark.parametrize("name", ["a.txt", "samples", "a.json", "no-such-folder/a.csv", ".csv/"])
def test_samples_that_cannot_be_written_are_told_before_the_load(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Server() as server:
        line = complains(capsys, 2, "-n", 5, "--samples", f"{tmp_path}/{name}", server.url)
    assert name.strip("/") in line
    assert server.connections == 0
    assert list(tmp_path.iterdir()) == []


# ---- Processes -----------------------------------------------------------------------

PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "while True: pass"])
time.sleep(60)
"""


def test_a_process_is_accounted_for_with_its_children() -> None:
    """The child uses the processor and the parent does not."""
    with Server() as server, subprocess.Popen([sys.executable, "-c", PARENT]) as process:
        parent = psutil.Process(process.pid)
        try:
            wait_until(lambda: len(parent.children()) == 1)
            result = run(Load(url=server.url, duration_s=0.3, connections=1, pid=process.pid))
        finally:
            for one in (*parent.children(), parent):
                one.kill()
    assert result.server
    assert result.server["processes"] == 2
    assert result.server["threads"] >= 2
    assert result.server["rss_bytes"] > 2 * 10**6
    assert result.server["cpu_s"] > 0.02


@slow
@pytest.mark.parametrize(
    "asked",
    [
        {"requests": 1001, "connections": 5},
        {"requests": 101, "connections": 5, "client": "aiohttp"},
        {"duration_s": 0.5, "connections": 3},
        {"requests": 101, "connections": 5, "rate": 200.0},
        {"duration_s": 0.5, "connections": 7, "rate": 202.0, "arrivals": "poisson"},
        {"requests": 50, "connections": 5, "warmup_s": 0.2, "rate": 200.0},
    ],
    ids=str,
)
def test_two_processes_count_what_the_server_counts(asked: dict[str, Any]) -> None:
    with Server(delayed(0.005)) as server:
        load = Load(url=server.url, processes=2, **asked)
        result = run(load)
    warm = 40 if load.warmup_s else 0
    holds(result, len(server.requests) - warm)
    assert result.ok == result.requests
    if load.requests:
        assert result.ok == load.requests
    if load.rate:
        assert result.client["planned"] == result.client["sent"] == len(plan_ns(load))
    assert result.connections["opened"] == server.connections <= load.connections
    assert result.load["processes"] == 2
    assert result.load["connections"] == load.connections
    assert (result.latency_s["min"] or 0) >= 0.005


@slow
@pytest.mark.parametrize(("at", "warmup"), [("start", []), ("warm-up", ["--warmup", "60s"])])
def test_an_interrupt_of_several_processes_that_have_measured_nothing(
    at: str, warmup: list[str]
) -> None:
    with Server(delayed(0.01)) as server:
        arguments = ["--processes", 2, "-z", "60s", "-c", 4, *warmup, server.url]
        with started(*arguments) as process:
            children = psutil.Process(process.pid).children
            wait_until(lambda: len(children()) == 2)
            wait_until(lambda: at == "start" or len(server.requests) > 100)
            ours = children()
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert not any(child.is_running() for child in ours)


@slow
def test_an_interrupt_ends_all_processes_with_a_report(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["--processes", 2, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 100)
            children = psutil.Process(process.pid).children()
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "")
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
    record = summarize.read(path)
    assert isinstance(record, Run)
    holds(record, len(server.requests))
    assert record.interrupted
    assert stdout == summarize.text_of(record) + "\n"


@slow
def test_an_error_of_several_processes_is_one_line() -> None:
    refused = f"http://127.0.0.1:{servers.free_port()}/"
    assert "refused" in fails(1, "--processes", 2, "-n", 10, refused)


@slow
def test_a_process_that_is_killed_is_an_error() -> None:
    arguments = ["--processes", 2, "-z", "1s", "-c", 4]
    with Server(delayed(0.01)) as server, started(*arguments, server.url) as process:
        wait_until(lambda: len(server.requests) > 20)
        psutil.Process(process.pid).children()[0].kill()
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (1, "")
    assert len(stderr.splitlines()) == 1
    assert "process" in stderr


# ---- Long runs -----------------------------------------------------------------------

OFTEN_SAVED = """
import sys, loadgen
loadgen.CHECKPOINT_S = 0.2
own = "import loadgen"
loadgen.SHARE = loadgen.SHARE.replace(own, own + "; loadgen.CHECKPOINT_S = 0.2", 1)
sys.exit(loadgen.main())
"""


@slow
@pytest.mark.parametrize("how", [[], ["-q", "300"], ["--processes", "2"]], ids=str)
def test_a_killed_run_leaves_nearly_all_of_its_record(how: list[str], tmp_path: Path) -> None:
    """And its processes end when they find that nobody reads them."""
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["-z", "60s", "-c", "4", "--quiet", "-o", str(path), *how, server.url]
        script = [sys.executable, "-c", OFTEN_SAVED, *arguments]
        with subprocess.Popen(script, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            wait_until(path.exists)
            began, before = monotonic(), len(server.requests)
            while monotonic() < began + 1 or len(server.requests) < before + 200:
                assert json.loads(path.read_text())["interrupted"]  # never half of it
                sleep(0.02)
            children = psutil.Process(process.pid).children()
            process.kill()
            arrived = len(server.requests)
            psutil.wait_procs(children, 15)
    assert not any(child.is_running() for child in children)
    record = summarize.read(path)
    assert isinstance(record, Run)
    assert record.interrupted
    assert record.requests <= arrived + 4
    assert record.requests >= before + (arrived - before) / 2
    assert record.histograms["latency_s"].count == record.ok
    assert sum(record.statuses.values()) == record.requests - record.unfinished


GROWTH = """
import json, psutil, sys, loadgen
me, seen = psutil.Process(), []
asked = json.loads(sys.argv[1])
result = loadgen.run(loadgen.Load(**asked), lambda engine, elapsed_s:
    seen.append((engine.tally.total.ok + engine.tally.total.failed, me.memory_info().rss)))
early = max(rss for n, rss in seen if n <= result.requests / 4)
print(json.dumps([result.ok, max(rss for _, rss in seen) - early]))
"""


@slow
@pytest.mark.parametrize(
    "asked",
    [
        {"requests": 150_000},
        {"requests": 20_000, "keepalive": False},
        {"requests": 10_000, "client": "aiohttp"},
        {"requests": 15_000, "rate": 5000.0},
    ],
    ids=str,
)
def test_memory_stays_flat(asked: dict[str, Any], tmp_path: Path) -> None:
    """From a quarter of the load on. A list of the times would take 8 bytes a request and more."""
    with servers.nginx(tmp_path) as (url, stop):
        script = [sys.executable, "-c", GROWTH, json.dumps(asked | {"url": url})]
        done = subprocess.run(
            script, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        arrived = len(stop())
    ok, grown_bytes = json.loads(done.stdout)
    assert ok == asked["requests"] == arrived
    assert grown_bytes < 4e6


# ---- Help ----------------------------------------------------------------------------


def test_help_is_a_screen_for_each_group_and_six_examples() -> None:
    parser = loadgen._parser()
    parts = parser.format_help().split("\n\n")
    for part in parts:
        assert len(part.splitlines()) <= 24
        assert all(len(line) <= 79 or "http://" in line for line in part.splitlines())
    commands = [x.strip() for x in parser.format_help().splitlines() if "  python loadgen.py " in x]
    assert len(commands) == 6
    for text in commands:
        options = parser.parse_args(shlex.split(text)[2:])
        assert [loadgen._load(options, url) for url in options.urls]
        summarize.objectives(options.slo or "")


def test_each_option_says_what_it_is_for() -> None:
    actions = loadgen._parser()._actions
    named = [action for action in actions if action.option_strings]
    assert [action.option_strings for action in named if not (action.help or action.metavar)] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-q", "fast", URL], "'fast' is no rate"),
        (["-q", "0", URL], "'0' is no rate"),
        (["-q", "-5", URL], "-q"),
        (["--arrivals", "bursts", URL], "bursts"),
        (["-q", "10", "--think", "1s", URL], "closed loop"),
        (["--think", "soon", URL], "'soon' is no duration"),
        (["--find-max", URL], "--find-max needs an objective"),
        (["--slo", "p99=1s", URL], "'p99=1s' is no objective"),
        (["--slo", "fast", URL], "'fast' is no objective"),
        (["--slo", "p99<1s", URL, URL], "for one URL"),
        (["--targets", "no-such-file"], "no-such-file"),
        (["--targets", "/dev/null", URL], "no line"),
        (["--targets", "no-such-file", URL, URL], "for one URL"),
        (["--lines", "no-such-file", URL], "no-such-file"),
        (["--lines", "/dev/null", URL], "no line to send"),
        (["--processes", "2", "-c", "1", URL], "2 processes"),
        (["--processes", "2", "-n", "1", URL], "2 processes"),
        (["--processes", "2", "--samples", "a.csv", URL], "samples"),
        (["--connect-timeout", "0", URL], "connect_timeout_s is 0"),
        (["--follow", "x", URL], "'x' is no count"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_usage_of_what_is_new(
    arguments: Sequence[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in complains(capsys, 2, *arguments)
