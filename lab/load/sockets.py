"""Connections without asyncio's machinery, where each request has one of its own.

A transport, its futures and its tasks cost more than the request itself. Here a connection is
a socket that does not block and a method that goes on with it; one epoll holds all of them,
and the event loop watches that as a single file.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import ssl
from time import perf_counter_ns
from typing import Protocol

from lab.facts.records import ErrorKind

HAS_EPOLL = hasattr(select, "epoll")
_KIND = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
Address = str | tuple[str, int]
_READ_BYTES = 1 << 16  # at once
_AT_ONCE = 512  # events
_TURNS = 16
_UNDER_WAY = (errno.EINPROGRESS, 0)


class Owner(Protocol):
    """Who has a connection: it is told what becomes of it."""

    request: bytes  # to be sent as soon as there is a connection

    def note_connected(self, connected_ns: int, at_ns: int) -> None:
        """The socket was connected at the first moment, and is ready for use at the second."""

    def fail_opening(self, kind: ErrorKind, why: str) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, error: Exception | None) -> None: ...


class Sockets:
    """All connections to one address, which is a number and not a name."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, host: str) -> None:
        self.address, self.tls, self.host = address, tls, host
        self.family = socket.AF_UNIX
        if isinstance(address, tuple):
            self.family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.open_ones: dict[int, Connection] = {}  # by the numbers of their files
        self.loop = asyncio.get_running_loop()
        self.epoll = select.epoll()
        self.loop.add_reader(self.epoll.fileno(), self._go_on)

    def make_connection(self, owner: Owner) -> Connection:
        """A connection that is still to be opened, and can be so again and again."""
        return SecureConnection(self, owner) if self.tls else Connection(self, owner)

    def _go_on(self) -> None:
        """Let those go on that can. What is ready by then is looked for a few times, since
        that is cheaper than a turn of the event loop.
        """
        for _ in range(_TURNS):
            ready = self.epoll.poll(0, _AT_ONCE)
            if not ready:
                return
            for number, _ in ready:
                connection = self.open_ones.get(number)
                if connection:
                    connection.go_on()

    def close(self) -> None:
        self.loop.remove_reader(self.epoll.fileno())
        for connection in list(self.open_ones.values()):
            connection.abort()
        self.epoll.close()


