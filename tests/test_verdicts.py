"""How often a verdict would be wrong: thousands of simulated rounds, and each gate.

What real servers do is in evidence.py.
"""

from __future__ import annotations

import math
from dataclasses import replace

import evidence
import numpy as np
import pytest
from numpy.typing import NDArray
from test_summarize import CLAIM, ENVIRONMENT, LOAD, SERVER, SLOW, a_result, a_run, cli, rounds

from summarize import (
    BROKEN,
    INCONCLUSIVE,
    LIMITS,
    NOT_REPRODUCED,
    REPRODUCED,
    THEN,
    Cause,
    Interval,
    Outcome,
    Ratio,
    Unreadable,
    arm,
    changes,
    claims_table,
    curve_table,
    decide,
    explain,
    explain_limit,
    median_interval,
    over_launches,
    report_result,
    rule_of,
    same_machine,
    satisfies,
    weigh,
    words,
)

TRIALS = 2000
LAUNCHES = np.repeat([0, 1, 2], 5)
NOISE = 0.02  # of the ratio in one round


def ratios(
    random: np.random.Generator, truth: float, launch_noise: float, each: int = 5
) -> NDArray[np.float64]:
    """The ratios of so many rounds in each of 3 launches, shape (TRIALS, 3 * each), whose
    median is `truth`.
    """
    launched = random.normal(0, launch_noise, (TRIALS, 3)).repeat(each, axis=1)
    return truth * np.exp(launched + random.normal(0, NOISE, (TRIALS, 3 * each)))


def intervals(truth: float, launch_noise: float, each: int = 5) -> list[Interval]:
    random = np.random.default_rng(round(1000 * truth + 1e6 * launch_noise))
    launched = np.arange(3).repeat(each)
    found = [over_launches(v, launched) for v in ratios(random, truth, launch_noise, each)]
    assert None not in found
    return found


def share(found) -> float:
    return sum(found) / TRIALS


# ---- The interval over launches and rounds -------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("each", [2, 5])
@pytest.mark.parametrize("launch_noise", [0.0, 0.004, 0.01, 0.02, 0.04, 0.2])
def test_the_interval_covers_the_truth_whatever_launches_differ_by(launch_noise, each):
    assert share(i.low <= 1 <= i.high for i in intervals(1.0, launch_noise, each)) >= 0.93


@pytest.mark.parametrize("each", [2, 5])
def test_over_the_rounds_alone_it_would_not(each):
    """Or the widening would be for nothing."""
    found = [median_interval(v) for v in ratios(np.random.default_rng(1), 1.0, 0.04, each)]
    assert share(i.low <= 1 <= i.high for i in found) < 0.90


def test_where_launches_are_alike_it_is_mostly_that_over_the_rounds():
    found = intervals(1.0, 0.0)
    assert share(i.low <= 1 <= i.high for i in found) >= 0.965 - 0.01
    assert share(i.launches == 0 for i in found) > 0.55
    assert {i.confidence for i in found if not i.launches} == {median_interval([1] * 15).confidence}
    values = np.linspace(1, 2, 15)[[*range(0, 15, 3), *range(1, 15, 3), *range(2, 15, 3)]]
    alike = over_launches(values, LAUNCHES)
    assert (alike.low, alike.high) == (sorted(values)[3], sorted(values)[11])


def test_launches_that_differ_are_what_it_rests_on():
    values = [1.0, 1.01, 0.99, 1.0, 1.0, *[1.2] * 5, *[1.1] * 5]
    found = over_launches(values, LAUNCHES)
    assert found.launches == 3
    assert "3 unlike launches" in str(found)
    means = np.log([np.exp(np.mean(np.log(values[n : n + 5]))) for n in (0, 5, 10)])
    half = 4.303 * np.std(means, ddof=1) / math.sqrt(3)
    assert found.low == pytest.approx(math.exp(np.mean(means) - half))
    assert found.high == pytest.approx(math.exp(np.mean(means) + half))


