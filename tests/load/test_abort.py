"""Runs that end early, because too much fails or takes too long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import BAD, URL, both, complains, holds, said, slow
from servers import OK, Answer, Server, delayed, in_turn

from lab.facts.abort import CHANCE, LEAST_REQUESTS, LEAST_S, is_beyond_chance, parse_aborts
from lab.facts.records import Trust
from lab.load.load import Load
from lab.load.run import run

EVERY_TENTH = in_turn(*[Answer((OK,), delay_s=0.002)] * 9, BAD)


@pytest.mark.parametrize(
    "text",
    [
        "failed<5%",
        "p99<2s",
        "mean>1s",
        "throughput>5/s",
        "failed>100%",
        "failed",
        "p99>2",
        ",",
        "!",
    ],
)
def test_wrong_conditions_are_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "write failed>5% or p99>2s" in complains(capsys, 2, "--abort", text, URL)


def test_conditions_are_for_one_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert "are for one URL" in complains(capsys, 2, "--abort", "failed>5%", URL, URL)
    assert len(parse_aborts("failed>5%, p99>2s,p50>1ms")) == 3


# ---- What chance does ------------------------------------------------------------------
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5])
def test_a_share_at_its_limit_ends_no_run(share: float) -> None:
    """Of 300 runs that look ten times a second for 100 s, at the limit exactly. The bound is
    one in a thousand; three would be more than chance does once in 4000 times.
    """
    chance = np.random.default_rng(7)
    ended = 0
    for _ in range(300):
        failed = chance.binomial(100, share, 1000).cumsum()
        sent = np.arange(100, 100_001, 100)
        looks = zip(failed.tolist(), sent.tolist(), strict=True)
        ended += any(is_beyond_chance(k, n, share) for k, n in looks)
    assert CHANCE == 1e-3
    assert ended <= 2


@pytest.mark.parametrize(("share", "within"), [(0.06, 40_000), (0.1, 1200), (0.5, 40), (1.0, 20)])
def test_more_than_the_limit_ends_it_soon(share: float, within: int) -> None:
    assert is_beyond_chance(round(share * within), within, 0.05)


@pytest.mark.parametrize(("failed", "of"), [(7, 20), (17, 100), (85, 1000)])
def test_where_the_documents_say_that_it_ends(failed: int, of: int) -> None:
    assert is_beyond_chance(failed, of, 0.05)
    assert not is_beyond_chance(failed - 1, of, 0.05)


def test_few_of_few_are_chance() -> None:
    assert not is_beyond_chance(5, 50, 0.05)
    assert not is_beyond_chance(0, 50, 0.0)
    assert is_beyond_chance(1, 50, 0.0)


# ---- Runs ------------------------------------------------------------------------------
@both
@pytest.mark.parametrize("how", [{}, {"rate": 300.0}], ids=["closed", "open"])
def test_a_run_ends_when_too_much_fails(client: str, how: dict[str, Any]) -> None:
    with Server(EVERY_TENTH) as server:
        asked = {"connections": 5, "duration_s": 20.0, "abort": "failed>2%", "client": client}
        result = run(Load(url=server.url, **asked, **how))
    holds(result, result.requests)
    assert LEAST_S <= result.elapsed_s < 5
    assert result.requests >= LEAST_REQUESTS
    assert "failed, more than 2.00 %" in result.aborted
    assert not result.interrupted
    assert result.load.abort == "failed>2%"
    assert result.validity.verdict == Trust.SUSPECT
    assert result.validity.reasons[0].startswith("ended early, as asked for: ")


def test_what_keeps_its_conditions_goes_on_to_its_end() -> None:
    with Server(EVERY_TENTH) as server:
        load = Load(url=server.url, connections=5, duration_s=1.5, abort="failed>12%,p99>2s")
        result = run(load)
    assert result.aborted == ""
    assert result.elapsed_s >= 1.5


def test_nothing_ends_before_a_second_or_with_few_requests() -> None:
    with Server(in_turn(BAD)) as server:
        few = run(Load(url=server.url, requests=19, rate=16.0, abort="failed>5%"))
        short = run(Load(url=server.url, duration_s=0.5, connections=1, abort="failed>5%"))
    assert (few.aborted, few.failed) == ("", 19)
    assert short.aborted == ""


def test_the_command_line_keeps_what_was_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.05)) as server:
        arguments = ["-z", "20s", "-c", 20, "--abort", "failed>5%,p90>20ms", "-o", path]
        status, stdout, stderr = said(capsys, *arguments, server.url)
    assert (status, stderr) == (3, "")
    assert "ended early, as asked for" in stdout
    assert "p90 is above it" in " ".join(stdout.split())
    record = json.loads(path.read_text())
    assert record["elapsed_s"] < 5
    assert record["ok"] > 100
    assert record["aborted"]


@slow
def test_where_one_of_several_processes_ends_early_all_do() -> None:
    with Server(EVERY_TENTH) as server:
        asked = {"connections": 6, "duration_s": 30.0, "processes": 2, "abort": "failed>2%"}
        result = run(Load(url=server.url, **asked))
    holds(result, result.requests)
    assert result.aborted
    assert not result.interrupted
    assert result.elapsed_s < 10


def test_a_server_that_is_gone_ends_a_run_that_never_had_an_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Server(in_turn(Answer((), "close"))) as server:
        status, stdout, _ = said(capsys, "-z", "20s", "-c", 2, "--abort", "failed>5%", server.url)
    assert status == 3
    assert "INVALID" in stdout
