"""Intervals: what they hold, how often they err, and how soon they decide, on known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from facts.simulate import (
    ERROR_WORLDS,
    LAUNCHES,
    LEAST,
    RATIO_PAIRS,
    ROUND_KINDS,
    SAME,
    SERVERS,
    Pauses,
    Queue,
    World,
    around,
    batches,
    ever_wrong,
    naive,
    over_launches,
    over_rounds,
    percentile_covers,
    ratio_covers,
    stops,
)
from hypothesis import given
from hypothesis import strategies as st

from lab.facts import interval as lab
from lab.facts.histogram import Histogram
from lab.facts.interval import Interval, median_interval, percentile_interval, ratio_interval

ALLOWED = 0.05
LIMITS = [w for w in ERROR_WORLDS if w.launches == "like the last" or w.launch_sd > 0.04]
SOUND = [w for w in ERROR_WORLDS if w not in LIMITS]
ratios_st = st.lists(st.floats(0.1, 10), min_size=9, max_size=30)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261125)


# ---- What an interval is -----------------------------------------------------------------------
def test_widened_moves_both_ends_outward() -> None:
    wide = Interval(2.0, 1.6, 2.5).widened(0.25)
    assert (wide.estimate, wide.low, wide.high) == (2.0, 1.28, 3.125)
    assert Interval(2.0, 1.6, 2.5).widened(0.0) == Interval(2.0, 1.6, 2.5)


def test_inside_counts_the_bounds_in() -> None:
    found = Interval(1.0, 0.96, 1.05)
    assert found.inside(0.96, 1.05)
    assert not found.inside(0.97, 1.05)
    assert not found.inside(0.96, 1.04)
    assert found.holds(1.0)
    assert not found.holds(1.06)


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [(1.2, 1.5, (1.2, math.inf)), (0.5, 0.8, (0, 0.8)), (0.9, 1.1, (0, math.inf))],
)
def test_a_bound_is_open_away_from_1(low: float, high: float, ends: tuple[float, float]) -> None:
    bound = Interval(1.0, low, high).as_bound()
    assert (bound.low, bound.high) == ends


# ---- For one look ------------------------------------------------------------------------------
@pytest.mark.parametrize(("n", "k", "covers"), [(6, 1, 0.96875), (9, 2, 0.9609), (20, 6, 0.9586)])
def test_the_median_interval_has_the_ranks_of_the_tables(n: int, k: int, covers: float) -> None:
    found = median_interval(list(range(1, n + 1)))
    assert found
    assert (found.low, found.high) == (k, n + 1 - k)
    assert found.confidence == pytest.approx(covers, abs=1e-4)
    assert found.rounds == n


def test_five_values_have_no_interval() -> None:
    assert median_interval([1, 2, 3, 4, 5]) is None


def test_the_median_interval_covers_at_one_look_but_not_at_many(rng: np.random.Generator) -> None:
    logs = rng.standard_normal((4000, 40))
    ends = [median_interval(range(1, n + 1)) for n in range(6, 41)]
    held = []
    for n, found in enumerate(ends, 6):
        assert found
        ordered = np.sort(logs[:, :n], 1)
        low, high = ordered[:, round(found.low) - 1], ordered[:, round(found.high) - 1]
        held.append((low <= 0) & (high >= 0))
    assert np.mean(held, 1).min() > 0.945
    assert np.all(held, 0).mean() < 0.85


# ---- At every look, over launches --------------------------------------------------------------
def test_what_is_simulated_is_what_is_used(rng: np.random.Generator) -> None:
    logs = World(0.02, 0.03).logs(rng, 5, 20)
    low, high = over_launches(logs)
    for trial in range(5):
        for n in range(3, 21):
            found = ratio_interval(np.exp(logs[trial, :n]).ravel(), np.repeat(np.arange(n), 3))
            assert found
            assert math.log(found.low) == pytest.approx(low[trial, n - 3])
            assert math.log(found.high) == pytest.approx(high[trial, n - 3])
            assert (found.launches, found.rounds) == (n, 3 * n)


@pytest.mark.parametrize(
    ("ratios", "launches"),
    [
        ([], []),
        ([1.0] * 6, [0] * 6),
        ([1.0] * 10, [0, 1] * 5),
        ([1.0, 1.0, 0.0], [0, 1, 2]),
        ([1.0, 1.0, math.inf], [0, 1, 2]),
    ],
)
def test_there_is_none_of_too_few(ratios: list[float], launches: list[int]) -> None:
    assert ratio_interval(ratios, launches) is None


@given(ratios_st, st.floats(0.1, 10), st.booleans())
def test_the_unit_and_the_order_of_the_sides_do_not_matter(
    ratios: list[float], factor: float, over_launches: bool
) -> None:
    launches = [i // 3 if over_launches else 0 for i in range(len(ratios))]
    found = ratio_interval(ratios, launches)
    scaled = ratio_interval([factor * ratio for ratio in ratios], launches)
    turned = ratio_interval([1 / ratio for ratio in ratios], launches)
    assert found and scaled and turned
    assert found.low <= found.estimate <= found.high
    assert scaled.low == pytest.approx(factor * found.low)
    assert (turned.low, turned.high) == pytest.approx((1 / found.high, 1 / found.low))


def test_a_drift_of_both_sides_cancels(rng: np.random.Generator) -> None:
    launches = np.repeat(np.arange(6), 3)
    over, under = rng.lognormal(0, 0.02, (2, 18))
    machine = np.linspace(1.0, 0.7, 18)  # it throttles
    found = ratio_interval(over / under, launches)
    drifted = ratio_interval((over * machine) / (under * machine), launches)
    assert found and drifted
    assert (drifted.low, drifted.high) == pytest.approx((found.low, found.high))


def test_one_stalled_round_of_a_launch_moves_nothing() -> None:
    ratios, launches = [1.99, 2.0, 2.01] * 4, np.repeat(np.arange(4), 3)
    stalled = [0.1 if i == 0 else ratio for i, ratio in enumerate(ratios)]
    calm, found = ratio_interval(ratios, launches), ratio_interval(stalled, launches)
    assert calm and found
    assert found.inside(0.99 * calm.low, 1.01 * calm.high)


@pytest.mark.parametrize("world", SOUND, ids=str)
def test_it_errs_in_5_percent_at_all_looks_together(world: World, rng: np.random.Generator) -> None:
    logs = world.logs(rng, 2000)
    assert ever_wrong(over_launches(logs)) <= ALLOWED
    assert ever_wrong(naive(logs)) > 0.25  # an interval that is made for one look


def test_what_no_launch_showed_would_be_missed(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = World(0.03, 0.002, "two kinds").logs(rng, 2000)
    assert ever_wrong(over_launches(logs)) <= ALLOWED
    monkeypatch.setattr(lab, "LAUNCHES_APART", 0.0)
    assert ever_wrong(over_launches(logs)) > 0.2


def test_rounds_do_not_stand_for_launches(rng: np.random.Generator) -> None:
    logs = World(0.02, 0.01).logs(rng, 1000)
    assert ever_wrong(over_launches(logs)) <= ALLOWED
    assert ever_wrong(over_rounds(logs.reshape(1000, -1)[:, :LAUNCHES])) > 0.15


@pytest.mark.parametrize(
    ("ratio", "zones", "launches", "share"),
    [(1.0, SAME, 10, 0.9), (1.1, LEAST, 10, 0.9), (1.2, LEAST, 5, 0.9)]
    + [(c, around(c), 3, 0.95) for c in (2.0, 5.0, 20.0)],
)
def test_it_decides_soon(
    ratio: float,
    zones: tuple[tuple[float, float], ...],
    launches: int,
    share: float,
    rng: np.random.Generator,
) -> None:
    logs = World(0.015, 0.02).logs(rng, 2000, launches) + math.log(ratio)
    look, zone = stops(over_launches(logs), zones)
    assert (np.isfinite(look) & (zone == 0)).mean() >= share


# ---- At every look, over the rounds of one launch ----------------------------------------------
def test_over_rounds_it_errs_in_5_percent_exactly_reckoned() -> None:
    reached, wrong = {0: 1.0}, 0.0  # the chance to have so many values below the median, so far
    for n in range(1, 301):
        found = ratio_interval(list(range(1, n + 1)), [0] * n)
        k = round(found.low) if found else 0
        reached = {s: (reached.get(s, 0.0) + reached.get(s - 1, 0.0)) / 2 for s in range(n + 1)}
        for s in [s for s in reached if s < k or n - s < k]:
            wrong += reached.pop(s)
    assert 0.025 < wrong < ALLOWED


@pytest.mark.parametrize("rounds", ROUND_KINDS)
def test_over_rounds_it_errs_in_5_percent_and_decides(
    rounds: str, rng: np.random.Generator
) -> None:
    logs = World(0.0, 0.03, rounds=rounds, each=1).logs(rng, 1000)[:, :, 0]
    assert ever_wrong(over_rounds(logs)) <= ALLOWED
    look, zone = stops(over_rounds(logs), SAME)
    assert ((look + 6 <= 30) & (zone == 0)).mean() > 0.9
    look, zone = stops(over_rounds(logs + math.log(1.1)), SAME)
    assert ((look + 6 <= 20) & (zone == 1)).mean() > 0.9


# ---- Percentiles -------------------------------------------------------------------------------
def test_the_truths_of_the_simulation_are_true(rng: np.random.Generator) -> None:
    for server in (Queue(2000), Pauses(1000, 0.1)):
        _, took = server.times(rng, 2000)
        for p in (50, 90, 99):
            assert (took <= server.percentile(p)).mean() == pytest.approx(p / 100, abs=0.004)


def test_of_independent_samples_the_ranks_are_those_of_the_binomial() -> None:
    counts, above = [1000] * 10, [[100] * 10]
    found = percentile_interval(float, 90, counts, above)
    assert found  # 2.262 √(10000 · 0.9 · 0.1) = 67.9
    assert (found.low, found.estimate, found.high) == (8932, 9000, 9069)


def test_bursts_widen_it_and_leave_it_open() -> None:
    counts, even, burst = [1000] * 10, [100] * 10, [1000] + [0] * 9
    found = percentile_interval(float, 90, counts, [burst])
    assert found
    assert found.low < 8932
    assert found.high == math.inf
    assert percentile_interval(float, 90, counts, [burst, even]) == found  # of a lower one


def test_neighbours_are_merged_so_that_ten_stretches_remain() -> None:
    even, odd = [100, 0] * 10, [10, 0] * 10  # what comes in turn is no burst
    assert percentile_interval(float, 90, even, [odd]) == percentile_interval(
        float, 90, [100] * 10, [[10] * 10]
    )
    leftover = percentile_interval(float, 90, [100] * 25, [[10] * 25])
    assert leftover
    assert leftover.estimate == 2250


def test_there_is_none_of_too_few_samples_or_stretches() -> None:
    assert percentile_interval(float, 99, [99] * 10, [[1] * 10]) is None
    assert percentile_interval(float, 99, [100] * 10, [[1] * 10]) is not None
    assert percentile_interval(float, 99, [1000] * 4, [[10] * 4]) is None
    assert percentile_interval(float, 99, [], [[]]) is None


def test_it_takes_the_ranks_of_a_histogram(rng: np.random.Generator) -> None:
    came, took = Queue(500).times(rng, 10)
    histogram = Histogram.of_seconds(took.tolist())
    counts, above = batches(came, took, 10, (50,))
    found = percentile_interval(histogram.ranked_s, 50, counts, above)
    assert found
    assert found.estimate == histogram.percentile_s(50)
    assert found.low < found.estimate < found.high


def least(trials: int) -> float:
    """What so many trials may show where the truth is 93 %: two standard errors less."""
    return 0.93 - 2 * math.sqrt(0.93 * 0.07 / trials)


@pytest.mark.parametrize("p", [50, 90, 99])
def test_it_holds_the_percentile_of_dependent_samples(p: int, rng: np.random.Generator) -> None:
    covers, _, _ = percentile_covers(rng, Queue(800), 10, p, 400, plain=False)
    plainly, _, _ = percentile_covers(rng, Queue(800), 10, p, 100, plain=True)
    assert covers >= least(400)
    assert plainly < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("launches", [1, 5])
@pytest.mark.parametrize("p", [50, 90, 99])
def test_it_holds_the_ratio_of_percentiles(p: int, launches: int, rng: np.random.Generator) -> None:
    """Of two servers, in ten rounds of 4 s, whose requests depend on their neighbours."""
    for pair in RATIO_PAIRS:
        covers, _ = ratio_covers(rng, pair, p, launches, 50)
        assert covers >= least(50), pair


@pytest.mark.slow
@pytest.mark.parametrize("p", [50, 90, 99])
def test_it_holds_the_percentile_in_93_percent(p: int, rng: np.random.Generator) -> None:
    queues, pauses = [], []
    for server, seconds in SERVERS:
        covers, _, _ = percentile_covers(rng, server, seconds, p, 300, plain=False)
        assert covers >= least(300), server
        (queues if isinstance(server, Queue) else pauses).append(covers)
    assert np.mean(queues) >= 0.93
    assert np.mean(pauses) >= 0.93
