"""What can be asked for, and how a load is written down."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import BAD, URL, both, complains, holds, percentile_s, said, slow
from hypothesis import given
from hypothesis import strategies as st
from servers import OK, Answer, Server, delayed

import loadgen
from lab.load.inputs import parse_count, read_targets
from lab.load.load import Load
from lab.load.options import make_load
from lab.load.run import run


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


def test_headers_given_twice_are_both_in_the_record() -> None:
    headers = (("X-A", "first"), ("X-A", "second"))
    recorded = json.dumps(Load(url="http://127.0.0.1/", headers=headers).to_asked().headers)
    assert "first" in recorded
    assert "second" in recorded


@given(st.integers(1, 10**9))
def test_count_reads_what_was_written(number: int) -> None:
    assert parse_count(str(number)) == number
    assert parse_count(f"{number}k") == number * 1000
    assert parse_count(f"{number}M") == number * 10**6


@given(st.integers(1, 10**6))
def test_count_takes_decimals(number: int) -> None:
    assert parse_count(f"{number / 10**3:.3f}k") == number
    assert parse_count(f"{number / 10**6:.6f}M") == number


@pytest.mark.parametrize("text", ["", "0", "k", "1K", "1.5", "-1", "1 k", "1e3", "0.0001k"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(Exception, match="is not a valid count"):
        parse_count(text)


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
        targets = tuple(read_targets(file, server.url))
        load = Load(url=server.url, targets=targets, requests=70, client=client, **how)
        result = run(load)
    holds(result, 70)
    asked = Counter(request.split(b" HTTP/1.1")[0].decode() for request in server.requests)
    assert asked == {what: 10 * weight for what, weight in MIX.items()}
    for request in server.requests:
        has_body = request.startswith((b"POST", b"PUT"))
        assert request.partition(b"\r\n\r\n")[2] == (b'{"n": 1}' if has_body else b"")
    assert result.errors == {"status": 20}
    assert [(t.name.replace(server.url, ""), t.ok, t.failed) for t in result.targets] == [
        ("GET /a", 30, 0), ("POST /b?x=1", 10, 0), ("PUT /c", 0, 20), ("DELETE /d", 10, 0)
    ]  # fmt: skip
    statuses = [{"200": 30}, {"200": 10}, {"500": 20}, {"200": 10}]
    assert [t.statuses for t in result.targets] == statuses
    assert (result.latency_s["min"], result.latency_s["max"]) == (
        min(t.latency_s["min"] for t in result.targets if t.ok),
        max(t.latency_s["max"] for t in result.targets if t.ok),
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
    assert [target.failed for target in result.targets] == [10, 10, 10]


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
    parser = loadgen.make_parser()
    with Server() as server:
        options = parser.parse_args(["--lines", str(file), server.url])
        lines = make_load(options, server.url).lines
        load = Load(url=server.url, method="POST", lines=lines, requests=10, client=client, **how)
        result = run(load)
    holds(result, 10)
    assert result.ok == 10
    bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
    turn = [b'{"n": 1}', b"two two", b"", b"\xff\x00"]
    assert bodies == [*turn, *turn, *turn][:10]
    assert {request.split()[0] for request in server.requests} == {b"POST"}


@pytest.mark.parametrize("think_s", [(0.05, 0.05), pytest.param((0.02, 0.08), marks=slow)])
def test_a_connection_thinks_between_its_requests(think_s: tuple[float, float]) -> None:
    """10 of them at 10 + 50 ms can do 167/s."""
    with Server(delayed(0.01)) as server:
        asked = {"connections": 10, "duration_s": 0.4, "think_s": think_s}
        result = run(Load(url=server.url, **asked))
    holds(result, len(server.requests))
    assert result.ok == len(server.requests)
    assert 0.6 * 167 < result.throughput < 1.1 * 167
    assert server.connections == 10
    assert "Little" not in " ".join(result.validity.reasons)
    assert percentile_s(result, "latency_s", 50) < 0.05


def test_one_who_thinks_waits_between_two_requests_and_not_after_the_last() -> None:
    with Server() as server:
        asked = {"connections": 1, "requests": 4, "think_s": (0.05, 0.1)}
        result = run(Load(url=server.url, **asked))
    holds(result, 4)
    assert np.diff(server.arrived_s).min() >= 0.045
    assert result.elapsed_s < 3 * 0.1 + 0.1
