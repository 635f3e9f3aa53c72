"""Signals end a load with what was measured."""

from __future__ import annotations

import gc
import os
import signal
import weakref
from pathlib import Path

import pytest
from driving import both, holds, interrupted
from servers import OK, Answer, Server, delayed, in_turn

from lab.facts.records import Run
from lab.facts.rounds import balanced_orders
from lab.load import measurement
from lab.load.load import Load
from lab.load.measurement import Measurement
from lab.load.rounds import RoundsInterrupted, run_rounds
from lab.load.run import run
from lab.readers.files import read
from lab.reports.report import report


@pytest.mark.slow
@both
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_what_was_measured(
    client: str, number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    silent_after_20 = in_turn(*[Answer((OK,))] * 20, *[Answer((), "hang")] * 1000)
    with Server(silent_after_20) as server:
        arguments = ["-z", "60s", "-c", 5, "--client", client, "-o", path, server.url]
        status, stdout, stderr = interrupted(number, server, 25, *arguments)
    assert (status, stderr) == (130, "")
    record = read(path)
    assert isinstance(record, Run)
    holds(record, 25)
    assert record.interrupted
    assert (record.ok, record.unfinished, len(server.requests)) == (20, 5, 25)
    assert stdout == report(record) + "\n"
    assert "20 ok, 0 failed, 5 unfinished" in stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", ["the record is made", "the loop is closed"])
def test_an_interrupt_after_the_last_answer_is_not_lost(
    at: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would end nothing where one load follows the other."""
    where, name = {
        "the record is made": (Measurement, "record"),
        "the loop is closed": (gc, "enable"),
    }[at]
    does = getattr(where, name)

    def interrupted_at(*arguments: object) -> object:
        os.kill(os.getpid(), number)
        return does(*arguments)

    monkeypatch.setattr(where, name, interrupted_at)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Server() as server:
        load = Load(url=server.url, requests=5)
        record = run(load)
        with pytest.raises(RoundsInterrupted) as ended:
            run_rounds({"a": load, "b": load}, balanced_orders(["a", "b"], 1), 2)
    assert (record.ok, record.interrupted) == (5, True)
    assert ended.value.runs == {"a": [], "b": []}
    assert len(server.requests) == 10
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_before_the_first_request_sends_none(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted_at(load: Load) -> object:
        os.kill(os.getpid(), number)
        return does(load)

    does = measurement.Engine
    monkeypatch.setattr(measurement, "Engine", interrupted_at)
    with Server() as server, pytest.raises(KeyboardInterrupt):
        run(Load(url=server.url, requests=5))
    assert server.requests == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_the_garbage_collector_is_not_lost(number: signal.Signals) -> None:
    """Nothing that a handler raises gets out of there."""
    with Server() as server:
        gc.disable()  # until the run collects
        ring: list[object] = [set[int]()]
        ring.append(ring)
        weakref.finalize(ring[0], os.kill, os.getpid(), number)
        del ring
        with pytest.raises(KeyboardInterrupt):
            run(Load(url=server.url, requests=5))
    assert gc.isenabled()
    assert server.requests == []


def test_an_interrupt_between_rounds_keeps_those_that_are_whole() -> None:
    def watch(name: str, number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    with Server() as server, pytest.raises(RoundsInterrupted) as ended:
        loads = {"a": Load(url=server.url, requests=5)}
        run_rounds(loads, balanced_orders(["a"], 1), 3, watch)
    assert [run.ok for run in ended.value.runs["a"]] == [5]


@pytest.mark.slow
def test_an_interrupt_in_the_warm_up_has_measured_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["-n", 10, "--warmup", "60s", "-o", path, server.url]
        status, _, stderr = interrupted(signal.SIGINT, server, 100, *arguments)
    assert (status, stderr) == (130, "")
    assert not path.exists() or read(path).ok == 0


@pytest.mark.slow
def test_an_interrupt_ends_a_comparison() -> None:
    with Server(delayed(0.01)) as server:
        arguments = ["-z", "5s", f"{server.url}/", f"{server.url}/b"]
        status, _, stderr = interrupted(signal.SIGINT, server, 100, *arguments)
    assert (status, stderr) == (130, "")
