"""The queue of new connections of a port of this machine, as the kernel has it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_BY_FAMILY, _DUMP, _LISTENING, _DIAGNOSTICS = 20, 0x301, 1 << 10, 4
_MEMORY = 7  # the attribute that has nine figures, the last of them the drops
_MESSAGE = struct.Struct("=IHHII")  # length, type, flags, number, port
_SOCKET_BYTES = 72  # of a socket, before its attributes


class ListenQueue(NamedTuple):
    """How many connections may wait to be accepted, how many found no room, how many wait."""

    limit: int
    drops: int
    waiting: int


def read_listen_queue(port: int) -> ListenQueue | None:
    """The queue of all sockets that listen on a port; None where nothing does, or the system
    does not tell.

    The limit is the Send-Q of `ss -ltn`, what waits is its Recv-Q, the drops are the d of `ss
    -ltnm`, all asked for as that does (sock_diag(7)). A drop is a connection that was turned
    away, or a try of it.
    """
    found = [queue for family in (socket.AF_INET, socket.AF_INET6) for queue in _ask(family, port)]
    if not found:
        return None
    return ListenQueue(
        limit=min(queue.limit for queue in found),
        drops=sum(queue.drops for queue in found),
        waiting=max(queue.waiting for queue in found),
    )


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
