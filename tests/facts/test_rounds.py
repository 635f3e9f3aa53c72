"""Orders of arms in rounds, and what a round keeps of a run."""

from collections import Counter
from dataclasses import replace
from itertools import combinations, islice

import pytest
from builders import CLIENT, ENVIRONMENT, SERVER, make_run
from hypothesis import given
from hypothesis import strategies as st

from lab.facts.records import Topic
from lab.facts.rounds import balanced_orders, make_arm, make_round
from lab.facts.validity import find_disturbance


@given(st.integers(1, 8), st.integers(0, 99), st.integers(1, 20))
def test_each_pair_comes_as_often_one_way_round_as_the_other(arms, seed, pairs_of_rounds):
    names = [f"arm {n}" for n in range(arms)]
    before: Counter[tuple[str, str]] = Counter()
    for order in islice(balanced_orders(names, seed), 2 * pairs_of_rounds):
        assert sorted(order) == names
        before.update(combinations(order, 2))
    assert all(before[a, b] == before[b, a] == pairs_of_rounds for a, b in combinations(names, 2))


@given(st.integers(0, 99))
def test_those_that_are_compared_follow_one_another(seed):
    compared = [("a", "d"), ("c", "f"), ("d", "e"), ("b", "b"), ("b", "x")]
    before: Counter[tuple[str, str]] = Counter()
    for order in islice(balanced_orders("abcdef", seed, compared), 10):
        assert sorted(order) == list("abcdef")
        for one, other in compared[:2]:
            assert abs(order.index(one) - order.index(other)) == 1
        before.update(combinations(order, 2))
    assert all(before[a, b] == before[b, a] == 5 for a, b in combinations("abcdef", 2))


def test_a_seed_is_an_order():
    first, second = (list(islice(balanced_orders("abcdef", 7), 9)) for _ in range(2))
    assert first == second != list(islice(balanced_orders("abcdef", 8), 9))


@pytest.mark.parametrize(
    ("changes", "margin"),
    [
        ({}, 0.0),
        ({"environment": replace(ENVIRONMENT, steal=0.04)}, 0.08),
        ({"client": replace(CLIENT, queued_s=0.3)}, 0.3),
        ({"client": replace(CLIENT, loop_lag_s=0.2)}, 0.2),
        ({"client": replace(CLIENT, neighbour_busy=0.4)}, 0.4),
        (
            {
                "client": replace(CLIENT, neighbour_busy=0.4),
                "server": replace(SERVER, queued_s=0.1),
            },
            0.1,
        ),
        ({"client": replace(CLIENT, queued_s=0.3, neighbour_busy=0.4)}, 0.58),
    ],
)
def test_what_noise_can_have_taken_of_a_run(changes, margin):
    assert make_round(make_run(**changes)).margin == pytest.approx(margin)


def test_a_server_that_was_busy_cannot_have_lost_more_than_the_rest():
    run = make_run(client=replace(CLIENT, neighbour_busy=0.5), server=replace(SERVER, cpu_s=0.97))
    assert make_round(run, cores=1).margin == pytest.approx(0.03)
    assert make_round(run, cores=0).margin == pytest.approx(0.5)


def test_a_client_that_shares_its_cores_with_workers_may_wait_for_them():
    run = make_run(client=replace(CLIENT, queued_s=0.5))
    assert Topic.QUEUED in make_round(run).doubts
    assert make_round(run, workers=2).doubts == {}
    assert make_round(run, workers=2).margin == 0.0


def test_a_disturbance_is_what_the_machine_did_and_not_the_result():
    busy = make_run(client=replace(CLIENT, queued_s=0.1, neighbour_busy=0.2))
    slower = replace(busy, ok=10, failed=90)
    assert (
        find_disturbance(busy) == find_disturbance(slower) == pytest.approx(1 - 0.9 * 0.8, abs=1e-2)
    )


def test_rounds_keep_the_launch_they_are_of():
    arm = make_arm([make_run()] * 4, [0, 0, 1, 1])
    assert [each.launch for each in arm.rounds] == arm.launches == [0, 0, 1, 1]
    assert arm.run.ok == 400
