"""What the server and the machine do while a load runs: processor time, memory, disturbances."""

from __future__ import annotations

import os
from collections.abc import Collection, Container
from dataclasses import replace

from lab.facts.records import ClientCost, Environment, Memory, Run, ServerCost
from lab.facts.validity import NEIGHBOUR_BUSY, judge
from lab.load.environment import environment_of
from lab.load.listener import find_listener, find_local_port
from lab.load.listenqueue import Rejections
from lab.load.processtable import (
    CpuTimes,
    add_known,
    children_of,
    read_cpu_times,
    read_process,
    read_processes,
    read_queued_s,
    read_threads_queued_s,
    tree_of,
)


class Machine:
    """What the processes of this machine had used when this was made, to be subtracted."""

    def __init__(self, server_pid: int | None, helpers: Collection[int] = ()) -> None:
        table = read_processes()
        self.tree = tree_of(server_pid, table) if server_pid else []
        self.server_cpu_s = sum(process.own_s + process.reaped_s for process in self.tree)
        self.server_queued_s = add_known([read_threads_queued_s(one.pid) for one in self.tree])
        me = os.getpid()  # and with me what I started, such as a load beside this one
        ours = {one.pid for one in (*self.tree, *children_of(me, table))} | {me, *helpers}
        self.others = {one.key: one for one in table.values() if one.pid not in ours}
        self.times = read_cpu_times()

    def memory(self) -> Memory:
        """What the server's processes hold now."""
        there = [one for one in (read_process(known.pid) for known in self.tree) if one]
        return Memory(
            rss_bytes=sum(process.rss_bytes for process in there),
            processes=len(there),
            threads=sum(process.threads for process in there),
        )

    def find_neighbour(self, before: Machine, server: Container[int] = ()) -> tuple[str, float]:
        """The process that used most since `before`, besides the server and us, and its CPU s."""
        used_s = {
            key: one.own_s - (before.others[key].own_s if key in before.others else 0.0)
            for key, one in self.others.items()
            if one.pid not in server
        }
        if not used_s:
            return "", 0.0
        busiest = max(used_s, key=lambda key: used_s[key])
        name = f"{self.others[busiest].name} (process {self.others[busiest].pid})"
        return name, used_s[busiest]


class Account:
    """What the server and the machine do from when this is made, for the record of a run."""

    def __init__(self, server_pid: int | None, url: str, helpers: Collection[int] = ()) -> None:
        self.server_pid, self.helpers = server_pid, helpers
        self.before = Machine(server_pid, helpers)
        self.memory = self.before.memory()
        self.url, self.port = url, find_local_port(url)
        self.rejections = Rejections(self.port)

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
        after = Machine(self.server_pid, self.helpers)
        environment = run.environment if run.environment.cores else environment_of()
        name, neighbour_s = self._find_neighbour(after, run.elapsed_s)
        busy = neighbour_s / max(run.elapsed_s, 1e-9)
        complete = replace(
            run,
            client=replace(self._spread_client(run), neighbour=name, neighbour_busy=busy),
            server=self._make_server_cost(run, after),
            environment=self._add_steal(environment, run, after.times),
        )
        return judge(complete)

    def complete_so_far(self, run: Run) -> Run:
        """The same while the load goes on, not judged. A look at all processes of the machine
        would hold it up for some 50 ms, so what takes one is not in it: the neighbour, and the
        server's cost.
        """
        environment = self._add_steal(run.environment, run, read_cpu_times())
        return replace(run, client=self._spread_client(run), environment=environment)

    def _add_steal(self, environment: Environment, run: Run, now: CpuTimes) -> Environment:
        elsewhere = [shard.steal for shard in run.shards]  # on other machines
        steal = max([steal_share(self.before.times, now), *elsewhere])
        return replace(environment, steal=steal)

    def _spread_client(self, run: Run) -> ClientCost:
        client = replace(run.client, listen_overflows=self.rejections.count())
        return client.spread_over(run.requests, run.elapsed_s, run.load.processes)

    def _find_neighbour(self, after: Machine, elapsed_s: float) -> tuple[str, float]:
        """As `Machine.find_neighbour`. Where nobody said which process is the server, the one
        that listens on the port is; where that is not known either, neither is a neighbour.
        """
        name, used_s = after.find_neighbour(self.before)
        if self.server_pid or not self.port or used_s <= NEIGHBOUR_BUSY * elapsed_s:
            return name, used_s
        listener = find_listener(self.url)
        if listener is None:
            return "", 0.0
        server = {one.pid for one in tree_of(listener, read_processes())}
        return after.find_neighbour(self.before, server)

    def _make_server_cost(self, run: Run, after: Machine) -> ServerCost | None:
        if not self.server_pid:
            return None
        used_s = after.server_cpu_s - self.before.server_cpu_s
        earlier_s, later_s = self.before.server_queued_s, after.server_queued_s
        waited_s = None
        if earlier_s is not None and later_s is not None:
            waited_s = max(later_s - earlier_s, 0.0)
        cost = ServerCost(cpu_s=used_s, queued_s=waited_s, **vars(self.memory))
        return cost.spread_over(run.requests, run.elapsed_s)


def steal_share(before: CpuTimes, after: CpuTimes) -> float:
    """The share of the machine's time that its hypervisor took between two moments."""
    stolen_s, passed_s = after.steal_s - before.steal_s, after.total_s - before.total_s
    return max(stolen_s, 0.0) / max(passed_s, 1e-9)


def queued_s() -> float:
    """How long this process was ready to run and another had its core, in s; 0.0 if unknown."""
    return read_queued_s("self") or 0.0