@pytest.mark.parametrize("launches", [[0] * 15, [*[0] * 14, 1], list(range(15))])
def test_one_launch_or_one_round_each_tells_nothing_of_launches(launches):
    values = [1.0 + n / 100 for n in range(15)]
    assert over_launches(values, launches) == median_interval(values)


def test_a_ratio_of_nothing_is_no_logarithm():
    assert over_launches([0.0, 1.0] * 7 + [1.0], LAUNCHES).low == 0.0


def test_too_few_rounds_have_no_interval_over_launches():
    assert over_launches([1.0] * 5, [0, 0, 1, 1, 1]) is None


# ---- How often it is right -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("launch_noise", [0.0, 0.01, 0.04])
def test_a_difference_that_is_none_is_seldom_claimed(launch_noise):
    said = [words(i) for i in intervals(1.0, launch_noise)]
    assert share(word in ("faster", "slower") for word in said) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slowed", "launch_noise", "found"),
    [(0.03, 0.0, 0.75), (0.05, 0.0, 0.95), (0.10, 0.0, 0.99), (0.20, 0.0, 0.999),
     (0.10, 0.01, 0.85), (0.20, 0.01, 0.99)],
)  # fmt: skip
def test_a_server_that_is_slower_is_found(slowed, launch_noise, found):
    """How often, where a round's ratio is known to 2 %, and never the wrong way round."""
    truth = 1 / (1 + slowed)
    got = intervals(truth, launch_noise)
    assert share(i.high < 1 for i in got) >= found
    assert share(i.low > 1 for i in got) <= 0.005
    assert share(i.low <= truth <= i.high for i in got) >= 0.93


@pytest.mark.slow
def test_an_arm_against_itself_is_seldom_different_and_mostly_the_same():
    verdict = Ratio("a", "b", "holds 1 inside 0.95 to 1.05", "> 1 or < 1").verdict
    found = [verdict(i) for i in intervals(1.0, 0.0)]
    assert share(v == NOT_REPRODUCED for v in found) <= 0.05
    assert share(v == REPRODUCED for v in found) >= 0.85
    noisy = [verdict(i) for i in intervals(1.0, 0.2)]
    assert share(v == REPRODUCED for v in noisy) <= 0.05


# ---- Claims --------------------------------------------------------------------------


def arms_of(**throughputs):
    return {
        name.replace("_", " "): arm(rounds(np.array(SLOW) * x)) for name, x in throughputs.items()
    }


@pytest.mark.parametrize(
    ("one", "two", "verdict"),
    [(6, 6, REPRODUCED), (6, 1, NOT_REPRODUCED), (6, 3, INCONCLUSIVE), (1, 3, NOT_REPRODUCED)],
)
def test_of_several_ratios_all_must_be_reproduced(one, two, verdict):
    claim = [CLAIM, replace(CLAIM, over="other")]
    result = a_result(arms=arms_of(fast=one, other=two, slow=1))
    found, reasons, got = decide(result, claim)
    assert (found, len(got)) == (verdict, 2)
    assert bool(reasons) == (verdict == INCONCLUSIVE)
    assert [r["claim"] for r in result.ratios] == [True, True]
    assert rule_of(claim).count("> 5 is reproduced, < 2 is not") == 2
    assert "other / slow" in rule_of(claim)


FAILED = Outcome(
    "reproduced when one fails, not when none does",
    reproduced=lambda arms: arms["one"]["run"].failed > 0,
    not_reproduced=lambda arms: arms["one"]["run"].ok > 0,
)


def outcome(one, subject=("failures",), era="", **more):
    result = a_result(arms={"one": arm(one), "two": arm(rounds(SLOW)), **more})
    return decide(result, FAILED, subject, era)


def test_an_outcome_is_asked_of_the_arms():
    assert outcome([a_run(failed=9)]) == (REPRODUCED, [], [])
    assert outcome([a_run()]) == (NOT_REPRODUCED, [], [])
    verdict, reasons, _ = outcome([a_run([])])
    assert verdict == INCONCLUSIVE
    assert "neither way" in reasons[0]


