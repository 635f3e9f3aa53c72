"""Run a load: from this process, or from several at once."""

from __future__ import annotations

import resource

from lab.facts.errors import CannotRun
from lab.facts.records import Run
from lab.load.interrupts import note_interrupts
from lab.load.load import Load
from lab.load.measurement import Checkpoint, Leader, Measurement, Watch, ignore
from lab.load.processtable import read_process

_SPARE_FILES = 100  # besides the connections


def run(
    load: Load,
    watch: Watch = ignore,
    checkpoint: Checkpoint | None = None,
    leader: Leader | None = None,
) -> Run:
    """Load one URL and return what came of it.

    `watch(counts, elapsed_s)` is called ten times a second, with None for the counts until there
    are some, and `checkpoint(run)` every few seconds with what has come by then. With a `leader`
    it is one part of a larger load. SIGINT and SIGTERM end the load; the Run is then
    `interrupted`. Raises CannotRun when the first connection fails, and KeyboardInterrupt where
    nothing has been measured.
    """
    if load.pid is not None and not read_process(load.pid):
        raise CannotRun(f"there is no process {load.pid} to account for: look for it with ps")
    if not load.cluster:
        allow_files(load.connections)
    with note_interrupts() as interrupts:
        if load.cluster:
            from lab.load.cluster import run_on_cluster  # which takes long to import

            return run_on_cluster(load, watch, checkpoint, interrupts)
        if load.processes > 1:
            from lab.load.processes import run_in_processes

            return run_in_processes(load, watch, checkpoint, interrupts)
        return Measurement(load, watch, checkpoint, interrupts, leader).run()


def allow_files(connections: int) -> None:
    """Let this process, and what it starts from now on, have so many connections open.

    Raises CannotRun where the system does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _SPARE_FILES
    if soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError) as error:
        why = f"{connections} connections take {needed} files: ulimit -n {needed}"
        raise CannotRun(why) from error
