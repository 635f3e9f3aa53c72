"""Whether a cluster may be given a load: nothing is run twice, and nobody listens in."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.facts.errors import CannotRun
from lab.load.relay import Home

SETTINGS = Path(__file__).with_name("cluster.yaml")
LOCAL = "local"  # a cluster that is started here
_MUST_BE = "DASK_CONFIG=lab/load/cluster.yaml"
_LONGEST_TTL_S = 10.0


def read_settings() -> dict[str, Any]:
    """What a cluster for load is to be set to."""
    import dask

    (settings,) = dask.config.collect_yaml([str(SETTINGS)])
    return dict(settings)


def check_address(address: str) -> None:
    """Raises CannotRun for what is not an address, or could be listened to by others."""
    parts = urlsplit(address)
    try:
        is_address = bool(parts.hostname and parts.port) and parts.scheme in ("tcp", "tls")
    except ValueError:
        is_address = False
    if not is_address:
        why = f"{address!r} is no cluster"
        raise CannotRun(f"{why}: write local, tcp://127.0.0.1:8786, tls://HOST:8786 or a file")
    if parts.scheme == "tcp" and not is_loopback(parts.hostname or ""):
        why = f"{address} is not encrypted, and a scheduler runs what anybody sends it"
        raise CannotRun(f"{why}: use tls:// (docs/loadgen.md says how)")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_own_address(cluster: str) -> str:
    """At which address the machines of a cluster reach this one. Raises CannotRun."""
    if not cluster or cluster == LOCAL:
        return "127.0.0.1"
    if Path(cluster).is_file():
        cluster = json.loads(Path(cluster).read_text(encoding="utf-8"))["address"]
    check_address(cluster)
    parts = urlsplit(cluster)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((parts.hostname, parts.port))  # which sends nothing
        except OSError as error:
            raise CannotRun(
                f"no way to {cluster} ({error.strerror}): is it spelled right?"
            ) from error
        return str(probe.getsockname()[0])


def check_settings(where: str, found: Mapping[str, Any]) -> None:
    """Raises CannotRun where a scheduler could begin a task again, or move it elsewhere."""
    from dask.utils import parse_timedelta

    start = f"start the scheduler with {_MUST_BE}"
    if found["allowed-failures"] != 0:
        why = f"allowed-failures is {found['allowed-failures']}, so a lost task would begin again"
        raise CannotRun(f"{where}: {why}: {start}")
    if found["work-stealing"]:
        raise CannotRun(f"{where}: work-stealing is on, so a task could move: {start}")
    ttl = found["worker-ttl"]
    if not ttl or parse_timedelta(ttl) > _LONGEST_TTL_S:
        why = f"worker-ttl is {ttl}, so a lost worker would be noticed late"
        raise CannotRun(f"{where}: {why}: {start}")


def check_homes(homes: Mapping[str, Home], ours: Home) -> None:
    """Raises CannotRun where a worker runs other code than we do, or is watched by a profiler."""
    for address, home in homes.items():
        if home.code != ours.code:
            why = f"worker {address} has another version of this code"
            raise CannotRun(f"{why}: make its folder the same as this one, and start it again")
        if home.is_profiled:
            raise CannotRun(f"worker {address} runs a profiler: start it with {_MUST_BE}")
