"""The process that listens on a port of this machine."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from lab.load.processtable import read_processes

LISTENING = "0A"  # the state of a socket in /proc/net/tcp (proc(5))
HERE = re.compile(r"localhost|127(\.\d+){3}|::1")
PORTS = {"http": 80, "https": 443}


def find_listener(url: str) -> int | None:
    """The process that answers a URL of this machine: of several that share the socket the one
    that started the others. None where it is elsewhere, or the system does not tell.
    """
    port = find_local_port(url)
    sockets = _find_sockets(port) if port else set()
    if not sockets:
        return None
    table = read_processes()
    owners = {pid for pid in table if sockets & _sockets_of(pid)}
    first = [pid for pid in owners if table[pid].parent not in owners]
    return first[0] if len(first) == 1 else None


def find_local_port(url: str) -> int | None:
    """The port of a URL of this machine; None where it is elsewhere."""
    parts = urlsplit(url)
    if not HERE.fullmatch(parts.hostname or ""):
        return None
    return parts.port or PORTS[parts.scheme]


def _find_sockets(port: int) -> set[str]:
    """The listening sockets of a port, as /proc names them."""
    found = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError), Path("/proc/net", name).open() as lines:  # not Linux
            next(lines)
            for line in lines:  # of which there may be tens of thousands
                local, _, state, *rest = line.split()[1:]
                if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{rest[5]}]")
    return found


def _sockets_of(pid: int) -> set[str]:
    """What a process has open; nothing where we may not look, or it is gone."""
    found = set()
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(str(Path(entry.path).readlink()))
    return found
