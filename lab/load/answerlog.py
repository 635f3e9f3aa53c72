"""Every single answer in a file: a .csv as hey's, or an .ndjson as vegeta's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from lab.facts.records import ErrorKind
from lab.load.load import Load

HEY_COLUMNS = (
    "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset"
)


class Logged(NamedTuple):
    """What became of one request."""

    due_ns: int  # on our clock
    lag_ns: int
    latency_ns: int  # from when it was due
    status: int | None
    kind: ErrorKind | None
    size_bytes: int  # of the answer's body
    load: Load  # that asked for it


class AnswerLog:
    """A row for every answer. Durations have nine decimals, and count from when it was due."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, path.open("w", encoding="utf-8")
        self.fault: OSError | None = None  # why nothing more can be written
        self.waiting: list[Logged] = []
        self.is_hey = path.suffix == ".csv"
        self.written = 0
        if self.is_hey:
            print(HEY_COLUMNS, file=self.file)

    def flush(self, began_ns: int, began: datetime) -> None:
        """Write what has come, of a window that began at `began_ns` on our clock.

        A full disk is no reason to end a load: it is noted, and nothing more is written.
        """
        waiting, self.waiting = self.waiting, []
        if self.fault:
            return
        try:
            self._write(waiting, began_ns, began)
            self.file.flush()
        except OSError as error:
            self.fault = error

    def close(self) -> None:
        with suppress(OSError):  # which flush() has noted
            self.file.close()

    def _write(self, waiting: Sequence[Logged], began_ns: int, began: datetime) -> None:
        for one in waiting:
            offset_ns = one.due_ns - began_ns
            if self.is_hey:
                self._write_as_hey(one, offset_ns)
            else:
                self._write_as_vegeta(one, offset_ns, began)
            self.written += 1

    def _write_as_hey(self, one: Logged, offset_ns: int) -> None:
        """Whole answers only, as hey has it; what hey calls dialling is all our send lag."""
        if one.status is None:
            return
        times = (one.latency_ns, one.lag_ns, 0, 0, one.latency_ns - one.lag_ns, 0)
        cells = ",".join(f"{ns / 1e9:.9f}" for ns in times)
        print(f"{cells},{one.status},{offset_ns / 1e9:.9f}", file=self.file)

    def _write_as_vegeta(self, one: Logged, offset_ns: int, began: datetime) -> None:
        at_ns = int(began.timestamp() * 1e6) * 1000 + offset_ns
        at = datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        hit = {
            "attack": one.load.name,
            "seq": self.written,
            "code": one.status or 0,
            "timestamp": f"{at}.{at_ns % 10**9:09}Z",
            "latency": one.latency_ns,
            "bytes_out": len(one.load.body),
            "bytes_in": one.size_bytes,
            "error": one.kind or "",
            "body": None,
            "method": one.load.method,
            "url": one.load.public_url,
            "headers": None,
        }
        print(json.dumps(hit), file=self.file)
