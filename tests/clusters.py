"""Dask clusters as a user starts them: a scheduler and workers, each a process on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import servers
from driving import ROOT, wait_until

SETTINGS = {"DASK_CONFIG": "lab/load/cluster.yaml"}


class Cluster:
    """What each of its processes prints is in a file of `folder`."""

    def __init__(self, folder: Path, workers: int, settings: dict[str, str] = SETTINGS) -> None:
        self.folder, self.settings = folder, settings
        self.address = f"tcp://127.0.0.1:{servers.free_port()}"
        self.processes: list[subprocess.Popen[bytes]] = []
        port = self.address.rpartition(":")[2]
        self.scheduler = self._start("scheduler", "--port", port)
        self.workers = [self.start_worker() for _ in range(workers)]
        self.wait_for(workers)

    def _start(self, *arguments: str, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        command = [*within, sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1"]
        environment = {**os.environ, **self.settings}
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--no-dashboard"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def start_worker(self, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """With a command that it is started `within`, which ends as the worker itself."""
        arguments = "worker", self.address, "--nthreads", "1", "--no-nanny"
        return self._start(*arguments, within=within)

    def wait_for(self, workers: int) -> None:
        """Until so many more have come than have gone."""
        wait_until(lambda: self.logged().count("Register worker") >= workers, 60)

    def replace(self, worker: subprocess.Popen[bytes]) -> None:
        """Put another in the place of one that is gone, or will be."""
        worker.kill()
        worker.wait()
        known = self.logged().count("Register worker")
        self.workers[self.workers.index(worker)] = self.start_worker()
        self.wait_for(known + 1)

    def logged(self, names: Sequence[str] = ("0",)) -> str:
        return "".join((self.folder / f"{name}.log").read_text() for name in names)

    def logged_by_all(self) -> str:
        return self.logged([str(number) for number in range(len(self.processes))])

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    started = Cluster(folder, workers)
    try:
        yield started
    finally:
        started.close()
