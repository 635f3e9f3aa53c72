"""What a script prints: the answer in the first lines, then expected beside measured."""

from dataclasses import replace

import pytest
from builders import (
    SLOW,
    exponential_s,
    find_too_wide,
    make_arm,
    make_arms,
    make_behaviour,
    make_comparison,
    make_inconclusive,
    make_ratio,
    make_reproduced,
    make_result,
    make_run,
    make_runs,
)

from lab.facts.records import Memory, Point
from lab.facts.results import MeasuredRatio, Metric, Result
from lab.reports.result import report_result

CLAIM = "One is faster."


def make_claimed(factor: float = 2.0, **ratio) -> Result:
    """A result of one claim, about an arm that is so many times as fast as another."""
    arms = make_arms(fast=factor, slow=1)
    measured = make_ratio(arms, "fast", "slow", claim=True, **ratio)
    return make_result(claim=CLAIM, arms=arms, ratios=[measured], verdict="REPRODUCED")


def head_of(result: Result) -> str:
    """The lines up to the first empty one, as one."""
    return " ".join(report_result(result).partition("\n\n")[0].split())


def squeeze(text: str) -> str:
    return " ".join(text.split())


# ---- The first lines -------------------------------------------------------------------
def test_title_word_ratio_and_why_come_first():
    lines = report_result(make_reproduced()).split("\n")
    assert lines[0] == "03  time.sleep() in an async endpoint holds up every other request"
    assert lines[1].startswith("    REPRODUCED   asyncio.sleep is 19.5× faster than time.sleep")
    assert "(95 % CI 18.6–20.5)" in " ".join(lines[1:3])
    assert lines[3].startswith("    why          a thread pool")


def test_the_figure_of_the_source_stands_beside_the_measured_one():
    head = head_of(replace(make_claimed(claimed=48.0), verdict="EXAGGERATED"))
    assert "EXAGGERATED fast against slow: claimed 48×, measured 2.00× (95 % CI 2.00–2.00)" in head


def test_a_word_of_the_source_is_a_range():
    assert "claimed 1.05–1.5×, measured 2.00×" in head_of(make_claimed(claimed=(1.05, 1.5)))


def test_a_ratio_below_1_is_said_the_other_way_round():
    head = head_of(make_claimed(0.625))
    assert "fast is 1.60× slower than slow (95 % CI 1.60–1.60)" in head


def test_another_metric_is_named():
    arms = make_arms(fast=2, slow=1)
    arms["slow"] = make_arm([make_run(exponential_s(2000, 0.1))] * 6)
    arms["fast"] = make_arm([make_run(exponential_s(2000, 0.05))] * 6)
    ratio = make_ratio(arms, "slow", "fast", Metric.P99, claim=True, claimed=3.0)
    result = make_result(claim=CLAIM, arms=arms, ratios=[ratio], verdict="EXAGGERATED")
    assert "slow against fast, p99: claimed 3×, measured 2.00×" in head_of(result)


def test_all_ratios_of_a_claim_are_told():
    arms = make_arms(fast=2, other=3, slow=1)
    ratios = [make_ratio(arms, name, "slow", claim=True) for name in ("fast", "other")]
    head = head_of(make_result(claim=CLAIM, arms=arms, ratios=ratios, verdict="REPRODUCED"))
    assert "fast is 2.00× faster than slow" in head
    assert "other is 3.00× faster than slow" in head


def test_another_reason_stands_in_the_line_of_the_word():
    head = head_of(replace(make_claimed(), another_reason=True, why="it is the queue"))
    assert "REPRODUCED, for another reason fast is 2.00× faster" in head
    assert "why it is the queue" in head


def test_what_noise_can_have_done_stands_beside_the_interval():
    assert "(95 % CI 2.00–2.00, ± 4 % for noise)" in head_of(make_claimed(margin=0.04))
    assert "noise" not in head_of(make_claimed(margin=0.001))