def test_an_outcome_has_its_gates_too():
    verdict, reasons, _ = outcome([a_run(failed=9)], subject=())
    assert verdict == INCONCLUSIVE
    assert reasons[0].startswith("one, 1 of 1 rounds: 9 of 109 requests failed")
    busy = {"two, then": arm([a_run(busy=0.9)])}
    assert outcome([a_run()], **busy)[0] == NOT_REPRODUCED  # which is not today's
    assert outcome([a_run()], era=THEN, **busy)[0] == INCONCLUSIVE


def test_an_outcome_then_takes_the_old_arms_for_todays():
    old = {"one, then": arm([a_run(failed=9)])}
    assert outcome([a_run()], **old)[0] == NOT_REPRODUCED
    assert outcome([a_run()], era=THEN, **old)[0] == REPRODUCED


# ---- Gates ---------------------------------------------------------------------------


def doubted(**changes):
    """A fast arm of six rounds in which two have these changes, and a slow one."""
    good = rounds(np.array(SLOW) * 6)
    bad = rounds(np.array(SLOW[:2]) * 6, **changes)
    return a_result(arms={"fast": arm([*bad, *good[2:]]), "slow": arm(rounds(SLOW))})


@pytest.mark.parametrize(
    "changes",
    [{"failed": 5}, {"client": {"listen_overflows": 1}}, {"server": SERVER | {"replaced": 1}}],
    ids=BROKEN,
)
def test_what_is_broken_is_named_and_makes_no_ratio(changes):
    result = doubted(**changes)
    weigh(result, "fast", "slow")
    explain(result, Cause("fast", "slow", "> 5", "it is {ratio}", "it is not"))
    assert result.ratios == []
    assert len(result.reasons) == 1
    assert result.cause == [f"fast / slow is in doubt: {result.reasons[0]}"]
    assert decide(result, CLAIM)[0] == INCONCLUSIVE
    assert "×" not in report_result(result)


def test_a_comparison_in_doubt_says_so():
    good, doubtful = doubted(), doubted(busy=0.95)
    for result in (good, doubtful):
        result.claim = ""
        weigh(result, "fast", "slow")
    said, doubted_text = (" ".join(report_result(r).split()) for r in (good, doubtful))
    assert ", faster" in said and "in doubt" not in said
    assert ", faster, but in doubt" in doubted_text
    assert "fast / slow" in doubted_text
    assert "used 95 % of a core" in " ".join(report_result(doubtful).split())


LIMITED = {
    "client": {"busy": 0.95},
    "lag": {"client": {"loop_lag_s": 0.4}},
    "steal": {"environment": ENVIRONMENT | {"steal": 0.1}},
    "queued": {"client": {"queued_s": 5.0}},
    "neighbour": {"client": {"neighbour_busy": 0.6}},
}


@pytest.mark.parametrize("topic", LIMITS)
def test_where_something_else_limits_the_cpu_time_speaks(topic):
    result = doubted(**LIMITED[topic])
    assert decide(result, CLAIM)[0] == INCONCLUSIVE
    explain_limit(result, CLAIM)
    assert result.ratios[-1]["metric"] == "server_cpu_us"
    assert "a request costs fast × 1.00 (1.00 to 1.00 at 96.9 %, 6 rounds)" in result.cause[0]


def test_where_nothing_else_limits_it_does_not():
    result = doubted()
    explain_limit(result, CLAIM)
    assert (result.ratios, result.cause) == ([], [])


def test_a_client_too_slow_is_told_to_be_another():
    result = doubted(busy=0.95, load={"client": "aiohttp"})
    assert "use --client wire" in decide(result, CLAIM)[1][0]


