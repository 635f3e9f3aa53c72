"""loadgen.py against servers that count what they get, and against nginx.

Every test of behaviour runs with both clients: they must count the same.
"""

from __future__ import annotations

import base64
import fcntl
import gc
import json
import os
import pty
import random
import signal
import struct
import subprocess
import sys
import termios
import threading
import tracemalloc
import weakref
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
import servers
from hypothesis import given
from hypothesis import strategies as st
from servers import OK, Answer, Server, answer, delayed, in_turn

import loadgen
import summarize
from loadgen import CannotRun, Load, run
from summarize import Run

ROOT = Path(loadgen.__file__).parent
STATUSLESS = {"dns", "refused", "connect timeout", "tls", "timeout", "reset", "incomplete"}
STATUSLESS |= {"protocol"}

both = pytest.mark.parametrize("client", ["wire", "aiohttp"])


def defect(reason: str) -> pytest.MarkDecorator:
    """What is known to be wrong, and to be unmarked when it is right."""
    return pytest.mark.xfail(strict=True, reason=reason)


def known(*values: Any, reason: str) -> Any:
    """Parameters of a case that is known to go wrong."""
    return pytest.param(*values, marks=defect(reason))


def holds(result: Run, requests: int) -> None:
    """What is true of every run: each request is in exactly one place."""
    data = result.to_json()
    assert data["requests"] == requests
    assert data["requests"] == data["ok"] + data["failed"] + data["unfinished"]
    assert sum(result.errors.values()) == result.failed
    statusless = sum(n for kind, n in result.errors.items() if kind in STATUSLESS)
    assert sum(result.statuses.values()) + statusless == requests - result.unfinished
    assert result.histograms["failed_s"].count == result.failed
    for key in ("latency_s", "service_s", "send_lag_s"):
        assert result.histograms[key].count == result.ok
    assert sum(entry["ok"] for entry in result.series) == result.ok
    assert sum(entry["failed"] for entry in result.series) == result.failed
    assert data["throughput"] == result.ok / result.elapsed_s


# ---- How many ------------------------------------------------------------------------


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
    assert server.connections == result.connections["opened"] == min(requests, connections)
    assert result.statuses == {"200": requests}
    assert result.errors == {}


@both
def test_without_keepalive_each_request_has_its_connection_and_says_so(client: str) -> None:
    with Server() as server:
        load = Load(url=server.url, requests=53, connections=5, keepalive=False, client=client)
        result = run(load)
    holds(result, 53)
    assert result.ok == len(server.requests) == server.connections == 53
    assert result.connections["opened"] == 53
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


@both
def test_a_late_answer_is_waited_for_and_counted(client: str) -> None:
    with Server(delayed(0.4)) as server:
        result = run(Load(url=server.url, duration_s=0.1, connections=3, client=client))
    holds(result, 3)
    assert result.ok == 3


@both
@pytest.mark.slow
def test_a_pause_that_outlasts_the_warm_up_starts_nothing_twice(client: str) -> None:
    """Refused at 0.7, 0.71, … 0.85 s, they would try again at 1.01 s, in the window."""
    with Server(delayed(0.005)) as server:
        timers = [threading.Timer(0.7, server.die), threading.Timer(0.95, server.listen)]
        for timer in timers:
            timer.start()
        load = Load(url=server.url, requests=500, connections=5, warmup_s=1, client=client)
        result = run(load)
        for timer in timers:
            timer.join()
    holds(result, 500)
    assert server.connections == 4 + 5  # the fifth had not been opened when the server died


# ---- What comes back -----------------------------------------------------------------

GOOD = [
    ("/", "200"),
    ("/bare", "200"),
    ("/chunked", "200"),
    ("/chunked-pieces", "200"),
    ("/chunked-bytes", "200"),
    ("/bytes", "200"),
    ("/body-apart", "200"),
    ("/continue", "200"),
    ("/continue-at-once", "200"),
    ("/early-hints", "200"),
    ("/early-hints-twice", "200"),
    ("/long-head", "200"),
    ("/204", "204"),
    ("/304", "304"),
    ("/302", "302"),
]


@both
@pytest.mark.parametrize(("path", "status"), GOOD)
def test_a_good_answer_is_ok_and_keeps_the_connection(client: str, path: str, status: str) -> None:
    with Server() as server:
        result = run(Load(url=server.url + path, requests=13, connections=3, client=client))
    holds(result, 13)
    assert result.statuses == {status: 13}
    assert result.ok == len(server.requests) == 13
    assert server.connections == 3


@both
@pytest.mark.parametrize("path", ["/until-close", "/says-close", "/http-1.0"])
def test_an_answer_that_ends_its_connection_is_ok(client: str, path: str) -> None:
    with Server() as server:
        result = run(Load(url=server.url + path, requests=13, connections=3, client=client))
    holds(result, 13)
    assert result.ok == len(server.requests) == server.connections == 13


@both
def test_a_head_request_has_an_answer_without_a_body(client: str) -> None:
    with Server() as server:
        url = f"{server.url}/head"
        result = run(Load(url=url, method="HEAD", requests=13, connections=3, client=client))
    holds(result, 13)
    assert result.ok == len(server.requests) == 13
    assert server.connections == 3


EXCESS = "aiohttp loses the whole answer: ClientResponseError(400, 'Bad status line')"


