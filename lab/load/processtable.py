"""The processes of this machine: read from /proc in half of psutil's time, and elsewhere by it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_HAS_PROC = sys.platform == "linux"
_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """A process as it was when it was looked at."""

    pid: int
    started: float  # with the pid, what tells it from all others
    parent: int
    name: str
    own_s: float  # CPU seconds
    reaped_s: float  # CPU seconds of the children that it has waited for
    rss_bytes: int
    threads: int

    @property
    def key(self) -> tuple[int, float]:
        return self.pid, self.started


class CpuTimes(NamedTuple):
    """What the machine's cores spent in all, in s."""

    total_s: float
    steal_s: float  # taken by the hypervisor


def read_processes() -> dict[int, Process]:
    """All processes by their ids."""
    if not _HAS_PROC:
        return _read_by_psutil()
    found = (read_process(int(one.name)) for one in os.scandir("/proc") if one.name.isdecimal())
    return {process.pid: process for process in found if process}


def read_process(pid: int) -> Process | None:
    """A process; None where it is gone."""
    if not _HAS_PROC:
        return _read_by_psutil().get(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    head, _, tail = stat.rpartition(b")")  # a name may hold anything
    figures = tail.split()  # from the third of proc(5) on
    user, system, children_user, children_system = map(int, figures[11:15])
    return Process(
        pid=pid,
        started=float(figures[19]),
        parent=int(figures[1]),
        name=head.partition(b"(")[2].decode(errors="replace"),
        own_s=(user + system) / _TICKS,
        reaped_s=(children_user + children_system) / _TICKS,
        rss_bytes=int(figures[21]) * _PAGE_BYTES,
        threads=int(figures[17]),
    )


def _read_by_psutil() -> dict[int, Process]:
    import psutil

    found = {}
    asked = ["pid", "ppid", "name", "create_time", "cpu_times", "memory_info", "num_threads"]
    for one in psutil.process_iter(asked):
        said = one.info
        times, memory = said["cpu_times"], said["memory_info"]
        found[said["pid"]] = Process(
            pid=said["pid"],
            started=said["create_time"] or 0.0,
            parent=said["ppid"] or 0,
            name=said["name"] or "",
            own_s=times.user + times.system if times else 0.0,
            reaped_s=getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0),
            rss_bytes=memory.rss if memory else 0,
            threads=said["num_threads"] or 0,
        )
    return found


def children_of(pid: int, table: dict[int, Process]) -> list[Process]:
    return [process for process in table.values() if process.parent == pid]


def tree_of(pid: int, table: dict[int, Process]) -> list[Process]:
    """A process, if it is there, its children, theirs, and so on."""
    found = [table[pid]] if pid in table else []
    for process in found:  # which grows meanwhile
        found += children_of(process.pid, table)
    return found


def read_cpu_times() -> CpuTimes:
    with suppress(OSError):  # not Linux
        first = Path("/proc/stat").read_text().partition("\n")[0]
        times_s = [int(ticks) / _TICKS for ticks in first.split()[1:9]]  # guests are in user time
        return CpuTimes(sum(times_s), times_s[7])
    import psutil

    times = psutil.cpu_times()
    return CpuTimes(sum(times), getattr(times, "steal", 0.0))


def read_queued_s(task: str) -> float | None:
    """How long a thread ("self", "PID/task/TID") was ready to run and others had its core, in s.

    None if it is unknown.
    """
    with suppress(OSError, IndexError):  # not Linux, without these figures, or gone
        return int(Path(f"/proc/{task}/schedstat").read_text().split()[1]) / 1e9
    return None


def read_threads_queued_s(pid: int) -> float | None:
    """How long all threads of a process were ready to run and others had their core, in s."""
    with suppress(OSError):
        threads = os.scandir(f"/proc/{pid}/task")
        return add_known([read_queued_s(f"{pid}/task/{thread.name}") for thread in threads])
    return None


def add_known(values: list[float | None]) -> float | None:
    """The sum of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
