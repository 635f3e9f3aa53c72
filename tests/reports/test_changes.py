"""Two results of one experiment: what changed, and what that may be laid to."""

from dataclasses import replace

import pytest
from builders import ENVIRONMENT, make_arms, make_behaviour, make_ratio, make_result, make_run

from lab.facts.errors import Unreadable
from lab.facts.results import Result
from lab.reports.changes import check_same_machine, report_changes

OTHER = replace(ENVIRONMENT, cpu="Apple M1", cores=8)
NEWER = replace(ENVIRONMENT, packages=ENVIRONMENT.packages | {"fastapi": "0.170.0"})


def make_recorded(factor: float, verdict: str = "REPRODUCED", **fields) -> Result:
    """A result in which one arm is so many times as fast as the other."""
    arms = make_arms(fast=factor, slow=1)
    ratios = [make_ratio(arms, "fast", "slow", claim=True)]
    return make_result(claim="One is faster.", arms=arms, ratios=ratios, verdict=verdict, **fields)


def say_changes(old: Result, new: Result) -> str:
    return " ".join(report_changes(old, new).split())


def test_results_that_agree_are_not_explained():
    text = say_changes(make_recorded(6), make_recorded(6, environment=OTHER))
    assert "the intervals overlap" in text
    assert "The verdict is the same. 2026" in text
    assert "machine cpu: AMD EPYC, now Apple M1; cores: 2, now 8" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Nothing else that is recorded differs, so it is noise"),
        ({"environment": NEWER}, "Only the versions differ, so they are the reason."),
        ({"environment": OTHER}, "so they are not the reason: look at the machine."),
        ({"environment": replace(NEWER, cores=8)}, "The versions may be the reason, but the m"),
        ({"environment": replace(ENVIRONMENT, commit="abc")}, "look at the scripts."),
    ],
    ids=str,
)
def test_a_verdict_that_changed_is_laid_to_what_differs(changes, sentence):
    text = say_changes(make_recorded(6), make_recorded(1.5, "NOT REPRODUCED", **changes))
    assert "The verdict changed. " in text
    assert sentence in text
    assert "REPRODUCED 2026-11-20T10:49:26 NOT REPRODUCED" in text
    assert "the intervals do not overlap" in text


def test_another_load_is_told():
    old = make_recorded(6)
    load = replace(old.load, connections=9)
    assert "look at the load." in say_changes(old, replace(make_recorded(1.5, "x"), load=load))


def test_ratios_that_differ_are_told_where_the_verdict_is_the_same():
    text = say_changes(make_recorded(6), make_recorded(7))
    assert "The verdict is the same, but ratios differ." in text


def test_both_ratios_are_in_the_words_of_a_result():
    text = say_changes(make_recorded(6), make_recorded(0.5))
    assert "fast against slow" in text
    assert "6.00× (95 % CI 6.00–6.00)" in text
    assert "2.00× slower (95 % CI 2.00–2.00)" in text


def test_versions_inside_an_arm_are_versions():
    def with_flask(result: Result, version: str) -> Result:
        fast = replace(result.arms["fast"], versions={"flask": version})
        return replace(result, arms={**result.arms, "fast": fast})

    text = say_changes(
        with_flask(make_recorded(6), "1.1.2"), with_flask(make_recorded(1.5, "x"), "1.1.4")
    )
    assert "flask of fast: 1.1.2, now 1.1.4" in text
    assert "Only the versions differ" in text


def test_answers_that_changed_are_told():
    old = make_behaviour()
    evidence = [replace(asked, status=200) for asked in old.evidence]
    text = say_changes(old, replace(old, evidence=evidence))
    assert "answers Flask without asgiref: 500, now 200" in text


def test_another_port_is_no_other_command():
    def on_port(port: int) -> Result:
        result = make_recorded(6)
        fast = replace(result.arms["fast"], command=f"uvicorn a:app --port {port}")
        return replace(result, arms={**result.arms, "fast": fast})

    assert "commands the same" in say_changes(on_port(40213), on_port(51234))


@pytest.mark.parametrize("markdown", [False, True])
def test_the_text_keeps_to_the_width(markdown):
    new = make_recorded(1.5, environment=replace(NEWER, cpu="x" * 100), title="long " * 40)
    lines = report_changes(make_recorded(6), new, markdown).split("\n")
    assert [line for line in lines if len(line) > 79 and not line.startswith("###")] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cpu": "Apple M1"}, "cpu: AMD EPYC, now Apple M1"),
        ({"cores": 8}, "cores: 2, now 8"),
        ({"kernel": "Darwin 25"}, "kernel: "),
    ],
    ids=str,
)
def test_runs_of_two_machines_are_put_into_no_ratio(changes, said):
    here, there = make_run(), make_run(environment=replace(ENVIRONMENT, **changes))
    with pytest.raises(Unreadable, match=r"different machines .*--across-machines") as caught:
        check_same_machine([here, here, there])
    assert said in str(caught.value)


def test_what_is_not_known_of_a_machine_is_not_different():
    unknown = replace(ENVIRONMENT, cpu="", cores=None, kernel="", python="3.12.0")
    check_same_machine([make_run(), make_run(environment=unknown)])
