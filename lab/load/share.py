"""A process that puts load on for another one: `python -P -m lab.load.share`.

It says that it is ready, is sent its Load as a line of JSON, and answers in lines of JSON: that
it is under way, its record every few seconds, and its last one. It ends when it gets a signal,
and when standard input closes: then the process that started it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

import msgspec

from lab.facts.errors import CannotRun
from lab.facts.records import Run
from lab.load.load import Load
from lab.load.run import run
from lab.load.tally import Counts


class Share:
    """What it tells whoever started it."""

    def __init__(self) -> None:
        self.is_under_way = False

    def say(self, **said: Any) -> None:
        print(json.dumps(said), flush=True)

    def watch(self, counts: Counts | None, elapsed_s: float) -> None:
        if not self.is_under_way:
            self.is_under_way = True
            self.say(under_way=True)

    def checkpoint(self, record: Run) -> None:
        self.say(run=record.to_json())

    def run(self) -> None:
        self.say(ready=True)
        line = sys.stdin.buffer.readline()
        if not line:
            return
        threading.Thread(target=self._end_when_let_go, daemon=True).start()
        try:
            record = run(msgspec.json.decode(line, type=Load), self.watch, self.checkpoint)
        except CannotRun as error:
            self.say(cannot=str(error))
        else:
            self.say(run=record.to_json(), last=True)

    def _end_when_let_go(self) -> None:
        while os.read(0, 1024):  # unbuffered: nobody waits for a lock of it at the end
            pass
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, BrokenPipeError):
        Share().run()
