"""A program of its own: runs a server in a session of its own, and ends it when let go.

    python guard.py CORES PATIENCE_S FOLDER COMMAND [ARGUMENT …]

Prints the server's process id. Ends it when standard input closes, which is when the experiment
lets go of it or is itself gone, whatever the reason: politely first, and for good after
PATIENCE_S. What it has started has as long when it ends first: a shell is gone before the
database that it sets up has given back its shared memory. CORES are those it may use ("0,1"; ""
for all). FOLDER, unless it is "", is removed in the end. Needs the standard library alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

CANNOT_START = 127  # the status that a shell gives, too


def end(server: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the server and all that it started in its session."""
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of the ended
        os.killpg(server.pid, number)


def is_there(server: subprocess.Popen[bytes]) -> bool:
    """Whether anything is left of its session."""
    try:
        os.killpg(server.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_the_rest(server: subprocess.Popen[bytes], patience_s: float) -> None:
    """End what the server, which has ended, has started and left."""
    ends_s = time.monotonic() + patience_s
    end(server, signal.SIGTERM)
    while is_there(server) and time.monotonic() < ends_s:
        time.sleep(0.02)
    end(server, signal.SIGKILL)


def end_when_let_go(server: subprocess.Popen[bytes], patience_s: float) -> None:
    sys.stdin.buffer.read()
    end(server, signal.SIGTERM)
    time.sleep(patience_s)
    end(server, signal.SIGKILL)


def main() -> int:
    cores, patience_s, folder, *command = sys.argv[1:]
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    try:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
        )
    except OSError as error:  # also where the program that a script's first line names is gone
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return CANNOT_START
    watching = threading.Thread(
        target=end_when_let_go, args=(server, float(patience_s)), daemon=True
    )
    watching.start()
    with suppress(BrokenPipeError):  # the experiment is gone, and the thread sees it, too
        print(server.pid, flush=True)
    status = server.wait()
    end_the_rest(server, float(patience_s))
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    return min(abs(status), 255)


if __name__ == "__main__":
    os._exit(main())  # without waiting for the thread, which waits for the experiment
