"""The harness against servers that behave and that do not, and every script by glob."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from servers import installed

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted((ROOT / "experiments").glob("[0-9]*.py"))
SHARED = [ROOT / "experiments" / "harness.py", ROOT / "loadgen.py", ROOT / "summarize.py"]

SERVER = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        seen[self.path] = seen.get(self.path, 0) + 1
        count = sum(seen.values())
        if self.path == "/die" or (self.path == "/dies" and count > 60) or count == last:
            print("last words", flush=True)
            import os; os._exit(3)
        time.sleep({"/slow": 0.05, "/fast": 0.005, "/dies": 0.005}.get(self.path, 0))
        body = b'{"hello": "world"}'
        if self.path == "/seen":
            body = json.dumps(seen).encode()
        if self.path == "/turns" and count > 60:
            body = b'{"hello": "earth"}'
        status = 203 if self.command == "POST" else 500 if self.path == "/500" else 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *args):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 77

seen, last = {}, int(sys.argv[2]) if len(sys.argv) > 2 else 0
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("began", flush=True)
server.serve_forever()
"""

EXPERIMENT = '''
# /// script
# dependencies = ["numpy"]
# ///
"""99: the slow one is slower

Claim      One is five times as fast as the other.
Source     nobody
Expect     0.05 / 0.005 = 10.
Run        python 99_slow.py
Not shown  anything else
"""
ARMS = {"fast": ("python server.py {port}", "FAST"), "slow": ("python server.py {port}", "/slow")}

if __name__ == "__main__":
    from harness import Answers, Cause, Ratio, experiment

    experiment(
        ARMS, connections=4, expect={"hello": "world"}, duration_s=0.4,
        claim=Ratio("fast", "slow", "> 5", "< 2"),
        causes=[Cause("slow", "fast", "< 1", "slow is {ratio}", "slow is not")],
    )
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the three shared modules, a server and an experiment of our own."""
    for module in SHARED:
        shutil.copy(module, tmp_path)
    (tmp_path / "server.py").write_text(SERVER)
    write(tmp_path)
    return tmp_path


def write(folder: Path, path: str = "/fast", command: str = "python server.py {port}") -> None:
    text = EXPERIMENT.replace("FAST", path).replace("python server.py {port}", command, 1)
    (folder / "99_slow.py").write_text(text)


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(folder / "99_slow.py"), *options],
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *options: str) -> tuple[int, str, str]:
    process = start(folder, *options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def processes_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def wait_for(condition: object, timeout_s: float = 10.0) -> bool:
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_a_difference_is_found_from_any_folder_and_nothing_is_left(folder: Path) -> None:
    status, out, err = run(folder, "--quick")
    assert status in (0, 3), err  # 3 where the machine is busy, which is then said
    assert ("REPRODUCED (smoke)" in out) == (status == 0)
    assert "fast / slow  × " in out
    assert "slow is × 0." in out or "slow / fast is in doubt: " in " ".join(out.split())
    assert "$ python server.py" in out
    assert [line for line in out.splitlines() if len(line) > 79] == []
    assert processes_in(folder) == []


@pytest.mark.slow
def test_too_few_rounds_reach_no_verdict(folder: Path) -> None:
    status, out, _ = run(folder, "--quick", "--rounds", "5")
    assert status == 3
    assert "INCONCLUSIVE" in out
    assert "--rounds 6" in out


@pytest.mark.slow
def test_save_keeps_what_was_recorded_before(folder: Path) -> None:
    for _ in range(2):
        assert run(folder, "--quick", "--save")[0] in (0, 3)
        time.sleep(1)
    recorded = json.loads((folder / "99_slow.json").read_text())
    (before,) = (folder / "older").iterdir()
    assert recorded["format"] == "loadgen-result/1"
    assert json.loads(before.read_text())["started"] < recorded["started"]
    assert recorded["arms"]["fast"]["command"].startswith("python server.py")
    assert len(recorded["arms"]["fast"]["rounds"]) == 6


@pytest.mark.slow
def test_probes_of_one_command_share_a_server_and_have_causes(folder: Path) -> None:
    text = (folder / "99_slow.py").read_text()
    called = """experiment(
        {}, probes=ARMS | {"500": ("python server.py {port}", "/500")},
        then={"slow": ("python ./server.py {port}", "/slow")},
        claim=Answers(
            "all answer 200", lambda answers: all(a.status == 200 for a in answers.values()),
            causes=lambda answers: [f"slow says {answers['slow'].json()['hello']}"],
        ),
    )"""
    (folder / "99_slow.py").write_text(text[: text.index("experiment(\n")] + called)
    status, out, err = run(folder)
    assert status == 0, err
    assert out.count("$ python") == err.count("asking $") == 1
    assert '200  {"hello": "world"}' in out
    assert "NOT REPRODUCED\n    cause   slow says world\n" in out
    status, out, err = run(folder, "--then")
    assert "\n    then    REPRODUCED\n" in out, err
    assert out.count("$ python") == err.count("asking $") == 2


@pytest.mark.slow
def test_a_load_beside_that_fails_ends_the_experiment(folder: Path) -> None:
    text = (folder / "99_slow.py").read_text()
    loaded = text.replace('"/slow")', '"/slow", {"beside": {"path": "/500"}})')
    (folder / "99_slow.py").write_text(loaded)
    status, _, err = run(folder, "--quick")
    assert status == 1
    assert "the load beside failed: look at what http://127.0.0.1:" in err
    assert processes_in(folder) == []


@pytest.mark.slow
def test_a_server_that_ends_is_named_with_its_last_lines(folder: Path) -> None:
    write(folder, command="python -c print(NO_SUCH_APP) {port}")
    status, out, err = run(folder, "--quick")
    assert (status, out) == (1, "")
    assert "server of arm 'fast' ended before it answered: $ python -c" in err
    assert "name 'NO_SUCH_APP' is not defined" in err
    assert processes_in(folder) == []


@pytest.mark.slow
def test_a_server_that_ends_while_it_is_asked_is_named(folder: Path) -> None:
    write(folder, path="/die")
    status, _, err = run(folder, "--quick")
    assert status == 1
    assert "last words" in err
    assert processes_in(folder) == []


def test_a_wrong_answer_stops_it_before_any_timing(folder: Path) -> None:
    write(folder, path="/500")
    status, out, err = run(folder, "--quick")
    assert (status, out) == (1, "")
    assert "answered 500" in err
    assert processes_in(folder) == []


@pytest.mark.slow
def test_a_command_that_is_not_installed_is_named(folder: Path) -> None:
    write(folder, command="no-such-server --port {port}")
    status, _, err = run(folder)
    assert status == 1
    assert "no no-such-server here: pip install" in err


@pytest.mark.slow
def test_a_program_that_it_needs_and_is_not_there_is_named(folder: Path) -> None:
    script = folder / "99_slow.py"
    needs = 'needs=["sh", "no-such-program"]'
    script.write_text(script.read_text().replace("connections=", f"{needs}, connections="))
    status, out, err = run(folder)
    line = "99_slow.py: no no-such-program here: install it, as with apt install no-such-program"
    assert (status, out, err) == (1, "", line + "\n")
    assert run(folder, "--list")[0] == 0


@pytest.mark.slow
def test_list(folder: Path) -> None:
    status, out, _ = run(folder, "--list")
    assert status == 0
    assert "fast\n    $ python server.py {port}\n    /fast" in out


@pytest.mark.slow
@pytest.mark.parametrize("options", ["--rounds x", "--nonsense", "--serve nobody", "--plot x.gif"])
def test_wrong_options_are_one_line(folder: Path, options: str) -> None:
    status, out, err = run(folder, *options.split())
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.slow
def test_serve_says_when_its_port_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, out, err = run(folder, "--serve", "slow", "--port", port)
    assert (status, out) == (1, "")
    assert err == f"99_slow.py: port {port}: Address already in use: choose another with --port\n"


@pytest.mark.slow
def test_serve_runs_one_arm_in_the_foreground(folder: Path) -> None:
    process = start(folder, "--serve", "slow", "--port", "18761")
    assert process.stdout
    assert process.stdout.readline() == "http://127.0.0.1:18761/slow\n"
    assert wait_for(lambda: processes_in(folder))
    process.terminate()
    process.wait(10)
    assert wait_for(lambda: not processes_in(folder))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["starting", "warming up", "measuring"])
def test_however_it_ends_no_server_is_left(folder: Path, number: int, moment: str) -> None:
    process = start(folder, "--duration", "2s")
    assert wait_for(lambda: len(processes_in(folder)) >= 2)
    time.sleep({"starting": 0.0, "warming up": 1.0, "measuring": 2.5}[moment])
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        assert err == "99_slow.py: interrupted; its servers are stopped\n"
    assert wait_for(lambda: not processes_in(folder)), processes_in(folder)


# ---- What an experiment may ask for --------------------------------------------------

MORE = '''
# /// script
# dependencies = ["numpy"]
# ///
"""99: much is seen beside the rounds

Claim      What is asked for is done.
Source     nobody
Expect     1
Run        python 99_slow.py
Not shown  anything else
"""
S = "python server.py {port}"
ARMS = {
    "plain": (S, "/"),
    "beside": (S, "/fast", {"beside": {"path": "/beside", "connections": 2}}),
    "counted": (S, "/slow", {"requests": 40, "method": "POST", "expect": "203"}),
}
THEN = {"plain": (S, "/slow")}

