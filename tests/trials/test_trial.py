"""Which rounds are done again, when a trial stops, and what the options and the script say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import SERVER, make_run
from hypothesis import given
from hypothesis import strategies as st

from lab.load.load import Load
from lab.load.schedule import LAUNCHES, OVERRUN, Amount, Pace, Schedule
from lab.trials.arms import Dose, Setup
from lab.trials.options import make_parser, parse_options
from lab.trials.script import Script
from lab.trials.trial import (
    DISTURBED,
    Plan,
    Trial,
    Turn,
    find_disturbed,
    half_of,
    join_parts,
)


def turns(*disturbances: float) -> list[Turn]:
    return [Turn(runs={}, disturbance=each) for each in disturbances]


# ---- Rounds done again -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("these", "earlier", "worst"),
    [
        ((0.0, 0.4, 0.0), (), 0.4),
        ((0.4, 0.45, 0.5), (), None),  # always so: it is a margin
        ((0.01, 0.04, 0.0), (), None),  # too little to matter
        ((0.3, 0.35, 0.3), (0.0,) * 6, 0.35),
        ((0.06, 0.02, 0.02), (), None),
    ],
)
def test_a_round_is_done_again_where_it_was_disturbed_far_more_than_its_fellows(
    these, earlier, worst
):
    now = turns(*these)
    found = find_disturbed(now, [*turns(*earlier), *now])
    assert (found and found.disturbance) == worst


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_never_more_than_half_of_the_rounds_are_disturbed(shares):
    now = turns(*shares)
    usual = sorted(shares)[(len(shares) - 1) // 2]
    found = find_disturbed(now, now)
    assert found is None or found.disturbance > max(DISTURBED, usual)


# ---- When it stops ---------------------------------------------------------------------
class Bystander:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str, **_: float) -> None:
        self.said.append(text)


def a_trial(waits_for: str = "", more_s: float = 40.0, **fields) -> Trial:
    plan = Plan(
        setups={"one": Setup("python server.py {port}", "/")},
        folder=None,
        dose=Dose(load=Load(url="http://127.0.0.1/")),
        schedule=Schedule(budget_s=180.0, full=Amount(3)),
        warmup_s=0.1,
        is_quick=False,
        seed=1,
        packages=frozenset(),
        expected={},
    )
    return Trial(
        replace(plan, **fields),
        check=lambda load, server: load,
        look=lambda arms: waits_for,
        more_s=lambda spent_s: more_s,
    )


TEN_S = Pace(start_s=4.0, load_s=1.0, rest_s=1.0)  # with the three rounds of a launch


@pytest.mark.parametrize(
    ("launch", "spent_s", "waits_for", "is_last"),
    [
        (0, 10, "", False),  # nothing is decided before the third launch
        (1, 20, "", False),
        (2, 30, "", True),
        (2, 30, "interval 0.98–1.09, needs to be below 1.05", False),
        (9, 171, "interval 0.98–1.09, needs to be below 1.05", True),  # ten more do not fit
        (1, 171, "", False),  # a third launch goes beyond the budget
        (1, 355, "", True),  # but not beyond twice of it
    ],
)
def test_it_stops_when_it_is_decided_or_the_budget_is_spent(launch, spent_s, waits_for, is_last):
    trial, progress = a_trial(waits_for), Bystander()
    assert trial._is_last(launch, spent_s, TEN_S, progress) is is_last
    assert progress.said == ([f"{waits_for}: about 40 s more"] if launch == 2 and waits_for else [])


def test_it_says_when_the_budget_may_not_do():
    trial, progress = a_trial("interval 0.9–1.2", more_s=500.0), Bystander()
    assert trial._is_last(3, 100.0, TEN_S, progress) is False
    assert progress.said == ["interval 0.9–1.2: the budget ends in 80 s"]


def test_a_quick_one_has_one_launch():
    assert a_trial("undecided", is_quick=True)._is_last(0, 5.0, TEN_S, Bystander())


# ---- What fits into the budget ---------------------------------------------------------
def simulate(schedule: Schedule, pace: Pace) -> tuple[list[Amount], float]:
    """The amounts of the launches up to the third, and the time that these took."""
    amounts, spent_s, amount = [], 0.0, schedule.full
    while len(amounts) < LAUNCHES:
        known = pace if amounts else None
        amount = schedule.next_amount(len(amounts), spent_s, amount, known)
        amounts.append(amount)
        spent_s += pace.takes_s(amount)
        if not schedule.has_room(len(amounts), spent_s, amount, pace):
            break
    return amounts, spent_s


@pytest.mark.parametrize(
    ("budget_s", "least_share", "amounts", "took_s"),
    [
        (120, 0.25, [(2, 1), (2, 1), (2, 1)], 60),  # as asked for: six fit
        (119, 0.25, [(2, 1), (1, 1), (2, 1)], 52),  # fewer rounds in one
        (60, 0.25, [(2, 1), (1, 1), (1, 1)], 44),  # three would fit, but six are better
        (50, 0.25, [(2, 1), (1, 1), (1, 1)], 44),
        (36, 0.25, [(2, 1), (1, 0.5), (1, 0.5)], 36),  # and shorter ones
        (36, 1.0, [(2, 1), (1, 1), (1, 1)], 44),  # these need their answers
        (27, 0.25, [(2, 1), (1, 0.25), (1, 0.25)], 32),  # beyond the budget
        (10, 0.25, [(2, 1)], 20),  # three would take more than twice of it
    ],
)
def test_three_launches_fit_or_go_beyond_the_budget(budget_s, least_share, amounts, took_s):
    schedule = Schedule(budget_s=budget_s, full=Amount(2), least_share=least_share)
    found, spent_s = simulate(schedule, Pace(start_s=4.0, load_s=8.0, rest_s=0.0))
    assert [(each.rounds, each.share) for each in found] == amounts
    assert spent_s == pytest.approx(took_s)


@given(
    st.floats(1, 600), st.integers(1, 7), st.floats(0.1, 1), st.floats(0.1, 100),
    st.floats(0.1, 100), st.floats(0, 10),
)  # fmt: skip
def test_three_launches_take_no_more_than_twice_the_budget(
    budget_s, rounds, least_share, start_s, load_s, rest_s
):
    schedule = Schedule(budget_s=budget_s, full=Amount(rounds), least_share=least_share)
    amounts, spent_s = simulate(schedule, Pace(start_s, load_s, rest_s))
    assert all(1 <= each.rounds <= rounds for each in amounts)
    assert all(least_share <= each.share <= 1 for each in amounts)
    if len(amounts) == LAUNCHES:
        assert spent_s <= OVERRUN * budget_s + 1e-6
        assert amounts[1].rounds <= amounts[2].rounds  # which has what the others left


def test_the_pace_is_that_of_full_rounds():
    pace = Pace.of(launch_s=20.0, rounds_s=[6.0, 6.0], loads_s=[4.0, 4.0], share=0.5)
    assert pace == Pace(start_s=8.0, load_s=8.0, rest_s=2.0)
    assert pace.takes_s(Amount(2, 0.5)) == 20.0


def test_a_disturbed_round_is_done_again_while_there_is_time_for_the_launches():
    schedule = Schedule(budget_s=90.0, full=Amount(2))
    assert schedule.may_repeat(0, 25.0, 5.0)
    assert not schedule.may_repeat(0, 26.0, 5.0)
    assert replace(schedule, launches=1).may_repeat(0, 85.0, 5.0)
    assert schedule.may_repeat(7, 85.0, 5.0)
    assert not schedule.may_repeat(7, 86.0, 5.0)


def test_two_arms_take_turns_with_half_of_their_load_each_time():
    loads = {name: Load(url="http://127.0.0.1/", name=name, duration_s=1.0) for name in "abcd"}
    trial = a_trial(in_turns=[("a", "b")])
    asked = [(load.name, load.duration_s) for load in trial._take_apart("cbad", loads)]
    assert asked == [("c", 1), ("b", 0.5), ("a", 0.5), ("a", 0.5), ("b", 0.5), ("d", 1)]
    apart = [load.name for load in trial._take_apart("acbd", loads)]
    assert apart == list("acbd")  # they are not neighbours


@pytest.mark.parametrize(
    ("fields", "requests", "duration_s"),
    [
        ({"duration_s": 1.0}, None, 0.5),
        ({"requests": 1001}, 501, None),
        ({"requests": 3, "connections": 1}, 2, None),
    ],
)
def test_half_of_a_load(fields, requests, duration_s):
    half = half_of(Load(url="http://127.0.0.1/", **fields))
    assert half and (half.requests, half.duration_s) == (requests, duration_s)


@pytest.mark.parametrize("fields", [{"duration_s": 0.3}, {"requests": 900, "connections": 50}])
def test_a_small_load_has_no_half(fields):
    assert half_of(Load(url="http://127.0.0.1/", **fields)) is None


def test_the_parts_of_a_load_are_one_run_of_the_whole():
    load = Load(url="http://127.0.0.1/", duration_s=2.0)
    server = replace(SERVER, queued_s=0.1)
    whole = join_parts([make_run(server=server), make_run(server=server)], load)
    one = make_run()
    assert whole.load.duration_s == 2.0
    assert (whole.ok, whole.elapsed_s) == (2 * one.ok, 2 * one.elapsed_s)
    assert whole.server and whole.server.queued_s == 0.2
    assert join_parts([one], load) is one


# ---- Loads -----------------------------------------------------------------------------
def test_an_arm_has_its_own_load_over_that_of_all():
    dose = Dose(load=Load(url="http://127.0.0.1/", connections=9, duration_s=2.0), share=0.25)
    setup = Setup("x", "/p", {"requests": 30, "beside": {"path": "/b"}, "keepalive": False})
    load = dose.of(setup, "arm", "http://127.0.0.1:8000", 7)
    assert (load.url, load.name, load.pid) == ("http://127.0.0.1:8000/p", "arm", 7)
    assert (load.requests, load.duration_s, load.keepalive, load.connections) == (8, None, False, 9)
    cut = dose.cut(0.5)
    assert (cut.load.duration_s, cut.load.requests) == (1.0, None)
    assert cut.of(setup, "arm", "http://127.0.0.1:8000", 7).requests == 4
    beside = setup.beside("http://127.0.0.1:8000")
    assert beside and (beside.url, beside.duration_s) == ("http://127.0.0.1:8000/b", 3600.0)
    assert Setup("x", "/").beside("http://127.0.0.1:8000") is None


def test_an_arm_is_asked_over_tls_where_its_scheme_says_so():
    dose = Dose(load=Load(url="http://127.0.0.1/"))
    setup = Setup("x", "/p?q", {"scheme": "https", "insecure": True})
    load = dose.of(setup, "arm", "http://127.0.0.1:8000", 7)
    assert (load.url, load.insecure) == ("https://127.0.0.1:8000/p?q", True)


def test_arms_of_one_command_share_a_server_where_the_script_says_so():
    setups = {"one": Setup("a", "/"), "two": Setup("a", "/2"), "three": Setup("b", "/")}
    apart, together = (a_trial(setups=setups, shared=shared).plan for shared in (False, True))
    assert [apart.server_of(name) for name in setups] == ["one", "two", "three"]
    assert [together.server_of(name) for name in setups] == ["one", "one", "three"]


# ---- What the script and the command line say ------------------------------------------
DOC = """03: it is so

Claim      One thing, on
           two lines.
Source     https://example.com
Expect     The ceiling is known. It is
           the same for all.
           arm            1 / 0.1 s = 10
           arm, and more  20
Run        python experiments/03_it.py
Limits     None.
"""


def test_fields_and_expectations_of_a_docstring(tmp_path):
    script = Script.read(tmp_path / "03_it.py", DOC)
    assert script.title == "it is so"
    assert script.text("Claim") == "One thing, on two lines."
    sentences, lines = script.expected()
    assert sentences == "The ceiling is known. It is the same for all."
    assert lines == {"arm": "1 / 0.1 s = 10", "arm, and more": "20"}


@pytest.mark.parametrize(
    ("line", "mode", "budget_s"),
    [("", "plain", 180), ("--full", "full", 600), ("--full --budget 20m", "full", 1200)],
)
def test_a_mode_has_its_budget(line, mode, budget_s, monkeypatch):
    monkeypatch.setattr("sys.argv", ["03_it.py", *line.split()])
    options = parse_options(make_parser("03_it.py", "it is so"))
    assert (options.mode, options.budget_s) == (mode, budget_s)
