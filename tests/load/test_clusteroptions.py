"""What works in one process works on the workers of a cluster."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster
from driving import BAD, holds, said, slow
from servers import OK, Answer, Server, delayed, in_turn

from lab.facts.form import write
from lab.facts.records import Run
from lab.load import team
from lab.load.load import Load
from lab.load.run import run
from lab.readers.files import read


@slow
def test_targets_are_asked_for_by_their_weights(
    two: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exactly, over whole decks, of which each worker has its own."""
    targets, path = tmp_path / "targets", tmp_path / "run.json"
    with Server(lambda *_: Answer((OK,))) as server:
        targets.write_text(f"3 GET {server.url}/a\n1 POST {server.url}/b\n")
        arguments = ["--cluster", two.address, "--targets", targets, "-c", 4, "-n", 80]
        status, _, _ = said(capsys, *arguments, "--quiet", "-o", path)
    record = read(path)
    assert isinstance(record, Run)
    assert status == 0
    holds(record, 80)
    asked = Counter(request.split()[0] for request in server.requests)
    assert asked == {b"GET": 60, b"POST": 20}
    assert [target.ok for target in record.targets] == [60, 20]


@slow
@pytest.mark.parametrize(("slo", "expected"), [("p99<30s", 0), ("p99<1ms", 3)])
def test_an_objective_is_that_of_all(
    two: Cluster, slo: str, expected: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.005)) as server:
        arguments = ["--cluster", two.address, "-c", 4, "-n", 1000, "--slo", slo, "--quiet"]
        status, _, _ = said(capsys, *arguments, "-o", path, server.url)
    record = read(path)
    assert isinstance(record, Run)
    assert record.slo
    assert (status, bool(record.slo.broken)) == (expected, expected == 3)


@slow
def test_what_one_worker_sees_ends_the_load_of_all(two: Cluster) -> None:
    with Server(in_turn(*[Answer((OK,), delay_s=0.005)] * 9, BAD)) as server:
        asked: dict[str, Any] = {"connections": 6, "duration_s": 30.0, "abort": "failed>2%"}
        result = run(Load(url=server.url, cluster=two.address, **asked))
    holds(result, len(server.requests))
    assert result.aborted
    assert not result.interrupted
    assert result.elapsed_s < 10


@slow
def test_a_ramp_is_that_of_one(two: Cluster) -> None:
    with Server() as server:
        asked: dict[str, Any] = {"ramp": (0.0, 100.0), "duration_s": 2.0, "connections": 20}
        result = run(Load(url=server.url, cluster=two.address, **asked))
    holds(result, len(server.requests))
    assert result.client.planned == result.ok == 100
    assert [second.ok for second in result.series[:2]] == pytest.approx([25, 75], abs=8)
    assert [second.rate for second in result.series[:2]] == pytest.approx([25, 75], rel=0.1)


@slow
def test_a_record_on_the_way_is_whole(
    two: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    monkeypatch.setattr(team, "CHECKPOINT_S", 0.5)
    saved: list[Run] = []

    def save(record: Run) -> None:
        write(record, path)
        found = read(path)
        assert isinstance(found, Run)
        saved.append(found)

    with Server(delayed(0.005)) as server:
        load = Load(url=server.url, cluster=two.address, connections=4, duration_s=2.5)
        result = run(load, checkpoint=save)
    assert len(saved) >= 2
    for record in saved:
        assert record.interrupted
        assert 0 < record.ok < result.ok
        assert sum(second.ok for second in record.series) == record.ok
        assert sum(shard.ok for shard in record.shards) == record.ok
        assert record.environment.cores
