"""What the machine does meanwhile: processor time of every process, memory, queues, steal."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import psutil

from lab.facts.records import ClientCost, Environment, Memory, Run, ServerCost
from lab.facts.secrets import hide_in_command
from lab.facts.validity import judge

CLIENT_PACKAGES = ("aiohttp", "httptools", "uvloop")


class Machine:
    """What the processes of this machine had used when this was made, to be subtracted."""

    def __init__(self, server_pid: int | None) -> None:
        self.tree: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            if server_pid:
                root = psutil.Process(server_pid)
                self.tree = [root, *root.children(recursive=True)]
        self.server_cpu_s = sum(cpu_s(process, reaped=True) for process in self.tree)
        self.server_queued_s = _add_known(threads_queued_s(process) for process in self.tree)
        me = psutil.Process()  # and with me what I started, such as a load beside this one
        ours = {process.pid for process in (*self.tree, me, *me.children())}
        others = (process for process in psutil.process_iter() if process.pid not in ours)
        self.others_s = {process: cpu_s(process, reaped=False) for process in others}
        self.times = psutil.cpu_times()
        self.overflows = listen_overflows()

    def memory(self) -> Memory:
        """What the server's processes hold now."""
        rss_bytes = processes = threads = 0
        for process in self.tree:
            with suppress(psutil.Error):
                rss_bytes += process.memory_info().rss
                threads += process.num_threads()
                processes += 1
        return Memory(rss_bytes=rss_bytes, processes=processes, threads=threads)

    def find_neighbour(self, before: Machine) -> tuple[str, float]:
        """The process that used most since `before`, besides the server and us, and its CPU s."""
        used_s = {p: s - before.others_s.get(p, 0.0) for p, s in self.others_s.items()}
        if not used_s:
            return "", 0.0
        busiest = max(used_s, key=lambda process: used_s[process])
        name = ""
        with suppress(psutil.Error):
            name = f"{busiest.name()} (process {busiest.pid})"
        return name, used_s[busiest]


class Account:
    """What the server and the machine do from when this is made, for the record of a run."""

    def __init__(self, server_pid: int | None) -> None:
        self.server_pid = server_pid
        self.before = Machine(server_pid)
        self.memory = self.before.memory()

    def note_memory(self) -> None:
        """Keep the most that the server has held."""
        if self.server_pid:
            now = self.before.memory()
            self.memory = Memory(
                rss_bytes=max(self.memory.rss_bytes, now.rss_bytes),
                processes=max(self.memory.processes, now.processes),
                threads=max(self.memory.threads, now.threads),
            )

    def complete(self, run: Run) -> Run:
        """The run of some load, with what it cost and what disturbed it, judged.

        What is there to begin with is what its own client saw: counts, times, and of its cost
        the processor time. Shares of time and requests are made here.
        """
        after = Machine(self.server_pid)
        environment = replace(
            run.environment if run.environment.cores else environment_of(CLIENT_PACKAGES),
            steal=steal_share(self.before.times, after.times),
        )
        complete = replace(
            run,
            client=self._with_disturbances(run, after),
            server=self._server_cost(run, after),
            environment=environment,
        )
        return judge(complete)

    def _with_disturbances(self, run: Run, after: Machine) -> ClientCost:
        name, neighbour_s = after.find_neighbour(self.before)
        client = replace(
            run.client,
            listen_overflows=after.overflows - self.before.overflows,
            neighbour=name,
            neighbour_busy=neighbour_s / max(run.elapsed_s, 1e-9),
        )
        return client.spread_over(run.requests, run.elapsed_s, run.load.processes)

    def _server_cost(self, run: Run, after: Machine) -> ServerCost | None:
        if not self.server_pid:
            return None
        used_s = after.server_cpu_s - self.before.server_cpu_s
        earlier_s, later_s = self.before.server_queued_s, after.server_queued_s
        queued_s = None
        if earlier_s is not None and later_s is not None:
            queued_s = max(later_s - earlier_s, 0.0)
        cost = ServerCost(cpu_s=used_s, queued_s=queued_s, **vars(self.memory))
        return cost.spread_over(run.requests, run.elapsed_s)


def steal_share(before: tuple[float, ...], after: tuple[float, ...]) -> float:
    """The share of the machine's time that its hypervisor took between two psutil.cpu_times()."""
    stolen_s = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
    return float(max(stolen_s, 0.0) / max(sum(after) - sum(before), 1e-9))


def cpu_s(process: psutil.Process, reaped: bool = True) -> float:
    """CPU seconds of a process, and of the children it has reaped; 0.0 once it is gone.

    What a child used in all its life is its parent's from one moment to the next.
    """
    with suppress(psutil.Error):
        times = process.cpu_times()
        own_s = times.user + times.system
        children_s = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return float(own_s + children_s if reaped else own_s)
    return 0.0


def queued_s() -> float:
    """How long this process was ready to run and another had its core, in s; 0.0 if unknown."""
    return _read_queued_s(Path("/proc/self")) or 0.0


def threads_queued_s(process: psutil.Process) -> float | None:
    """How long all threads of a process were ready to run and others had their core, in s."""
    return _add_known(map(_read_queued_s, Path(f"/proc/{process.pid}/task").glob("*")))


def _read_queued_s(task: Path) -> float | None:
    with suppress(OSError):  # not Linux, without these figures, or gone
        return int((task / "schedstat").read_text().split()[1]) / 1e9
    return None


def _add_known(values: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def listen_overflows() -> int:
    """How often this machine dropped a connection for a full listen queue; 0 if unknown."""
    with suppress(OSError):  # not Linux
        lines = Path("/proc/net/netstat").read_text().splitlines()
        names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
        return int(dict(zip(names, values, strict=True))["ListenOverflows"])
    return 0


@cache
def _lasting_environment() -> Environment:
    """What does not change while this process lives."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = found[1] if found else cpu
    words = [Path(sys.argv[0]).name, *hide_in_command(sys.argv[1:])]
    return Environment(
        cpu=cpu,
        cores=os.cpu_count(),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        command=shlex.join(["python", *words]),
        commit=_read_commit(),
    )


def _read_commit() -> str | None:
    """The commit of this code, where it lies in a repository and git is there."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None
    return None


def environment_of(packages: Sequence[str] = CLIENT_PACKAGES) -> Environment:
    """What a figure depends on besides the load: machine, versions, command and commit."""
    versions = {}
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return replace(_lasting_environment(), packages=versions, load_average=os.getloadavg()[0])
