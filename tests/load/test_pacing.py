"""When requests of an open loop are due, and how processes share them."""

from __future__ import annotations

import asyncio
import math
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np
import pytest
from driving import URL, plan_ns
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lab.load.load import Load
from lab.load.openloop import OpenLoop
from lab.load.pacing import split_load


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
    engine, due_ns = OpenLoop(load), []
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
    parts = [asyncio.run(planned_ns(part)) for part in split_load(whole)]
    assert sorted(chain(*parts)) == plan_ns(whole)
    if arrivals == "constant":
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    closed = split_load(Load(url=URL, **asked))
    assert sum(part.connections for part in closed) == n + more
    if not timed:
        assert sum(part.requests or 0 for part in closed) == requests + n
