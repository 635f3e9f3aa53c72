"""The other client: aiohttp's ClientSession. Imported only when it is asked for."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from time import perf_counter_ns
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from lab.facts.records import ErrorKind
from lab.load.bounded import BoundedHandler
from lab.load.engine import Client, Engine
from lab.load.load import Load

_LONGEST_LINE = 1 << 20  # bytes of a status line or a header


class _OpenedError(Exception):
    """A connection is there, and nothing is to be sent over it yet."""


class Session(Client):
    """One request after the other by aiohttp's ClientSession, which all of them share."""

    def __init__(self, engine: Engine, session: aiohttp.ClientSession) -> None:
        super().__init__(engine)
        self.session = session
        self.task: asyncio.Task[None] | None = None
        self.kept: aiohttp.connector.Connection | None = None  # opened before there was a request

    def start(self) -> None:
        if self.kept:
            self.kept.release()  # for whichever request takes it first
            self.kept = None
        self.task = self.engine.spawn(self.request())

    def connect(self) -> None:
        self.begin_opening()
        self.task = self.engine.spawn(self.open())

    async def open(self) -> None:
        """Take a new connection, and keep it from the others until there is a request."""
        template = self.template
        try:
            await self.session.request(
                template.load.method, template.url, middlewares=(self._open_only,)
            )
        except _OpenedError:
            self.note_opened()
        except (aiohttp.ClientError, OSError) as error:
            self.fail_opening(classify_error(error), str(error))

    async def _open_only(self, request: aiohttp.ClientRequest, _: Any) -> Any:
        connector = self.session.connector
        assert connector
        self.kept = await connector.connect(request, [], self.session.timeout)
        raise _OpenedError

    def note_opened(self) -> None:
        now_ns = perf_counter_ns()
        self.end_opening(now_ns)
        self.engine.connect_ns.append(now_ns - self.opening_ns)

    async def request(self) -> None:
        engine, template, status, kind = self.engine, self.template, None, None
        headers = template.headers
        if engine.is_varied and "Content-Length" in headers:
            headers = headers.copy()
            headers["Content-Length"] = str(len(self.body))
        self.body_bytes = 0
        self.expectation.begin()
        try:
            async with self.session.request(
                template.load.method,
                template.url,
                headers=headers,
                data=self.body or None,
                allow_redirects=bool(engine.load.follow),
                max_redirects=engine.load.follow + 1,
                trace_request_ctx=self,
            ) as response:
                async for piece in response.content.iter_any():
                    self.body_bytes += len(piece)
                    self.expectation.take(piece)
                self.server_timing = response.headers.getall("Server-Timing", [])
                status, kind = response.status, self.expectation.find_error(response.status)
        except aiohttp.TooManyRedirects as error:
            status, kind = error.history[-1].status, ErrorKind.STATUS
        except (aiohttp.ClientError, OSError) as error:
            kind = classify_error(error)
            if self.opening:
                self.fail_opening(kind, str(error))
                return
        self.settle(status, kind)

    def close(self) -> None:
        if self.task:
            self.task.cancel()
        if self.kept:
            self.kept.close()
            self.kept = None


def open_session(load: Load, tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """A session that sends what it is given and nothing else, once."""
    connector: aiohttp.BaseConnector
    if load.unix_socket:
        connector = aiohttp.UnixConnector(load.unix_socket, limit=0, force_close=not load.keepalive)
    else:
        connector = aiohttp.TCPConnector(
            ssl=tls or True, ttl_dns_cache=None, limit=0, force_close=not load.keepalive
        )
    handler = partial(BoundedHandler, loop=asyncio.get_running_loop())
    connector._factory = cast("partial[ResponseHandler]", handler)
    session = aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[_trace_connections()],
    )
    session._retry_connection = False
    return session


async def _note_opening(_: Any, context: Any, __: Any) -> None:
    context.trace_request_ctx.begin_opening()


async def _note_opened(_: Any, context: Any, __: Any) -> None:
    context.trace_request_ctx.note_opened()


def _trace_connections() -> aiohttp.TraceConfig:
    """Tells a client when its connection is being made, and when it is there."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(_note_opening)
    trace.on_connection_create_end.append(_note_opened)
    return trace


def classify_error(error: Exception) -> ErrorKind:
    """Under which kind aiohttp's error counts."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return ErrorKind.DNS
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return ErrorKind.TLS
        case aiohttp.ClientConnectorError():
            is_tls = isinstance(error.os_error, ConnectionResetError)
            return ErrorKind.TLS if is_tls else ErrorKind.REFUSED
        case aiohttp.ServerDisconnectedError(message=str()) | aiohttp.ClientOSError():
            return ErrorKind.RESET
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return ErrorKind.INCOMPLETE
    return ErrorKind.PROTOCOL