def test_cpu_time_has_its_own_line_where_something_else_limited():
    result = make_claimed()
    cost = make_ratio(result.arms, "slow", "fast", Metric.SERVER_CPU, word="EXAGGERATED")
    told = replace(result, ratios=[*result.ratios, cost], by_cpu="EXAGGERATED")
    assert "by CPU time EXAGGERATED: slow needs" in head_of(told)


def test_why_there_is_no_verdict_is_told_instead_of_causes():
    head = head_of(make_inconclusive())
    assert "INCONCLUSIVE nothing could be compared why two, 6 of 6 rounds: the load" in head
    assert "2 of 102 requests failed" in head


def test_a_quick_run_says_that_it_is_one():
    assert "leave out --quick" in head_of(replace(make_claimed(), mode="quick"))
    assert "--quick" not in head_of(make_claimed())


def test_what_old_versions_did_is_told_with_their_ratio():
    result = make_claimed()
    arms = {**result.arms, **{f"{name}, then": arm for name, arm in result.arms.items()}}
    then = make_ratio(arms, "fast, then", "slow, then")
    said = replace(result, arms=arms, ratios=[*result.ratios, then], then="EXAGGERATED 2.00×")
    where = "with the versions the claim was made about"
    assert f"then EXAGGERATED {where}: 2.00× (95 % CI 2.00–2.00)" in head_of(said)


# ---- Where the winner loses ------------------------------------------------------------
def make_tail(p99_factor: float) -> Result:
    """A fast arm whose p99 is so many times that of the slow one."""
    slow_s = [*[0.1] * 1970, *[0.2] * 30]
    fast_s = [*[0.1] * 1970, *[0.2 * p99_factor] * 30]
    arms = {
        "fast": make_arm([make_run(fast_s, elapsed_s=10 / rate) for rate in SLOW]),
        "slow": make_arm([make_run(slow_s, elapsed_s=20 / rate) for rate in SLOW]),
    }
    ratio = make_ratio(arms, "fast", "slow", claim=True)
    return make_result(claim=CLAIM, arms=arms, ratios=[ratio], verdict="REPRODUCED")


def test_a_winner_with_the_longer_p99_is_told():
    head = head_of(make_tail(5))
    assert "but the p99 of fast is 5.00× as long as that of slow: 1.00 s against 200 ms" in head


@pytest.mark.parametrize("p99_factor", [0.5, 1.0, 1.04])
def test_a_winner_with_no_longer_p99_has_no_such_line(p99_factor):
    assert "p99 of" not in head_of(make_tail(p99_factor))


# ---- Claims about behaviour ------------------------------------------------------------
def test_answers_are_told_by_their_status():
    head = head_of(make_behaviour())
    assert "NOT REPRODUCED 200 from Flask; 500 from Flask without asgiref" in head


def test_what_was_expected_of_a_request_stands_beside_its_answer():
    behaviour = make_behaviour()
    evidence = [replace(asked, expected="500, a TypeError") for asked in behaviour.evidence]
    text = report_result(replace(behaviour, evidence=evidence))
    assert "asked" in text and "expected" in text
    assert "500, a TypeError" in text


def test_a_long_answer_is_cut():
    behaviour = make_behaviour()
    evidence = [replace(asked, answer="x " * 500) for asked in behaviour.evidence]
    text = report_result(replace(behaviour, evidence=evidence))
    assert text.count("x") < 2 * 160
    assert "…" in text


def test_findings_stand_for_a_claim_without_ratio_or_answers():
    result = make_result(claim=CLAIM, findings=["one hung", "two did not"], verdict="REPRODUCED")
    assert "REPRODUCED one hung two did not" in head_of(result)


def test_columns_stand_where_there_are_no_findings():
    arms = {"a": make_arm(make_runs(SLOW), columns={"threads": "3"})}
    result = make_result(claim=CLAIM, arms=arms, verdict="NOT REPRODUCED")
    assert "NOT REPRODUCED threads: a 3" in head_of(result)


