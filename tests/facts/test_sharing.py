"""What several saw of one load, as one run; and which of them is unlike the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import CLIENT, LOAD, make_run

from lab.facts.histogram import Histogram
from lab.facts.records import ErrorKind, Run, Second
from lab.facts.sharing import Part, add_up, describe_nothing
from lab.facts.validity import judge
from lab.reports.report import report

FAST_S, SLOW_S = [0.01] * 990 + [0.02] * 10, [0.01] * 900 + [0.08] * 100


def make_part(latency_s: Sequence[float], number: int = 0, **fields: Any) -> Part:
    halves = latency_s[: len(latency_s) // 2], latency_s[len(latency_s) // 2 :]
    texts = [Histogram.of_seconds(half).encode() for half in halves]
    series = [
        Second(time=time_s, ok=len(half), failed=0, histogram=text)
        for time_s, half, text in zip((1.0, 2.0), halves, texts, strict=True)
    ]
    run = make_run(latency_s, elapsed_s=2.0, **{"series": series, "server": None, **fields})
    return Part(
        name=f"worker {number}",
        share=0.5,
        run=run,
    )


def unite(*parts: Part) -> Run:
    return judge(add_up(parts, replace(LOAD, processes=len(parts))))


def test_the_whole_is_the_sum_of_its_parts() -> None:
    whole = unite(make_part(FAST_S), make_part(SLOW_S, 1, failed=3))
    assert (whole.ok, whole.failed, whole.elapsed_s) == (2000, 3, 2.0)
    one = Histogram.of_seconds([*FAST_S, *SLOW_S])
    assert (whole.histogram.counts == one.counts).all()
    assert whole.errors == {ErrorKind.TIMEOUT: 3}
    assert [shard.ok for shard in whole.shards] == [1000, 1000]
    assert Run.from_json(whole.to_json()).shards == whole.shards


def test_percentiles_of_a_second_are_those_of_all_its_answers() -> None:
    """In the first half all take 10 ms; in the second a tenth of one part's takes 80 ms."""
    first, second = unite(make_part(FAST_S), make_part(SLOW_S, 1)).series
    assert (first.ok, second.ok) == (1000, 1000)
    assert first.p99 == pytest.approx(0.01, rel=0.01)
    assert (second.p50, second.p99) == pytest.approx((0.01, 0.08), rel=0.01)
    assert first.histogram == second.histogram == ""


def test_a_series_whose_times_are_not_known_has_no_percentiles() -> None:
    series = [Second(time=time_s, ok=500, failed=0) for time_s in (1.0, 2.0)]
    part = make_part(FAST_S, series=series)
    assert {second.p99 for second in unite(part, make_part(FAST_S)).series} == {None}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"client": replace(CLIENT, loop_lag_s=0.4)}, "stood still for up to 400 ms"),
        ({"client": replace(CLIENT, cpu_s=0.97)}, "used 97 % of a core"),
        ({"client": replace(CLIENT, start_skew_s=0.2)}, "started 200 ms late"),
    ],
)
def test_a_shard_that_is_unlike_the_others_is_named(fields: dict[str, Any], said: str) -> None:
    whole = unite(make_part(FAST_S), make_part(FAST_S, 1), make_part(FAST_S, 2, **fields))
    assert [said in shard.unlike for shard in whole.shards] == [False, False, True]
    assert whole.validity.verdict == "SUSPECT"
    assert any("worker 2 is unlike the others" in reason for reason in whole.validity.reasons)


def test_a_slow_shard_is_named_with_both_figures() -> None:
    slow = unite(make_part(FAST_S), make_part(SLOW_S, 1)).shards[1]
    assert slow.unlike == "its p99 is 80.0 ms, that of the others 10.0 ms"


def test_a_shard_with_fewer_answers_is_named() -> None:
    behind = unite(make_part(FAST_S), make_part(FAST_S[:300], 1)).shards[1]
    assert behind.unlike == "it had 300 answers, where the others had 1000 for such a share"


def test_shards_that_differ_by_chance_are_alike() -> None:
    whole = unite(make_part(FAST_S), make_part([0.01] * 982 + [0.02] * 18, 1))
    assert [shard.unlike for shard in whole.shards] == ["", ""]


def test_the_report_has_a_row_for_each_share() -> None:
    whole = unite(make_part(FAST_S), make_part(FAST_S, 1))
    whole = replace(whole, shards=[*whole.shards, describe_nothing("worker 2", 0.5, "was lost")])
    rows = report(whole).partition("Shares of the load")[2].splitlines()
    assert [row.split()[0] for row in rows[3:6]] == ["0", "1", "2"]
    assert "(lost)" in rows[5]
