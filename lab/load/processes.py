"""Load from several processes at once, each a `share`, and what they saw as one record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import IO, cast

import msgspec

from lab.facts.errors import CannotRun, Interrupted
from lab.facts.form import Json
from lab.facts.merging import add_seconds, merge
from lab.facts.records import ClientCost, Environment, Run, Second, Stretches, Trust, Validity
from lab.load.interrupts import Interrupts
from lab.load.load import Load
from lab.load.machine import Account
from lab.load.measurement import CHECKPOINT_S, Checkpoint, PartlyLost, Watch, mark_interrupted
from lab.load.plan import split_load

POLL_S = 0.1
_ROOT = Path(__file__).resolve().parents[2]
SHARE_COMMAND = [sys.executable, "-P", "-m", "lab.load.share"]  # -P: no module of this folder


class Share:
    """A process that puts a load on: what it says as it goes on, and what it said last."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            SHARE_COMMAND,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.told = cast(IO[bytes], self.process.stdin)
        self.said = cast(IO[bytes], self.process.stdout)
        self.cannot = ""  # why it could not run
        self.is_whole = False  # whether it has said its last
        self._latest: Json | None = None  # a record

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with suppress(BrokenPipeError):
            self.told.close()
        self.process.wait()
        self.said.close()

    def wait_until_ready(self) -> bool:
        """Whether it has started, once that is known."""
        return bool(self.said.readline())

    def begin(self, load: Load) -> None:
        with suppress(BrokenPipeError):
            self.told.write(msgspec.json.encode(load) + b"\n")
            self.told.flush()

    def wait_until_under_way(self) -> bool:
        """Whether its load is under way, once that is known."""
        return "under_way" in json.loads(self.said.readline() or b"{}")

    def follow(self) -> None:
        """Read what it says until it ends."""
        for line in self.said:
            self._hear(json.loads(line))

    def _hear(self, said: Json) -> None:
        self.cannot = said.get("cannot", self.cannot)
        self._latest = said.get("run", self._latest)
        self.is_whole = said.get("last", self.is_whole)

    @property
    def has_aborted(self) -> bool:
        """Whether it has ended early because too much failed or took too long."""
        return bool(self._latest and self._latest["aborted"])

    @property
    def has_record(self) -> bool:
        return self._latest is not None

    def record(self) -> Run:
        """Its latest."""
        assert self._latest
        return Run.from_json(self._latest)

    def describe_end(self) -> str:
        """How it ended before it had said its last."""
        status = self.process.wait()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"process {self.process.pid} of the client ended with {how}"

    def stop(self) -> None:
        """End it. It says what it has measured until then."""
        self.process.terminate()


class Team:
    """The processes of one load."""

    def __init__(self, load: Load, stack: ExitStack, interrupts: Interrupts) -> None:
        self.load = load
        self.shares: list[Share] = []
        interrupts.then = self.stop
        for _ in range(load.processes):
            self.shares.append(stack.enter_context(Share()))
        if interrupts.came:  # before all of them were there
            self.stop()
        for share in self.shares:
            share.wait_until_ready()
        self.account = Account(load.pid, load.url)

    def stop(self) -> None:
        for share in self.shares:
            share.stop()

    def follow(self, watch: Watch, checkpoint: Checkpoint | None) -> None:
        """Set all of them going, and wait for their ends. Where one is lost, or has ended early,
        all end.
        """
        saved_s, began_s = 0.0, time.monotonic()
        with ThreadPoolExecutor(len(self.shares)) as pool:
            for share, part in zip(self.shares, split_load(self.load), strict=True):
                share.begin(part)
            following = {pool.submit(share.follow): share for share in self.shares}
            while True:
                done, not_done = wait(following, POLL_S)
                ended = [following[one] for one in done]
                if any(share.has_aborted or not share.is_whole for share in ended):
                    self.stop()
                if not not_done:
                    return
                self.account.note_memory()
                elapsed_s = time.monotonic() - began_s
                if checkpoint and elapsed_s > saved_s + CHECKPOINT_S and self.have_records:
                    saved_s = elapsed_s
                    checkpoint(self.record())
                watch(None, elapsed_s)

    def finish(self, is_interrupted: bool) -> Run:
        """The record, once all have ended. Raises CannotRun, PartlyLost or Interrupted."""
        for share in self.shares:
            if share.cannot:
                raise CannotRun(share.cannot)
        lost = [share for share in self.shares if not share.is_whole]
        if not any(share.has_record for share in self.shares):
            if is_interrupted:
                raise Interrupted
            raise CannotRun(f"{lost[0].describe_end()}, before anything was saved: run it again")
        if not lost or is_interrupted:
            return self.record()
        why = f"{lost[0].describe_end()}: what it did since it last said so is not in the record"
        record = self.record()
        reasons = [f"{why}, so run it again", *record.validity.reasons]
        validity = Validity(verdict=Trust.INVALID, reasons=reasons)
        raise PartlyLost(why, replace(record, validity=validity, interrupted=False))

    @property
    def have_records(self) -> bool:
        return all(share.has_record for share in self.shares)

    def record(self) -> Run:
        """What all saw at the same time, as one run: histograms merge exactly."""
        runs = [share.record() for share in self.shares if share.has_record]
        seen = replace(
            merge(runs),
            name=self.load.name or self.load.public_url,
            load=self.load.to_asked(),
            elapsed_s=max(run.elapsed_s for run in runs),
            client=_add_clients(runs, bool(self.load.rate)),
            series=_add_series([run.series for run in runs]),
            stretches=_add_stretches([run.stretches for run in runs]),
            interrupted=any(run.interrupted for run in runs) and not any(r.aborted for r in runs),
            environment=Environment(),
        )
        return self.account.complete(seen)


def run_in_processes(
    load: Load, watch: Watch, checkpoint: Checkpoint | None, interrupts: Interrupts
) -> Run:
    """Load from several processes at once, and add up what they saw."""
    with ExitStack() as stack:
        team = Team(load, stack, interrupts)
        team.follow(watch, checkpoint)
        return mark_interrupted(team.finish(interrupts.came), interrupts)


def _add_clients(runs: Sequence[Run], is_open: bool) -> ClientCost:
    return replace(
        merge(runs).client,
        in_flight=sum(run.client.in_flight for run in runs),
        planned=sum(run.client.planned or 0 for run in runs) if is_open else None,
        sent=sum(run.client.sent or 0 for run in runs) if is_open else None,
    )


def _add_series(parts: Sequence[Sequence[Second]]) -> list[Second]:
    """The seconds of several processes as one series."""
    return [add_seconds([entry for entry in row if entry]) for row in zip_longest(*parts)]


def _add_stretches(parts: Sequence[Stretches | None]) -> Stretches | None:
    """The stretches of several processes at the same time as one; None where they do not match.

    Each counts what exceeds its own percentile, which is near enough to that of all.
    """
    known = [part for part in parts if part]
    if len(known) < len(parts) or len({len(part.counts) for part in known}) > 1:
        return None
    return Stretches(
        counts=[sum(row) for row in zip(*(part.counts for part in known), strict=True)],
        above=[
            [sum(row) for row in zip(*rows, strict=True)]
            for rows in zip(*(part.above for part in known), strict=True)
        ],
    )
