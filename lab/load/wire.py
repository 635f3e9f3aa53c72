"""The default client: bare protocol on uvloop, httptools for the answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any, cast

import httptools

from lab.facts.records import ErrorKind
from lab.load.engine import Client, Engine
from lab.load.secure import NOBODY, Secure
from lab.load.servertiming import HeaderReader
from lab.load.sockets import Connection

SWITCHES = 101  # the last answer of a connection that goes on with another protocol
AS_CLIENTS_READ = dict.fromkeys(  # what real clients forgive a server, aiohttp's among them
    ("lenient_headers", "lenient_optional_cr_before_lf", "lenient_spaces_after_chunk_size"), True
)
LONGEST_HEAD = 1 << 20  # bytes that are no body: headers, 1xx answers, ends of chunks, trailers


class Wire(Client, asyncio.Protocol):
    """A connection of bare protocol, over as many sockets as it takes.

    The request is one constant, or made anew from the template's bodies. An answer is parsed
    by httptools, unless it is a whole answer that is like one parsed before, but for its body
    and for headers that do not matter: then what it says is known.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.request = self.template.make_request(self.body)
        self.transport: asyncio.Transport | Connection | None = None
        self.task: asyncio.Task[None] | None = None
        self.parser: Any = None  # of this connection
        self.write: Callable[[bytes], object]
        self.fresh = False  # a request is out and no byte of its answer has come

    @property
    def ready(self) -> bool:  # type: ignore[override]
        return self.transport is not None

    def start(self) -> None:
        if self.engine.is_varied:
            self.request = self.template.make_request(self.body)
        if self.transport is None:
            self.connect()
        else:
            self.send()

    def connect(self) -> None:
        self.begin_opening()
        self.task = self.engine.spawn(self.open())

    def close(self) -> None:
        if self.opening and self.task:
            self.task.cancel()
        self.drop()

    def fileno(self) -> int | None:
        transport = self.transport
        return int(transport.get_extra_info("socket").fileno()) if transport else None

    async def open(self) -> None:
        engine, loop, began_ns = self.engine, asyncio.get_running_loop(), perf_counter_ns()
        secure = None
        if engine.tls:
            secure = Secure(engine.tls, engine.host, engine.writes_directly)
        first: asyncio.Protocol = secure or self
        try:
            if engine.load.unix_socket:
                path = engine.load.unix_socket
                await loop.create_unix_connection(lambda: first, path)
            else:
                await loop.create_connection(lambda: first, *engine.address)
            tcp_ns = perf_counter_ns()
            engine.connect_ns.append(tcp_ns - began_ns)
        except OSError as error:
            self.fail_opening(ErrorKind.REFUSED, str(error))
            return
        if secure is None:
            return
        try:
            await secure.shake_hands()
        except OSError as error:
            self.fail_opening(ErrorKind.TLS, str(error))
            return
        engine.tls_ns.append(perf_counter_ns() - tcp_ns)
        secure.set_protocol(self)
        self.connection_made(secure)

    def connection_made(self, transport: asyncio.BaseTransport | Secure) -> None:
        engine = self.engine
        self.transport = cast(asyncio.Transport, transport)
        self.parser = None
        self.write = self.transport.write
        if engine.writes_directly and not engine.tls:
            self.write = partial(os.write, transport.get_extra_info("socket").fileno())
        if engine.opened == 0 and not engine.load.unix_socket:
            engine.address = transport.get_extra_info("peername")[:2]  # looked up once
        self.end_opening(perf_counter_ns())
        if self.busy:
            self.send()

    def send(self) -> None:
        self.fresh = True
        try:
            self.write(self.request)
        except OSError:
            self.fail(ErrorKind.RESET)

    def drop(self) -> None:
        """Let go of the socket; what it still says concerns nobody."""
        self.fresh = False
        if self.transport:
            self.transport.set_protocol(NOBODY)
            self.transport.abort()
            self.transport = None

    def data_received(self, data: bytes) -> None:
        template = self.template
        if self.fresh and (data == template.known or template.is_alike(data)):
            now_ns, engine = perf_counter_ns(), self.engine
            if self.lag_ns:
                template.alike.pack(now_ns - self.due_ns, self.lag_ns)
                self.lag_ns = 0
            else:
                template.alike.append(now_ns - self.due_ns)
            if engine.left:
                engine.left -= 1
                self.due_ns = now_ns
                try:
                    self.write(self.request)
                except OSError:
                    self.fail(ErrorKind.RESET)
            else:
                self.fresh = False
                self.go_on(now_ns)
        elif self.busy:
            self.parse(data)
        else:
            self.drop()  # nobody asked: this socket is out of step

    def parse(self, data: bytes) -> None:
        whole = data if self.fresh else None
        if self.fresh:
            self.fresh = self.complete = self.has_head = False
            self.status = self.body_bytes = self.head_bytes = 0
            self.expectation.begin()
            self.server_timing.clear()
        body_bytes = self.body_bytes
        if self.parser is None:
            self.parser = httptools.HttpResponseParser(
                HeaderReader(self) if self.engine.timings else self
            )
            self.parser.set_dangerous_leniencies(**AS_CLIENTS_READ)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.status, self.complete, self.keep = SWITCHES, True, False
        except httptools.HttpParserError:
            if not self.complete:
                self.fail(ErrorKind.PROTOCOL)
                return
            self.keep = False
        if self.complete:
            self.answered(whole)
        elif self.body_bytes == body_bytes:
            self.head_bytes += len(data)
            if self.head_bytes > LONGEST_HEAD:
                self.fail(ErrorKind.PROTOCOL)

    def on_message_begin(self) -> None:
        if self.complete:  # more than was asked for
            self.keep = False
        self.has_length = self.is_chunked = False

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"content-length":
            self.has_length = True
        elif lower == b"transfer-encoding":
            self.is_chunked = True

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self.parser.get_status_code()
            self.has_head = self.status // 100 != 1

    def on_body(self, piece: bytes) -> None:
        if not self.complete:
            self.body_bytes += len(piece)
            self.expectation.take(piece)

    def on_message_complete(self) -> None:
        is_interim = self.status // 100 == 1 and self.status != SWITCHES
        if not self.complete and not is_interim:
            self.complete = True
            self.keep = self.status != SWITCHES and self.parser.should_keep_alive()

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is None:  # still in the handshake, which will say so itself
            return
        self.transport = None
        if self.busy and not error and self.ends_with_connection:
            self.keep = False
            self.answered(None)
        elif self.busy:
            self.fail(ErrorKind.RESET if self.fresh else ErrorKind.INCOMPLETE)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the answer under way has no other end."""
        is_unframed = not self.fresh and self.status >= 200
        return is_unframed and not (self.has_length or self.is_chunked)

    def answered(self, whole: bytes | None) -> None:
        engine, kind = self.engine, self.expectation.find_error(self.status)
        is_kept = self.keep and engine.load.keepalive
        if not is_kept:
            self.drop()
        if whole is not None and is_kept == engine.load.keepalive and not engine.reads_each:
            alike = engine.tally.times_of(self.status, kind, self.template.number)
            is_sized = self.has_length and not self.is_chunked and not self.expectation.text
            self.template.learn(whole, self.body_bytes if is_sized else None, alike)
        self.settle(self.status, kind)

    def fail(self, kind: ErrorKind) -> None:
        self.drop()
        self.settle(None, kind)
