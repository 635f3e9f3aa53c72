"""One load over the workers of a Dask cluster: `--cluster ADDRESS`.

Dask places one task on each worker and says which one is lost. A share runs in a process of its
own there, as those of --processes do here.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, perf_counter_ns
from typing import Any, TypeVar

from lab.facts.errors import CannotRun
from lab.facts.records import Run
from lab.load import relay
from lab.load.clusterchecks import LOCAL, check_address, check_homes, check_settings, read_settings
from lab.load.interrupts import Interrupts
from lab.load.load import Load
from lab.load.measurement import Checkpoint, Watch
from lab.load.relay import Heard, Home, Letter
from lab.load.shareprocess import LEASE_S
from lab.load.team import Team, Way

try:
    import dask
    import distributed

    dask_distributed: Any = distributed  # of which not all is typed
except ImportError as error:
    why = f"--cluster needs dask and distributed ({error})"
    remedy = "pip install -r lab/load/cluster-requirements.txt"
    raise CannotRun(f"{why}: {remedy}") from error

Said = TypeVar("Said")

LISTEN_S = 0.5  # how long a worker waits for its share to say something
CONNECT_S = 5.0
TASK_S = 10.0  # in which a worker that is free begins its task
_CLOCK_LOOKS = 9
_QUIET = ("distributed", "tornado", "asyncio")


class Cluster:
    """A connection to a scheduler, and its workers."""

    def __init__(self, client: Any, local: Any = None) -> None:
        self.client, self.local = client, local
        self.address: str = client.scheduler.address
        self.loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self.ours = relay.describe_home()
        self.homes: dict[str, Home] = {}  # by the address of the worker
        self.clocks: dict[str, tuple[int, int]] = {}  # offset and what it may be off by, in ns

    def close(self) -> None:
        with suppress(Exception):  # whatever is left of it is of no use to anybody
            self.client.close(timeout=1)
        if self.local:
            started = [nanny.pid for nanny in self.local.workers.values()]
            with suppress(Exception):
                self.local.close(timeout=2)
            for pid in filter(None, started):  # it may stand still
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.local.shutdown_on_close = False  # or Dask would wait for it again, for 10 s

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Let it run beside this thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def describe_loss(self) -> str:
        """How a worker was lost that cannot be asked."""
        is_alone = self.client.status != "running"
        return "was cut off, since the scheduler is gone" if is_alone else "was lost"

    async def call(self, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of ours returns on a worker. Raises what went wrong."""
        asked = self.client.run(function, *arguments, workers=[address], on_error="return")
        answers = await asyncio.wait_for(asked, LEASE_S)
        answer = answers.get(address, OSError("it is gone"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def look_around(self) -> None:
        """Which workers there are, and whether a load may be put on them. Raises CannotRun."""
        known = self._ask_scheduler(lambda: self.client.scheduler.identity(n_workers=-1))
        able = [
            address
            for address, worker in known["workers"].items()
            if worker["resources"].get("loadgen", 0) >= 1
        ]
        if not able:
            raise CannotRun(
                f"no worker of {self.address} takes a load: start some with "
                "DASK_CONFIG=lab/load/cluster.yaml"
            )
        for address in able:
            check_address(address)
        asked = dask.config.get, "distributed.scheduler"
        settings = self._ask_scheduler(lambda: self.client.run_on_scheduler(*asked))
        check_settings(self.address, settings)
        for address in able:
            if address not in self.homes:
                self.homes[address] = self._ask_worker(address, relay.describe_home)
            self.clocks[address] = self._compare_clocks(address)
        for address in self.homes.keys() - set(able):
            del self.homes[address]
        check_homes(self.homes, self.ours)

    def _ask_scheduler(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        async def wait() -> Any:
            return await asyncio.wait_for(ask(), LEASE_S)

        try:
            return self.start(wait()).result()
        except (OSError, RuntimeError) as error:
            why = f"the scheduler at {self.address} does not answer ({error or 'in time'})"
            raise CannotRun(f"{why}: start it again") from error

    def _ask_worker(self, address: str, function: Callable[[], Said]) -> Said:
        try:
            answer: Said = self.start(self.call(address, function)).result()
        except Exception as error:  # whatever kept it from finding our code
            why = f"worker {address} cannot use this code ({error or 'no answer'})"
            raise CannotRun(f"{why}: start it in a copy of this folder") from error
        return answer

    def is_here(self, address: str) -> bool:
        """Whether a worker is on this machine."""
        return self.homes[address].boot == self.ours.boot != ""

    def _compare_clocks(self, address: str) -> tuple[int, int]:
        """How far a worker's clock is ahead of ours, by the quickest of some answers."""
        if self.is_here(address):
            return 0, 0  # it is the same clock
        looks = []
        for _ in range(_CLOCK_LOOKS):
            asked_ns = perf_counter_ns()
            there_ns = self._ask_worker(address, relay.read_clock_ns)
            took_ns = perf_counter_ns() - asked_ns
            looks.append((took_ns, there_ns - asked_ns - took_ns // 2))
        took_ns, offset_ns = min(looks)
        return offset_ns, took_ns // 2


class WorkerWay(Way):
    """A share on a worker of the cluster."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self.cluster, self.address = cluster, address
        self.name = f"worker {address}"
        offset_ns, error_ns = cluster.clocks[address]
        self.clock_offset_ns, self.clock_error_s = offset_ns, error_ns / 1e9
        self.is_here = cluster.is_here(address)
        self.token = secrets.token_hex(8)
        self.end = ""
        self.task: Any = None

    def open(self, post: Callable[[bytes | None], None]) -> None:
        self.task = self.cluster.client.submit(
            relay.hold,
            self.token,
            key=f"loadgen-{self.token}",
            workers=[self.address],
            allow_other_workers=False,
            resources={"loadgen": 1},
            retries=0,
            pure=False,
        )
        self.cluster.start(self._listen(post))

    async def _listen(self, post: Callable[[bytes | None], None]) -> None:
        opened_s, has_begun = monotonic(), False
        while not self.end:
            try:
                heard: Heard | None = await self._ask(relay.listen, LISTEN_S)
            except TimeoutError:
                self.end = f"has not answered for {LEASE_S:g} s"
            except Exception:
                self.end = self.cluster.describe_loss()
            else:
                if heard:
                    has_begun, self.end = True, heard.end
                    for line in heard.lines:
                        post(line)
                elif has_begun or self.task.status in ("error", "lost", "finished"):
                    self.end = "was lost"
                elif monotonic() > opened_s + TASK_S:
                    self.end = "has not begun"
                    cannot = {"cannot": "it is busy: wait for the load that it puts on now"}
                    post(json.dumps(cannot).encode())
                else:
                    await asyncio.sleep(0.02)
        post(None)

    async def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self.cluster.call(self.address, function, self.token, *arguments)

    async def _try(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Ask it for something. Whoever listens to it notices if it is gone."""
        with suppress(Exception):
            await self._ask(function, *arguments)

    def tell(self, line: bytes) -> None:
        self.cluster.start(self._try(relay.tell, Letter(line)))

    def go_on(self) -> None:
        """Who listens to it tells it to."""

    def stop(self) -> None:
        self.cluster.start(self._try(relay.stop))

    def kill(self) -> None:
        if self.task is not None:
            if not self.end:
                self.stop()
            self.task.release()

    def describe_end(self) -> str:
        return self.end or "was lost"


class ClusterTeam(Team):
    start_delay_s = 0.2


_clusters: dict[tuple[str, int], Cluster] = {}  # by address, and how many were to be started


def run_on_cluster(
    load: Load, watch: Watch, checkpoint: Checkpoint | None, interrupts: Interrupts
) -> Run:
    """Load from all workers of a cluster at once, and add up what they saw."""
    return make_team(load, interrupts).run(watch, checkpoint)


def make_team(load: Load, interrupts: Interrupts) -> Team:
    """All workers of a cluster that take a load. Raises CannotRun."""
    cluster = _find_cluster(load)
    cluster.look_around()
    addresses = list(cluster.homes)
    try:
        load = replace(load, processes=len(addresses))
    except ValueError as error:
        raise CannotRun(f"{load.cluster}: {error}") from error
    ways = [WorkerWay(cluster, address) for address in addresses]
    return ClusterTeam(load, ways, interrupts)


def _find_cluster(load: Load) -> Cluster:
    """The one that is known from the last run, or a new one."""
    key = load.cluster, load.processes if load.cluster == LOCAL else 0
    if key not in _clusters:
        _silence()
        _clusters[key] = _start_local(load.processes) if key[1] else _connect(load.cluster)
        atexit.register(_clusters[key].close)
    return _clusters[key]


def _silence() -> None:
    """What Dask has to say of a worker that is lost, we say in one line."""
    for name in [*logging.root.manager.loggerDict, *_QUIET]:
        if name.partition(".")[0] in _QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _start_local(workers: int) -> Cluster:
    dask.config.update(dask.config.config, read_settings(), priority="new")
    try:
        local = dask_distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL + 1,
        )
        client = dask_distributed.Client(local, set_as_default=False)
        client.run(relay.ignore_interrupts)
    except (OSError, RuntimeError) as error:
        raise CannotRun(f"no cluster could be started here ({error})") from error
    return Cluster(client, local)


def _connect(address: str) -> Cluster:
    options: dict[str, str] = {"address": address}
    if Path(address).is_file():
        options = {"scheduler_file": address}
    else:
        check_address(address)
    try:
        client = dask_distributed.Client(**options, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        remedy = "start one with dask scheduler"
        if address.startswith("tls:"):
            remedy = "start one, and let DASK_CONFIG name the folder of its certificate"
        raise CannotRun(f"no scheduler at {address} ({error}): {remedy}") from error
    check_address(client.scheduler.address)
    return Cluster(client)
