"""Load from several processes of this machine at once, each a `share`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import msgspec

from lab.facts.form import Json
from lab.facts.records import Run
from lab.load.interrupts import Interrupts
from lab.load.load import Load
from lab.load.measurement import Checkpoint, Watch
from lab.load.shareprocess import GO_ON, ShareProcess
from lab.load.team import Team, Way


class LocalWay(Way):
    """A share in a child of this process."""

    child: ShareProcess | None = None

    def open(self, post: Callable[[bytes | None], None]) -> None:
        child = self.child = ShareProcess()
        self.name = f"process {child.pid} of the client"

        def listen() -> None:
            for line in child.listen():
                post(line)
            child.process.wait()
            post(None)

        self.thread = threading.Thread(target=listen, daemon=True)
        self.thread.start()

    def tell(self, line: bytes) -> None:
        if self.child:
            self.child.tell(line)

    def go_on(self) -> None:
        self.tell(GO_ON)

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def kill(self) -> None:
        if self.child:
            self.child.close()
            self.thread.join()

    def describe_end(self) -> str:
        return f"ended with {self.child.describe_end()}" if self.child else ""


def run_in_processes(
    load: Load, watch: Watch, checkpoint: Checkpoint | None, interrupts: Interrupts
) -> Run:
    """Load from several processes at once, and add up what they saw."""
    return make_team(load, interrupts).run(watch, checkpoint)


def make_team(load: Load, interrupts: Interrupts) -> Team:
    return Team(load, [LocalWay() for _ in range(load.processes)], interrupts)


class Beside:
    """A load that another process puts on meanwhile, alone."""

    def __init__(self, load: Load) -> None:
        self.child = ShareProcess()
        self.child.tell(msgspec.json.encode({"load": load}) + b"\n")
        self.lines = map(json.loads, self.child.listen())

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close()

    def wait_until_under_way(self) -> bool:
        """Whether it is, once that is known."""
        return any("under_way" in said for said in self.lines)

    def finish(self) -> Run | None:
        """End it: what it has measured."""
        self.child.stop()
        latest: Json | None = None
        for said in self.lines:
            latest = said.get("run", latest)
        return Run.from_json(latest) if latest else None
