"""What a cluster must be like before it is given a load."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from driving import ROOT, URL

from lab.facts.errors import CannotRun
from lab.load.clusterchecks import (
    check_address,
    check_homes,
    check_settings,
    find_own_address,
    read_settings,
)
from lab.load.relay import Home, describe_home

pytest.importorskip("dask")
AT = "tcp://127.0.0.1:8786"


def test_without_dask_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['distributed'] = None; import loadgen; "
        f"sys.exit(loadgen.main(['--cluster', '{AT}', '-n', '1', '--quiet', '{URL}']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.endswith("pip install -r lab/load/cluster-requirements.txt")


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:8786", "tcp://[::1]:8786", "tcp://localhost:8786", "tls://192.0.2.1:8786"],
)
def test_addresses_that_nobody_else_can_listen_to(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://192.0.2.1:8786", "use tls://"),
        ("tcp://server.example:8786", "use tls://"),
        ("tcp://0.0.0.0:8786", "use tls://"),
        ("nowhere", "write local, tcp://127.0.0.1:8786"),
        ("ucx://127.0.0.1:8786", "write local, tcp://127.0.0.1:8786"),
        ("tcp://127.0.0.1:99999", "write local, tcp://127.0.0.1:8786"),
        ("tcp://127.0.0.1", "write local, tcp://127.0.0.1:8786"),
    ],
)
def test_addresses_that_are_refused(address: str, said: str) -> None:
    with pytest.raises(CannotRun, match=said):
        check_address(address)


def test_the_settings_that_come_with_this_are_those_that_are_asked_for() -> None:
    check_settings(AT, read_settings()["distributed"]["scheduler"])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("allowed-failures", 3, "would begin again"),
        ("work-stealing", True, "could move"),
        ("worker-ttl", "5 minutes", "noticed late"),
        ("worker-ttl", None, "noticed late"),
    ],
)
def test_settings_that_are_refused(key: str, value: Any, said: str) -> None:
    settings = read_settings()["distributed"]["scheduler"]
    with pytest.raises(CannotRun, match=said) as caught:
        check_settings(AT, settings | {key: value})
    assert "DASK_CONFIG=lab/load/cluster.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "is_profiled", "said"), [("other", False, "version"), ("", True, "profiler")]
)
def test_workers_that_are_refused(code: str, is_profiled: bool, said: str) -> None:
    ours = replace(describe_home(), is_profiled=False)
    home = Home(code=code or ours.code, is_profiled=is_profiled, boot="", clock_ns=0)
    check_homes({AT: ours}, ours)
    with pytest.raises(CannotRun, match=said):
        check_homes({AT: home}, ours)


@pytest.mark.parametrize("cluster", ["", "local", "tcp://127.0.0.1:8786"])
def test_a_cluster_of_this_machine_reaches_it_on_loopback(cluster: str) -> None:
    assert find_own_address(cluster) == "127.0.0.1"
