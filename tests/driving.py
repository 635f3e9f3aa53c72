"""How tests drive a load: in this process, or as the command line that a user would type."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from servers import Answer, Server, answer

import loadgen
from lab.facts.records import Run
from lab.load.load import Load
from lab.load.pacing import plan_due_ns

ROOT = Path(__file__).resolve().parents[1]
URL = "http://127.0.0.1:9/"
BAD = Answer((answer(b"no", "500 Internal Server Error"),))
WITHOUT_STATUS = {
    "dns", "refused", "connect timeout", "tls", "timeout", "reset", "incomplete", "protocol",
}  # fmt: skip

slow = pytest.mark.slow
both = pytest.mark.parametrize("client", ["wire", "aiohttp"])


def known(*values: Any, reason: str) -> Any:
    """Parameters of a case that is known to go wrong, to be unmarked when it is right."""
    return pytest.param(*values, marks=pytest.mark.xfail(strict=True, reason=reason))


def holds(result: Run, requests: int) -> None:
    """What is true of every run: each request is in exactly one place."""
    data = result.to_json()
    assert data["requests"] == requests
    assert data["requests"] == data["ok"] + data["failed"] + data["unfinished"]
    assert sum(result.errors.values()) == result.failed
    without = sum(n for kind, n in result.errors.items() if kind in WITHOUT_STATUS)
    assert sum(result.statuses.values()) + without == requests - result.unfinished
    assert result.histograms.failed_s.count == result.failed
    for key in ("latency_s", "service_s", "send_lag_s"):
        assert getattr(result.histograms, key).count == result.ok
    assert sum(second.ok for second in result.series) == result.ok
    assert sum(second.failed for second in result.series) == result.failed
    assert data["throughput"] == result.ok / result.elapsed_s


def percentile_s(result: Run, key: str, percentile: float) -> float:
    value_s = getattr(result.histograms, key).percentile_s(percentile, beyond=0)
    assert value_s is not None
    return float(value_s)


def plan_ns(load: Load) -> list[int]:
    return list(plan_due_ns(load, load.requests or math.inf, load.duration_s or math.inf))


# ---- In this process -------------------------------------------------------------------
def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """What a command line ends with: its status and both outputs."""
    try:
        status = loadgen.main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = int(end.code or 0)
    return status, *capsys.readouterr()


def complains(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    """The one line on standard error of a command line that fails."""
    found, stdout, stderr = said(capsys, *arguments)
    assert (found, stdout) == (status, "")
    assert len(stderr.splitlines()) == 1
    return stderr


# ---- In one of its own -----------------------------------------------------------------
def command(*arguments: object) -> list[str]:
    return [sys.executable, "loadgen.py", *map(str, arguments)]


def cli(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def fails(status: int, *arguments: object) -> str:
    """The one line on standard error of a command line that fails."""
    done = cli(*arguments)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert done.returncode == status
    return done.stderr


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command line under way, which is killed if it does not end."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command(*arguments), cwd=ROOT, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(true: Callable[[], bool], at_most_s: float = 20) -> None:
    until = monotonic() + at_most_s
    while not true():
        assert monotonic() < until
        sleep(0.01)


def interrupted(
    number: signal.Signals, server: Server, arrived: int, *arguments: object
) -> tuple[int, str, str]:
    """A command line that gets a signal once `arrived` requests have: status, both outputs."""
    with started(*arguments) as process:
        wait_until(lambda: len(server.requests) >= arrived)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
    return process.returncode, stdout, stderr
