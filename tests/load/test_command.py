"""loadgen.py, the command line."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest
import servers
from driving import (
    ROOT,
    URL,
    both,
    cli,
    command,
    complains,
    fails,
    holds,
    started,
    wait_until,
)
from servers import Server, delayed

import loadgen
from lab.facts.objective import parse_objectives
from lab.facts.records import Run
from lab.load.options import make_load
from lab.readers.files import read
from lab.reports.report import report

KEYS = {
    "": "format name started elapsed_s load requests ok failed unfinished throughput statuses "
    "errors latency_s service_s send_lag_s histograms series connections client server validity "
    "environment",
    "load": "url method connections requests duration_s rate arrivals timeout_s keepalive client "
    "processes warmup_s",
    "latency_s": "min mean stdev p50 p75 p90 p95 p99 p99.9 max",
    "service_s": "min mean stdev p50 p75 p90 p95 p99 p99.9 max",
    "send_lag_s": "min mean stdev p50 p75 p90 p95 p99 p99.9 max",
    "histograms": "latency_s service_s send_lag_s",
    "connections": "opened connect_s dns_s tls_s",
    "client": "cpu_s cpu_us_per_request busy loop_lag_s",
    "validity": "verdict reasons",
    "environment": "cpu cores kernel python packages load_average steal command commit",
}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nonsense", URL], "--nonsense"),
        ([], "URL"),
        (["-n", "five", URL], "'five' is not a valid count"),
        (["-z", "soon", URL], "'soon' is not a duration"),
        (["-z", "0", URL], "duration_s is 0"),
        (["--json", "{bad", URL], "line 1 column 2"),
        (["--json", "[" * 20_000, URL], "recursion"),
        (["-d", "@no/such/file", URL], "no/such/file"),
        (["-D", "no/such/file", URL], "no/such/file"),
        (["-d", "@.", URL], "."),
        (["-H", "nocolon", URL], "a header without a colon"),
        (["-H", "a b: c", URL], "is not a valid header"),
        (["--client", "curl", URL], "curl"),
        (["--seed", "x", URL], "--seed"),
        (["127.0.0.1:9"], "is not a valid URL: write http://"),
        (["localhost"], "is not a valid URL: write http://"),
        (["http://127.0.0.1:99999/"], "0-65535"),
        ([URL, "nonsense"], "is not a valid URL"),
        (["-m", "GET /", URL], "'GET /' is not a valid method"),
        (["--pid", "me", URL], "'me'"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        loadgen.main([*arguments, "-o", str(tmp_path / "run.json")])
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("loadgen.py: ")
    assert says in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-q", "fast", URL], "'fast' is not a valid rate"),
        (["-q", "0", URL], "'0' is not a valid rate"),
        (["-q", "-5", URL], "-q"),
        (["--arrivals", "bursts", URL], "bursts"),
        (["-q", "10", "--think", "1s", URL], "closed loop"),
        (["--precise", URL], "open loop"),
        (["--think", "soon", URL], "'soon' is not a duration"),
        (["--find-max", URL], "--find-max needs an objective"),
        (["--slo", "p99=1s", URL], "'p99=1s' is not a valid objective"),
        (["--slo", "fast", URL], "'fast' is not a valid objective"),
        (["--slo", "p99<1s", URL, URL], "for one URL"),
        (["--targets", "no-such-file"], "no-such-file"),
        (["--targets", "/dev/null", URL], "no line"),
        (["--targets", "no-such-file", URL, URL], "for one URL"),
        (["--lines", "no-such-file", URL], "no-such-file"),
        (["--lines", "/dev/null", URL], "no line to send"),
        (["--processes", "2", "-c", "1", URL], "2 processes"),
        (["--processes", "2", "-n", "1", URL], "2 processes"),
        (["--processes", "2", "--samples", "a.csv", URL], "samples"),
        (["--connect-timeout", "0", URL], "connect_timeout_s is 0"),
        (["--follow", "x", URL], "'x' is not a valid count"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_usage_of_what_is_new(
    arguments: Sequence[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in complains(capsys, 2, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "missing/run.json"], ids=["a folder", "in no folder"])
def test_an_output_that_cannot_be_written_is_told_before_the_load(
    name: str, tmp_path: Path
) -> None:
    with Server() as server:
        assert str(tmp_path) in fails(2, "-n", 5, "-o", tmp_path / name, server.url)
    assert server.connections == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_output_that_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """Like /dev/null, which a test that may run as root had better not try."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # so that writing would not wait
    with Server() as server:
        cli("-n", 5, "-o", fifo, server.url)
    os.close(reader)
    assert fifo.is_fifo()


