"""What only Linux has, taken away as on macOS: all is measured, and what is not known is so."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import psutil
import pytest
from servers import Server
from test_experiments import folder  # noqa: F401 - a fixture

import loadgen
from loadgen import CannotRun, Load, Machine, run

sys.path.append(str(Path(loadgen.__file__).parent / "experiments"))

import harness

# What a script begins with that shall run as if Linux had nothing of its own.
ELSEWHERE = """
import ctypes, os, pathlib, psutil, runpy, socket, sys
del os.sched_getaffinity, os.sched_setaffinity, socket.AF_NETLINK
read_text = pathlib.Path.read_text
def elsewhere(path, *arguments, **options):
    if path.parts[:2] == ("/", "proc"):
        raise FileNotFoundError(path)
    return read_text(path, *arguments, **options)
pathlib.Path.read_text = elsewhere
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path, *_: object, **__: object) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)


@pytest.mark.usefixtures("no_proc")
def test_without_proc_the_figures_are_nothing_and_the_machine_has_a_name() -> None:
    loadgen._machine.cache_clear()
    assert (loadgen.listen_overflows(), loadgen.queued_s()) == (0, 0.0)
    assert loadgen.environment()["cpu"]
    loadgen._machine.cache_clear()


def test_a_system_that_knows_no_steal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    times = namedtuple("times", "user system idle")
    monkeypatch.setattr(psutil, "cpu_times", lambda: times(1.0, 1.0, 1.0))
    before = Machine(None)
    monkeypatch.setattr(psutil, "cpu_times", lambda: times(2.0, 1.0, 1.0))
    assert loadgen.steal(before.times, Machine(None).times) == 0.0


@pytest.mark.parametrize("rate", [None, 200])
def test_load_without_timerfd_comes_as_planned(
    rate: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with Server() as server:
        made = run(Load(url=server.url, rate=rate, requests=100, connections=5))
        assert (made.ok, made.requests, len(server.requests)) == (100, 100, 100)
    assert rate is None or made.elapsed_s > 99 / 200


def test_without_affinity_all_cores_are_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "CORES", [])
    assert harness.cores_for("uvicorn app:app") == (set(), set())
    harness.stay_on({0})


def test_without_netlink_the_backlog_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert harness.backlog(port)
        monkeypatch.delattr(socket, "AF_NETLINK")
        assert harness.backlog(port) is None


def test_a_limit_of_files_that_cannot_be_raised_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(loadgen.resource, "setrlimit", refuse)
    with pytest.raises(CannotRun, match="1000000 connections take 1000100 files: ulimit -n"):
        loadgen.allow_files(1_000_000)


@pytest.mark.slow
def test_an_experiment_runs_to_its_end(folder: Path) -> None:  # noqa: F811
    command = [sys.executable, "-c", ELSEWHERE, str(folder / "99_slow.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 3), done.stderr  # 3 where the machine is busy
    assert "fast / slow  × " in done.stdout