# ---- Without a claim -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.9, 2.1, "faster"),
        (0.4, 0.6, "slower"),
        (0.97, 1.03, "no difference"),
        (0.8, 1.2, "not enough data"),
    ],
)
def test_two_urls_are_compared_in_a_word(low, high, word):
    result = make_comparison()
    ratio = replace(result.ratios[0], low=low, estimate=(low + high) / 2, high=high)
    lines = report_result(replace(result, ratios=[ratio])).split("\n")
    assert lines[0] == "2 URLs, each against the first"
    assert lines[1].startswith(f"    {word}   http://127.0.0.1:8000/b is ")


def test_noise_can_leave_too_little_to_say_faster():
    result = make_comparison()
    ratio = replace(result.ratios[0], low=1.02, estimate=1.04, high=1.06, margin=0.1)
    head = head_of(replace(result, ratios=[ratio]))
    assert "not enough data http://127.0.0.1:8000/b is 1.04× faster" in head
    assert "± 10 % for noise" in head


def test_the_cpu_time_of_two_urls_stands_below_their_requests():
    result = make_comparison()
    cost = replace(result.ratios[0], metric=Metric.SERVER_CPU)
    head = head_of(replace(result, ratios=[*result.ratios, cost]))
    assert "b needs 2.00× as much CPU time as http://127.0.0.1:8000/a" in head
    assert head.count("faster") == 2  # the word and its sentence


def test_a_comparison_in_doubt_says_so_and_why():
    head = head_of(replace(make_comparison(), reasons=["b used 95 % of a core"]))
    assert "faster, but in doubt http://127.0.0.1:8000/b is 2.00× faster" in head
    assert "why b used 95 % of a core" in head


def test_too_few_rounds_are_told_with_a_remedy():
    arms = {name: make_arm(make_runs(SLOW[:3])) for name in ("a", "b")}
    head = head_of(replace(make_comparison(), arms=arms, ratios=[]))
    assert "not enough data use --rounds 7 or more" in head
    started = {name: replace(arm, command="uvicorn app:app") for name, arm in arms.items()}
    head = head_of(replace(make_comparison(), arms=started, ratios=[]))
    assert "not enough data an interval takes three launches: use a longer --budget" in head
    few = "b has too few answers in a round for its p99: make rounds longer (-z)"
    head = head_of(replace(make_comparison(), arms=arms, ratios=[], reasons=[few]))
    assert f"why {few}" in head
    assert "--rounds" not in head


# ---- The table of arms -----------------------------------------------------------------
def test_what_was_expected_stands_beside_what_was_measured():
    result = make_reproduced()
    lines = {"time.sleep": "1 / 0.1 s = 10 requests/s", "asyncio.sleep": "20 / 0.1 s = 200/s"}
    arms = {name: replace(a, expected=lines.get(name, "")) for name, a in result.arms.items()}
    text = squeeze(report_result(replace(result, arms=arms)))
    assert "arm expected requests/s" in text
    assert "time.sleep 1 / 0.1 s = 10/s 10.1" in text
    assert "asyncio.sleep 20 / 0.1 s = 200/s 196" in text


def test_failures_have_a_column_where_there_are_any():
    failing = make_arm(make_runs(SLOW, failed=2))
    text = report_result(replace(make_claimed(), arms={**make_claimed().arms, "bad": failing}))
    assert "failed" in text.split("CPU µs")[0]
    assert "No request failed" not in text
    assert "No request failed." in report_result(make_claimed())


def test_names_of_arms_are_never_cut():
    long = "uvicorn without threads, with a very long name, then"
    result = make_claimed()
    arms = {**result.arms, long: result.arms["slow"]}
    text = report_result(replace(result, arms=arms))
    assert find_too_wide(text) == []
    assert all(word in text for word in long.split())


def test_columns_of_the_script_take_the_room_of_memory_and_cpu_time():
    result = make_claimed()
    columns = {"a title that is long": "y" * 40}
    arms = {name: replace(a, columns=columns) for name, a in result.arms.items()}
    text = report_result(replace(result, arms=arms))
    assert " MB" not in text
    assert "a title that is long" in text
    assert find_too_wide(text) == []
    assert "| MB |" in report_result(replace(result, arms=arms), markdown=True)


