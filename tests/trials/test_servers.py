"""Servers under test: their cores, their listen queue, their guard, and what only Linux has."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from servers import Answer, in_turn, self_signed
from servers import Server as Listener

from lab.facts.errors import CannotRun
from lab.load.guarded import GUARD, Guarded
from lab.load.load import Load
from lab.trials import servers
from lab.trials.servers import Server, cores_for, count_workers, find_port, run_servers, stay_on

FOLDER = Path(__file__).parent / "programs"
COMMAND = "python server.py {port}"

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")


@pytest.mark.parametrize(
    ("command", "workers"),
    [
        ("uvicorn app:app", 1),
        ("uvicorn --workers 2 app:app", 2),
        ("gunicorn -w 5 --threads 8", 5),
        ("gunicorn --workers=3", 3),
    ],
)
def test_workers_of_a_command(command, workers):
    assert count_workers(command) == workers


def test_a_single_worker_leaves_the_client_a_core(monkeypatch):
    monkeypatch.setattr(servers, "CORES", [0, 1, 2])
    assert cores_for("uvicorn app:app") == ({0, 1}, {2})
    assert cores_for("uvicorn --workers 2 app:app") == ({0, 1, 2}, {0, 1, 2})
    monkeypatch.setattr(servers, "CORES", [0])
    assert cores_for("uvicorn app:app") == ({0}, {0})


def test_without_affinity_all_cores_are_for_all(monkeypatch):
    monkeypatch.setattr(servers, "CORES", [])
    assert cores_for("uvicorn app:app") == (set(), set())
    stay_on({0})


@linux
def test_a_port_is_found_once_until_it_is_let_go(monkeypatch):
    monkeypatch.setattr(servers, "PORTS", range(20_000, 20_100))
    with ExitStack() as first, ExitStack() as second:
        ports = [find_port(kept) for _ in range(20) for kept in (first, second)]
        assert len(set(ports)) == 40
        kept_by_second = set(ports[1::2])
        first.close()
        again = {find_port(second) for _ in range(20)}
        assert not again & kept_by_second


def ask(server: Server, path: str) -> dict[str, str]:
    return dict(server.ask(Load(url=server.url + path)).json())


@pytest.mark.slow
def test_servers_answer_and_are_gone_together():
    commands = {"one": (COMMAND, "/"), "two": (COMMAND, "/fast")}
    with run_servers(commands, FOLDER, {"HELLO": "world"}) as started:
        assert ask(started["one"], "/environment")["HELLO"] == "world"
        assert started["two"].output() == ["began"]
        assert started["two"].note_processes() == 0
        pids = [server.pid for server in started.values()]
    assert not any(map(psutil.pid_exists, pids))


@linux
def test_a_server_listens_where_the_client_reaches_it():
    command = "python -m http.server --bind {host} {port}"
    with run_servers({"one": (command, "/")}, FOLDER, host="127.0.0.2") as started:
        assert started["one"].url.startswith("http://127.0.0.2:")
        assert "--bind 127.0.0.2" in started["one"].command
        assert started["one"].ask(Load(url=started["one"].url + "/")).status == 200


@linux
@pytest.mark.parametrize("program", ["uvicorn", "flask --app"])
def test_a_server_that_knows_a_variable_is_told_by_it(program):
    (told,) = servers.say_host("one", f"{program} server:app --port {{port}}", "10.0.0.1").values()
    assert told == "10.0.0.1"
    assert servers.say_host("one", "uvicorn app", servers.HOST) == {}


def test_a_server_that_listens_on_this_machine_alone_is_one_line():
    with pytest.raises(CannotRun, match=r"'one' .* write \{host\} where"):
        servers.say_host("one", "python server.py {port}", "10.0.0.1")


@pytest.mark.slow
def test_a_process_that_is_gone_is_counted_as_replaced():
    again = "sh -c 'while true; do python server.py {port}; done'"
    with run_servers({"one": (again, "/")}, FOLDER) as started:
        server: Server = started["one"]
        server.note_processes()
        (child,) = [one.pid for one in server.processes() if one.pid != server.pid]
        psutil.Process(child).kill()
        time.sleep(0.3)
        assert server.note_processes() == 1


@pytest.mark.slow
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_guard_ends_its_server_when_let_go(stubborn, tmp_path):
    """Also one that does not listen to SIGTERM, and with what it has started itself."""
    trap = "trap '' TERM; " if stubborn else ""
    shell = f"{trap}sleep 100 & sleep 100"
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", GUARD, "", "0.3", tmp_path / "own", "sh", "-c", shell],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    (tmp_path / "own").mkdir()
    assert guard.stdout and guard.stdin
    pid = int(guard.stdout.readline())
    time.sleep(0.2)
    family = [psutil.Process(pid), *psutil.Process(pid).children()]
    guard.stdin.close()
    guard.wait(5)
    assert not any(one.is_running() and one.status() != "zombie" for one in family)
    assert not (tmp_path / "own").exists()
    guard.stdout.close()


@pytest.mark.slow
def test_what_a_server_has_started_may_tidy_up_when_it_is_gone(tmp_path):
    """As a database that a shell sets up, which has shared memory to give back."""
    tidies = "trap 'sleep 0.3; touch tidied; exit' TERM; touch began; while :; do sleep 0.05; done"
    shell = f'sh -c "{tidies}"; exit'  # which ends at SIGTERM itself, at once
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", GUARD, "", "5", "", "sh", "-c", shell],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    while not (tmp_path / "began").exists():
        time.sleep(0.02)
    assert guard.stdin
    guard.stdin.close()
    guard.wait(4)
    assert (tmp_path / "tidied").exists()


@pytest.mark.slow
def test_the_status_of_a_server_is_its_guards():
    command = [sys.executable, GUARD, "", "0.1", "", "sh", "-c", "echo said; exit 7"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as guard:
        assert guard.wait(5) == 7  # while its standard input is open
        assert guard.stdout and guard.stdout.read().strip().isdigit()
        assert guard.stderr and guard.stderr.read() == "said\n"


# What a script begins with that is to run as if Linux had nothing of its own.
ELSEWHERE = FOLDER / "elsewhere.py"


@pytest.mark.slow
def test_an_experiment_runs_to_its_end_where_nothing_is_as_on_linux(folder):
    done = subprocess.run(
        [sys.executable, str(ELSEWHERE), str(folder.path / "99_slow.py"), "--quick"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr  # 3 where the machine is busy
    assert "REPRODUCED" in done.stdout or "INCONCLUSIVE" in done.stdout


def test_a_server_is_asked_over_tls(tmp_path):
    """Whatever its certificate, which an experiment makes itself."""
    with Listener(tls=self_signed(tmp_path)) as listening:
        server = object.__new__(Server)
        server.port, server.url = listening.port, f"http://127.0.0.1:{listening.port}"
        load = Load(url=f"https://127.0.0.1:{listening.port}/", insecure=True)
        assert server.ask(load).status == 200


def test_a_command_whose_interpreter_is_gone_is_a_line(tmp_path):
    script = tmp_path / "serve"
    script.write_text("#!/no/such/python\n")
    script.chmod(0o755)
    started = Guarded([str(script), "--port", "1"], tmp_path, {})
    assert started.wait_until(lambda: False, 10) == "ended before it answered"
    assert started.output() == [f"{script} cannot be started: No such file or directory"]
    started.let_go()
    started.wait()


DRIPS = {
    "a header": (b"HTTP/1.1 200 OK\r\nX: ", *[b"x"] * 100),
    "headers": (b"HTTP/1.1 200 OK\r\n", *[b"X: x\r\n"] * 100),
    "a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 100),
    "a body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 100),
}


@pytest.mark.parametrize("pieces", DRIPS.values(), ids=DRIPS)
def test_a_server_that_drips_is_not_waited_for(pieces, monkeypatch):
    """Each piece comes well within the time-out of the socket."""
    monkeypatch.setattr(servers, "ASK_S", 0.3)
    with Listener(in_turn(Answer(pieces, gap_s=0.05))) as listening:
        server = object.__new__(Server)
        server.port, server.url = listening.port, listening.url
        began_s = time.monotonic()
        with pytest.raises(TimeoutError, match=r"no whole answer in 0\.3 s"):
            server.ask(Load(url=f"{listening.url}/"))
        assert time.monotonic() - began_s < 2