def test_of_two_runs_on_one_file_the_last_has_it_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server(delayed(0.02)) as server:
        with started("-z", "60s", "-c", 1, "-o", path, server.url) as long:
            wait_until(lambda: len(server.requests) >= 5)
            short = cli("-n", 3, "-o", path, server.url)
            assert read(path).requests == 3
            long.send_signal(signal.SIGINT)
            _, stderr = long.communicate(timeout=20)
        again = cli("-n", 4, "-o", path, server.url)
    assert (short.returncode, short.stderr) == (0, "")
    assert long.returncode == 130
    assert "another program wrote it meanwhile" in stderr
    assert len(stderr.splitlines()) == 1
    assert again.stderr == ""  # what was there before it began is meant to be replaced
    assert read(path).requests == 4
    assert [x.name for x in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.slow
def test_a_process_that_is_not_there_cannot_be_accounted_for() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with Server() as server:
        for pid in (process.pid, -1):
            assert str(pid) in fails(1, "-n", 5, "--pid", pid, server.url)
    assert server.connections == 0


def refused() -> str:
    return f"http://127.0.0.1:{servers.free_port()}/"


@pytest.mark.parametrize("client", ["wire", "aiohttp"])
@pytest.mark.parametrize(
    ("urls", "says"),
    [
        (["http://no-such-host.invalid/"], "check the spelling"),
        ([refused()], "refused"),
        ([refused(), refused() + "b"], "refused"),
        (["https://SERVER"], "tls"),
        (["http://no-such-host..invalid/"], "check the spelling"),
    ],
    ids=["name", "refused", "two refused", "tls", "empty label"],
)
@pytest.mark.slow
def test_what_cannot_be_measured_is_one_line_and_status_1(
    client: str, urls: list[str], says: str, tmp_path: Path
) -> None:
    with Server() as server:
        urls = [url.replace("SERVER", f"127.0.0.1:{server.port}") for url in urls]
        line = fails(1, "-n", 5, "--client", client, "-o", tmp_path / "run.json", *urls)
    assert says in line
    assert urls[0] in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_more_connections_than_files_is_one_line() -> None:
    assert "ulimit -n" in fails(1, "-c", "1000M", URL)


@both
def test_the_record_on_standard_output(client: str) -> None:
    with Server() as server:
        done = cli("-n", 23, "-c", 4, "--client", client, "-o", "-", server.url)
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    for part, keys in KEYS.items():
        assert set(keys.split()) <= set(data[part] if part else data), part
    assert data["format"] == "loadgen-run/1"
    assert {"time", "ok", "failed", "p50", "p99"} <= set(data["series"][0])
    assert (data["requests"], data["load"]["client"]) == (23, client)
    holds(Run.from_json(data), 23)
    assert data["throughput"] == data["ok"] / data["elapsed_s"]


@pytest.mark.slow
def test_the_server_process_is_accounted_for() -> None:
    with Server() as server:
        done = cli("-n", 23, "--pid", os.getpid(), "-o", "-", server.url)
    keys = {"cpu_s", "rss_bytes", "processes", "threads"}
    assert keys <= set(json.loads(done.stdout)["server"])


def test_the_report_and_the_record(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with Server() as server:
        done = cli("-n", 230, "-c", 4, "-o", path, server.url)
    assert (done.returncode, done.stderr) == (0, "")
    record = read(path)
    assert isinstance(record, Run)
    assert done.stdout == report(record) + "\n"
    assert [x.name for x in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    "options",
    [
        ["-n", "230"],
        ["-n", "1"],
        ["-n", "23", "--no-keepalive", "-c", "100", "-z", "2m30s", "--client", "aiohttp"],
        ["-n", "23", "--expect", "nothing of the kind"],
        ["-z", "300ms", "--client", "aiohttp"],
    ],
    ids=" ".join,
)
@pytest.mark.slow
def test_no_line_is_longer_than_79(options: list[str]) -> None:
    with Server() as server:
        done = cli(*options, server.url + "/" + "?x=" + "long" * 20)
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 79


@pytest.mark.slow
def test_quiet_prints_nothing(tmp_path: Path) -> None:
    with Server() as server:
        done = cli("-n", 23, "--quiet", "-o", tmp_path / "run.json", server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    holds(read(tmp_path / "run.json"), 23)


@pytest.mark.slow
@both
def test_options_reach_the_server(client: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"from a file")
    cases: list[tuple[Sequence[object], bytes, bytes]] = [
        (["--json", '{"a": 1}'], b"POST ", b'{"a": 1}'),
        (["-d", "text"], b"POST ", b"text"),
        (["-d", f"@{tmp_path / 'body'}"], b"POST ", b"from a file"),
        (["-D", tmp_path / "body", "-m", "PUT"], b"PUT ", b"from a file"),
        (["-a", "u:p", "-H", "X-A: 1", "-H", "X-A: 2"], b"GET ", b""),
    ]
    for options, start, end in cases:
        with Server() as server:
            done = cli("-n", 3, "-c", 1, "--client", client, *options, server.url)
        assert done.returncode == 0
        assert len(server.requests) == 3
        for request in server.requests:
            assert request.startswith(start)
            assert request.partition(b"\r\n\r\n")[2] == end
    assert b"\r\nX-A: 1\r\nX-A: 2\r\n" in request
    assert b"\r\nAuthorization: Basic dTpw\r\n" in request


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_only() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with Server(delayed(0.005)) as server:
        arguments = command("-z", "1s", "-c", 10, server.url)
        with subprocess.Popen(
            arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, text=True
        ) as process:
            os.close(theirs)
            shown = b""
            try:
                while piece := os.read(ours, 10_000):
                    shown += piece
            except OSError:  # how Linux says that the other end is closed
                pass
            assert process.stdout
            printed = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert b"requests/s" in shown
    assert b"p99" in shown
    assert all(len(line) <= 79 for line in shown.decode().replace("\r", "\n").splitlines())
    assert printed.startswith(server.url)
    assert "\r" not in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["-a", "me:hush"], ["-ame:hush"], ["--auth=me:hush"], ["-H", "authorization: hush"]]
)
def test_a_record_keeps_no_secret(words: list[str]) -> None:
    with Server() as server:
        url = server.url.replace("//", "//me:hush@") if words[0] == "-a" else server.url
        command = [sys.executable, "loadgen.py", "-n", "3", "-o", "-", *words, url]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert b"authorization: " in server.requests[0].lower()
    assert "hush" not in done.stdout
    assert json.loads(done.stdout)["environment"]["command"].startswith("python loadgen.py -n 3")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_load_of_four_seconds_says_so_once(processes: int) -> None:
    with Server() as server:
        done = cli("-z", "4s", "-c", 2, "--processes", processes, server.url)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert "requests/s" in done.stderr


def test_help_is_a_screen_for_each_group_and_its_examples_are_valid() -> None:
    parser = loadgen.make_parser()
    parts = parser.format_help().split("\n\n")
    for part in parts:
        assert len(part.splitlines()) <= 24
        assert all(len(line) <= 79 or "http://" in line for line in part.splitlines())
    lines = parser.format_help().replace("\\\n", "").splitlines()
    commands = [line.strip() for line in lines if "  python loadgen.py " in line]
    assert len(commands) == parser.epilog.count("python loadgen.py") > 5
    for text in commands:
        options = parser.parse_args(shlex.split(text)[2:])
        assert [make_load(options, url) for url in options.urls]
        parse_objectives(options.slo or "")


def test_each_option_says_what_it_is_for() -> None:
    actions = loadgen.make_parser()._actions
    named = [action for action in actions if action.option_strings]
    assert [action.option_strings for action in named if not (action.help or action.metavar)] == []
