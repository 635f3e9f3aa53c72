"""Runs that are long: what is saved meanwhile, and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest
import servers
from driving import ROOT, slow, wait_until
from servers import Server, delayed

from lab.facts.records import Run
from lab.readers.files import read

PROGRAMS = Path(__file__).parent / "programs"
OURS = {**os.environ, "PYTHONPATH": str(ROOT)}


def program(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(PROGRAMS / name), *arguments]


@slow
@pytest.mark.parametrize("how", [[], ["-q", "300"], ["--processes", "2"]], ids=str)
def test_a_killed_run_leaves_nearly_all_of_its_record(how: list[str], tmp_path: Path) -> None:
    """And its processes end when they find that nobody reads them."""
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["-z", "60s", "-c", "4", "--quiet", "-o", str(path), *how, server.url]
        script = program("often_saved.py", *arguments)
        with subprocess.Popen(script, env=OURS, stderr=subprocess.PIPE, text=True) as process:
            wait_until(path.exists)
            began, before = monotonic(), len(server.requests)
            lasts_s = 3 if "--processes" in how else 1  # several say what they have each second
            while monotonic() < began + lasts_s or len(server.requests) < before + 200:
                assert json.loads(path.read_text())["interrupted"]  # never half of it
                sleep(0.02)
            children = psutil.Process(process.pid).children()
            process.kill()
            arrived = len(server.requests)
            psutil.wait_procs(children, 15)
    assert not any(child.is_running() for child in children)
    record = read(path)
    assert isinstance(record, Run)
    assert record.interrupted
    assert record.requests <= arrived + 4
    assert record.requests >= before + (arrived - before) / 2
    assert record.histograms.latency_s.count == record.ok
    assert sum(record.statuses.values()) == record.requests - record.unfinished


@slow
@pytest.mark.parametrize(
    "asked",
    [
        {"requests": 150_000},
        {"requests": 20_000, "keepalive": False},
        {"requests": 10_000, "client": "aiohttp"},
        {"requests": 15_000, "rate": 5000.0},
    ],
    ids=str,
)
def test_memory_stays_flat(asked: dict[str, Any], tmp_path: Path) -> None:
    """From a quarter of the load on. A list of the times would take 8 bytes a request and more."""
    with servers.nginx(tmp_path) as (url, stop):
        script = program("growth.py", json.dumps(asked | {"url": url}))
        done = subprocess.run(
            script, env=OURS, capture_output=True, text=True, timeout=60, check=True
        )
        arrived = len(stop())
    ok, grown_bytes = json.loads(done.stdout)
    assert ok == asked["requests"] == arrived
    assert grown_bytes < 4e6