@pytest.mark.parametrize(
    ("duration_s", "spread", "remedy"),
    [(1.0, 0.18, "--duration 5s"), (0.5, 0.16, "--duration 2s"), (2.0, 0.6, "--duration 50s")],
)
def test_the_remedy_of_a_spread_is_a_duration(duration_s, spread, remedy):
    values = np.array([1 - spread, 1 + spread] * 3) * 100
    slow = arm(rounds(values, load={"duration_s": duration_s}))
    result = a_result(arms={"fast": arm(rounds(values * 6)), "slow": slow})
    _, reasons, _ = decide(result, CLAIM)
    assert remedy in reasons[1]
    assert f"spread by {100 * spread:.0f} %" in reasons[1]


@pytest.mark.parametrize(
    ("count", "launches", "remedy"),
    [(6, 1, "use --full, or --rounds 15"), (15, 1, "use --rounds 30"),
     (15, 3, "use --full --rounds 30"), (6, 3, "use --full --rounds 30")],
)  # fmt: skip
def test_the_remedy_of_an_interval_too_wide(count, launches, remedy):
    fast = [300.0 * (1 + n * launches // count / 50) for n in range(count)]
    launched = [n * launches // count for n in range(count)]
    arms = {"fast": arm(rounds(fast), launched), "slow": arm(rounds([100.0] * count), launched)}
    result = a_result(arms=arms, load=LOAD | {"rounds": count, "launches": launches})
    verdict, reasons, got = decide(result, CLAIM)
    assert verdict == INCONCLUSIVE
    assert remedy in reasons[0]
    assert bool(got[0].launches) == (launches > 1)


def test_the_rule_of_an_arm_against_itself():
    def kept(low: float, high: float) -> bool:
        return satisfies(Interval(1, low, high, 0.97, 6), "holds 1 inside 0.95 to 1.05")

    assert kept(0.96, 1.04)
    assert not any((kept(1.01, 1.04), kept(0.96, 0.99), kept(0.9, 1.04), kept(0.96, 1.06)))


# ---- Two results, and two machines ---------------------------------------------------

OTHER = ENVIRONMENT | {"cpu": "Apple M1", "cores": 8}
NEWER = ENVIRONMENT | {"packages": ENVIRONMENT["packages"] | {"fastapi": "0.170.0"}}


def recorded(times: float, **fields):
    result = a_result(claim="One is faster.", arms=arms_of(fast=times, slow=1), **fields)
    result.verdict, result.reasons, _ = decide(result, CLAIM)
    return result


def said(old, new) -> str:
    return " ".join(changes(old, new).split())


def test_results_that_agree_are_not_explained():
    text = said(recorded(6), recorded(6, environment=OTHER))
    assert "the intervals overlap" in text
    assert text.endswith("The verdict is the same.")
    assert "machine cpu: AMD EPYC, now Apple M1; cores: 2, now 8" in text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Nothing that is recorded differs"),
        ({"environment": NEWER}, "Nothing but the versions differs, so it was they."),
        ({"environment": OTHER}, "It was not the versions, which are the same: look at the m"),
        ({"environment": NEWER | {"cores": 8}}, "may have been the versions, but the machine"),
        ({"load": LOAD | {"connections": 9}}, "look at the load."),
        ({"environment": ENVIRONMENT | {"commit": "abc"}}, "look at the scripts."),
    ],
)  # fmt: skip
def test_a_verdict_that_changed_is_laid_to_what_differs(fields, sentence):
    old = recorded(6, load=LOAD | {"rounds": 6, "seed": 1, "launches": 1})
    if "load" in fields:
        fields = {"load": old.load | {"connections": 9}}
    new = recorded(1.5, **fields)
    text = said(old, new)
    assert f"{REPRODUCED} 2026-11-20 {NOT_REPRODUCED}" in text.replace("T10:49:26", "")
    assert "the intervals lie apart" in text
    assert "The verdict changed. " in text
    assert sentence in text


def test_ratios_that_lie_apart_are_told_where_the_verdict_is_the_same():
    assert "The verdict is the same, but ratios lie apart." in said(recorded(6), recorded(7))


def test_versions_inside_an_arm_are_versions():
    old, new = recorded(6), recorded(1.5)
    old.arms["fast"]["versions"] = {"flask": "1.1.2"}
    new.arms["fast"]["versions"] = {"flask": "1.1.4"}
    assert "flask of fast: 1.1.2, now 1.1.4" in said(old, new)
    assert "so it was they" in said(old, new)


def test_answers_that_changed_are_told():
    asked = {"arm": "Flask", "command": "x", "answer": "y"}
    old, new = (a_result(evidence=[asked | {"status": status}]) for status in (500, 200))
    assert "answers Flask: 500, now 200" in said(old, new)


@pytest.mark.parametrize("markdown", [False, True])
def test_changes_keep_to_the_width(markdown):
    old, new = recorded(6), recorded(1.5, environment=NEWER | {"cpu": "x" * 100})
    new.title = "long " * 40
    lines = changes(old, new, markdown).split("\n")
    assert [line for line in lines if len(line) > 79 and not line.startswith("###")] == []


@pytest.mark.slow
def test_cli_compares_two_results_of_one_experiment(tmp_path):
    paths = [tmp_path / name for name in ("old.json", "new.json")]
    pair = recorded(6), recorded(1.5)
    for path, result in zip(paths, pair, strict=True):
        result.save(path)
    assert cli(*paths).stdout == changes(*pair) + "\n"
    replace(pair[1], name="04_other").save(paths[1])
    assert "The verdict changed" not in cli(*paths).stdout


@pytest.mark.slow
@pytest.mark.parametrize("key", ["cpu", "cores", "kernel"])
def test_runs_of_two_machines_are_put_into_no_ratio(key, tmp_path):
    here, there = a_run(), a_run(environment=ENVIRONMENT | {key: "another"})
    with pytest.raises(Unreadable, match=f"different machines .{key}: .*--across-machines"):
        same_machine([here, here, there])
    same_machine([here, a_run(environment=ENVIRONMENT | {key: None, "python": "3.12.0"})])
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path, run in zip(paths, (here, there), strict=True):
        run.save(path)
    done = cli(*paths)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert cli("--across-machines", *paths).returncode == 0


# ---- Texts ---------------------------------------------------------------------------


def test_a_curve_has_a_row_for_each_rate():
    points = [
        {"rate": 50.0, "throughput": 49.9, "p50_s": 0.004, "p99_s": None, "failed": 0},
        {"rate": 120.0, "throughput": 98.0, "p50_s": 0.5, "p99_s": 1.5, "failed": 7},
    ]
    table = curve_table(points)
    assert table.rows[0] == ["rate", "requests/s", "p50 ms", "p99 ms", "failed"]
    assert table.rows[1:] == [
        ["50.0", "49.9", "4.00", "-", "0"],
        ["120", "98.0", "500", "1500", "7"],
    ]
    result = recorded(6)
    result.arms["slow"]["curve"] = points
    assert "slow, in an open loop" in report_result(result)
    for row in table.text():
        assert row in report_result(result)


def test_columns_findings_queues_and_old_versions_are_shown():
    result = recorded(6, findings=["what was seen"])
    for n, each in enumerate(result.arms.values()):
        each |= {"columns": {"seen": f"{n} times"}, "backlog": 128 * (n + 1)}
    result.arms["slow"]["versions"] = {"flask": "1.1.2", "Python": "3.11.7"}
    text = report_result(result)
    assert "- what was seen" in text
    assert "queue    of new connections: 128 fast; 256 slow" in text
    assert "then     flask 1.1.2, Python 3.11.7" in text
    header, fast = (x for x in text.split("\n") if x.endswith(("  seen", "0 times")))
    assert len(header) == len(fast)


def test_columns_of_ones_own_come_before_memory_and_cpu_time():
    result = recorded(6)
    for each in result.arms.values():
        each["columns"] = {"a title that is long": "y" * 25}
    text = report_result(result)
    assert "RSS MB" not in text
    assert "a title that is long" in text
    assert [line for line in text.split("\n") if len(line) > 79] == []


def test_the_table_of_claims_has_all_ratios_of_a_claim(tmp_path):
    claim = [CLAIM, replace(CLAIM, over="other", metric="p99_s")]
    arms = {name: arm([a_run(np.full(2000, s))] * 6) for name, s in
            {"fast": 0.01, "other": 0.02, "slow": 0.1}.items()}  # fmt: skip
    result = a_result(claim="One is faster.", arms=arms)
    result.verdict, _, _ = decide(result, claim)
    explain(result, Cause("fast", "other", "> 5", "it is {ratio}", "not"))
    result.save(tmp_path / "03_x.json")
    row = claims_table(tmp_path).split("\n")[2]
    measured = row.split(" | ")[5]
    assert measured.count("×") == 2
    assert "other / slow p99 × 0.2" in measured


def test_the_table_of_claims_says_what_was_seen(tmp_path):
    seen = {"findings": ["one hung", "two did not"]}, {"arms": {"a": arm(rounds([1.0]))}}
    seen[1]["arms"]["a"]["columns"] = {"all in": "1.2 s", "threads": "3"}
    for name, what in zip(("15", "16"), seen, strict=True):
        result = a_result(claim="It hangs.", verdict=REPRODUCED, **what)
        result.save(tmp_path / f"{name}.json")
    assert "| one hung; two did not |" in claims_table(tmp_path)
    assert "| a: all in 1.2 s, threads 3 |" in claims_table(tmp_path)


def test_launches_are_noted_with_their_rounds():
    launched = [0, 0, 1, 1, 2, 2]
    assert [r["launch"] for r in arm(rounds(SLOW), launched)["rounds"]] == launched


# ---- The evidence --------------------------------------------------------------------


def tried(
    verdict: str = REPRODUCED, low: float = 0.9, high: float = 0.92, reason: str = ""
) -> dict[str, object]:
    """A trial as evidence.py keeps it."""
    ratio = {"estimate": (low + high) / 2, "low": low, "high": high, "metric": "throughput"}
    status, reasons = (3, [reason]) if reason else (0, [])
    verdict = INCONCLUSIVE if reason else verdict
    kept = {"status": status, "verdict": verdict, "reasons": reasons, "ratio": ratio}
    return kept | {"stderr": "", "cause": [], "took_s": 1.0}


@pytest.mark.parametrize(
    ("kind", "usual", "odd", "says"),
    [
        ("10", tried(), tried(NOT_REPRODUCED), "found in 18 of 20"),
        ("10", tried(), tried(low=0.8, high=0.9), "holds the truth in 18 of 20"),
        ("10", tried(), tried(low=1.1, high=1.2), "the wrong way round in 2 of 20"),
        ("10", tried(), tried(reason="the interval decides neither way"), "found in 18 of 20"),
        ("same", tried(NOT_REPRODUCED, 0.99, 1.01), tried(low=0.99, high=1.01), "differ in 2 of"),
        ("500", tried(reason="5 failed (5 status): look at"), tried(), "named in 18 of 20"),
        ("500", tried(reason="5 failed (5 status): look at"), tried(), "a verdict all the same"),
    ],
)
def test_each_bar_of_the_evidence_can_be_missed(kind, usual, odd, says):
    assert list(evidence.missed({kind: [usual] * 20})) == []
    assert any(says in sentence for sentence in evidence.missed({kind: [usual] * 18 + [odd] * 2}))


def test_a_closed_gate_is_no_want_of_power():
    doubted = tried(reason="base, 3 of 6 rounds: close python")
    assert list(evidence.missed({"10": [tried()] * 18 + [doubted] * 2})) == []


def test_the_evidence_is_a_row_for_each_kind():
    failing = tried(reason="5 failed (5 status): look at") | {"ratio": None}
    head, _, *rows = evidence.table({"10": [tried()] * 3, "500": [failing]})
    assert head.startswith("| second server | trials |")
    assert rows == [
        "| slowed by 10 % | 3 | 3 | 0 | 0 | - | 3 of 3 |",
        "| answers 500 to 1 % | 1 | 0 | 0 | 1 | 1 | - |",
    ]