class Connection:
    """One socket after the other, and how to go on with it when it can be written or read."""

    __slots__ = (
        "began_ns", "connected_ns", "epoll", "events", "is_open", "is_there", "number", "owner",
        "socket", "sockets", "unsent",
    )  # fmt: skip

    def __init__(self, sockets: Sockets, owner: Owner) -> None:
        self.sockets, self.owner, self.epoll = sockets, owner, sockets.epoll
        self.is_open = False
        self.began_ns = self.connected_ns = 0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As a transport of asyncio has it. There is nothing to do: abort() tells nobody."""

    def get_extra_info(self, name: str) -> socket.SocketType:
        """As a transport of asyncio has it; there is nothing else to ask for."""
        assert name == "socket"
        return self.socket

    def abort(self) -> None:
        """End it; its owner is told nothing."""
        if self.is_open:
            self.is_open = False
            del self.sockets.open_ones[self.number]
            self.socket.close()  # which takes it out of the epoll, too

    def open(self, now_ns: int) -> None:
        """Begin a connection; its owner is told when it is there, or that it is not to be."""
        sockets = self.sockets
        self.began_ns = self.connected_ns = now_ns
        self.events = 0  # that it waits for
        self.is_there, self.is_open = False, True
        self.unsent = self._make_first()
        # of socket.socket's base, which asks for nothing but the file
        self.socket = socket.SocketType(sockets.family, _KIND)
        self.number = self.socket.fileno()
        sockets.open_ones[self.number] = self
        code = self.socket.connect_ex(sockets.address)
        if code in _UNDER_WAY:
            self.go_on()
        else:
            self._fail_soon(OSError(code, os.strerror(code)))

    def _make_first(self) -> bytes:
        return self.owner.request

    def go_on(self) -> None:
        """It can be written or read, or has failed."""
        if self.is_there:
            self._read()
            return
        now_ns = perf_counter_ns()
        if self._send():  # which on this machine's own network mostly can be at once
            self._note_there(now_ns, now_ns)

    def _note_there(self, connected_ns: int, at_ns: int) -> None:
        self.is_there = True
        self._wait_for(select.EPOLLIN | select.EPOLLOUT if self.unsent else select.EPOLLIN)
        self.owner.note_connected(connected_ns, at_ns)

    def _read(self) -> None:
        if self.unsent and self._send() and not self.unsent:
            self._wait_for(select.EPOLLIN)
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._take(data)
        else:
            self._lose(None)

    def _take(self, data: bytes) -> None:
        self.owner.data_received(data)

    # ---- How ---------------------------------------------------------------------------
    def _send(self) -> bool:
        """Send what is left to send; whether any of it was."""
        try:
            sent = self.socket.send(self.unsent)
        except BlockingIOError:
            self._wait_for(select.EPOLLIN | select.EPOLLOUT if self.is_there else select.EPOLLOUT)
            return False
        except OSError as error:
            if not self.is_there:
                self._fail_soon(error)
            return False  # reading will say why
        self.unsent = self.unsent[sent:] if sent < len(self.unsent) else b""
        return True

    def _wait_for(self, events: int) -> None:
        if not self.events:
            self.epoll.register(self.number, events)
        elif events != self.events:
            self.epoll.modify(self.number, events)
        self.events = events

    def _fail_soon(self, error: OSError) -> None:
        """Not now: who is told may begin the next, and that one may fail, too."""
        number, self.is_open = self.number, False
        del self.sockets.open_ones[number]
        self.socket.close()
        self.sockets.loop.call_soon(self._fail, error, self.began_ns)

    def _fail(self, error: OSError, began_ns: int) -> None:
        if not self.is_open and began_ns == self.began_ns:  # it was not given up meanwhile
            self.owner.fail_opening(self._kind_of_failure(), error.strerror or str(error))

    def _kind_of_failure(self) -> ErrorKind:
        return ErrorKind.REFUSED

    def _lose(self, error: Exception | None) -> None:
        self.abort()
        self.owner.connection_lost(error)


class SecureConnection(Connection):
    """The same over TLS: a full handshake each, without a word to spare.

    The request leaves together with the last message of the handshake.
    """

    __slots__ = ("incoming", "is_shaking", "outgoing", "tls")

    def _make_first(self) -> bytes:
        context = self.sockets.tls
        assert context
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=self.sockets.host)
        self.is_shaking = False
        self._shake_hands()
        return self.outgoing.read()

    def go_on(self) -> None:
        if self.is_there:
            self._read()
        elif self.is_shaking:
            self._answer_handshake()
        else:
            now_ns = perf_counter_ns()
            if self._send():
                self.connected_ns, self.is_shaking = now_ns, True
                self._wait_for(select.EPOLLIN)

    def _kind_of_failure(self) -> ErrorKind:
        return ErrorKind.TLS if self.is_shaking else ErrorKind.REFUSED

    def _shake_hands(self) -> bool:
        """Whether the handshake is done."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _answer_handshake(self) -> None:
        try:
            data = self.socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "closed in the handshake")
            self.incoming.write(data)
            is_done = self._shake_hands()
        except BlockingIOError:
            return
        except OSError as error:
            self._fail_soon(error)
            return
        at_ns = perf_counter_ns()
        if is_done:
            self.tls.write(self.owner.request)
        self.unsent += self.outgoing.read()
        if self.unsent:
            self._send()
        if is_done and self.is_open:
            self._note_there(self.connected_ns, at_ns)

    def _take(self, data: bytes) -> None:
        self.incoming.write(data)
        tls = self.tls
        try:
            while self.is_open and self.tls is tls:  # and not the next one by now
                plain = tls.read(_READ_BYTES)
                if not plain:
                    self._lose(None)
                    return
                self.owner.data_received(plain)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self._lose(error)
