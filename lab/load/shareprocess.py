"""A process that puts a share of a load on, as whoever started it sees it.

It needs nothing but the standard library: it runs on the workers of a cluster, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

ROOT = Path(__file__).resolve().parents[2]
SHARE_COMMAND = [sys.executable, "-P", "-m", "lab.load.share"]  # -P: no module of this folder
GO_ON = b'{"go_on": true}\n'
LEASE_S = 5.0  # for so long a share goes on without a word from whoever leads it
RENEW_S = 1.0  # how often it is told to go on
GRACE_S = 1.2  # in which a share that is to stop may say what it has measured


class ShareProcess:
    """It is told lines, and says lines."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            SHARE_COMMAND,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.told = cast(IO[bytes], self.process.stdin)
        self.said = cast(IO[bytes], self.process.stdout)

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, line: bytes) -> None:
        with suppress(BrokenPipeError, ValueError):  # it has ended, or was closed
            self.told.write(line)
            self.told.flush()

    def listen(self) -> Iterator[bytes]:
        """What it says until it ends."""
        with self.said:
            yield from self.said

    def stop(self) -> None:
        """Let it end. It says what it has measured until then."""
        self.process.terminate()

    def kill(self) -> None:
        """End it at once, even if it stands still."""
        self.process.kill()

    def describe_end(self) -> str:
        """How it has ended."""
        status = self.process.wait()
        return f"signal {-status}" if status < 0 else f"status {status}"

    def close(self) -> None:
        self.process.kill()
        with suppress(BrokenPipeError):
            self.told.close()
        self.process.wait()
