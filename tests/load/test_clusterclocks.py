"""A worker whose clock is not ours, as on another machine: in a time namespace of Linux."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clusters import cluster
from driving import holds, plan_ns, slow
from servers import Server, delayed

from lab.load.load import Load
from lab.load.run import run

pytest.importorskip("distributed")
AHEAD_S = 100_000
OTHER_BOOT = "00000000-0000-4000-8000-000000000000\n"


def be_elsewhere(folder: Path) -> list[str]:
    """What to start a command with so that its clock and its boot are not ours."""
    boot = folder / "boot_id"
    boot.write_text(OTHER_BOOT)
    script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    elsewhere = ["unshare", "--time", "--monotonic", str(AHEAD_S), "--mount"]
    command = [*elsewhere, "sh", "-c", script, str(boot)]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no unshare here ({error.strerror})")
    if done.returncode:
        pytest.skip(f"no clock of its own for a process here ({done.stderr.strip()})")
    return command


@slow
def test_two_clocks_make_one_run(tmp_path: Path) -> None:
    """One worker's clock is a day ahead; both start at once, and their seconds are the same."""
    command = be_elsewhere(tmp_path)
    with cluster(tmp_path, workers=1) as there, Server(delayed(0.005)) as server:
        there.workers.append(there.start_worker(within=command))
        there.wait_for(2)
        asked: dict[str, Any] = {"rate": 100.0, "duration_s": 3.0, "connections": 20}
        load = Load(url=server.url, cluster=there.address, **asked)
        result = run(load)
    holds(result, len(server.requests))
    assert result.client.planned == result.ok == len(plan_ns(load)) == 300
    ours, theirs = sorted(shard.clock_error_s for shard in result.shards)
    assert ours == 0 < theirs < 0.1
    assert all(0 <= (shard.start_skew_s or 0.0) < 0.1 for shard in result.shards)
    assert [second.ok for second in result.series[:2]] == pytest.approx([100, 100], abs=15)
    assert math.ceil(result.elapsed_s) == len(result.series)
    gaps_s = [b - a for a, b in zip(server.arrived_s, server.arrived_s[1:], strict=False)]
    assert sorted(gaps_s)[len(gaps_s) // 2] == pytest.approx(0.01, abs=0.004)
