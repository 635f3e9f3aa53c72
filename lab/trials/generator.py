"""Load from elsewhere: another tool's, and one that goes on beside what is measured."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from lab.facts.errors import CannotRun
from lab.facts.foreign import Foreign
from lab.facts.histogram import Histogram
from lab.facts.records import ClientCost, Connections, Histograms, Run
from lab.load.load import Load
from lab.load.machine import Account
from lab.load.processes import Beside
from lab.readers.files import read
from lab.trials.servers import ENVIRONMENT


@contextmanager
def load_beside(load: Load | None) -> Iterator[None]:
    """Meanwhile put another load on, from a process of its own, and do not measure it."""
    if load is None:
        yield
        return
    with Beside(load) as beside:
        if not beside.wait_until_under_way():
            raise CannotRun(f"the load beside it, on {load.url}, has ended")
        yield
        record = beside.finish()
    if record is None or record.failed:
        raise CannotRun(f"the load beside failed: look at what {load.url} answers")


def generate(command: str, load: Load, folder: Path) -> Run:
    """Load a server with another tool. What it prints says what came back, as far as it does;
    what it cost is the system's to say.
    """
    whole_s = math.ceil(load.duration_s or 1)  # neither wrk nor ab knows half a second
    words = {**asdict(load), "duration_s": whole_s, "seconds": load.duration_s}
    argv = shlex.split(command.format(**words))
    started, account = datetime.now(UTC), Account(load.pid, load.url)
    with tempfile.NamedTemporaryFile() as output:
        cpu_s = _run_tool(argv, folder, output.name)
        said = read(Path(output.name))
    if not isinstance(said, Foreign):
        raise CannotRun(f"$ {shlex.join(argv)} printed a record of ours, not its own")
    elapsed_s = said.elapsed_s or float(whole_s)
    ok = round((said.throughput or 0.0) * elapsed_s) if said.ok is None else said.ok
    latency = Histogram()
    if said.histogram:
        latency.add(said.histogram)
    seen = Run(
        name=load.name,
        started=started.isoformat(timespec="seconds"),
        elapsed_s=elapsed_s,
        load=replace(load.to_asked(), client=shlex.join(argv)),
        ok=ok,
        failed=said.failed or 0,
        statuses=said.statuses,
        errors=said.errors,
        histograms=Histograms(latency_s=latency),
        quoted_s={} if said.histogram else said.latency_s,
        connections=Connections(opened=load.connections),
        client=ClientCost(cpu_s=cpu_s, in_flight=load.connections),
    )
    return account.complete(seen)


def _run_tool(argv: list[str], folder: Path, output: str) -> float:
    """Run it to its end, with what it prints in a file; returns the CPU seconds it used."""
    try:
        with Path(output).open("wb") as printed:
            child = subprocess.Popen(
                argv, cwd=folder, env=ENVIRONMENT, stdout=printed, stderr=subprocess.STDOUT
            )
    except OSError as error:
        raise CannotRun(f"{argv[0]} cannot be run ({error.strerror}): install it") from error
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if status:
        last = Path(output).read_text(errors="replace").strip().splitlines()[-1:]
        raise CannotRun(f"$ {shlex.join(argv)} failed: {' '.join(last)}")
    return used.ru_utime + used.ru_stime
