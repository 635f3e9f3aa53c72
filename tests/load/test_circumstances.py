"""Full disks, closed streams, signals at the wrong moment: one line, and what was measured."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from driving import ROOT, command, holds, interrupted, slow, started, wait_until
from servers import Server, delayed

from lab.facts.records import Run
from lab.readers.files import read

FULL = Path("/dev/full")
pytestmark = slow
on_linux = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


def shell(redirections: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command line with its streams as a shell sets them."""
    line = f"exec {shlex.join(command(*arguments))} {redirections}"
    return subprocess.run(
        ["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@on_linux
def test_a_full_disk_costs_the_record_and_not_the_report() -> None:
    with Server() as server:
        done = shell("", "-n", 20, "-o", FULL, server.url)
    assert done.returncode == 1
    assert "20 ok" in done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert "No space left" in done.stderr


@on_linux
def test_samples_on_a_full_disk_cost_neither_report_nor_record(tmp_path: Path) -> None:
    path, samples = tmp_path / "run.json", tmp_path / "samples.csv"
    samples.symlink_to(FULL)
    with Server() as server:
        done = shell("", "-n", 2000, "--samples", samples, "-o", path, server.url)
    assert done.returncode == 1
    assert "2000 ok" in done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert "No space left" in done.stderr
    holds(read(path), 2000)


@on_linux
def test_output_that_nobody_can_read_does_not_cost_the_record(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server() as server:
        done = shell(f"> {FULL}", "-n", 20, "-o", path, server.url)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    holds(read(path), 20)


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_does_not_cost_the_record(closed: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server() as server:
        done = shell(closed, "-n", 20, "-o", path, server.url)
    assert (done.returncode, done.stderr) == (0, "")
    holds(read(path), 20)


def test_a_hang_up_ends_with_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["-z", "60s", "-c", 5, "-o", path, server.url]
        status, stdout, stderr = interrupted(signal.SIGHUP, server, 100, *arguments)
    assert (status, stderr) == (130, "")
    assert "interrupted after" in stdout
    record = read(path)
    assert isinstance(record, Run)
    assert record.interrupted


def test_what_nohup_protects_from_a_hang_up_goes_on() -> None:
    with Server(delayed(0.01)) as server:
        line = f"trap '' HUP; exec {shlex.join(command('-z', '2s', server.url))}"
        with subprocess.Popen(["sh", "-c", line], cwd=ROOT, stdout=subprocess.PIPE) as process:
            wait_until(lambda: len(server.requests) > 50)
            process.send_signal(signal.SIGHUP)
            process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize("after_s", [0.05, 0.1, 0.2])
def test_an_interrupt_of_the_imports_says_nothing(after_s: float) -> None:
    with started("-z", "60s", "--warmup", "60s", "http://127.0.0.1:9/") as process:
        sleep(after_s)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert "Traceback" not in stderr or "site" in stderr  # before our first line it is Python's
    assert stdout == ""
    assert process.returncode in (130, 1, -signal.SIGINT)


@pytest.mark.parametrize("saved", [True, False])
def test_a_process_that_is_killed_is_named_and_what_there_is_is_kept(
    saved: bool, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["--processes", 2, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > (2500 if saved else 20), 60)
            victim = psutil.Process(process.pid).children()[0]
            victim.kill()
            _, stderr = process.communicate(timeout=20)
    assert process.returncode == 1
    said = stderr.splitlines()[-1]
    assert str(victim.pid) in said and "signal 9" in said
    record = json.loads(path.read_text())
    assert record["validity"]["verdict"] == "INVALID"
    assert not record["interrupted"]
    assert record["requests"] <= len(server.requests)
    assert record["ok"] > (1000 if saved else 5)


def test_a_process_that_stands_still_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.01)) as server:
        arguments = ["--processes", 2, "-z", "60s", "-c", 4, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 20, 60)
            victim = psutil.Process(process.pid).children()[0]
            victim.suspend()
            began_s = monotonic()
            _, stderr = process.communicate(timeout=20)
            took_s = monotonic() - began_s
    assert (process.returncode, took_s < 10) == (1, True)
    assert str(victim.pid) in stderr.splitlines()[-1]
    assert "50 % of the load" in stderr.splitlines()[-1]
    assert json.loads(path.read_text())["validity"]["verdict"] == "INVALID"
    assert not victim.is_running()


def test_shares_end_when_their_leader_stands_still() -> None:
    with Server(delayed(0.01)) as server:
        with started("--processes", 2, "-z", "60s", "-c", 4, server.url) as process:
            wait_until(lambda: len(server.requests) > 20)
            children = psutil.Process(process.pid).children()
            process.send_signal(signal.SIGSTOP)
            _, alive = psutil.wait_procs(children, 10)
            sent = len(server.requests)
            sleep(0.3)
            process.kill()
        assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
        assert len(server.requests) == sent


def test_processes_end_with_the_one_that_started_them() -> None:
    with Server(delayed(0.01)) as server:
        with started("--processes", 2, "-z", "60s", "-c", 4, server.url) as process:
            wait_until(lambda: len(server.requests) > 20)
            children = psutil.Process(process.pid).children()
            os.kill(process.pid, signal.SIGKILL)
            _, alive = psutil.wait_procs(children, 3)
        assert alive == []


def test_a_rate_that_nothing_can_send_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server() as server:
        arguments = ["-q", "100000k", "-z", "60s", "-t", "500ms", "-c", 5, "-o", path, server.url]
        with started(*arguments) as process:
            wait_until(lambda: len(server.requests) > 100)
            sleep(3)
            grown_bytes = psutil.Process(process.pid).memory_info().rss
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=5)
    assert process.returncode == 130
    assert grown_bytes < 300e6
    record = read(path)
    assert isinstance(record, Run)
    holds(record, record.requests)


def test_a_search_whose_server_dies_keeps_what_it_tried(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server() as server:
        asked = ["--find-max", "--slo", "p50<5s", "-q", 100, "-z", "300ms", "-o", path]
        with started(*asked, server.url) as process:
            wait_until(lambda: len(server.requests) > 100)
            server.die()
            _, stderr = process.communicate(timeout=30)
    assert process.returncode in (1, 3)
    record = read(path)
    assert isinstance(record, Run)
    assert record.curve[0].kept
    assert "Traceback" not in stderr


def test_bytes_that_are_no_text_are_looked_for_and_end_in_a_line() -> None:
    """A share of the load is told in JSON, which has no such bytes."""
    with Server() as server:
        found = shell("", "-n", 5, "-o", "-", "--expect", "\udcff", server.url)
        several = shell("", "-n", 5, "--processes", 2, "--expect", "\udcff", server.url)
    assert json.loads(found.stdout)["errors"] == {"body": 5}
    assert (several.returncode, several.stderr.count("\n")) == (2, 1)
    assert "not UTF-8: use one process" in several.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--slo", ","], "not a valid objective"),
        (["--slo", "p99<1"], "no unit"),
        (["--slo", "failed<200%"], "100 %"),
        (["-H", "Content-Length: 99"], "Content-Length"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], says: str) -> None:
    done = shell("", *words, "http://127.0.0.1:9/")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert says in done.stderr
