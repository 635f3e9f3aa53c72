"""How much one and two workers of a cluster put on nginx, beside --processes and wrk, and what
sharing a load costs: `PYTHONPATH=. python tests/scaling.py [SECONDS]`, on a quiet machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from clusters import cluster
from servers import free_port, installed

from lab.facts.records import Run
from lab.load import processes
from lab.load.interrupts import Interrupts
from lab.load.load import Load
from lab.load.measurement import ignore
from lab.load.run import run
from lab.load.team import Team

CONNECTIONS = 64


@contextmanager
def fast_nginx(folder: Path) -> Iterator[str]:
    """nginx that answers from memory, writes no log and never closes a connection."""
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""daemon off; worker_processes 1; pid {folder / "pid"}; error_log stderr;
        events {{ worker_connections 1024; }}
        http {{ access_log off; keepalive_requests 1000000000;
            server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello"; }} }} }}"""
    )
    command = [installed("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen([*command, "-e", "stderr"], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def show(name: str, rate: float, record: Run | None = None) -> None:
    cores = f"{sum(s.busy for s in record.shards):.2f} cores" if record and record.shards else ""
    print(f"{name:<24} {rate:>9.0f} requests/s  {cores}", flush=True)


def show_costs(name: str, make_team: Callable[[Load, Interrupts], Team], load: Load) -> None:
    began_s = monotonic()
    team = make_team(load, Interrupts())
    record = team.run(ignore, None)
    at = team.moments
    costs = {
        "checks": at["begin"] - began_s,
        "start of processes": at["ready"] - at["begin"],
        "barrier": at["barrier"] - at["ready"],
        "wait for the start": team.start_delay_s,
        "end": at["end"] - at["barrier"] - team.start_delay_s - record.elapsed_s,
        "merge": at["merged"] - at["end"],
    }
    told = ", ".join(f"{what} {cost_s * 1e3:.0f} ms" for what, cost_s in costs.items())
    print(f"{name:<24} {told}", flush=True)


def measure(url: str, duration_s: float, folder: Path) -> None:
    load = Load(url=url, connections=CONNECTIONS, duration_s=duration_s)
    show("one process", run(load).throughput)
    for number in (1, 2):
        both = Load(url=url, connections=CONNECTIONS, duration_s=duration_s, processes=number)
        if number > 1:
            record = run(both)
            show(f"--processes {number}", record.throughput, record)
            show_costs(f"--processes {number}", processes.make_team, both)
        place = folder / f"cluster{number}"
        place.mkdir()
        began_s = monotonic()
        with cluster(place, number) as there:
            print(f"{'':<24} the cluster started in {monotonic() - began_s:.1f} s")
            spread = Load(
                url=url, connections=CONNECTIONS, duration_s=duration_s, cluster=there.address
            )
            record = run(spread)
            show(f"--cluster, {number} workers", record.throughput, record)
            from lab.load import cluster as on_cluster  # which takes long to import

            show_costs(f"--cluster, {number} workers", on_cluster.make_team, spread)
    wrk = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{max(1, round(duration_s))}s", url]
    said = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    assert found
    show("wrk -t2", float(found[1]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        with fast_nginx(place) as address:
            measure(address, float((sys.argv[1:] or ["3"])[0]), place)
