"""The queue of new connections of a port of this machine, as the kernel has it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_BY_FAMILY, _DUMP, _LISTENING, _DIAGNOSTICS = 20, 0x301, 1 << 10, 4
_MEMORY = 7  # the attribute that has nine figures, the last of them the drops
_MESSAGE = struct.Struct("=IHHII")  # length, type, flags, number, port
_NETSTAT = Path("/proc/net/netstat")  # the names of its figures, and below them the figures
_SOCKET_BYTES = 72  # of a socket, before its attributes


class ListenQueue(NamedTuple):
    """How many connections may wait to be accepted, how many packets were dropped, how many
    connections wait.
    """

    limit: int
    drops: int
    waiting: int


def read_listen_queue(port: int) -> ListenQueue | None:
    """The queue of all sockets that listen on a port; None where nothing does, or the system
    does not tell.

    The limit is the Send-Q of `ss -ltn`, what waits is its Recv-Q, the drops are the d of `ss
    -ltnm`, all asked for as that does (sock_diag(7)).
    """
    found = [queue for family in (socket.AF_INET, socket.AF_INET6) for queue in _ask(family, port)]
    if not found:
        return None
    return ListenQueue(
        limit=min(queue.limit for queue in found),
        drops=sum(queue.drops for queue in found),
        waiting=max(queue.waiting for queue in found),
    )


class Rejections:
    """The connections that found no room in the queue of a port, counted from when this is made."""

    def __init__(self, port: int | None) -> None:
        self.port = port
        self.before = self._read()

    def count(self) -> int:
        """How many, or how many tries of them; 0 if unknown.

        The drops of a port hold packets that belong to no connection any more, such as the last
        word of a client that had cut one off; the system's own figure holds the connections of
        all ports. So it is the smaller of the two.
        """
        pairs = zip(self.before, self._read(), strict=True)
        return max(0, min(now - before for before, now in pairs))

    def _read(self) -> tuple[int, int]:
        queue = read_listen_queue(self.port) if self.port else None
        return (queue.drops, _read_rejected_by_all()) if queue else (0, 0)


def _read_rejected_by_all() -> int:
    """What all listeners of this network turned away: ListenDrops of `nstat`."""
    names, figures = [], []
    with suppress(OSError):
        names, figures = (line.split() for line in _NETSTAT.read_text().splitlines()[:2])
    return int(dict(zip(names, figures, strict=True)).get("ListenDrops", 0))


def _ask(family: int, port: int) -> Iterator[ListenQueue]:
    extension = 1 << (_MEMORY - 1)
    asked = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, extension, _LISTENING)
    asked += struct.pack("!H46x", port)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAGNOSTICS) as kernel:
            length = _MESSAGE.size + len(asked)
            kernel.send(_MESSAGE.pack(length, _BY_FAMILY, _DUMP, 1, 0) + asked)
            answer = kernel.recv(1 << 16)
    except (AttributeError, OSError):  # not Linux, or not allowed
        return
    at = 0
    while at < len(answer):
        length, kind, *_ = _MESSAGE.unpack_from(answer, at)
        if kind != _BY_FAMILY:
            return
        yield _read_socket(answer[at + _MESSAGE.size : at + length])
        at += (length + 3) // 4 * 4


def _read_socket(message: bytes) -> ListenQueue:
    waiting, limit = struct.unpack_from("=II", message, 56)
    drops, at = 0, _SOCKET_BYTES
    while at < len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _MEMORY:
            drops = struct.unpack_from("=I", message, at + length - 4)[0]
        at += (length + 3) // 4 * 4
    return ListenQueue(limit, drops, waiting)
