"""The open loop, against known truth: a plan, a standstill, a shortage of connections."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
import servers
from driving import both, holds, percentile_s, plan_ns, slow, started, wait_until
from servers import Server, delayed, standing_still

from lab.facts.errors import CannotRun
from lab.facts.records import Run
from lab.load import unread
from lab.load.load import Load
from lab.load.openloop import OpenLoop
from lab.load.run import run
from lab.reports.report import report


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_requests_arrive_as_planned(arrivals: str) -> None:
    """Three tries: what the client does wrong is there each time, a busy neighbour is not."""
    off_s: list[float] = []
    while min(off_s, default=1) > 0.002 and len(off_s) < 3:
        with Server() as server:
            load = Load(
                url=server.url, rate=200.0, duration_s=0.6, arrivals=arrivals, connections=20,
                seed=len(off_s),
            )  # fmt: skip
            result = run(load)
        due_s = np.array(plan_ns(load)) / 1e9
        holds(result, len(due_s))
        assert result.ok == len(server.requests) == len(due_s)
        assert (result.client.planned, result.client.sent) == (len(due_s), len(due_s))
        late_s = np.sort(server.arrived_s) - due_s
        off_s.append(float(np.median(np.abs(late_s - np.median(late_s)))))
        low_s, middle_s, high_s = np.quantile(np.diff(np.sort(server.arrived_s)), [0.25, 0.5, 0.75])
        spread = (high_s - low_s) / middle_s  # which one stall of the host does not move
    assert min(off_s) <= 0.002
    if arrivals == "constant":
        assert spread < 0.5
    else:  # of exponential gaps: ln 3 / ln 2
        assert 1.0 < spread < 2.5


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
def test_what_ends_an_open_loop(arrivals: str, asked: dict[str, Any], planned: int) -> None:
    with Server() as server:
        load = Load(url=server.url, rate=400.0, arrivals=arrivals, **asked)
        result = run(load)
    if arrivals == "poisson" and planned == 30 and "duration_s" in asked:
        planned = len(plan_ns(load))
    holds(result, planned)
    assert result.ok == planned == len(server.requests)
    assert result.elapsed_s >= plan_ns(load)[-1] / 1e9
    assert not result.interrupted


def test_the_warm_up_of_an_open_loop_is_not_counted() -> None:
    with Server() as server:
        asked = {"rate": 200.0, "requests": 30, "warmup_s": 0.2, "connections": 4}
        result = run(Load(url=server.url, **asked))
    holds(result, 30)
    assert result.ok == 30
    assert len(server.requests) == 40 + 30
    assert server.connections == result.connections.opened <= 4


def stalled(connections: int, scale: float = 1.0, at: float = 0.4, keepalive: bool = True) -> Run:
    """5 s at 200/s, of which the server stands still for 1 s, or all of that to a scale."""
    planned = round(1000 * scale)
    with Server(standing_still(round(at * planned), scale)) as server:
        load = Load(
            url=server.url, rate=200.0, duration_s=5 * scale, connections=connections,
            keepalive=keepalive,
        )  # fmt: skip
        result = run(load)
    holds(result, planned)
    assert result.ok == planned == len(server.requests)
    assert result.client.sent == result.client.planned == planned
    assert server.connections == result.connections.opened <= connections
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
    result = stalled(connections)
    shows_the_stall(result, 1.0)
    lag_s, service_s = (percentile_s(result, key, 95) for key in ("send_lag_s", "service_s"))
    if connections == 1000:
        assert result.connections.opened > 100
        assert lag_s < 0.1
        assert service_s == pytest.approx(0.75, rel=0.2)
    else:
        assert lag_s == pytest.approx(0.75, rel=0.2)
        assert service_s < 0.1


@pytest.mark.parametrize("connections", [pytest.param(1000, marks=slow), 5])
def test_a_shortage_of_connections_is_send_lag(connections: int) -> None:
    """The same standstill, in a second."""
    result = stalled(connections, scale=0.2)
    shows_the_stall(result, 0.2, rel=0.4)
    lag_s, service_s = (percentile_s(result, key, 94) for key in ("send_lag_s", "service_s"))
    assert (lag_s < service_s) == (connections == 1000)
    assert min(lag_s, service_s) < 0.05 < 0.1 < max(lag_s, service_s)


@slow
@pytest.mark.parametrize("connections", [1000, 5])
def test_a_standstill_at_the_end_is_not_lost(connections: int) -> None:
    """The last 40 of 400 requests find it, and wait from 0.4 s down to a half of that."""
    result = stalled(connections, scale=0.4, at=0.9)
    assert percentile_s(result, "latency_s", 50) < 0.05
    assert percentile_s(result, "latency_s", 95) == pytest.approx(0.30, rel=0.2)
    assert percentile_s(result, "latency_s", 99) == pytest.approx(0.38, rel=0.2)
    assert result.elapsed_s >= 2.15


@slow
def test_a_client_that_stands_still_is_send_lag_and_no_service_time() -> None:
    with Server() as server:
        arguments = ["-q", 200, "-z", "2s", "-o", "-", server.url]
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
    assert result.validity.verdict == "SUSPECT"
    assert "itself stalled" in " ".join(result.validity.reasons)


@pytest.mark.slow
def test_past_all_connections_requests_queue_and_none_is_left_out() -> None:
    """Two connections at 50 ms can do 40/s, and are asked for 200/s."""
    with Server(delayed(0.05)) as server:
        load = Load(url=server.url, rate=200.0, requests=20, connections=2)
        result = run(load)
    holds(result, 20)
    assert result.ok == len(server.requests) == 20
    assert server.connections == 2
    assert 0.05 <= percentile_s(result, "service_s", 50) < 0.1
    waited_s = result.latency_s["max"] or 0
    assert waited_s >= 20 / 40 - 20 / 200
    assert result.histograms.send_lag_s.summary_s()["max"] == pytest.approx(
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
    assert result.histograms.failed_s.summary_s()["min"] >= 0.2
    assert result.client.planned == 20
    assert result.client.sent == len(server.requests) < 19
    assert result.validity.verdict == "INVALID"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(20))
    assert len({row["timestamp"] for row in rows}) == 20


@slow
def test_less_sent_than_planned_is_invalid() -> None:
    with Server(delayed(0.2)) as server:
        load = Load(url=server.url, rate=50.0, requests=25, connections=1, timeout_s=0.45)
        result = run(load)
    holds(result, 25)
    assert result.ok > 0
    assert result.ok + result.failed == 25
    assert set(result.errors) == {"timeout"}
    assert result.client.sent == len(server.requests)
    assert result.validity.verdict == "INVALID"
    assert "of what was planned could be sent" in " ".join(result.validity.reasons)


def test_connections_are_opened_when_they_are_needed_and_used_again() -> None:
    """By Little's law 100/s of 100 ms take ten."""
    with Server(delayed(0.1)) as server:
        load = Load(url=server.url, rate=100.0, requests=40, connections=40)
        result = run(load)
    holds(result, 40)
    assert result.ok == len(server.requests) == 40
    assert 10 <= server.connections == result.connections.opened <= 30


