"""An experiment as a reader runs it: what is printed, recorded and left behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import installed

from lab.facts.results import Result

slow = pytest.mark.slow


def wait_for(condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.05)
    return False


def recorded(folder, name="99_slow") -> Result:
    return Result.from_json(json.loads((folder.path / f"{name}.json").read_text()))


def flat(*texts: str) -> str:
    return " ".join(" ".join(texts).split())


# ---- A verdict -------------------------------------------------------------------------
@slow
def test_a_difference_is_found_from_any_folder_and_nothing_is_left(folder):
    status, out, err = folder.run("--quick", "--save")
    assert status in (0, 3), err  # 3 where the machine is busy, which is then said
    result = recorded(folder)
    assert (result.verdict == "REPRODUCED") == (status == 0)
    assert 2 < result.ratios[0].estimate < 15
    assert (len(result.arms["fast"].rounds), set(result.arms["fast"].launches)) == (7, {0})
    assert result.arms["slow"].expected == "4 / 50 ms = 80 requests/s"
    assert result.expect == "One waits 5 ms, the other 50 ms."
    assert [line for line in out.splitlines() if len(line) > 79] == []
    assert folder.processes() == []


@slow
def test_it_goes_on_until_it_is_decided_and_says_what_it_waits_for(folder):
    status, _, err = folder.run("--save", "--duration", "200ms", "--budget", "60s")
    result = recorded(folder)
    launches = result.arms["fast"].launches
    assert launches == sorted(launches)
    assert max(launches) >= 2  # three launches before the first look
    assert result.load.launches == max(launches) + 1
    assert (result.budget_s, result.mode) == (60.0, "plain")
    assert 0 < result.elapsed_s < 75
    assert (status == 3) == ("needs to be" in flat(*result.reasons))
    if status == 0:
        assert max(launches) <= 8, err
        assert result.ratios[0].word == "REPRODUCED"


@slow
def test_arms_of_one_command_share_a_server_where_the_script_says_so(folder):
    status, _, err = folder.run("--quick", "--rounds", "1", "--save", SHARED="1")
    assert status == 3, err  # one round has no interval
    fast, slow_one = recorded(folder).arms.values()
    assert fast.port == slow_one.port
    assert fast.run.latency_s["min"] < slow_one.run.latency_s["min"]


@slow
def test_a_budget_that_is_too_small_reaches_no_verdict(folder):
    status, out, _ = folder.run("--budget", "1s")
    assert status == 3
    assert "INCONCLUSIVE" in out
    assert "too few rounds" in flat(out)


@slow
def test_the_control_arm_tells_another_reason(folder):
    folder.run("--quick", "--save")
    result = recorded(folder)
    assert result.why.startswith("slow is ") or "undecided" in result.why
    assert result.another_reason == (
        result.verdict == "REPRODUCED" and result.why.startswith("slow is ")
    )


@slow
def test_save_keeps_what_was_recorded_before(folder):
    for _ in range(2):
        assert folder.run("--quick", "--rounds", "2", "--save")[0] == 3
        time.sleep(1)
    (before,) = (folder.path / "older").iterdir()
    assert json.loads(before.read_text())["started"] < recorded(folder).started
    assert recorded(folder).to_json()["format"] == "loadgen-result/1"


@slow
def test_what_is_seen_beside_the_rounds_is_kept_and_shown(folder):
    status, out, err = folder.run("--full", "--then", "--save", script="99_more.py")
    assert (status, err.splitlines()[-1]) == (0, "recorded in 99_more.json"), err
    result = recorded(folder, "99_more")
    arms = result.arms
    assert (result.verdict, result.then) == ("REPRODUCED", "REPRODUCED")
    assert list(arms) == ["plain", "beside", "counted", "plain, then"]
    for name, arm in arms.items():
        assert len(arm.said) == 3  # one a launch
        assert arm.log == {"starts": 3, "ends": 0}
        assert arm.launches == [each.launch for each in arm.rounds] == [0, 1, 2]
        assert arm.backlog == (77 if sys.platform == "linux" else None)
        (point,) = arm.curve
        assert point.rate == pytest.approx(sorted(r.throughput for r in arm.rounds)[1] / 2)
        assert f"{name}, in an open loop" in out
    assert "/beside" not in arms["plain"].said[0]
    assert all(said["/beside"] > 0 for said in arms["beside"].said)
    assert [r.requests for r in arms["counted"].rounds] == [40] * 3
    assert arms["counted"].run.statuses == {"203": 120}
    assert "counted: 3" in out
    assert folder.processes() == []


@slow
def test_probes_of_one_command_share_a_server_and_have_causes(folder):
    status, out, err = folder.run("--save", script="99_answers.py")
    assert status == 0, err
    assert err.count("asking $") == 1
    result = recorded(folder, "99_answers")
    assert (result.verdict, result.cause) == ("NOT REPRODUCED", ["slow says world"])
    assert [(e.status, e.expected) for e in result.evidence] == [(200, "200"), (200, ""), (500, "")]
    assert '{"hello": "world"}' in out
    status, _, err = folder.run("--then", "--save", script="99_answers.py")
    assert (recorded(folder, "99_answers").then, err.count("asking $")) == ("REPRODUCED", 2)


@slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_cannot_be_shown_is_recorded_all_the_same(folder):
    command = [sys.executable, str(folder.path / "99_answers.py"), "--save"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            cwd="/",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr.splitlines()[-1]
    assert recorded(folder, "99_answers").verdict == "NOT REPRODUCED"


@slow
def test_an_arm_against_itself(folder):
    status, out, err = folder.run("--quick", "--aa", "slow")
    assert status in (0, 3), err
    assert "slow against itself" in out
    assert "fast" not in out.replace("as fast", "").replace("faster", "")


# ---- What ends it ----------------------------------------------------------------------
@slow
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"COMMAND": "python -c print(NO_SUCH_APP) {port}"},
            "server of arm 'fast' ended before it answered: $ python -c",
        ),
        ({"FAST": "/die"}, "last words"),
        ({"FAST": "/dies"}, "server of arm 'fast' "),
        ({"FAST": "/500"}, "answered 500"),
        ({"COMMAND": "no-such-server --port {port}"}, "no no-such-server here: pip install"),
        ({"NEEDS": "sh no-such-program"}, "no no-such-program here: install it"),
        ({"GENERATOR": "no-such-tool {url}"}, "arm 'slow' could not be loaded (no-such-tool"),
        ({"GENERATOR": "sh -c 'echo 1 request; exit 1' {url}"}, "failed: 1 request"),
    ],
)
def test_what_cannot_run_is_said_in_a_line_and_leaves_nothing(folder, environment, said):
    status, out, err = folder.run("--quick", **environment)
    assert (status, out) == (1, ""), err
    assert said in err
    assert err.count("Traceback") == ("NO_SUCH_APP" in err)  # the server's last words
    assert folder.processes() == []


@slow
def test_answers_that_turn_wrong_make_no_ratio(folder):
    status, out, err = folder.run("--quick", "--save", FAST="/turns")
    assert status == 3, err
    assert recorded(folder).ratios == []
    assert "body): look at the server's own log" in flat(out)


@slow
def test_processes_that_are_replaced_make_no_ratio(folder):
    again = "sh -c 'while true; do python server.py {port} 60; done'"
    status, out, err = folder.run("--quick", "--save", COMMAND=again)
    assert status in (1, 3)
    text = flat(out, err)
    assert "processes ended, so its restart was measured" in text or "could not be loaded" in text
    assert folder.processes() == []


@slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment_s", [0.0, 1.0, 2.5], ids=["starting", "warming up", "measuring"])
def test_however_it_ends_no_server_is_left(folder, number, moment_s):
    process = folder.start("--duration", "2s")
    assert wait_for(lambda: len(folder.processes()) >= 2)
    time.sleep(moment_s)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        assert err.endswith("99_slow.py: interrupted; its servers are stopped\n")
    assert wait_for(lambda: not folder.processes()), folder.processes()


@slow
def test_who_is_interrupted_while_the_lab_is_imported_is_told_nothing(folder):
    code = "import harness, os, signal; os.kill(os.getpid(), signal.SIGINT)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder.path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


# ---- Other ways to run it --------------------------------------------------------------
@slow
def test_list(folder):
    status, out, _ = folder.run("--list")
    assert status == 0
    assert "fast\n    $ python server.py {port}\n    /fast" in out


@slow
@pytest.mark.parametrize(
    "options",
    [
        "--rounds x", "--rounds 0", "--budget 0", "--duration fast", "--nonsense",
        "--serve nobody", "--plot x.gif", "--aa nobody", "--aa --save",
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(folder, options):
    status, out, err = folder.run(*options.split())
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert "invalid parse" not in err


@slow
def test_serve_says_when_its_port_is_taken(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, out, err = folder.run("--serve", "slow", "--port", port)
    assert (status, out) == (1, "")
    assert err == f"99_slow.py: port {port}: Address already in use: choose another with --port\n"


@slow
def test_serve_runs_one_arm_in_the_foreground(folder):
    process = folder.start("--serve", "slow", "--port", "18761")
    assert process.stdout
    assert process.stdout.readline() == "http://127.0.0.1:18761/slow\n"
    assert wait_for(folder.processes)
    process.terminate()
    process.wait(10)
    assert wait_for(lambda: not folder.processes())


@slow
def test_another_generator_may_load_an_arm(folder):
    installed("wrk")
    wrk = "wrk -t1 -c{connections} -d{duration_s}s {url}"
    more = {"GENERATOR": wrk, "METRIC": "client_cpu_us"}
    status, _, err = folder.run("--rounds", "2", "--budget", "1s", "--save", **more)
    assert status == 3, err
    arm = recorded(folder).arms["slow"]
    assert arm.run.load.client.startswith("wrk -t1 -c4 -d1s http://127.0.0.1:")
    for each in arm.rounds:
        assert each.elapsed_s == pytest.approx(1, rel=0.3)
        assert 0 < each.requests <= 4 / 0.05 * 1.3
        assert each.client_cpu_us > 0
        assert each.server_cpu_us > 0


@slow
def test_versions_are_those_inside_an_arm(folder):
    uv = "uv run --no-project --with packaging==23.0 python server.py {port}"
    status, _, err = folder.run("--quick", "--rounds", "1", "--save", COMMAND=uv)
    assert status == 3, err
    arms = recorded(folder).arms
    assert arms["fast"].versions["packaging"] == "23.0"
    assert arms["fast"].versions["Python"].startswith("3.")
    assert arms["slow"].versions == {}
