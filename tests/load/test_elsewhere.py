"""What only Linux has, taken away as on macOS: all is measured, and what is not known is so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from servers import Server

from lab.facts.errors import CannotRun
from lab.load import environment, processtable
from lab.load.load import Load
from lab.load.machine import steal_share
from lab.load.run import allow_files, run


@pytest.fixture
def no_proc(monkeypatch):
    def missing(path: Path, *_: object, **__: object) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(processtable, "_HAS_PROC", False)
    monkeypatch.setattr(Path, "read_text", missing)


@pytest.mark.usefixtures("no_proc")
def test_without_proc_the_figures_are_unknown_and_the_machine_has_a_name():
    environment._read_lasting.cache_clear()
    assert processtable.read_queued_s("self") is None
    assert environment.environment_of().cpu
    environment._read_lasting.cache_clear()


@pytest.mark.usefixtures("no_proc")
def test_without_proc_processes_are_read_by_psutil():
    table = processtable.read_processes()
    me = table[os.getpid()]
    assert (me.parent, me.own_s > 0, me.rss_bytes > 0) == (os.getppid(), True, True)


@pytest.mark.usefixtures("no_proc")
def test_a_system_that_knows_no_steal_has_none(monkeypatch):
    class Times(tuple):
        user, system, idle = 1.0, 1.0, 1.0

    monkeypatch.setattr(psutil, "cpu_times", lambda: Times((1.0, 1.0, 1.0)))
    before = processtable.read_cpu_times()
    monkeypatch.setattr(psutil, "cpu_times", lambda: Times((2.0, 1.0, 1.0)))
    assert steal_share(before, processtable.read_cpu_times()) == 0.0


@pytest.mark.parametrize("rate", [None, 200])
def test_load_without_timerfd_comes_as_planned(rate, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with Server() as server:
        made = run(Load(url=server.url, rate=rate, requests=100, connections=5))
        assert (made.ok, made.requests, len(server.requests)) == (100, 100, 100)
    assert rate is None or made.elapsed_s > 99 / 200


def test_a_limit_of_files_that_cannot_be_raised_is_one_line(monkeypatch):
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    limits = SimpleNamespace(RLIMIT_NOFILE=7, getrlimit=lambda _: (1024, 1024), setrlimit=refuse)
    monkeypatch.setitem(allow_files.__globals__, "resource", limits)
    with pytest.raises(CannotRun, match="1000000 connections take 1000100 files: ulimit -n"):
        allow_files(1_000_000)
