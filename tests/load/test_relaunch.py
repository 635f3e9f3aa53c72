"""Servers that a comparison starts itself: launches count, and nothing is left of them."""

from __future__ import annotations

import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from driving import cli, complains, fails, started, wait_until

from lab.facts.results import Metric, Result
from lab.readers.files import read

PROGRAMS = Path(__file__).parents[1] / "trials" / "programs"


class Pair:
    """Two ports, their URLs and the commands of two servers on them."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("", 0)) as b:
            self.ports = [a.getsockname()[1], b.getsockname()[1]]
        self.urls = [f"http://127.0.0.1:{port}/" for port in self.ports]

    def command(self, number: int, options: str = "") -> str:
        program = shlex.quote(str(PROGRAMS / "told.py"))
        return f"{sys.executable} {program} {self.ports[number]} {options}"

    def asked(self, a: str = "", b: str = "") -> list[object]:
        commands = ["--cmd-a", a or self.command(0), "--cmd-b", b or self.command(1)]
        return ["-c", 2, *commands, *self.urls]

    def fails(self, *options: object, a: str = "", b: str = "") -> str:
        """The one line on standard error, where nothing is said of the progress."""
        return fails(1, "--quiet", *options, *self.asked(a, b))

    def processes(self) -> list[psutil.Process]:
        """Those that name one of the ports, but for loadgen.py itself."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            is_here = any(str(port) in line for port in self.ports) and "loadgen.py" not in line
            if is_here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Afterwards nothing of it is left."""
    pair = Pair()
    yield pair
    wait_until(lambda: not pair.processes(), 5)


# ---- What is measured ------------------------------------------------------------------
@pytest.mark.slow
def test_launches_count_and_servers_are_started_anew(pair: Pair, tmp_path: Path) -> None:
    path, log = tmp_path / "result.json", tmp_path / "starts"
    b = f"echo start >> {log}; exec {pair.command(1, '--service-ms 4')}"
    done = cli("-n", 20, "--rounds", 6, "-o", path, *pair.asked(b=b))
    assert done.returncode == 0, done.stderr
    assert log.read_text().split() == ["start"] * 3
    result = read(path)
    assert isinstance(result, Result)
    for arm in result.arms.values():
        assert arm.launches == [each.launch for each in arm.rounds] == [0, 0, 1, 1, 2, 2]
        assert arm.run.server  # whose CPU time is known, without --pid
    assert result.load and (result.load.rounds, result.load.launches) == (6, 3)
    assert [arm.command for arm in result.arms.values()] == [pair.command(0), b]
    assert {ratio.launches for ratio in result.ratios} == {3}
    assert "6 in 3 launches of each server" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_it_ends_when_it_is_decided_and_with_its_budget(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    asked = pair.asked(b=pair.command(1, "--service-ms 20"))
    done = cli("-n", 10, "--budget", "30s", "-o", path, *asked)
    assert done.returncode == 0
    result = read(path)
    assert isinstance(result, Result)
    assert result.load and result.load.launches >= 3
    assert result.elapsed_s < 60
    done = cli("-n", 10, "--budget", "100ms", "-o", path, *pair.asked())
    assert done.returncode == 0
    assert "not enough data" in done.stdout


@pytest.mark.slow
def test_a_percentile_decides(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    asked = pair.asked(b=pair.command(1, "--service-ms 5"))
    done = cli("-n", 100, "--metric", "p90", "--rounds", 6, "-o", path, *asked)
    result = read(path)
    assert isinstance(result, Result)
    assert result.load and result.load.metric == "p90_s"
    text = " ".join(done.stdout.split())
    if result.ratios:
        assert result.ratios[0].metric == Metric.P90
        assert result.ratios[0].estimate > 1
        assert f"{pair.urls[1]} takes" in text and f"as long as {pair.urls[0]} at p90" in text
    else:  # beside other work
        assert "rounds were disturbed, too many for a p90" in text
    done = cli("-n", 100, "--metric", "p99", *pair.asked())
    said = " ".join(done.stdout.split())
    assert "too few answers in a round for its p99: make rounds longer (-z)" in said


# ---- What can go wrong -----------------------------------------------------------------
def test_what_does_not_go_together(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair.urls
    x, y = ("--cmd-a", "true"), ("--cmd-b", "true")
    for arguments, said in (
        ((*x, a, b), "--cmd-a and --cmd-b go together, with a URL each"),
        ((*x, *y, a, b, a), "with a URL each"),
        ((*x, *y, a), "compare two URLs"),
        ((*x, *y, a, a), "side by side: give them two ports"),
        ((*x, *y, a, "http://example.org/"), "--cmd-b starts a server here"),
        ((*x, *y, "--unix-socket", "/tmp/s", a, b), "--cmd-a starts a server here"),
        (("--metric", "p99", a), "compare two URLs"),
        (("--metric", "p42", a, b), "invalid choice: 'p42'"),
    ):
        assert said in complains(capsys, 2, *arguments)


@pytest.mark.slow
def test_a_command_that_does_not_serve_is_one_line(pair: Pair) -> None:
    for b, said in (
        ("no-such-server 1", "no-such-server: "),
        ("echo started; echo last words; exit 3", "exit 3: last words"),
    ):
        line = pair.fails(b=b)
        assert line.startswith("loadgen.py: --cmd-b ended before it answered at http://127")
        assert said in line


@pytest.mark.slow
def test_a_port_that_is_taken_is_said_before_anything_is_started(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", pair.ports[1])):
        line = pair.fails()
    assert f"--cmd-b: port {pair.ports[1]} is taken" in line


@pytest.mark.slow
def test_a_server_that_dies_meanwhile_is_named(pair: Pair) -> None:
    dies = f"{pair.command(1)} & sleep 2; kill $!; echo oh no"
    line = pair.fails("-z", "5s", b=dies)
    assert "--cmd-b ended while it was loaded: $ " in line
    assert line.endswith(": oh no\n")


@pytest.mark.slow
def test_what_leaves_its_group_is_said(pair: Pair) -> None:
    away = f"setsid {pair.command(1)} & sleep 100"
    line = pair.fails("-n", 10, b=away)
    assert f"something still listens on port {pair.ports[1]}" in line
    for process in pair.processes():
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_no_server_is_left(pair: Pair, number: signal.Signals) -> None:
    with started("-z", "20s", *pair.asked()) as process:
        wait_until(lambda: len(pair.processes()) >= 2)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
    assert "Traceback" not in stderr
    if number == signal.SIGINT:
        assert process.returncode == 130