if __name__ == "__main__":
    from harness import Each, Outcome, experiment

    experiment(
        ARMS, connections=4, duration_s=0.4, then=THEN, full_rounds=3, rounds=2,
        expect=Each({"plain": {"hello": "world"}, "beside": "world", "counted": "hello"}),
        claim=Outcome(
            "reproduced when /beside was asked for",
            lambda arms: arms["beside"]["said"][0]["/beside"] > 0,
            lambda arms: arms["plain"]["run"].p50 > 1,
        ),
        ask_after="/seen", log_counts={"starts": "^began", "ends": "^ended"}, shares=(0.5,),
        columns={"queue": lambda arm: str(arm["backlog"])},
        findings=lambda arms: [f"{name}: {arm['log']['starts']}" for name, arm in arms.items()],
        subject=DOUBTS,
    )
'''
DOUBTS = (
    "neighbour",
    "little",
    "overflows",
    "steal",
    "lag",
    "queued",
    "resolution",
    "sent",
    "failures",
    "client",
)


@pytest.fixture
def more(folder: Path) -> Path:
    text = MORE.replace("=DOUBTS", f"={DOUBTS!r}")
    (folder / "99_slow.py").write_text(text)
    return folder


@pytest.mark.slow
def test_what_is_seen_beside_the_rounds_is_kept_and_shown(more: Path) -> None:
    status, out, err = run(more, "--full", "--then", "--save")
    assert (status, err.splitlines()[-1]) == (0, "recorded in 99_slow.json"), err
    recorded = json.loads((more / "99_slow.json").read_text())
    arms = recorded["arms"]
    assert recorded["verdict"] == "REPRODUCED"
    assert recorded["then"].startswith("REPRODUCED")
    assert list(arms) == ["plain", "beside", "counted", "plain, then"]
    for name, arm in arms.items():
        assert len(arm["said"]) == 3  # one a launch
        assert arm["log"] == {"starts": 3, "ends": 0}
        assert [r["launch"] for r in arm["rounds"]] == [0, 1, 2]
        assert arm["backlog"] == (77 if sys.platform == "linux" else None)
        (point,) = arm["curve"]
        median = sorted(r["throughput"] for r in arm["rounds"])[1]
        assert point["rate"] == pytest.approx(median / 2)
        assert set(point) >= {"throughput", "p50_s", "p99_s", "failed", "requests"}
        assert f"{name}, in an open loop" in out
    assert "/beside" not in arms["plain"]["said"][0]
    assert all(said["/beside"] > 0 for said in arms["beside"]["said"])
    assert [r["requests"] for r in arms["counted"]["rounds"]] == [40] * 3
    assert arms["counted"]["run"]["statuses"] == {"203": 120}
    assert "- counted: 3" in out
    assert "queue" in out
    assert "0.5 of" not in out
    assert processes_in(more) == []


def seen(folder: Path) -> dict:
    return json.loads((folder / "99_slow.json").read_text())


@pytest.mark.slow
def test_an_arm_against_itself(folder: Path) -> None:
    status, out, err = run(folder, "--quick", "--aa", "slow")
    assert status in (0, 3), err
    assert "99  slow against itself" in out
    assert "slow again / slow  × " in out
    assert "fast" not in out
    assert "cause" not in out


@pytest.mark.slow
def test_an_arm_against_itself_is_of_an_arm_and_not_recorded(folder: Path) -> None:
    for options, said in (
        (["--aa", "nobody"], "99_slow.py: --aa 'nobody': the arms are 'fast', 'slow'"),
        (["--aa", "--save"], "--save"),
    ):
        status, out, err = run(folder, *options)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert said in err


FAULTS = {
    "dies": ("/dies", 1, "server of arm 'fast' ended while it was loaded"),
    "turns wrong": ("/turns", 3, "body): look at what the server itself says"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_comes_later_is_named_and_makes_no_ratio(folder: Path, fault: str) -> None:
    path, expected, said = FAULTS[fault]
    write(folder, path=path)
    status, out, err = run(folder, "--quick", "--save")
    assert status == expected, err
    assert said in " ".join((out + err).split())
    assert "fast / slow  ×" not in out
    if fault == "dies":
        assert "last words" in err
    assert processes_in(folder) == []


@pytest.mark.slow
def test_processes_that_are_replaced_are_named(folder: Path) -> None:
    again = "sh -c 'while true; do python server.py {port} 60; done'"
    write(folder, path="/fast", command=again)
    status, out, err = run(folder, "--quick", "--rounds", "6")
    assert status in (1, 3)
    text = " ".join((out + err).split())
    assert "processes ended, so its start was measured" in text or "could not be loaded" in text
    assert "fast / slow  ×" not in out
    assert processes_in(folder) == []


@pytest.mark.slow
def test_another_generator_may_load_an_arm(folder: Path) -> None:
    installed("wrk")
    script = folder / "99_slow.py"
    wrk = '{"generator": "wrk -t1 -c{connections} -d{duration_s}s {url}"}'
    text = script.read_text().replace('"/slow")}', f'"/slow", {wrk})}}')
    script.write_text(text.replace('"> 5", "< 2")', '"> 0", "< 0", metric="client_cpu_us")'))
    status, _, err = run(folder, "--rounds", "2", "--save")
    assert status == 3, err
    slow = seen(folder)["arms"]["slow"]
    assert slow["run"]["load"]["client"].startswith("wrk -t1 -c4 -d1s http://127.0.0.1:")
    for each in slow["rounds"]:
        assert each["elapsed_s"] == pytest.approx(1, rel=0.3)
        assert each["requests"] == pytest.approx(4 / 0.05, rel=0.5)
        assert 0 < each["client_cpu_us"] < 10_000
        assert each["server_cpu_us"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generator", "said"),
    [("no-such-tool {url}", "install it"), ("sh -c 'echo 1 request; exit 1' {url}", "failed: 1 r")],
)
def test_a_generator_that_cannot_run_is_named(folder: Path, generator: str, said: str) -> None:
    script = folder / "99_slow.py"
    text = script.read_text().replace('"/slow")}', f'"/slow", {{"generator": "{generator}"}})}}')
    script.write_text(text)
    status, out, err = run(folder, "--quick")
    assert (status, out) == (1, "")
    assert "arm 'slow' could not be loaded" in err
    assert said in err


@pytest.mark.slow
def test_versions_are_those_inside_an_arm(folder: Path) -> None:
    uv = "uv run --no-project --with packaging==23.0 python server.py {port}"
    write(folder, command=uv)
    status, out, err = run(folder, "--quick", "--rounds", "1", "--save")
    assert status == 3, err
    arms = seen(folder)["arms"]
    assert arms["fast"]["versions"]["packaging"] == "23.0"
    assert arms["fast"]["versions"]["Python"].startswith("3.")
    assert arms["slow"]["versions"] == {}
    assert "then     packaging 23.0" in out


@pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is of Linux")
@pytest.mark.parametrize("asked", [1, 5, 128])
def test_the_backlog_in_force_is_the_kernels(asked: int) -> None:
    sys.path.insert(0, str(ROOT / "experiments"))
    try:
        from harness import backlog
    finally:
        sys.path.pop(0)
    with socket.create_server(("127.0.0.1", 0), backlog=asked) as server:
        port = server.getsockname()[1]
        assert backlog(port) == asked
    assert backlog(port) is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["500", "wrong", "all wrong"])
def test_the_evidence_can_be_had_again(kind: str, tmp_path: Path) -> None:
    """A trial of what does not depend on how quiet the machine is."""
    asked = ["--trials", "1", "--duration", "0.2", "--only", kind]
    command = [sys.executable, ROOT / "tests" / "evidence.py", *asked]
    done = subprocess.run(
        [*command, "-o", tmp_path / "all.json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " | 1 | 0 | 0 | 1 | 1 | - |" in done.stdout
    (trial,) = json.loads((tmp_path / "all.json").read_text())[kind]
    assert trial["ratio"] is None


# ---- Every script --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("script", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_is_a_plain_app(script: Path, tmp_path: Path) -> None:
    """A bare copy imports with its frameworks alone: nothing of ours is loaded."""
    shutil.copy(script, tmp_path)
    ours = {"harness", "loadgen", "summarize", "numpy", "aiohttp", "hdrh", "psutil", "tqdm"}
    if "import numpy" in script.read_text():
        ours.remove("numpy")  # what this app computes with
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ours!r})); sys.path.insert(0, '.');"
        f"__import__({script.stem!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("script", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_runs_from_a_copy(script: Path, tmp_path: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "needs":
            list(map(installed, ast.literal_eval(node.value)))
    for path in (script, *SHARED):
        shutil.copy(path, tmp_path)
    done = subprocess.run(
        [sys.executable, str(tmp_path / script.name), "--quick", "--rounds", "1"],
        cwd="/",
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    assert [line for line in done.stdout.splitlines() if len(line) > 79] == []
    assert any(word in done.stdout for word in ("REPRODUCED", "INCONCLUSIVE"))
    assert processes_in(tmp_path) == []