@pytest.mark.parametrize(
    ("client", "path"),
    [
        ("wire", "/excess"),
        known("aiohttp", "/excess", reason=EXCESS),
        ("wire", "/two"),
        ("aiohttp", "/two"),
    ],
)
def test_what_follows_an_answer_is_no_answer_to_the_next_request(client: str, path: str) -> None:
    with Server() as server:
        result = run(Load(url=server.url + path, requests=13, connections=3, client=client))
    holds(result, 13)
    assert result.statuses == {"200": 13}
    assert result.ok == len(server.requests) == server.connections == 13


@pytest.mark.slow
@both
def test_alternating_answers_are_each_counted_as_what_they_are(client: str) -> None:
    """Also those that `wire` recognises as the same as the one before."""
    kinds = [Answer((OK,)), Answer((answer(b"no", "404 Not Found"),)), *[Answer((OK,))] * 3]
    kinds += [Answer((answer(b"OK"),)), Answer((servers.CHUNKED,)), Answer((OK[:7], OK[7:]))]
    with Server(in_turn(*kinds)) as server:
        load = Load(url=server.url, requests=803, connections=1, expect="ok", client=client)
        result = run(load)
    holds(result, 803)
    assert len(server.requests) == 803
    assert result.statuses == {"200": 803 - 101, "404": 101}
    assert result.errors == {"status": 101, "body": 200}
    assert result.ok == 502


@pytest.mark.parametrize(("client", "limit_bytes"), [("wire", 4e6), ("aiohttp", 7e6)])
def test_megabytes_are_not_kept(client: str, limit_bytes: float) -> None:
    """Five bodies of 8 MB. The record itself takes 2.7 MB, the server in this process some."""
    with Server() as server:
        load = Load(url=f"{server.url}/large", requests=5, connections=1, client=client)
        run(load)  # imports, caches
        tracemalloc.start()
        result = run(load)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert result.ok == 5
    assert peak_bytes < limit_bytes


# ---- What goes wrong -----------------------------------------------------------------

FAULTS = {
    "/500": "status",
    "/404": "status",
    "/99": "status",
    "/fin": "reset",
    "/rst": "reset",
    "/head-fin": "incomplete",
    "/head-rst": "incomplete",
    "/header-fin": "incomplete",
    "/length-fin": "incomplete",
    "/length-rst": "incomplete",
    "/length-none": "incomplete",
    "/chunk-fin": "incomplete",
    "/chunk-rst": "incomplete",
    "/no-last-chunk": "incomplete",
    "/until-rst": "incomplete",
    "/continue-fin": "incomplete",
    "/garbage": "protocol",
    "/ssh": "protocol",
    "/bad-chunk": "protocol",
    "/bad-chunk-apart": "protocol",
    "/bad-length": "protocol",
    "/never": "timeout",
    "/never-ends": "timeout",
}
ELSEWHERE = {
    ("aiohttp", "/head-rst"): "reset: ClientOSError(104, 'Connection reset by peer')",
    ("aiohttp", "/until-rst"): "ok: no exception, aiohttp takes RST for the end of the body",
    ("aiohttp", "/continue-fin"): "reset: ServerDisconnectedError('Server disconnected')",
    ("aiohttp", "/bad-chunk-apart"): "timeout: no exception, aiohttp never tells who reads",
}
CASES = [
    known(client, path, kind, reason=f"counted as {ELSEWHERE[client, path]}")
    if (client, path) in ELSEWHERE
    else (client, path, kind)
    for client in ("wire", "aiohttp")
    for path, kind in FAULTS.items()
]


@pytest.mark.parametrize(("client", "path", "kind"), CASES)
def test_each_fault_is_counted_once_under_its_kind(client: str, path: str, kind: str) -> None:
    with Server() as server:
        url = server.url + path
        result = run(Load(url=url, requests=7, connections=3, timeout_s=0.3, client=client))
    holds(result, 7)
    assert result.errors == {kind: 7}
    assert result.failed == len(server.requests) == 7
    assert result.throughput == 0
    assert result.histograms["failed_s"].summary_s()["min"] > 0
    assert result.validity["verdict"] == "INVALID"


@pytest.mark.slow
@both
def test_failures_do_not_enter_the_response_times(client: str) -> None:
    slow = Answer((answer(b"no", "500 Internal Server Error"),), delay_s=0.2)
    with Server(in_turn(*[Answer((OK,))] * 9, slow)) as server:
        result = run(Load(url=server.url, requests=50, connections=1, client=client))
    holds(result, 50)
    assert (result.ok, result.failed) == (45, 5)
    assert result.latency_s["max"] < 0.2 <= result.histograms["failed_s"].summary_s()["min"]


@pytest.mark.slow
@both
def test_after_a_time_out_the_load_goes_on(client: str) -> None:
    with Server(in_turn(Answer((OK,)), Answer((), "hang"))) as server:
        load = Load(url=server.url, requests=6, connections=1, timeout_s=0.2, client=client)
        result = run(load)
    holds(result, 6)
    assert result.errors == {"timeout": 3}
    assert result.histograms["failed_s"].summary_s()["min"] >= 0.2
    assert (len(server.requests), server.connections) == (6, 3)


