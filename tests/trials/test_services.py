"""What servers need beside them: started in a folder of its own, which never outlives it."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from pathlib import Path

import pytest

from lab.facts.errors import CannotRun
from lab.trials.servers import Service, run_services

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent / "programs"
SERVER = f"python {HERE}/server.py {{port}}"


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("store-*"))


def wait_until_gone(path: Path, timeout_s: float = 15.0) -> bool:
    ends = time.monotonic() + timeout_s
    while path.exists() and time.monotonic() < ends:
        time.sleep(0.05)
    return not path.exists()


def test_a_service_is_ready_when_its_port_is_open_and_gone_when_let_go():
    with run_services({"store": Service(SERVER)}, HERE) as environment:
        folder = Path(environment["STORE_FOLDER"])
        assert folder.is_dir()
        assert int(environment["STORE_PORT"]) > 1024
    assert not folder.exists()


def test_a_service_is_asked_whether_it_is_ready():
    slowly = Service("sleep 0.5; touch {folder}/ready; sleep 100", ready="test -f ready")
    began = time.monotonic()
    with run_services({"store": slowly}, HERE) as environment:
        assert time.monotonic() - began > 0.5
        folder = Path(environment["STORE_FOLDER"])
    assert not folder.exists()


def test_later_services_know_earlier_ones():
    services = {
        "store": Service(SERVER),
        "front": Service("echo $STORE_PORT > port; sleep 100", ready="test -s {folder}/port"),
    }
    with run_services(services, HERE) as environment:
        text = (Path(environment["FRONT_FOLDER"]) / "port").read_text()
        assert text.strip() == environment["STORE_PORT"]


def test_a_service_that_ends_is_named_with_its_last_words():
    before = folders()
    ends = {"store": Service("echo no such file >&2; exit 1")}
    said = "store ended before it answered\n    no such file"
    with pytest.raises(CannotRun, match=said), run_services(ends, HERE):
        raise AssertionError("it has begun")
    assert folders() == before


def test_servers_know_where_it_is(folder):
    status, _, err = folder.run("--save", script="99_service.py")
    assert status == 0, err
    record = json.loads((folder.path / "99_service.json").read_text())
    assert record["verdict"] == "REPRODUCED"
    assert record["services"]["store"].startswith("echo $STORE_PORT")
    said = json.loads(record["evidence"][0]["answer"])
    assert not Path(said["STORE_FOLDER"]).exists()
    assert folder.processes() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_no_service_and_no_folder_is_left(folder, number):
    mark = folder.path / "where"
    service = f"pwd > {mark}; sleep 100"
    process = folder.start(
        script="99_service.py", SERVICE=service, READY=f"test -s {mark}; sleep 9"
    )
    ends = time.monotonic() + 10
    while not mark.exists() and time.monotonic() < ends:
        time.sleep(0.05)
    time.sleep(0.2)
    there = Path(mark.read_text().strip())
    assert there.is_dir()
    process.send_signal(number)
    process.communicate(timeout=20)
    assert wait_until_gone(there)
