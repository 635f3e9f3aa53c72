"""One load over a Dask cluster: real schedulers and workers, each a process on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import numpy as np
import psutil
import pytest
from clusters import Cluster, cluster
from driving import (
    ROOT,
    URL,
    cli,
    command,
    complains,
    holds,
    percentile_s,
    plan_ns,
    said,
    slow,
    started,
    wait_until,
)
from servers import Server, delayed, free_port

from lab.facts.errors import CannotRun
from lab.facts.objective import parse_objectives
from lab.facts.records import Run, Trust
from lab.facts.results import Result
from lab.load import search
from lab.load.load import Load
from lab.load.run import run
from lab.readers.files import read
from lab.reports.report import report

distributed = pytest.importorskip("distributed")
SECRET = "do-not-tell"


# ---- A load is put on by all together ----------------------------------------------------
@pytest.mark.parametrize(
    "asked",
    [
        {"requests": 1001, "connections": 5},
        {"requests": 101, "connections": 5, "rate": 200.0},
        {"duration_s": 0.5, "connections": 8, "rate": 202.0, "arrivals": "poisson"},
    ],
    ids=str,
)
def test_workers_count_what_the_server_counts(two: Cluster, asked: dict[str, Any]) -> None:
    with Server(delayed(0.005)) as server:
        load = Load(url=server.url, cluster=two.address, **asked)
        result = run(load)
    holds(result, len(server.requests))
    assert result.ok == result.requests
    if load.requests:
        assert result.ok == load.requests
    if load.rate:
        assert result.client.planned == result.client.sent == len(plan_ns(load))
    assert result.connections.opened == server.connections <= load.connections
    assert (result.load.processes, result.load.cluster) == (2, two.address)
    assert (result.latency_s["min"] or 0) >= 0.005
    assert sum(shard.ok for shard in result.shards) == result.ok
    assert sum(shard.share for shard in result.shards) == pytest.approx(1)
    assert all(0 <= (shard.start_skew_s or 0.0) < 0.1 for shard in result.shards)
    assert two.address in report(result)


@slow
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_arrivals_are_those_of_one(two: Cluster, arrivals: str) -> None:
    """Together all follow the plan that one process would follow: half of the requests arrive
    within an eighth of a mean gap of when they were due.
    """
    with Server() as server:
        asked: dict[str, Any] = {"rate": 60.0, "duration_s": 4.0, "arrivals": arrivals}
        load = Load(url=server.url, cluster=two.address, connections=20, **asked)
        run(load)
    due_s = np.array(plan_ns(replace(load, processes=1, cluster=""))) / 1e9
    assert len(server.arrived_s) == len(due_s)
    late_s = np.sort(server.arrived_s) - due_s
    off_s = np.abs(late_s - np.median(late_s))
    assert np.median(off_s) < 1 / load.rate / 8


@slow
def test_percentiles_are_those_of_all_answers(two: Cluster) -> None:
    """One answer in twenty takes 0.3 s, all others 0.1 s."""
    delays_s = [0.1] * 19 + [0.3]
    with Server(delayed(*delays_s)) as server:
        asked: dict[str, Any] = {"url": server.url, "connections": 20, "duration_s": 3.2}
        both = run(Load(**asked, cluster=two.address))
    for percentile, expected_s in ((50, 0.1), (99, 0.3)):
        assert percentile_s(both, "latency_s", percentile) == pytest.approx(expected_s, rel=0.3)
    for second in both.series[:3]:
        assert second.p50 == pytest.approx(0.1, rel=0.3)
        assert second.p99 == pytest.approx(0.3, rel=0.3)


@slow
def test_a_search_uses_the_cluster(two: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_STEPS", 3)
    with Server() as server:
        load = Load(url=server.url, cluster=two.address, connections=4, duration_s=0.3, rate=50.0)
        found = search.find_max(load, parse_objectives("p99<5s"), lambda _: None)
    assert [point.rate for point in found.curve] == [50, 100, 200]
    assert all(point.failed == 0 for point in found.curve)
    assert len(found.shards) == 2


@slow
def test_a_comparison_uses_the_cluster(
    two: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "compared.json"
    with Server(delayed(0.002)) as quick, Server(delayed(0.02)) as slower:
        arguments = ["--cluster", two.address, "--rounds", 4, "-z", "300ms", "-c", 4, "-o", path]
        status, _, _ = said(capsys, *arguments, quick.url, slower.url)
    record = read(path)
    assert (status, isinstance(record, Result)) == (0, True)
    assert isinstance(record, Result)
    assert [arm.run.load.cluster for arm in record.arms.values()] == [two.address] * 2
    assert [len(arm.rounds) for arm in record.arms.values()] == [4, 4]


@slow
def test_a_local_cluster_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.005)) as server:
        arguments = ["--cluster", "local", "--processes", 2, "-n", 101, "-c", 4, "-o", path]
        done = cli(*arguments, server.url)
        assert len(server.requests) == 101
    assert (done.returncode, "101 ok" in done.stdout) == (0, True)
    record = read(path)
    assert isinstance(record, Run)
    assert [shard.requests for shard in record.shards] == [51, 50]


@slow
def test_an_experiment_is_loaded_from_the_cluster(two: Cluster) -> None:
    script = ["experiments/03_blocking_sleep.py", "--quick", "--rounds", "1", "--duration", "100ms"]
    line = [sys.executable, *script, "--cluster", two.address]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 3), done.stderr
    assert f"2 workers of {two.address}" in " ".join(done.stdout.split())


@slow
def test_ctrl_c_at_a_terminal_ends_a_local_cluster_with_a_report() -> None:
    """A terminal sends it to all processes of the command, the workers among them."""
    with Server(delayed(0.01)) as server:
        line = command("--cluster", "local", "--processes", 2, "-z", "60s", "-c", 4, server.url)
        with subprocess.Popen(
            line, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            wait_until(lambda: len(server.requests) > 100, 60)
            os.killpg(process.pid, signal.SIGINT)
            stdout, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted after" in stdout
    assert f"{len(server.requests)}: " in stdout


@slow
def test_a_stopped_worker_of_a_local_cluster_ends_the_run() -> None:
    with Server(delayed(0.01)) as server:
        arguments = ["--cluster", "local", "--processes", 2, "-z", "60s", "-c", 4, "--quiet"]
        with started(*arguments, server.url) as process:
            wait_until(lambda: len(server.requests) > 600, 60)
            family = psutil.Process(process.pid).children(recursive=True)
            share = next(one for one in family if "lab.load.share" in " ".join(one.cmdline()))
            worker = share.parent()
            assert worker
            worker.suspend()
            began_s = monotonic()
            _, stderr = process.communicate(timeout=20)
            assert monotonic() - began_s < 10
        _, alive = psutil.wait_procs(family, 3)
    assert (process.returncode, alive) == (1, [])
    assert "50 % of the load" in stderr.splitlines()[-1]


# ---- What goes wrong ---------------------------------------------------------------------
@slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_lost_ends_the_run(
    two: Cluster, number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["--cluster", two.address, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 50, 60)
            victim, began_s = two.workers[0], monotonic()
            victim.send_signal(number)
            _, stderr = process.communicate(timeout=20)
            took_s = monotonic() - began_s
        sent = len(server.requests)
        wait_until(lambda: monotonic() > began_s + took_s + 0.5)
        assert len(server.requests) == sent
    two.replace(victim)
    assert process.returncode == 1
    assert took_s < 10
    last = stderr.splitlines()[-1]
    assert "worker tcp://127.0.0.1:" in last and "50 % of the load" in last
    record = read(path)
    assert isinstance(record, Run)
    assert record.validity.verdict is Trust.INVALID
    assert record.requests <= sent
    assert record.ok > 20
    assert [shard.lost != "" for shard in record.shards].count(True) == 1


@slow
def test_an_interrupt_ends_all_workers_with_a_report(two: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["--cluster", two.address, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 50, 60)
            process.send_signal(signal.SIGINT)
            began_s = monotonic()
            stdout, stderr = process.communicate(timeout=20)
            assert monotonic() - began_s < 5
    assert process.returncode == 130
    assert "Traceback" not in stderr
    record = read(path)
    assert isinstance(record, Run)
    holds(record, len(server.requests))
    assert record.interrupted
    assert stdout == report(record) + "\n"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"http://127.0.0.1:{free_port()}/", "refused"),
        ("http://nowhere.invalid/", "no address for nowhere.invalid"),
    ],
)
def test_what_no_worker_can_load_is_one_line(two: Cluster, url: str, why: str) -> None:
    with pytest.raises(CannotRun, match=rf"worker tcp://127.0.0.1:\d+: .*{why}"):
        run(Load(url=url, requests=10, cluster=two.address))


@slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
def test_a_worker_that_may_not_open_so_many_files_is_named(two: Cluster) -> None:
    worker = two.workers[0]
    psutil.Process(worker.pid).rlimit(psutil.RLIMIT_NOFILE, (200, 200))
    try:
        with Server() as server, pytest.raises(CannotRun, match=r"worker tcp.*ulimit -n 350"):
            run(Load(url=server.url, requests=1000, connections=500, cluster=two.address))
        assert server.requests == []
    finally:
        two.replace(worker)


@slow
def test_a_share_that_is_killed_is_named_by_its_worker(two: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["--cluster", two.address, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 50, 60)
            (share,) = psutil.Process(two.workers[0].pid).children()
            share.kill()
            _, stderr = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "ended with signal 9, and 50 % of the load was its" in stderr.splitlines()[-1]
    assert json.loads(path.read_text())["validity"]["verdict"] == "INVALID"


@slow
def test_a_scheduler_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with cluster(tmp_path) as there, Server(delayed(0.01)) as server:
        arguments = ["--cluster", there.address, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 20, 60)
            wait_until(lambda: perf_counter() > server.arrived_s[0] + 4)
            began_s, killed_s = monotonic(), perf_counter()
            there.scheduler.kill()
            _, stderr = process.communicate(timeout=20)
            assert monotonic() - began_s < 10
        wait_until(lambda: monotonic() > began_s + 7)  # a share has gone on for 5 s at most
        sent = len(server.requests)
        wait_until(lambda: monotonic() > began_s + 7.5)
        assert len(server.requests) == sent
    assert process.returncode == 1
    assert "the scheduler is gone" in stderr.splitlines()[-1]
    record = json.loads(path.read_text())
    assert record["validity"]["verdict"] == "INVALID"
    # what all did until about a second before is there
    assert record["ok"] >= sum(time_s < killed_s - 2.5 for time_s in server.arrived_s) > 0


# ---- What is refused ---------------------------------------------------------------------
def test_an_address_that_is_refused_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = complains(capsys, 1, "--cluster", "tcp://192.0.2.1:8786", "-n", 1, URL)
    assert "use tls://" in line


@slow
def test_a_scheduler_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    line = complains(capsys, 1, "--cluster", address, "-n", 1, "--quiet", URL)
    assert address in line and "start one" in line


def test_a_scheduler_that_would_run_a_task_twice_is_refused(two: Cluster) -> None:
    def set_failures(number: int) -> None:
        import dask

        dask.config.set({"distributed.scheduler.allowed-failures": number})

    with distributed.Client(two.address, set_as_default=False) as client:
        client.run_on_scheduler(set_failures, 3)
        try:
            with pytest.raises(CannotRun, match="allowed-failures is 3"):
                run(Load(url=URL, requests=10, cluster=two.address))
        finally:
            client.run_on_scheduler(set_failures, 0)


def test_no_secret_is_told(two: Cluster) -> None:
    headers = (("Authorization", f"Bearer {SECRET}"),)
    seen: set[str] = set()
    with Server(delayed(0.01)) as server:
        load = Load(
            url=server.url,
            cluster=two.address,
            headers=headers,
            body=SECRET.encode(),
            method="POST",
            requests=40,
            connections=2,
        )
        result = run(load, lambda *_: seen.update(command_lines()))
    assert any(SECRET.encode() in request for request in server.requests)
    assert any("lab.load.share" in line for line in seen)
    assert SECRET not in "".join(seen) + two.logged_by_all() + str(result.to_json())


def command_lines() -> list[str]:
    return [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
