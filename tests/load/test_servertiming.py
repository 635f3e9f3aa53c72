"""The Server-Timing header: what is read of it, and how the response time is split by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from driving import both, holds, slow
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import OK, Answer, Server, answer, in_turn

from lab.facts.records import Run
from lab.load.load import Load
from lab.load.run import run
from lab.load.servertiming import LONGEST_HEADER, MOST_METRICS, parse_server_timing
from lab.reports.report import report


def timed(value: str, delay_s: float = 0.02, status: str = "200 OK") -> Answer:
    return Answer((answer(b"ok", status, Server_Timing=value),), delay_s=delay_s)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("db;dur=53.2", {"db": 53.2}),
        ("db;dur=53, app;dur=47.2", {"db": 53, "app": 47.2}),
        ('cache;desc="Cache Read";dur=23.2', {"cache": 23.2}),
        ("miss, db;dur=5", {"db": 5}),
        ('a;desc="with, comma; and \\" quote";dur=1,b;dur=2', {"a": 1, "b": 2}),
        ("  db ; DUR = 5 ; desc=x  ", {"db": 5}),
        ('db;dur="12.5"', {"db": 12.5}),
        ("db;dur=1;dur=9", {"db": 1}),  # the first counts
        ("db;dur=1, db;dur=2.5", {"db": 3.5}),
        ("db;dur=.5", {"db": 0.5}),
        ("db;dur=1e2", {"db": 100}),
        ("db;other;dur=3", {"db": 3}),
        (",, db;dur=3,", {"db": 3}),
        ("", {}),
        ("total", {}),
        ("customView;dur=0", {"customView": 0}),
    ],
)
def test_well_formed_headers_are_read(value: str, found: dict[str, float]) -> None:
    assert parse_server_timing([value]) == (found, True)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("db;dur=fast", {}),
        ("db;dur", {}),
        ("db;dur=", {}),
        ("db;dur=-5", {}),
        ("db;dur=NaN", {}),
        ("db;dur=inf", {}),
        ("db;dur=1e99", {}),
        ("db;dur=1_000", {}),
        ("db;dur=" + "9" * 400, {}),
        ("db dur=5, app;dur=1", {"app": 1}),
        ('a;desc="open, b;dur=2', {"b": 2}),
        ("=;dur=1, b;dur=2", {"b": 2}),
        ("\x1b[2J;dur=1", {}),
        ("müll;dur=1", {}),
        ("a" * LONGEST_HEADER + ";dur=1", {}),
    ],
)
def test_what_is_not_well_formed_is_told_and_the_rest_is_read(
    value: str, found: dict[str, float]
) -> None:
    assert parse_server_timing([value]) == (found, False)


def test_several_headers_are_one() -> None:
    assert parse_server_timing(["a;dur=1", "b;dur=x", "c;dur=2"]) == ({"a": 1, "c": 2}, False)


@settings(deadline=500)
@given(st.text(st.sampled_from('ab;,="\\ \t.1dur-'), max_size=LONGEST_HEADER))
def test_no_header_is_too_much(value: str) -> None:
    found, _ = parse_server_timing([value])
    assert all(name and duration_ms >= 0 for name, duration_ms in found.items())


@pytest.mark.parametrize("piece", ['a;b="', ";", " ", "a;dur=1 ", 'a="\\', "a,"])
def test_no_header_takes_long(piece: str) -> None:
    value = (piece * LONGEST_HEADER)[:LONGEST_HEADER]
    for _ in range(20):
        parse_server_timing([value])


# ---- Runs ------------------------------------------------------------------------------
def timings_of(answers: list[Answer], **asked: Any) -> Run:
    with Server(in_turn(*answers)) as server:
        load = Load(url=server.url, connections=1, server_timing=True, **asked)
        result = run(load)
    holds(result, result.requests)
    assert Run.from_json(json.loads(json.dumps(result.to_json()))).to_json() == result.to_json()
    return result


@both
@pytest.mark.parametrize("keepalive", [True, False], ids=["kept", "new"])
def test_the_response_time_is_split(client: str, keepalive: bool) -> None:
    both_named = timed("total;dur=15, db;dur=5")
    longest = timed("db;dur=12.5")
    result = timings_of([both_named, longest], requests=20, client=client, keepalive=keepalive)
    timing = result.server_timing
    assert timing
    assert (timing.answers, timing.without, timing.unreadable, timing.longer) == (20, 0, 0, 0)
    handler, rest = (named.histogram for named in timing.split)
    assert (handler.min_ns, handler.max_ns) == (12_500_000, 15_000_000)
    assert rest.min_ns >= 4_900_000  # the server took 20 ms
    assert rest.max_ns <= result.histogram.max_ns - 12_500_000
    metrics = {named.name: named.histogram.count for named in timing.metrics}
    assert metrics == {"db": 20, "total": 10}


@both
def test_bad_headers_are_counted_and_end_nothing(client: str) -> None:
    answers = [
        Answer((OK,)),
        timed("db;dur=fast"),
        timed("db;dur=1, =;x"),
        timed("db;dur=500"),
        timed("db;dur=1", status="500 Internal Server Error"),
    ]
    result = timings_of(answers, requests=50, client=client)
    timing = result.server_timing
    assert timing
    assert (result.ok, result.failed) == (40, 10)
    assert (timing.answers, timing.without, timing.unreadable, timing.longer) == (20, 20, 20, 10)
    text = report(result)
    assert "10 answers name a duration longer than their whole response" in text
    assert "metric db" in text


def test_a_server_that_invents_names_is_kept_small() -> None:
    answers = [timed(f"m{n};dur=1", delay_s=0) for n in range(3 * MOST_METRICS)]
    result = timings_of(answers, requests=3 * MOST_METRICS)
    assert result.server_timing
    assert len(result.server_timing.metrics) == MOST_METRICS
    assert result.server_timing.answers == 3 * MOST_METRICS


def test_two_headers_and_pieces_of_them_are_read() -> None:
    whole = answer(b"ok", Server_Timing="db;dur=2").replace(
        b"\r\n\r\n", b"\r\nSERVER-TIMING: app;dur=3\r\n\r\n"
    )
    result = timings_of([Answer((whole[:40], whole[40:]))], requests=10)
    assert result.server_timing
    metrics = {named.name: named.histogram.max_ns for named in result.server_timing.metrics}
    assert metrics == {"db": 2_000_000, "app": 3_000_000}


def test_where_it_is_not_asked_for_nothing_is_read() -> None:
    with Server(in_turn(timed("db;dur=2"))) as server:
        result = run(Load(url=server.url, requests=4))
    assert result.server_timing is None
    assert "Server-Timing" not in report(result)


@slow
def test_the_timings_of_two_processes_are_those_of_both() -> None:
    with Server(in_turn(timed("db;dur=2", delay_s=0))) as server:
        asked = {"requests": 400, "connections": 4, "processes": 2, "server_timing": True}
        result = run(Load(url=server.url, **asked))
    assert result.server_timing
    assert result.server_timing.answers == 400
    (db,) = result.server_timing.metrics
    assert (db.name, db.histogram.count, db.histogram.max_ns) == ("db", 400, 2_000_000)