def test_a_server_that_closes_what_is_idle_costs_no_request() -> None:
    with Server(idle_s=0.05) as server:
        load = Load(url=server.url, rate=5.0, requests=3, connections=2)
        result = run(load)
    holds(result, 3)
    assert result.ok == server.connections == result.connections.opened == 3


@both
def test_without_keepalive_each_request_of_a_plan_has_its_connection(client: str) -> None:
    with Server() as server:
        asked = {"rate": 200.0, "requests": 40, "connections": 5, "keepalive": False}
        result = run(Load(url=server.url, client=client, **asked))
    holds(result, 40)
    assert result.ok == server.connections == result.connections.opened == 40


@slow
def test_an_outage_costs_what_was_planned_for_it_and_no_spinning() -> None:
    with Server() as server:
        arguments = ["-q", 200, "-z", "2s", "-c", 20, "-o", "-", server.url]
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
    assert result.client.planned == 400
    assert set(result.errors) <= {"refused", "reset", "incomplete"}
    assert 150 <= result.errors["refused"] <= 300
    assert sum(entry.ok for entry in result.series[-2:]) > 0
    assert result.ok <= len(server.requests)
    assert result.client.cpu_s / result.elapsed_s < 0.5


def test_an_open_loop_on_a_closed_port_cannot_be_measured() -> None:
    load = Load(url=f"http://127.0.0.1:{servers.free_port()}", rate=100.0)
    with pytest.raises(CannotRun, match=r"refused .* is the server running"):
        run(load)


def test_connect_timeouts_in_an_open_loop() -> None:
    with servers.deaf(answered=2) as port:
        asked = {"rate": 20.0, "requests": 6, "connections": 4, "connect_timeout_s": 0.2}
        result = run(Load(url=f"http://127.0.0.1:{port}", **asked))
    holds(result, 6)
    assert result.ok == 2
    assert result.errors == {"connect timeout": 4}
    assert result.elapsed_s < 10


def test_answers_that_the_client_does_not_read_in_time_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each time it sends it stands still for longer than the server takes."""
    send = OpenLoop.send_what_is_due

    def send_and_sleep(self: OpenLoop) -> None:
        send(self)
        sleep(0.004)

    monkeypatch.setattr(unread, "FEWEST", 3)
    shares = []
    for _ in range(2):
        with Server(delayed(0.0005)) as server:
            result = run(Load(url=server.url, rate=200.0, duration_s=1.0, connections=4))
        holds(result, 200)
        shares.append(result.client.unread)
        monkeypatch.setattr(OpenLoop, "send_what_is_due", send_and_sleep)
    assert (shares[0] or 0) < 0.5 < (shares[1] or 0)


@both
def test_precise_sends_the_same_requests(client: str) -> None:
    with Server() as server:
        load = Load(url=server.url, rate=300.0, requests=60, precise=True, client=client)
        result = run(load)
    holds(result, 60)
    assert result.ok == len(server.requests) == 60
    assert result.load.precise
    assert "waiting by spinning" in report(result)
