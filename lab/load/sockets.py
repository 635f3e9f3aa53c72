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
from collections.abc import Callable
from time import perf_counter_ns
from typing import Protocol

from lab.facts.records import ErrorKind

HAS_EPOLL = hasattr(select, "epoll")
_KIND = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
Address = str | tuple[str, int]
_READ_BYTES = 1 << 16  # at once
_AT_ONCE = 512  # events
_TURNS = 16


class Owner(Protocol):
    """Who has a connection: it is told what becomes of it."""

    request: bytes  # to be sent as soon as there is a connection

    def note_connected(self, connection: Connection, at_ns: int) -> None: ...

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

    def open(self, owner: Owner) -> Connection:
        """Begin a connection; its owner is told when it is there, or that it is not to be."""
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
    """A socket, and how to go on with it when it can be written or read."""

    def __init__(self, sockets: Sockets, owner: Owner) -> None:
        self.sockets, self.owner = sockets, owner
        self.began_ns = self.connected_ns = perf_counter_ns()
        # of socket.socket's base, which asks for nothing but the file
        self.socket = socket.SocketType(sockets.family, _KIND)
        self.number = self.socket.fileno()
        self.events = 0  # that it waits for
        self.is_there = self.is_closed = False
        self.go_on: Callable[[], None] = self._begin
        sockets.open_ones[self.number] = self
        self.unsent = self._make_first()
        code = self.socket.connect_ex(sockets.address)
        if code in (0, errno.EINPROGRESS):
            self._begin()
        else:
            self._fail_soon(OSError(code, os.strerror(code)))

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As a transport of asyncio has it. There is nothing to do: abort() tells nobody."""

    def abort(self) -> None:
        """End it; its owner is told nothing."""
        if not self.is_closed:
            self.is_closed = True
            del self.sockets.open_ones[self.number]
            self.socket.close()  # which takes it out of the epoll, too

    # ---- What it does, in this order ---------------------------------------------------
    def _make_first(self) -> bytes:
        return self.owner.request

    def _begin(self) -> None:
        """Send the first bytes. On this machine's own network it mostly can at once."""
        now_ns = perf_counter_ns()
        if not self._send():
            return
        self.connected_ns = now_ns
        self._note_sent()

    def _note_sent(self) -> None:
        """The first bytes are sent, or a part of them."""
        self._note_there(self.connected_ns)

    def _note_there(self, at_ns: int) -> None:
        self.is_there = True
        self.go_on = self._read
        self._wait_for(select.EPOLLIN | (select.EPOLLOUT if self.unsent else 0))
        self.owner.note_connected(self, at_ns)

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
            self._wait_for(select.EPOLLOUT | select.EPOLLIN * self.is_there)
            return False
        except OSError as error:
            if not self.is_there:
                self._fail_soon(error)
            return False  # reading will say why
        self.unsent = self.unsent[sent:] if sent < len(self.unsent) else b""
        return True

    def _wait_for(self, events: int) -> None:
        if not self.events:
            self.sockets.epoll.register(self.number, events)
        elif events != self.events:
            self.sockets.epoll.modify(self.number, events)
        self.events = events

    def _fail_soon(self, error: OSError) -> None:
        """Not now: who is told may begin the next, and that one may fail, too."""
        self._wait_for(select.EPOLLET)  # which never comes
        self.sockets.loop.call_soon(self._fail, error)

    def _fail(self, error: OSError) -> None:
        if not self.is_closed:
            self.abort()
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

    def __init__(self, sockets: Sockets, owner: Owner) -> None:
        assert sockets.tls
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = sockets.tls.wrap_bio(self.incoming, self.outgoing, server_hostname=sockets.host)
        super().__init__(sockets, owner)

    def _make_first(self) -> bytes:
        self._shake_hands()
        return self.outgoing.read()

    def _note_sent(self) -> None:
        self.go_on = self._answer_handshake
        self._wait_for(select.EPOLLIN)

    def _kind_of_failure(self) -> ErrorKind:
        return ErrorKind.REFUSED if self.connected_ns == self.began_ns else ErrorKind.TLS

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
        if is_done:
            self._note_there(at_ns)

    def _take(self, data: bytes) -> None:
        self.incoming.write(data)
        try:
            while True:
                plain = self.tls.read(_READ_BYTES)
                if not plain:
                    self._lose(None)
                    return
                self.owner.data_received(plain)
                if self.is_closed:
                    return
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self._lose(error)
