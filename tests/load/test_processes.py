"""Several processes that share a load, and processes that are accounted for."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
import pytest
import servers
from driving import fails, holds, plan_ns, slow, started, wait_until
from servers import Server, delayed

from lab.facts.records import Run
from lab.load import machine, measurement, processtable
from lab.load.load import Load
from lab.load.run import run
from lab.readers.files import read
from lab.reports.report import report

PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "while True: pass"])
time.sleep(60)
"""


def test_a_process_is_accounted_for_with_its_children() -> None:
    """The child uses the processor and the parent does not."""
    with Server() as server, subprocess.Popen([sys.executable, "-c", PARENT]) as process:
        parent = psutil.Process(process.pid)
        try:
            wait_until(lambda: len(parent.children()) == 1)
            result = run(Load(url=server.url, duration_s=0.3, connections=1, pid=process.pid))
        finally:
            for one in (*parent.children(), parent):
                one.kill()
    assert result.server
    assert result.server.processes == 2
    assert result.server.threads >= 2
    assert result.server.rss_bytes > 2 * 10**6
    assert result.server.cpu_s > 0.02


@slow
@pytest.mark.parametrize(
    "asked",
    [
        {"requests": 1001, "connections": 5},
        {"requests": 101, "connections": 5, "client": "aiohttp"},
        {"duration_s": 0.5, "connections": 3},
        {"requests": 101, "connections": 5, "rate": 200.0},
        {"duration_s": 0.5, "connections": 7, "rate": 202.0, "arrivals": "poisson"},
        {"requests": 50, "connections": 5, "warmup_s": 0.2, "rate": 200.0},
    ],
    ids=str,
)
def test_two_processes_count_what_the_server_counts(asked: dict[str, Any]) -> None:
    with Server(delayed(0.005)) as server:
        load = Load(url=server.url, processes=2, **asked)
        result = run(load)
    warm = 40 if load.warmup_s else 0
    holds(result, len(server.requests) - warm)
    assert result.ok == result.requests
    if load.requests:
        assert result.ok == load.requests
    if load.rate:
        assert result.client.planned == result.client.sent == len(plan_ns(load))
    assert result.connections.opened == server.connections <= load.connections
    assert result.load.processes == 2
    assert result.load.connections == load.connections
    assert (result.latency_s["min"] or 0) >= 0.005


@slow
def test_what_a_killed_process_did_until_a_second_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["--processes", 2, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 20)
            wait_until(lambda: perf_counter() > server.arrived_s[0] + 4)
            killed_s = perf_counter()
            psutil.Process(process.pid).children()[0].kill()
            _, stderr = process.communicate(timeout=20)
    record = read(path)
    assert process.returncode == 1
    assert "ended with signal 9, and 50 % of the load was its" in stderr.splitlines()[-1]
    assert isinstance(record, Run)
    assert record.ok >= sum(time_s < killed_s - 2.5 for time_s in server.arrived_s) > 0
    assert len(record.series) >= 3


def test_a_record_on_the_way_is_made_without_a_look_at_the_whole_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such a look takes some 50 ms, in which nothing would be sent."""
    looks: list[int] = []

    def read_and_count() -> dict[int, processtable.Process]:
        looks.append(1)
        return processtable.read_processes()

    monkeypatch.setattr(machine, "read_processes", read_and_count)
    monkeypatch.setattr(measurement, "CHECKPOINT_S", 0.1)
    seen: list[tuple[int, Run]] = []
    with Server() as server:
        load = Load(url=server.url, duration_s=0.5, connections=1)
        result = run(load, checkpoint=lambda record: seen.append((len(looks), record)))
    assert len({number for number, _ in seen}) == 1
    assert len(looks) > seen[-1][0]
    _, last = seen[-1]
    assert 0 < last.ok <= result.ok
    assert last.environment.commit == result.environment.commit
    assert last.environment.cores == result.environment.cores


@slow
@pytest.mark.parametrize(("at", "warmup"), [("start", []), ("warm-up", ["--warmup", "60s"])])
def test_an_interrupt_of_several_processes_that_have_measured_nothing(
    at: str, warmup: list[str]
) -> None:
    with Server(delayed(0.01)) as server:
        arguments = ["--processes", 2, "-z", "60s", "-c", 4, *warmup, server.url]
        with started(*arguments) as process:
            children = psutil.Process(process.pid).children
            wait_until(lambda: len(children()) == 2)
            wait_until(lambda: at == "start" or len(server.requests) > 100)
            ours = children()
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert not any(child.is_running() for child in ours)


@slow
def test_an_interrupt_ends_all_processes_with_a_report(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["--processes", 2, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 100)
            children = psutil.Process(process.pid).children()
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "")
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
    record = read(path)
    assert isinstance(record, Run)
    holds(record, len(server.requests))
    assert record.interrupted
    assert stdout == report(record) + "\n"


@slow
def test_an_error_of_several_processes_is_one_line() -> None:
    refused = f"http://127.0.0.1:{servers.free_port()}/"
    assert "refused" in fails(1, "--processes", 2, "-n", 10, refused)