@both
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_nothing_is_sent_again(client: str, method: str) -> None:
    """Every second request, on a connection in use, finds it closed without an answer."""
    with Server(in_turn(Answer((OK,)), Answer((), "close"))) as server:
        load = Load(url=server.url, method=method, requests=20, connections=1, client=client)
        result = run(load)
    holds(result, 20)
    assert result.errors == {"reset": 10}
    assert (len(server.requests), server.connections) == (20, 10)


@both
def test_a_connection_closed_while_idle_costs_at_most_the_next_request(client: str) -> None:
    with Server() as server:
        load = Load(url=f"{server.url}/closes", requests=103, connections=5, client=client)
        result = run(load)
    holds(result, 103)
    assert set(result.errors) <= {"reset"}
    assert result.ok == len(server.requests) == server.connections == 103 - result.failed
    assert result.ok >= 52


@pytest.mark.slow
@both
def test_an_outage_is_counted_without_spinning_and_survived(client: str) -> None:
    arrived = []

    def watch(engine: loadgen.Engine, elapsed_s: float) -> None:
        if not arrived and elapsed_s > 0.5:
            server.die()
            arrived.append(len(server.requests))
        if len(arrived) == 1 and elapsed_s > 1.5:
            arrived.append(len(server.requests))
            server.listen()

    with Server(delayed(0.005)) as server:
        load = Load(url=server.url, duration_s=3.5, connections=10, client=client)
        result = run(load, watch)
    holds(result, result.requests)
    assert set(result.errors) <= {"refused", "reset", "incomplete"}
    assert 10 <= result.errors["refused"] < 500
    assert arrived[0] == arrived[1] < len(server.requests)
    assert result.series[-1]["ok"] > 0
    assert result.ok <= len(server.requests) <= result.requests


@both
def test_a_port_that_is_closed_cannot_be_measured(client: str) -> None:
    with pytest.raises(CannotRun, match=r"refused .* is the server running"):
        run(Load(url=f"http://127.0.0.1:{servers.free_port()}", client=client))


@both
def test_a_name_that_does_not_resolve_cannot_be_measured(client: str) -> None:
    with pytest.raises(CannotRun, match=r"no-such-host\.invalid: check the spelling"):
        run(Load(url="http://no-such-host.invalid/", client=client))


@both
def test_a_port_that_does_not_accept_is_a_connect_timeout(client: str) -> None:
    with servers.deaf() as port, pytest.raises(CannotRun, match="connect timeout"):
        run(Load(url=f"http://127.0.0.1:{port}", timeout_s=0.3, client=client))


@both
@pytest.mark.slow
def test_connect_timeouts_are_counted_once_something_was_connected(client: str) -> None:
    with servers.deaf(answered=2) as port:
        url = f"http://127.0.0.1:{port}"
        load = Load(url=url, requests=4, connections=1, timeout_s=0.3, client=client)
        result = run(load)
    holds(result, 4)
    assert result.ok == 2
    assert result.errors == {"connect timeout": 2}


# ---- TLS -----------------------------------------------------------------------------


@both
def test_tls_with_any_certificate(client: str, tmp_path: Path) -> None:
    with Server(tls=servers.self_signed(tmp_path)) as server:
        load = Load(url=server.url, requests=53, connections=5, insecure=True, client=client)
        result = run(load)
    holds(result, 53)
    assert result.ok == len(server.requests) == 53
    assert server.connections == result.connections["opened"] == 5


@both
def test_tls_with_a_certificate_that_is_not_trusted(client: str, tmp_path: Path) -> None:
    refused = pytest.raises(CannotRun, match=r"tls .* --insecure")
    with Server(tls=servers.self_signed(tmp_path)) as server, refused:
        run(Load(url=server.url, requests=5, client=client))
    assert server.requests == []


@both
def test_tls_to_a_port_that_talks_plain_text(client: str) -> None:
    with Server() as server, pytest.raises(CannotRun, match=r"tls .* write http://"):
        run(Load(url=server.url.replace("http", "https"), requests=5, client=client))


@both
def test_tls_to_a_port_that_says_nothing(client: str) -> None:
    with servers.silent() as port, pytest.raises(CannotRun, match="connect timeout"):
        run(Load(url=f"https://127.0.0.1:{port}", timeout_s=0.3, client=client))


@both
def test_failed_handshakes_are_counted_once_one_succeeded(client: str, tmp_path: Path) -> None:
    with Server(tls=servers.self_signed(tmp_path), handshakes=3) as server:
        load = Load(
            url=server.url, requests=5, connections=1, keepalive=False, insecure=True, client=client
        )
        result = run(load)
    holds(result, 5)
    assert result.ok == len(server.requests) == 3
    assert result.errors == {"tls": 2}


# ---- What is expected ----------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("path", "expect", "errors"),
    [
        ("/204", "204", {}),
        ("/", "204", {"status": 5}),
        ("/404", "404", {}),
        ("/", "ok", {}),
        ("/", "no", {"body": 5}),
        ("/404", "no", {"status": 5}),
        ("/needle", "needle", {}),
        ("/needle-apart", "needle", {}),
        ("/needle-bytes", "needle", {}),
        ("/needle-late", "needle", {}),
        ("/needle-late", "needles", {"body": 5}),
        ("/chunked-bytes", "hello, world", {}),
        ("/chunked", "hello\r", {"body": 5}),
        ("/until-close", "hello world", {}),
        ("/204", "needle", {"body": 5}),
        ("/needle", "", {}),
    ],
)
def test_expect(client: str, path: str, expect: str, errors: dict[str, int]) -> None:
    with Server() as server:
        load = Load(url=server.url + path, requests=5, connections=2, expect=expect, client=client)
        result = run(load)
    holds(result, 5)
    assert result.errors == errors
    assert len(server.requests) == 5
    assert sum(result.statuses.values()) == 5


