"""Counting, and what goes on meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.facts.histogram import Histogram
from lab.load import progress
from lab.load.progress import Progress
from lab.load.tally import Tally


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))))
def test_a_tally_keeps_each_lag_with_its_latency(pairs: list[tuple[int, int]]) -> None:
    tally = Tally()
    for latency, lag in pairs:
        tally.times_of(200).pack(latency + lag, lag)
    tally.fold()
    expected = {key: Histogram() for key in ("latency_s", "service_s", "send_lag_s")}
    for latency, lag in pairs:
        for key, value in zip(expected, (latency + lag, latency, lag), strict=True):
            expected[key].record(np.array([value]))
    assert tally.total.ok == len(pairs)
    for key, histogram in expected.items():
        assert getattr(tally.total.histograms, key).encode() == histogram.encode()


def test_where_there_is_no_terminal_a_line_comes_each_three_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s)
    with Progress(total=9) as shown:
        for now_s in np.arange(0, 7, 0.5):
            shown.say(f"at {now_s:g} s", steps=1)
        now_s = 10.0
        shown.remind()
        shown.say("what may take long", takes_s=60)
    assert capsys.readouterr().err.splitlines() == [
        "at 3 s", "at 6 s", "at 6.5 s", "what may take long",
    ]  # fmt: skip


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as shown:
        shown.say("what may take long", takes_s=60)
    assert capsys.readouterr().err == ""
