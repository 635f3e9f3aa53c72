"""Rounds of several loads, and their ratio."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from driving import cli
from servers import OK, Answer, Server

from lab.facts.interval import Interval
from lab.facts.results import Result
from lab.facts.rounds import balanced_orders
from lab.load.comparison import needs
from lab.load.load import Load
from lab.load.rounds import run_rounds
from lab.readers.files import read
from lab.reports.result import report_result


def test_rounds_load_every_arm_once_a_round_in_a_shuffled_order() -> None:
    seen = []
    with Server() as server:
        loads = {
            name: Load(url=f"{server.url}/{path}", requests=5, connections=2)
            for name, path in (("a", ""), ("b", "chunked"))
        }
        runs = run_rounds(
            loads, balanced_orders(list(loads), 1), 4, lambda name, n: seen.append((n, name))
        )
    assert {name: [r.ok for r in rs] for name, rs in runs.items()} == {"a": [5] * 4, "b": [5] * 4}
    assert sorted(seen) == [(number, name) for number in range(1, 5) for name in "ab"]
    assert len({name for number, name in seen[::2]}) == 2
    assert len(server.requests) == 40


def test_a_comparison_ends_as_soon_as_it_is_decided(tmp_path: Path) -> None:
    """Seven rounds are the fewest that have an interval, and ten times as slow is soon clear."""
    path = tmp_path / "result.json"
    with Server(lambda _, path: Answer((OK,), delay_s=0.01 * (path == "/b"))) as server:
        urls = [f"{server.url}/", f"{server.url}/b"]
        done = cli("-n", 20, "-c", 2, "-o", path, *urls)
    assert (done.returncode, done.stderr) == (0, "")
    result = read(path)
    assert isinstance(result, Result)
    assert [len(arm.rounds) for arm in result.arms.values()] == [7, 7]
    assert len(server.requests) == 2 * 7 * 20
    assert [arm.run.ok for arm in result.arms.values()] == [140, 140]
    answer = " ".join(done.stdout.split("\n\n")[0].split())
    assert f"slower {urls[1]} is " in answer
    assert f"× slower than {urls[0]} (95 % CI " in answer
    assert max(map(len, done.stdout.splitlines())) <= 79
    assert done.stdout == report_result(result) + "\n"


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
        done = cli("-n", 20, "--budget", "3s", server.url, server.url)
    assert done.returncode == 0
    assert f"1 {server.url}" in done.stdout
    assert f"2 {server.url}" in done.stdout
    assert len(server.requests) % (2 * 20) == 0
    assert len(server.requests) >= 2 * 7 * 20


@pytest.mark.slow
def test_a_comparison_that_is_not_decided_ends_with_its_budget() -> None:
    with Server() as server:
        done = cli("-z", "0.2s", "--budget", "1s", server.url, server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "not enough data" in done.stdout


@pytest.mark.slow
def test_a_comparison_of_long_urls_keeps_to_79_columns() -> None:
    with Server() as server:
        urls = [f"{server.url}/?x={letter * 60}" for letter in "ab"]
        done = cli("-n", 20, "--rounds", 7, *urls)
    assert max(map(len, done.stdout.splitlines())) <= 79


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((1.03, 0.98, 1.09), "interval 0.980–1.09, needs to be on one side of 1: about"),
        ((1.0, 0.93, 1.07), "interval 0.930–1.07, needs to be within 5 %: about"),
        ((1.3, 0.0, math.inf), "needs to be on one side of 1: more time alone will not do"),
    ],
)
def test_it_says_what_an_interval_waits_for(ends: tuple[float, float, float], said: str) -> None:
    assert said in needs(Interval(*ends), 20.0)