# ---- How long ------------------------------------------------------------------------


# 15 % are slow and not 10, as p90 would be the slowest of the fast ones
DELAYS_S = {"fixed": [0.01], "mixed": [0.01] * 17 + [0.05] * 3}


def deviation_s(client: str, delays_s: list[float]) -> float:
    """How far p50, p90 or p99 is from that of the server's log.

    The client has a process of its own, or it and the server would wait for each other.
    """
    with Server(delayed(*delays_s)) as server:
        done = cli("-n", 1000, "-c", 5, "--client", client, "-o", "-", server.url)
    result = Run.from_json(json.loads(done.stdout))
    holds(result, 1000)
    own_s = np.percentile(server.service_s, (50, 90, 99), method="higher")
    found_s = [result.latency_s[key] for key in ("p50", "p90", "p99")]
    return float(np.max(np.abs(own_s - found_s)))


@pytest.mark.slow
@both
@pytest.mark.parametrize("delays_s", DELAYS_S.values(), ids=DELAYS_S.keys())
def test_percentiles_are_those_of_the_servers_own_log(client: str, delays_s: list[float]) -> None:
    """Five tries: what the client does wrong is there each time, a busy neighbour is not."""
    deviations_s = [deviation_s(client, delays_s)]
    while min(deviations_s) > 0.003 and len(deviations_s) < 5:
        deviations_s.append(deviation_s(client, delays_s))
    assert min(deviations_s) <= 0.003


# ---- What is sent --------------------------------------------------------------------

LOADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no path": {"url": "http://HOST"},
    "query": {"url": "http://HOST/a//b/?x=1&y=a+b&x=2&z="},
    "no value": {"url": "http://HOST/?"},
    "fragment": {"url": "http://HOST/a#b"},
    "percent": {"url": "http://HOST/caf%C3%A9/%2F%20?q=%26%3d%C3%BC"},
    "to be encoded": {"url": "http://HOST/café/a b/{}|?q=ü b&c=[1]"},
    "user in URL": {"url": "http://user:p%3Ass%40@HOST/"},
    "user without password": {"url": "http://user@HOST/"},
    "authorization": {"headers": (("Authorization", "Bearer x.y"),)},
    "post": {"method": "POST", "body": b"a=1&b=2"},
    "binary": {"method": "PUT", "body": bytes(range(256)) * 40},
    "large": {"method": "POST", "body": bytes(500_000)},
    "empty post": {"method": "POST"},
    "json": {
        "method": "POST",
        "body": b'{"X": [[1, 2]]}',
        "headers": (("Content-Type", "application/json"),),
    },
    "get with body": {"body": b"x"},
    "delete": {"method": "DELETE"},
    "options": {"method": "OPTIONS"},
    "own method": {"method": "PURGE"},
    "lower case": {"method": "get"},
    "twice": {"headers": (("X-A", "1"), ("X-B", "2"), ("X-A", "3"))},
    "in two spellings": {"headers": (("X-A", "1"), ("X-B", "2"), ("x-a", "3"))},
    "user agent": {"headers": (("User-Agent", "mine"),)},
    "accept": {"headers": (("accept", "text/html"), ("Accept-Encoding", "br"))},
    "host": {"headers": (("Host", "example.org"),)},
    "host between": {"headers": (("X-A", "1"), ("host", "example.org"), ("X-B", "2"))},
    "cookie": {"headers": (("Cookie", "a=b; c=d"),)},
    "empty value": {"headers": (("X-A", ""),)},
    "beyond ASCII": {"headers": (("X-A", "café \u0416"),)},
    "length": {"method": "POST", "headers": (("Content-Length", "0"),)},
    "connection": {"headers": (("Connection", "keep-alive"),)},
    "closing": {"headers": (("Connection", "close"),)},
    "without keepalive": {"keepalive": False, "method": "POST", "body": b"x"},
}

DIFFERENT = {"in two spellings": "aiohttp sends only the last of them"}


def sent(client: str, asked: dict[str, Any]) -> list[bytes]:
    """What the server got, with its port written as HOST."""
    with Server(in_turn(Answer((OK,)))) as server:
        host = f"127.0.0.1:{server.port}"
        url = asked.get("url", "http://HOST/").replace("HOST", host)
        result = run(
            Load(**asked | {"url": url}, requests=3, connections=1, timeout_s=1, client=client)
        )
    assert result.ok == 3
    return [request.replace(host.encode(), b"HOST") for request in server.requests]


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [known(case, reason=DIFFERENT[case]) if case in DIFFERENT else case for case in LOADS],
)
def test_both_clients_send_the_same_bytes(case: str) -> None:
    wire, aiohttp = sent("wire", LOADS[case]), sent("aiohttp", LOADS[case])
    assert wire == aiohttp
    assert len(set(wire)) == 1


