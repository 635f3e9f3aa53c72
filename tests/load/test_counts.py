"""Exactly as many requests as were asked for, each counted in one place."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import servers
from driving import both, cli, holds
from servers import OK, Answer, Server, answer, delayed, in_turn

from lab.facts.records import Run
from lab.load.load import Load
from lab.load.run import run


@both
@pytest.mark.parametrize(
    ("requests", "connections"), [(1003, 10), (3, 10), (1, 1), (1, 10), (10, 10), (101, 7)]
)
def test_exactly_n_requests_over_c_connections(
    client: str, requests: int, connections: int
) -> None:
    with Server() as server:
        url = server.url
        result = run(Load(url=url, requests=requests, connections=connections, client=client))
    holds(result, requests)
    assert result.ok == len(server.requests) == requests
    assert server.connections == result.connections.opened == min(requests, connections)
    assert result.statuses == {"200": requests}
    assert result.errors == {}


@both
def test_without_keepalive_each_request_has_its_connection_and_says_so(client: str) -> None:
    with Server() as server:
        load = Load(url=server.url, requests=53, connections=5, keepalive=False, client=client)
        result = run(load)
    holds(result, 53)
    assert result.ok == len(server.requests) == server.connections == 53
    assert result.connections.opened == 53
    assert all(request.count(b"\r\nConnection: close\r\n") == 1 for request in server.requests)


@both
def test_a_duration_ends_the_load_and_all_that_was_sent_is_counted(client: str) -> None:
    with Server(delayed(0.02)) as server:
        result = run(Load(url=server.url, duration_s=0.5, connections=4, client=client))
    holds(result, len(server.requests))
    assert result.ok == result.requests
    assert result.elapsed_s >= 0.5
    assert not result.interrupted


@both
def test_requests_or_duration_whichever_comes_first(client: str) -> None:
    with Server() as server:
        result = run(Load(url=server.url, requests=20, duration_s=30, connections=2, client=client))
        assert result.elapsed_s < 10
        assert result.ok == len(server.requests) == 20


@both
def test_the_warm_up_is_not_counted(client: str) -> None:
    with Server(delayed(0.01)) as server:
        load = Load(url=server.url, requests=20, connections=2, warmup_s=0.3, client=client)
        result = run(load)
    holds(result, 20)
    assert len(server.requests) > 20
    assert server.connections == 2


def test_a_late_answer_is_waited_for_and_counted() -> None:
    with Server(delayed(0.4)) as server:
        result = run(Load(url=server.url, duration_s=0.1, connections=3))
    holds(result, 3)
    assert result.ok == 3


@pytest.mark.slow
def test_a_pause_that_outlasts_the_warm_up_starts_nothing_twice() -> None:
    """Refused at 0.7, 0.71, … 0.85 s, they would try again at 1.01 s, in the window."""
    with Server(delayed(0.005)) as server:
        timers = [threading.Timer(0.7, server.die), threading.Timer(0.95, server.listen)]
        for timer in timers:
            timer.start()
        load = Load(url=server.url, requests=500, connections=5, warmup_s=1)
        result = run(load)
        for timer in timers:
            timer.join()
    holds(result, 500)
    assert server.connections == 4 + 5  # the fifth had not been opened when the server died


@pytest.mark.slow
def test_failures_do_not_enter_the_response_times() -> None:
    slow = Answer((answer(b"no", "500 Internal Server Error"),), delay_s=0.2)
    with Server(in_turn(*[Answer((OK,))] * 9, slow)) as server:
        result = run(Load(url=server.url, requests=50, connections=1))
    holds(result, 50)
    assert (result.ok, result.failed) == (45, 5)
    assert result.latency_s["max"] < 0.2 <= result.histograms.failed_s.summary_s()["min"]


@both
def test_nginx_logs_as_many_requests_as_were_counted(client: str, tmp_path: Path) -> None:
    with servers.nginx(tmp_path) as (url, stop):
        result = run(Load(url=url, requests=2000, connections=10, expect="hello", client=client))
        lines = stop()
    holds(result, 2000)
    assert result.ok == 2000
    assert len(lines) == 2000
    assert all('"GET / HTTP/1.1" 200' in line for line in lines)


@pytest.mark.parametrize("asked", [{"requests": 50}, {"requests": 50, "rate": 500.0}], ids=str)
def test_a_run_in_a_thread_of_its_own(asked: dict[str, Any]) -> None:
    handler, results = signal.getsignal(signal.SIGINT), list[Run]()
    with Server() as server:
        load = Load(url=server.url, connections=3, **asked)
        thread = threading.Thread(target=lambda: results.append(run(load)))
        thread.start()
        thread.join(20)
    holds(results[0], 50)
    assert results[0].ok == len(server.requests) == 50
    assert signal.getsignal(signal.SIGINT) is handler


# 15 % are slow and not 10, as p90 would be the slowest of the fast ones
DELAYS_S = {"fixed": [0.01], "mixed": [0.01] * 17 + [0.05] * 3}


def deviation_s(delays_s: list[float]) -> float:
    """How far p50, p90 or p99 is from that of the server's log.

    The client has a process of its own, or it and the server would wait for each other.
    """
    with Server(delayed(*delays_s)) as server:
        done = cli("-n", 1000, "-c", 5, "-o", "-", server.url)
    result = Run.from_json(json.loads(done.stdout))
    holds(result, 1000)
    own_s = np.percentile(server.service_s, (50, 90, 99), method="higher")
    found_s = [result.latency_s[key] for key in ("p50", "p90", "p99")]
    return float(np.max(np.abs(own_s - found_s)))


@pytest.mark.slow
@pytest.mark.parametrize("delays_s", DELAYS_S.values(), ids=DELAYS_S.keys())
def test_percentiles_are_those_of_the_servers_own_log(delays_s: list[float]) -> None:
    """Five tries: what the client does wrong is there each time, a busy neighbour is not."""
    deviations_s = [deviation_s(delays_s)]
    while min(deviations_s) > 0.003 and len(deviations_s) < 5:
        deviations_s.append(deviation_s(delays_s))
    assert min(deviations_s) <= 0.003