def test_several_workers_are_told_with_dots_between_names():
    result = make_claimed()
    arms = {name: replace(a, workers=2) for name, a in result.arms.items()}
    assert "as the load generator: fast · slow." in squeeze(
        report_result(replace(result, arms=arms))
    )


# ---- What else was found ---------------------------------------------------------------
def test_other_causes_and_findings_are_listed_once():
    result = replace(make_claimed(), cause=["the first", "the second"], findings=["seen"])
    text = report_result(result)
    assert [text.count(said) for said in ("the first", "the second", "seen")] == [1, 1, 1]
    assert "- the second" in text and "- seen" in text


def test_control_arms_have_their_ratios():
    assert "control arms\n    - def + time.sleep is 19.4× faster than time.sleep" in report_result(
        make_reproduced()
    )


def test_open_loops_have_a_table():
    points = [
        Point(rate=50.0, throughput=49.9, p50_s=0.004, p99_s=None, failed=0, requests=50),
        Point(rate=120.0, throughput=98.0, p50_s=0.5, p99_s=1.5, failed=7, requests=120),
    ]
    result = make_claimed()
    arms = {**result.arms, "slow": replace(result.arms["slow"], curve=points)}
    text = report_result(replace(result, arms=arms))
    assert "slow, in an open loop" in text
    assert squeeze(text.partition("in an open loop")[2]).startswith(
        "rate requests/s p50 ms p99 ms failed 50.0 49.9 4.00 - 0 120 98.0 500 1500 7"
    )


# ---- How it was made -------------------------------------------------------------------
OLD = "uv run --isolated --no-project --python 3.11 --with flask==1.1.2 --with 'jinja2<3.1' flask"


def test_commands_stand_once_and_with_one_port():
    result = make_claimed()
    commands = {"fast": "uvicorn a:app --port 40213", "slow": "uvicorn a:app --port 40777"}
    arms = {name: replace(a, command=commands[name]) for name, a in result.arms.items()}
    text = report_result(replace(result, arms=arms))
    assert text.count("$ uvicorn a:app --port 8000") == 1


def test_commands_of_old_versions_are_a_line_of_their_pins():
    result = make_claimed()
    arms = {**result.arms, "slow, then": replace(result.arms["slow"], command=OLD)}
    text = report_result(replace(result, arms=arms))
    assert "then      old versions by uv run: Python 3.11, flask==1.1.2, jinja2<3.1" in text
    assert "$ uv run" not in text


def test_queues_that_differ_are_told():
    result = make_claimed()
    arms = {"fast": replace(result.arms["fast"], backlog=128), "slow": result.arms["slow"]}
    assert "queue" not in report_result(replace(result, arms=arms))
    arms["slow"] = replace(result.arms["slow"], backlog=2048, idle=Memory(threads=1))
    text = report_result(replace(result, arms=arms))
    assert "room for new connections: 128 for fast; 2048 for slow" in squeeze(text)


def test_launches_rounds_and_services_are_told():
    load = replace(make_claimed().load, rounds=15, launches=3, seed=7)
    result = replace(make_claimed(), load=load, repeated=2, services={"postgres": "postgres -D x"})
    text = squeeze(report_result(result))
    assert "rounds 15 in 3 launches of each server, order from seed 7; 2 disturbed rounds" in text
    assert "beside postgres: postgres -D x" in text
    text = squeeze(report_result(replace(result, shortened=0.25, over_s=42.0)))
    assert "shortened to 25 % of their length at last; it took 42.0 s more than" in text


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize("length", [30, 100])
def test_long_urls_keep_to_the_width(length, markdown):
    urls = ["http://127.0.0.1:8000/" + "x" * length + end for end in "ab"]
    arms = {url: make_arm(make_runs(SLOW)) for url in urls}
    ratio = MeasuredRatio(over=urls[0], under=urls[1], estimate=1.0, low=0.9, high=1.1)
    result = replace(make_comparison(), arms=arms, ratios=[ratio], title=urls[0] * 2)
    lines = report_result(result, markdown).split("\n")
    assert [line for line in lines if len(line) > 79 and line[0] not in "|#"] == []
