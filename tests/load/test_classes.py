"""Response times by the class of their status, against answers of known times."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driving import BAD, both, holds, slow
from hypothesis import given
from hypothesis import strategies as st
from servers import OK, Answer, Server, answer, in_turn

from lab.facts.histogram import Histogram
from lab.facts.merging import merge
from lab.facts.records import ErrorKind, Run
from lab.load.load import Load
from lab.load.run import run
from lab.load.tally import Tally
from lab.reports.report import report

MOVED = Answer((answer(b"", "302 Found", Location="/"),), delay_s=0.06)
LATE = Answer((answer(b"no", "503 Service Unavailable"),), delay_s=0.12)


def counts_of(result: Run) -> dict[str, int]:
    return {named.name: named.histogram.count for named in result.classes}


@both
def test_each_class_of_status_has_its_own_times(client: str) -> None:
    with Server(in_turn(Answer((OK,)), MOVED, LATE, BAD)) as server:
        result = run(Load(url=server.url, requests=40, connections=2, client=client))
    holds(result, 40)
    assert counts_of(result) == {"2xx": 10, "3xx": 10, "5xx": 20}
    ok, moved, broken = (named.histogram for named in result.classes)
    assert ok.percentile_s(50, 0) < 0.05 < moved.min_ns / 1e9
    assert broken.percentile_s(50, 0) < 0.1 < 0.12 <= broken.max_ns / 1e9
    ok_and_moved = np.add(ok.counts, moved.counts)
    assert np.array_equal(ok_and_moved, result.histogram.counts)
    assert "Response times by class of status\n\nstatus  answers" in report(result)
    assert Run.from_json(json.loads(json.dumps(result.to_json()))).to_json() == result.to_json()


def test_of_one_class_there_is_nothing_to_add() -> None:
    with Server() as server:
        result = run(Load(url=server.url, requests=20, connections=2))
    assert result.classes == []
    assert [named.name for named in result.find_classes()] == ["2xx"]
    assert "class of status" not in report(result)


def test_a_time_out_is_of_no_class() -> None:
    with Server(in_turn(Answer((OK,)), Answer((), "hang"))) as server:
        result = run(Load(url=server.url, requests=4, connections=1, timeout_s=0.1))
    assert counts_of(result) == {"2xx": 2}


@slow
def test_the_classes_of_several_processes_are_those_of_all() -> None:
    with Server(in_turn(*[Answer((OK,))] * 9, BAD)) as server:
        result = run(Load(url=server.url, requests=1000, connections=4, processes=2))
    holds(result, 1000)
    assert counts_of(result) == {"2xx": 900, "5xx": 100}


outcomes = st.tuples(
    st.sampled_from([200, 204, 302, 404, 503]), st.booleans(), st.integers(1, 10**10)
)


@given(st.lists(st.lists(outcomes, max_size=20), min_size=1, max_size=4))
def test_folds_and_processes_change_nothing(folds: list[list[tuple[int, bool, int]]]) -> None:
    """However the answers come, and whichever of them count as errors."""
    tally = Tally()
    expected: dict[str, Histogram] = {}
    for outcome in folds:
        for status, is_ok, latency_ns in outcome:
            kind = None if is_ok else ErrorKind.STATUS
            tally.times_of(status, kind).append(latency_ns)
            histogram = expected.setdefault(f"{status // 100}xx", Histogram())
            histogram.record(np.array([latency_ns]))
        tally.fold()
    found = {named.name: named.histogram for named in tally.list_classes()}
    if tally.total.failed or len(expected) > 1:
        assert found.keys() == expected.keys()
    else:
        assert not found
    for name, histogram in found.items():
        assert np.array_equal(histogram.counts, expected[name].counts)
        assert (histogram.min_ns, histogram.max_ns) == (
            expected[name].min_ns,
            expected[name].max_ns,
        )


@pytest.mark.parametrize("pick", [in_turn(Answer((OK,))), in_turn(Answer((OK,)), BAD)])
def test_a_run_of_one_class_merges_with_one_of_several(pick: object) -> None:
    runs = []
    for each in (pick, in_turn(BAD)):
        with Server(each) as server:
            runs.append(run(Load(url=server.url, requests=10, connections=1)))
    merged = merge(runs)
    statuses = merged.statuses
    assert counts_of(merged) == {"2xx": statuses["200"], "5xx": statuses["500"]}
