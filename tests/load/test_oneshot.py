"""A connection for each request, opened without asyncio's machinery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import servers
from driving import holds, slow
from servers import OK, Answer, Server, answer, in_turn

from lab.load.load import Load
from lab.load.run import run


@pytest.fixture(params=[False, pytest.param(True, marks=slow)], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return servers.self_signed(tmp_path) if request.param else None


def new_ones(server: Server, path: str = "/", **asked: Any) -> Load:
    """A load on a server, in which each request has a connection of its own."""
    return Load(url=server.url + path, keepalive=False, insecure=True, **asked)


@pytest.mark.parametrize(
    "path", ["/", "/chunked", "/chunked-pieces", "/bytes", "/until-close", "/204", "/continue"]
)
def test_a_good_answer_is_ok(tls: Any, path: str) -> None:
    with Server(tls=tls) as server:
        result = run(new_ones(server, path, requests=23, connections=3))
    holds(result, 23)
    assert result.ok == len(server.requests) == server.connections == 23
    assert result.connections.opened == 23
    assert (result.connections.connect_s or 0) > 0
    assert ((result.connections.tls_s or 0) > 0) == bool(tls)


def test_answers_that_differ_are_each_counted_as_what_they_are(tls: Any) -> None:
    kinds = Answer((OK,)), Answer((answer(b"no", "404 Not Found"),)), Answer((answer(b"OK"),))
    with Server(in_turn(*kinds), tls=tls) as server:
        result = run(new_ones(server, requests=60, connections=4, expect="ok"))
    holds(result, 60)
    assert result.errors == {"status": 20, "body": 20}


def test_a_body_larger_than_any_buffer_arrives_whole(tls: Any) -> None:
    body = bytes(range(256)) * 40_000  # 10 MB
    with Server(lambda number, path: Answer((OK,)), tls=tls) as server:
        result = run(new_ones(server, method="POST", body=body, requests=4, connections=1))
    holds(result, 4)
    assert result.ok == 4
    assert all(request.endswith(body) for request in server.requests)


def test_an_answer_larger_than_any_buffer_is_read_whole(tls: Any) -> None:
    with Server(tls=tls) as server:
        result = run(new_ones(server, "/large", requests=3, connections=1))
    holds(result, 3)
    assert result.ok == 3


def test_an_open_loop_on_a_port_that_closes_meanwhile() -> None:
    """No connection can be made from then on, and each request is counted once."""

    def watch(counts: object, elapsed_s: float) -> None:
        if elapsed_s > 0.25 and not server.is_dead:
            server.die()

    with Server() as server:
        result = run(
            new_ones(server, rate=500.0, duration_s=0.6, connections=20, timeout_s=1.0), watch
        )
    holds(result, 300)
    assert result.ok > 50
    assert set(result.errors) <= {"refused", "reset", "incomplete", "timeout"}
    assert result.errors["refused"] > 50


def test_targets_and_lines_take_their_turns() -> None:
    with Server() as server:
        targets = ((2, "GET", f"{server.url}/a", b""), (1, "POST", f"{server.url}/b", b"body"))
        load = new_ones(server, targets=targets, requests=30, connections=4)
        server.pick = lambda number, path: Answer((OK,))
        result = run(load)
    holds(result, 30)
    assert [target.ok for target in result.targets] == [20, 10]
    assert sum(request.endswith(b"body") for request in server.requests) == 10


def test_no_file_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Server() as server:
        run(new_ones(server, requests=50, connections=5))
        run(new_ones(server, "/never", requests=5, connections=5, timeout_s=0.2))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