@both
def test_what_is_sent(client: str) -> None:
    headers = (("X-A", "1"), ("User-Agent", "mine"), ("X-A", "2"))
    asked = {"url": "http://u:p@HOST/a%20b?c=d", "method": "POST", "headers": headers}
    expected = [
        b"POST /a%20b?c=d HTTP/1.1",
        b"Host: HOST",
        b"Accept: */*",
        b"Authorization: Basic " + base64.b64encode(b"u:p"),
        b"X-A: 1",
        b"User-Agent: mine",
        b"X-A: 2",
        b"Content-Length: 4",
        b"",
        b"body",
    ]
    for request in sent(client, asked | {"body": b"body"}):
        assert request.split(b"\r\n") == expected


@pytest.mark.parametrize(
    "asked",
    [
        {"url": "127.0.0.1:8000"},
        {"url": "ftp://127.0.0.1/"},
        {"url": "http:///path"},
        {"url": "http://127.0.0.1:99999/"},
        {"connections": 0},
        {"requests": 0},
        {"duration_s": 0.0},
        {"timeout_s": -1.0},
        {"headers": (("X A", "1"),)},
        {"headers": (("X-A", "1\r\nX-B: 2"),)},
        {"headers": (("X:A", "1"),)},
        {"method": "GET /"},
        {"method": "GET\r\nX-A: 1"},
        {"method": ""},
        {"warmup_s": -1.0},
        {"client": "curl"},
    ],
    ids=repr,
)
def test_what_cannot_be_asked_for(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Load(**{"url": "http://127.0.0.1/"} | asked)


def test_headers_given_twice_are_both_in_the_record() -> None:
    headers = (("X-A", "first"), ("X-A", "second"))
    recorded = json.dumps(Load(url="http://127.0.0.1/", headers=headers).to_json()["headers"])
    assert "first" in recorded
    assert "second" in recorded


# ---- Rounds --------------------------------------------------------------------------


@both
def test_rounds_load_every_arm_once_a_round_in_a_shuffled_order(client: str) -> None:
    seen = []
    with Server() as server:
        loads = {
            name: Load(url=f"{server.url}/{path}", requests=5, connections=2, client=client)
            for name, path in (("a", ""), ("b", "chunked"))
        }
        runs = loadgen.run_rounds(
            loads, random.Random(1), 4, lambda name, number: seen.append((number, name))
        )
    assert {name: [r.ok for r in rs] for name, rs in runs.items()} == {"a": [5] * 4, "b": [5] * 4}
    assert sorted(seen) == [(number, name) for number in range(1, 5) for name in "ab"]
    assert len({name for number, name in seen[::2]}) == 2
    assert len(server.requests) == 40


# ---- Durations and counts ------------------------------------------------------------

numbers = st.integers(0, 10**6)


@given(hours=numbers, minutes=numbers, whole=numbers, ms=numbers, us=numbers)
def test_seconds_reads_what_was_written(
    hours: int, minutes: int, whole: int, ms: int, us: int
) -> None:
    text = f"{hours}h{minutes}m{whole}s{ms}ms{us}us"
    expected_s = 3600 * hours + 60 * minutes + whole + ms / 1e3 + us / 1e6
    assert summarize.seconds(text) == pytest.approx(expected_s, rel=1e-12)


@given(st.decimals(0, 10**6, places=3, allow_nan=False), st.sampled_from(["", "s", "m", "h", "ms"]))
def test_seconds_takes_decimals(number: Any, unit: str) -> None:
    factor = {"": 1, "s": 1, "m": 60, "h": 3600, "ms": 1e-3}[unit]
    assert summarize.seconds(f"{number}{unit}") == pytest.approx(float(number) * factor)


@pytest.mark.parametrize("text", ["", "s", "1x", "1 s", "-1s", "1s ", "1ss", "s1", "1e3", "1,5s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Exception, match="is no duration"):
        summarize.seconds(text)


@given(st.integers(1, 10**9))
def test_count_reads_what_was_written(number: int) -> None:
    assert loadgen.count(str(number)) == number
    assert loadgen.count(f"{number}k") == number * 1000
    assert loadgen.count(f"{number}M") == number * 10**6


@given(st.integers(1, 10**6))
def test_count_takes_decimals(number: int) -> None:
    assert loadgen.count(f"{number / 10**3:.3f}k") == number
    assert loadgen.count(f"{number / 10**6:.6f}M") == number


@pytest.mark.parametrize("text", ["", "0", "k", "1K", "1.5", "-1", "1 k", "1e3", "0.0001k"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(Exception, match="is no count"):
        loadgen.count(text)


# ---- Command line --------------------------------------------------------------------

KEYS = {
    "": "format name started elapsed_s load requests ok failed unfinished throughput statuses "
    "errors latency_s service_s send_lag_s histograms series connections client server validity "
    "environment",
    "load": "url method connections requests duration_s rate arrivals timeout_s keepalive client "
    "processes warmup_s",
    "latency_s": "min mean stdev p50 p75 p90 p95 p99 p99.9 max",
    "service_s": "min mean stdev p50 p75 p90 p95 p99 p99.9 max",
    "send_lag_s": "min mean stdev p50 p75 p90 p95 p99 p99.9 max",
    "histograms": "latency_s service_s send_lag_s",
    "connections": "opened connect_s dns_s tls_s",
    "client": "cpu_s cpu_us_per_request busy loop_lag_s",
    "validity": "verdict reasons",
    "environment": "cpu cores kernel python packages load_average steal command commit",
}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "loadgen.py", *map(str, arguments)]


def cli(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def fails(status: int, *arguments: object) -> str:
    """The one line on standard error of a command line that fails."""
    done = cli(*arguments)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert done.returncode == status
    return done.stderr


URL = "http://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nonsense", URL], "--nonsense"),
        ([], "URL"),
        (["-n", "five", URL], "'five' is no count"),
        (["-z", "soon", URL], "'soon' is no duration"),
        (["-z", "0", URL], "duration_s is 0"),
        (["--json", "{bad", URL], "line 1 column 2"),
        (["--json", "[" * 20_000, URL], "recursion"),
        (["-d", "@no/such/file", URL], "no/such/file"),
        (["-D", "no/such/file", URL], "no/such/file"),
        (["-d", "@.", URL], "."),
        (["-H", "nocolon", URL], "'nocolon' is no header"),
        (["-H", "a b: c", URL], "is no header"),
        (["--client", "curl", URL], "curl"),
        (["--seed", "x", URL], "--seed"),
        (["127.0.0.1:9"], "is no URL to load: write http://"),
        (["localhost"], "is no URL to load: write http://"),
        (["http://127.0.0.1:99999/"], "0-65535"),
        ([URL, "nonsense"], "is no URL to load"),
        (["-m", "GET /", URL], "'GET /' is no method"),
        (["--pid", "me", URL], "'me'"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        loadgen.main([*arguments, "-o", str(tmp_path / "run.json")])
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("loadgen.py: ")
    assert says in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "missing/run.json"], ids=["a folder", "in no folder"])
def test_an_output_that_cannot_be_written_is_told_before_the_load(
    name: str, tmp_path: Path
) -> None:
    with Server() as server:
        assert str(tmp_path) in fails(2, "-n", 5, "-o", tmp_path / name, server.url)
    assert server.connections == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_output_that_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """Like /dev/null, which a test that may run as root had better not try."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # so that writing would not wait
    with Server() as server:
        cli("-n", 5, "-o", fifo, server.url)
    os.close(reader)
    assert fifo.is_fifo()


@pytest.mark.slow
def test_a_process_that_is_not_there_cannot_be_accounted_for() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with Server() as server:
        for pid in (process.pid, -1):
            assert str(pid) in fails(1, "-n", 5, "--pid", pid, server.url)
    assert server.connections == 0


def refused() -> str:
    return f"http://127.0.0.1:{servers.free_port()}/"


@pytest.mark.parametrize("client", ["wire", "aiohttp"])
@pytest.mark.parametrize(
    ("urls", "says"),
    [
        (["http://no-such-host.invalid/"], "check the spelling"),
        ([refused()], "refused"),
        ([refused(), refused() + "b"], "refused"),
        (["https://SERVER"], "tls"),
        (["http://no-such-host..invalid/"], "check the spelling"),
    ],
    ids=["name", "refused", "two refused", "tls", "empty label"],
)
@pytest.mark.slow
def test_what_cannot_be_measured_is_one_line_and_status_1(
    client: str, urls: list[str], says: str, tmp_path: Path
) -> None:
    with Server() as server:
        urls = [url.replace("SERVER", f"127.0.0.1:{server.port}") for url in urls]
        line = fails(1, "-n", 5, "--client", client, "-o", tmp_path / "run.json", *urls)
    assert says in line
    assert urls[0] in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_more_connections_than_files_is_one_line() -> None:
    assert "ulimit -n" in fails(1, "-c", "1000M", URL)


@both
def test_the_record_on_standard_output(client: str) -> None:
    with Server() as server:
        done = cli("-n", 23, "-c", 4, "--client", client, "-o", "-", server.url)
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    for part, keys in KEYS.items():
        assert set(keys.split()) <= set(data[part] if part else data), part
    assert data["format"] == "loadgen-run/1"
    assert set(data["series"][0]) == {"time", "ok", "failed", "p50", "p99"}
    assert (data["requests"], data["load"]["client"]) == (23, client)
    holds(Run.from_json(data), 23)
    assert data["throughput"] == data["ok"] / data["elapsed_s"]


@pytest.mark.slow
def test_the_server_process_is_accounted_for() -> None:
    with Server() as server:
        done = cli("-n", 23, "--pid", os.getpid(), "-o", "-", server.url)
    keys = {"cpu_s", "rss_bytes", "processes", "threads"}
    assert keys <= set(json.loads(done.stdout)["server"])


def test_the_report_and_the_record(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server() as server:
        done = cli("-n", 230, "-c", 4, "-o", path, server.url)
    assert (done.returncode, done.stderr) == (0, "")
    record = summarize.read(path)
    assert isinstance(record, Run)
    assert done.stdout == summarize.text_of(record) + "\n"
    assert [x.name for x in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    "options",
    [
        ["-n", "230"],
        ["-n", "1"],
        ["-n", "23", "--no-keepalive", "-c", "100", "-z", "2m30s", "--client", "aiohttp"],
        ["-n", "23", "--expect", "nothing of the kind"],
        ["-z", "300ms", "--client", "aiohttp"],
    ],
    ids=" ".join,
)
@pytest.mark.slow
def test_no_line_is_longer_than_79(options: list[str]) -> None:
    with Server() as server:
        done = cli(*options, server.url + "/" + "?x=" + "long" * 20)
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 79


@pytest.mark.slow
def test_quiet_prints_nothing(tmp_path: Path) -> None:
    with Server() as server:
        done = cli("-n", 23, "--quiet", "-o", tmp_path / "run.json", server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    holds(summarize.read(tmp_path / "run.json"), 23)


@pytest.mark.slow
@both
def test_options_reach_the_server(client: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"from a file")
    cases: list[tuple[Sequence[object], bytes, bytes]] = [
        (["--json", '{"a": 1}'], b"POST ", b'{"a": 1}'),
        (["-d", "text"], b"POST ", b"text"),
        (["-d", f"@{tmp_path / 'body'}"], b"POST ", b"from a file"),
        (["-D", tmp_path / "body", "-m", "PUT"], b"PUT ", b"from a file"),
        (["-a", "u:p", "-H", "X-A: 1", "-H", "X-A: 2"], b"GET ", b""),
    ]
    for options, start, end in cases:
        with Server() as server:
            done = cli("-n", 3, "-c", 1, "--client", client, *options, server.url)
        assert done.returncode == 0
        assert len(server.requests) == 3
        for request in server.requests:
            assert request.startswith(start)
            assert request.partition(b"\r\n\r\n")[2] == end
    assert b"\r\nX-A: 1\r\nX-A: 2\r\n" in request
    assert b"\r\nAuthorization: Basic dTpw\r\n" in request


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_only() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with Server(delayed(0.005)) as server:
        arguments = command("-z", "1s", "-c", 10, server.url)
        with subprocess.Popen(
            arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, text=True
        ) as process:
            os.close(theirs)
            shown = b""
            try:
                while piece := os.read(ours, 10_000):
                    shown += piece
            except OSError:  # how Linux says that the other end is closed
                pass
            assert process.stdout
            printed = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert b"requests/s" in shown
    assert b"p99" in shown
    assert all(len(line) <= 79 for line in shown.decode().replace("\r", "\n").splitlines())
    assert printed.startswith(server.url)
    assert "\r" not in printed


def interrupted(
    number: signal.Signals, server: Server, arrived: int, *arguments: object
) -> tuple[int, str, str]:
    """A command line that gets a signal once `arrived` requests have: status, both outputs."""
    with subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until = monotonic() + 20
        while len(server.requests) < arrived:
            assert monotonic() < until
            sleep(0.01)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
    return process.returncode, stdout, stderr


@pytest.mark.slow
@both
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_what_was_measured(
    client: str, number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    silent_after_20 = in_turn(*[Answer((OK,))] * 20, *[Answer((), "hang")] * 1000)
    with Server(silent_after_20) as server:
        arguments = ["-z", "60s", "-c", 5, "--client", client, "-o", path, server.url]
        status, stdout, stderr = interrupted(number, server, 25, *arguments)
    assert (status, stderr) == (130, "")
    record = summarize.read(path)
    assert isinstance(record, Run)
    holds(record, 25)
    assert record.interrupted
    assert (record.ok, record.unfinished, len(server.requests)) == (20, 5, 25)
    assert stdout == summarize.text_of(record) + "\n"
    assert "20 ok, 0 failed, 5 unfinished" in stdout


@both
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", ["the record is made", "the loop is closed"])
def test_an_interrupt_after_the_last_answer_is_not_lost(
    client: str, at: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would end nothing where one load follows the other."""
    where, name = {
        "the record is made": (loadgen, "_record"),
        "the loop is closed": (gc, "enable"),
    }[at]
    does = getattr(where, name)

    def interrupted_at(*arguments: object) -> object:
        os.kill(os.getpid(), number)
        return does(*arguments)

    monkeypatch.setattr(where, name, interrupted_at)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Server() as server:
        load = Load(url=server.url, requests=5, client=client)
        record = run(load)
        with pytest.raises(loadgen.Interrupted) as ended:
            loadgen.run_rounds({"a": load, "b": load}, random.Random(1), 2)
    assert (record.ok, record.interrupted) == (5, True)
    assert ended.value.args == ({"a": [], "b": []},)
    assert len(server.requests) == 10
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


@both
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_before_the_first_request_sends_none(
    client: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted_at(load: Load) -> object:
        os.kill(os.getpid(), number)
        return does(load)

    does = loadgen.Engine
    monkeypatch.setattr(loadgen, "Engine", interrupted_at)
    with Server() as server, pytest.raises(KeyboardInterrupt):
        run(Load(url=server.url, requests=5, client=client))
    assert server.requests == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_the_garbage_collector_is_not_lost(number: signal.Signals) -> None:
    """Nothing that a handler raises gets out of there."""
    with Server() as server:
        gc.disable()  # until the run collects
        ring: list[object] = [set[int]()]
        ring.append(ring)
        weakref.finalize(ring[0], os.kill, os.getpid(), number)
        del ring
        with pytest.raises(KeyboardInterrupt):
            run(Load(url=server.url, requests=5))
    assert gc.isenabled()
    assert server.requests == []


def test_an_interrupt_between_rounds_keeps_those_that_are_whole() -> None:
    def watch(name: str, number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    with Server() as server, pytest.raises(loadgen.Interrupted) as ended:
        loads = {"a": Load(url=server.url, requests=5)}
        loadgen.run_rounds(loads, random.Random(1), 3, watch)
    assert [run.ok for run in ended.value.args[0]["a"]] == [5]


@both
@pytest.mark.slow
def test_an_interrupt_in_the_warm_up_has_measured_nothing(client: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["-n", 10, "--warmup", "60s", "--client", client, "-o", path, server.url]
        status, _, stderr = interrupted(signal.SIGINT, server, 100, *arguments)
    assert (status, stderr) == (130, "")
    assert not path.exists() or summarize.read(path).ok == 0


@pytest.mark.slow
def test_an_interrupt_ends_a_comparison() -> None:
    with Server(delayed(0.01)) as server:
        arguments = ["-z", "5s", f"{server.url}/", f"{server.url}/b"]
        status, _, stderr = interrupted(signal.SIGINT, server, 100, *arguments)
    assert (status, stderr) == (130, "")


def test_a_comparison_ends_with_the_ratio_in_words(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with Server() as server:
        urls = [f"{server.url}/", f"{server.url}/large"]
        done = cli("-n", 20, "-c", 2, "-o", path, *urls)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(server.requests) == 2 * 6 * 20
    last = done.stdout.split("\n\n")[-1]
    assert " ".join(last.split()).startswith(f"{urls[1]} / {urls[0]} × 0.")
    assert ", slower" in " ".join(last.split())
    assert max(map(len, done.stdout.splitlines())) <= 79
    result = summarize.read(path)
    assert isinstance(result, summarize.Result)
    assert [arm["run"].ok for arm in result.arms.values()] == [120, 120]
    assert done.stdout == summarize.text_of(result) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 3])
def test_a_comparison_of_too_few_rounds_says_so(rounds: int) -> None:
    with Server() as server:
        urls = [f"{server.url}/", f"{server.url}/chunked"]
        done = cli("-n", 20, "--rounds", rounds, *urls)
    assert len(server.requests) == 2 * rounds * 20
    assert "not enough data" in done.stdout


@pytest.mark.slow
def test_an_url_can_be_compared_with_itself() -> None:
    with Server() as server:
        done = cli("-n", 20, server.url, server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(server.requests) == 2 * 6 * 20
    assert " × " in done.stdout.split("\n\n")[-1]


@pytest.mark.slow
def test_a_comparison_of_long_urls_keeps_to_79_columns() -> None:
    with Server() as server:
        urls = [f"{server.url}/?x={letter * 60}" for letter in "ab"]
        done = cli("-n", 20, *urls)
    assert max(map(len, done.stdout.splitlines())) <= 79


# ---- A server of the world -----------------------------------------------------------


@both
def test_nginx_logs_as_many_requests_as_were_counted(client: str, tmp_path: Path) -> None:
    with servers.nginx(tmp_path) as (url, stop):
        result = run(Load(url=url, requests=2000, connections=10, expect="hello", client=client))
        lines = stop()
    holds(result, 2000)
    assert result.ok == 2000
    assert len(lines) == 2000
    assert all('"GET / HTTP/1.1" 200' in line for line in lines)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))))
def test_a_tally_keeps_each_lag_with_its_latency(pairs: list[tuple[int, int]]) -> None:
    tally = loadgen.Tally()
    for latency, lag in pairs:
        tally.outcome(200, None).extend([latency + lag, -lag] if lag else [latency])
    tally.fold()
    expected = {key: summarize.Histogram() for key in ("latency_s", "service_s", "send_lag_s")}
    for latency, lag in pairs:
        for key, value in zip(expected, (latency + lag, latency, lag), strict=True):
            expected[key].record(np.array([value]))
    assert tally.total.ok == len(pairs)
    for key, histogram in expected.items():
        assert tally.total.histograms[key].encode() == histogram.encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["-a", "me:hush"], ["-ame:hush"], ["--auth=me:hush"], ["-H", "authorization: hush"]],
)
def test_a_record_keeps_no_secret(words: list[str]) -> None:
    with Server() as server:
        url = server.url.replace("//", "//me:hush@") if words[0] == "-a" else server.url
        command = [sys.executable, "loadgen.py", "-n", "3", "-o", "-", *words, url]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert b"authorization: " in server.requests[0].lower()
    assert "hush" not in done.stdout
    assert json.loads(done.stdout)["environment"]["command"].startswith("python loadgen.py -n 3")


# ---- What goes on --------------------------------------------------------------------


def test_where_there_is_no_terminal_a_line_comes_each_three_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = 0.0
    monkeypatch.setattr(loadgen.time, "monotonic", lambda: now_s)
    with loadgen.Progress(total=9) as progress:
        for now_s in np.arange(0, 7, 0.5):
            progress.say(f"at {now_s:g} s", steps=1)
        now_s = 10.0
        progress.still()
        progress.say("what may take long", takes_s=60)
    assert capsys.readouterr().err.splitlines() == [
        "at 3 s", "at 6 s", "at 6.5 s", "what may take long",
    ]  # fmt: skip


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with loadgen.Progress(quiet=True) as progress:
        progress.say("what may take long", takes_s=60)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_load_of_four_seconds_says_so_once(processes: int) -> None:
    with Server() as server:
        done = cli("-z", "4s", "-c", 2, "--processes", processes, server.url)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert ("requests/s" if processes == 1 else f"loading {server.url}") in done.stderr
