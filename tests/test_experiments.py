"""The harness against servers that behave and that do not, and every script by glob."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted((ROOT / "experiments").glob("[0-9]*.py"))
SHARED = [ROOT / "experiments" / "harness.py", ROOT / "loadgen.py", ROOT / "summarize.py"]

SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/die":
            print("last words", flush=True)
            import os; os._exit(3)
        time.sleep({"/slow": 0.05, "/fast": 0.005}.get(self.path, 0))
        body = b'{"hello": "world"}'
        self.send_response(500 if self.path == "/500" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
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
    assert "slow is × 0." in out
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


def test_a_server_that_ends_is_named_with_its_last_lines(folder: Path) -> None:
    write(folder, command="python -c print(NO_SUCH_APP) {port}")
    status, out, err = run(folder, "--quick")
    assert (status, out) == (1, "")
    assert "server of arm 'fast' ended before it answered: $ python -c" in err
    assert "name 'NO_SUCH_APP' is not defined" in err
    assert processes_in(folder) == []


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


def test_a_command_that_is_not_installed_is_named(folder: Path) -> None:
    write(folder, command="no-such-server --port {port}")
    status, _, err = run(folder)
    assert status == 1
    assert "no no-such-server here: pip install" in err


def test_list_and_usage(folder: Path) -> None:
    status, out, _ = run(folder, "--list")
    assert status == 0
    assert "fast\n    $ python server.py {port}\n    /fast" in out
    for options in (["--rounds", "x"], ["--nonsense"], ["--serve", "nobody"], ["--plot", "x.gif"]):
        status, out, err = run(folder, *options)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1


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
    for path in (script, *SHARED):
        shutil.copy(path, tmp_path)
    done = subprocess.run(
        [sys.executable, str(tmp_path / script.name), "--quick"],
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
