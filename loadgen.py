"""Put HTTP load on any URL and say what came back, how fast, and whether to believe it.

    python loadgen.py http://127.0.0.1:8000/                   50 connections for 10 s
    python loadgen.py -n 5000 -c 1000 --no-keepalive URL       exactly 5000, as ab does
    python loadgen.py -z 30s --json '{"X": [[1, 2]]}' -o run.json URL
    python loadgen.py URL_A URL_B                              rounds of both, and the ratio

As a library: ``run(Load(url="http://127.0.0.1:8000/", requests=1000))`` returns a
`summarize.Run`, and `run_rounds` several of them, interleaved. This module owns the network
and the order of load; of the server it knows the URL and, if told, a process id to account
for. Nothing is ever retried: a request that fails is counted once, under its kind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import json
import os
import platform
import random
import re
import resource
import shlex
import signal
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from time import perf_counter_ns, process_time
from typing import Any, cast

import aiohttp
import httptools
import numpy as np
import psutil
import uvloop
from multidict import CIMultiDict
from numpy.typing import NDArray
from tqdm import tqdm
from yarl import URL

import summarize
from summarize import Histogram, Result, Run

TICK_NS = 100_000_000  # how often samples are folded and time-outs looked for
STRAIGHT_BYTES = 2048  # less than the smallest send buffer
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.01, 1.0  # between attempts of a connection refused
REMEDIES = {
    "refused": "is the server running, and on this port?",
    "connect timeout": "is the address right, or does a firewall drop it?",
    "tls": "for a certificate of your own, add --insecure; for plain HTTP, write http://",
    "dns": "check the spelling, or write the IP address",
}

Json = dict[str, Any]
Address = tuple[int, tuple[Any, ...]]  # family and socket address


class CannotRun(Exception):
    """Nothing could be measured; the message is one line: what, where and what to do."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to ask of a server: how often, by how many connections, for how long.

    Ends after `requests` or `duration_s`, whichever is first. `expect` is a status ("204")
    or a text that the body must hold; without it every status below 400 is ok. `pid` is a
    process whose tree is accounted for as the server. Raises ValueError for what cannot be.
    """

    url: str
    name: str = ""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    connections: int = 50
    requests: int | None = None
    duration_s: float | None = None
    timeout_s: float = 20.0
    keepalive: bool = True
    insecure: bool = False
    expect: str | None = None
    warmup_s: float = 0.0
    client: str = "wire"
    pid: int | None = None

    def __post_init__(self) -> None:
        url = URL(self.url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{self.url!r} is no URL to load: write http://HOST:PORT/PATH")
        if self.requests is None and self.duration_s is None:
            object.__setattr__(self, "duration_s", 10.0)
        for key in ("connections", "requests", "duration_s", "timeout_s"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ValueError(f"{key} is {value}; it must be above 0")
        if self.client not in ("wire", "aiohttp"):
            raise ValueError(f"client is {self.client!r}; it must be wire or aiohttp")
        if self.method == "HEAD":  # httptools cannot be told that the answer has no body
            object.__setattr__(self, "client", "aiohttp")
        try:
            for key, value in self.headers:
                f"{key}{value}".encode("latin-1")
                if re.search(r"[\r\n\0]", key + value) or not re.fullmatch(r"[!-9;-~]+", key):
                    raise ValueError(f"{key}: {value!r} is no header")
        except UnicodeEncodeError as error:
            raise ValueError(f"header {key}: only Latin-1 can be sent in it") from error

    def all_headers(self) -> CIMultiDict[str]:
        """The headers as sent, by either client, in their order."""
        url = URL(self.url)
        host = url.host_port_subcomponent or ""
        headers = CIMultiDict({"Host": host, "User-Agent": "loadgen/1", "Accept": "*/*"})
        if url.user:
            login = aiohttp.BasicAuth(url.user, url.password or "")
            headers["Authorization"] = login.encode()
        for key in {key.lower() for key, _ in self.headers}:
            headers.popall(key, None)
        headers.extend(self.headers)
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(self.body))
        if not self.keepalive:
            headers["Connection"] = "close"
        return headers

    def to_bytes(self) -> bytes:
        """The request as it goes over the wire."""
        lines = [f"{self.method} {URL(self.url).raw_path_qs} HTTP/1.1"]
        lines += [f"{key}: {value}" for key, value in self.all_headers().items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    def to_json(self) -> Json:
        fields = asdict(self) | {"body": len(self.body), "headers": [list(h) for h in self.headers]}
        return fields | {"rate": None, "arrivals": None, "processes": 1}


# ---- Counting ------------------------------------------------------------------------


class Outcome:
    """One way in which requests end: a status (None without a whole answer) and a kind of
    error (None if ok), with the times in ns of those that ended so.

    `prompt` holds response times of requests sent the moment they were due, `late` pairs of
    response time and send lag. `size_bytes` is that of each answer, where they are all alike.
    """

    def __init__(self, status: int | None, kind: str | None, size_bytes: int = 0) -> None:
        self.status, self.kind, self.size_bytes = status, kind, size_bytes
        self.prompt: list[int] = []
        self.late: list[tuple[int, int]] = []


class Tally:
    """What came back: appended to by the hot path, folded into histograms in bulk."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[int | None, str | None], Outcome] = {}
        self.alike = Outcome(None, None)
        self.histograms = {key: Histogram() for key in summarize.RECORDED}
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.ok = self.failed = self.held_ns = self.bytes = 0
        self.series: list[Json] = []
        self.second: list[NDArray[np.int64]] = []
        self.second_failed = 0

    def add(self, status: int | None, kind: str | None, latency_ns: int, lag_ns: int) -> None:
        outcome = self.outcomes.setdefault((status, kind), Outcome(status, kind))
        outcome.late.append((latency_ns, lag_ns))

    def learn(self, status: int, kind: str | None, size_bytes: int) -> Outcome:
        """The outcome for all further answers that are the same to the byte."""
        self._fold(self.alike)
        self.alike = Outcome(status, kind, size_bytes)
        return self.alike

    def fold(self) -> None:
        """Empty all outcomes into the histograms."""
        for outcome in (self.alike, *self.outcomes.values()):
            self._fold(outcome)

    def _fold(self, outcome: Outcome) -> None:
        count = len(outcome.prompt) + len(outcome.late)
        if not count:
            return
        pairs = np.array(outcome.late or np.empty((0, 2)), dtype=np.int64)
        latency = np.concatenate([np.array(outcome.prompt, dtype=np.int64), pairs[:, 0]])
        lag = np.concatenate([np.zeros(len(outcome.prompt), dtype=np.int64), pairs[:, 1]])
        outcome.prompt.clear()
        outcome.late.clear()
        self.held_ns += int(latency.sum())
        self.bytes += count * outcome.size_bytes
        if outcome.status is not None:
            self.statuses[str(outcome.status)] += count
        if outcome.kind is not None:
            self.failed += count
            self.second_failed += count
            self.errors[outcome.kind] += count
            self.histograms["failed_s"].record(latency)
            return
        self.ok += count
        self.second.append(latency)
        self.histograms["latency_s"].record(latency)
        self.histograms["service_s"].record(latency - lag)
        self.histograms["send_lag_s"].record(lag)

    def end_second(self, time_s: float) -> None:
        """Close the entry of the series that ends `time_s` after the window began."""
        self.fold()
        values = np.concatenate(self.second) if self.second else np.array([])
        p50_s, p99_s = (np.percentile(values, (50, 99)) / 1e9) if len(values) else (None, None)
        self.series.append(
            {
                "time_s": round(time_s, 3),
                "ok": len(values),
                "failed": self.second_failed,
                "p50_s": p50_s and float(p50_s),
                "p99_s": p99_s and float(p99_s),
            }
        )
        self.second, self.second_failed = [], 0


# ---- The engine: who sends what when -------------------------------------------------


class Engine:
    """A closed loop: each connection sends its next request when the last is settled.

    The clients ask it for leave to send (`left`) and tell it what became of each request.
    It owns the clock, the tally, the time-outs and the end.
    """

    def __init__(self, load: Load, addresses: Sequence[Address]) -> None:
        self.load = load
        self.addresses = list(addresses)
        self.tls = tls_context(load)
        self.straight = load.keepalive or bool(self.tls)  # a socket of our own; slower to open
        self.opened = 0
        self.connect_s: list[float] = []
        self.tls_s: list[float] = []
        self.interrupted = False
        self.hopeless: str | None = None
        self.clients: Sequence[Wire | Session] = ()
        self.begin()

    def begin(self) -> None:
        """Start counting from nothing, for the warm-up or for the window that is measured."""
        self.tally = Tally()
        self.known: bytes | None = None
        self.alike = self.tally.alike
        self.left = 0
        self.sending = True
        self.in_flight = 0.0
        self.loop_lag_s = 0.0
        self.settled = asyncio.Event()
        self.cpu_s = -process_time()
        self.began_ns = self.ended_ns = perf_counter_ns()

    def learn(self, answer: bytes, status: int, kind: str | None) -> None:
        """Remember a whole answer, so that the next that is the same need not be parsed."""
        self.alike = self.tally.learn(status, kind, len(answer))
        self.known = answer

    def idle(self) -> None:
        """A connection has been refused leave to send: the load is over."""
        self.end_load()
        if not any(client.busy for client in self.clients):
            self.settled.set()

    def end_load(self) -> None:
        """Send nothing more; note how many requests were under way on average until now."""
        if self.sending:
            self.sending = False
            self.left = 0
            now = perf_counter_ns()
            self.tally.fold()
            held_ns = self.tally.held_ns + sum(now - c.due for c in self.clients if c.busy)
            self.in_flight = held_ns / max(now - self.began_ns, 1)
            self.idle()

    def interrupt(self) -> None:
        self.interrupted = True
        self.settled.set()

    def give_up(self, why: str) -> None:
        """The very first connection failed: there is nothing to measure."""
        self.hopeless = self.hopeless or why
        self.settled.set()

    async def phase(
        self,
        requests: int | None,
        duration_s: float | None,
        each_tick: Callable[[float], None] = lambda elapsed_s: None,
    ) -> None:
        """Load until `requests` are sent or `duration_s` has passed, and all are settled.

        What is not settled when the user interrupts stays unfinished.
        """
        self.begin()
        self.left = requests or sys.maxsize
        if duration_s is not None:
            asyncio.get_running_loop().call_later(duration_s, self.end_load)
        for client in self.clients:
            client.proceed(perf_counter_ns())
        due_ns = self.began_ns
        while not self.settled.is_set():
            due_ns += TICK_NS
            with suppress(TimeoutError):
                async with asyncio.timeout(max(due_ns - perf_counter_ns(), 0) / 1e9):
                    await self.settled.wait()
            due_ns = self.tick(due_ns, each_tick)
        if self.hopeless:
            raise CannotRun(self.hopeless)
        self.ended_ns = perf_counter_ns()
        self.cpu_s += process_time()
        self.end_load()
        self.tally.end_second((self.ended_ns - self.began_ns) / 1e9)

    def tick(self, due_ns: int, each_tick: Callable[[float], None]) -> int:
        """Fold, look for time-outs, close a second; returns when this was really done."""
        now = perf_counter_ns()
        late_s = (now - due_ns) / 1e9
        self.loop_lag_s = max(self.loop_lag_s, late_s)
        timeout_ns = self.load.timeout_s * 1e9
        for client in self.clients:
            if client.busy and now - client.due > timeout_ns:
                client.time_out()
        self.tally.fold()
        elapsed_s = (now - self.began_ns) / 1e9
        if elapsed_s >= len(self.tally.series) + 1:
            self.tally.end_second(elapsed_s)
        each_tick(elapsed_s)
        return now if late_s > 0 else due_ns


def tls_context(load: Load) -> ssl.SSLContext | None:
    if URL(load.url).scheme != "https":
        return None
    context = ssl.create_default_context()
    if load.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Expectation:
    """What makes a whole answer right: its status, or a text somewhere in its body."""

    def __init__(self, expect: str | None) -> None:
        is_status = bool(re.fullmatch(r"\d{3}", expect or ""))
        self.status = int(expect or 0) if is_status else None
        self.text = b"" if is_status else (expect or "").encode()
        self.begin()

    def begin(self) -> None:
        self.found = not self.text
        self.tail = b""

    def body(self, piece: bytes) -> None:
        """Look for the text, which may lie across pieces, and keep no more than it takes."""
        if not self.found:
            window = self.tail + piece
            self.found = self.text in window
            self.tail = window[-(len(self.text) - 1) :] if len(self.text) > 1 else b""

    def error(self, status: int) -> str | None:
        """The kind of error in an answer that is whole, or None."""
        if self.status is not None:
            return None if status == self.status else "status"
        if not 200 <= status < 400:
            return "status"
        return None if self.found else "body"


class Client:
    """One connection's worth of requests, one after the other: what both clients share."""

    __slots__ = ("backoff_s", "busy", "due", "engine", "expectation", "lag")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.expectation = Expectation(engine.load.expect)
        self.busy = False  # from when a request is due until it is settled
        self.due = self.lag = 0
        self.backoff_s = FIRST_BACKOFF_S

    def start(self) -> None:
        """Send the request that is due, over a connection that may have to be opened."""
        raise NotImplementedError

    def time_out(self) -> None:
        """Give up the request under way and count it."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def proceed(self, now: int) -> None:
        """Begin the next request, due now, if there is leave to send one."""
        engine = self.engine
        if not engine.left:
            self.busy = False
            engine.idle()
            return
        engine.left -= 1
        self.busy = True
        self.due = now
        self.start()

    def settle(self, status: int | None, kind: str | None) -> None:
        now = perf_counter_ns()
        self.engine.tally.add(status, kind, now - self.due, self.lag)
        self.proceed(now)

    def connected(self) -> None:
        self.engine.opened += 1
        self.backoff_s = FIRST_BACKOFF_S
        self.lag = perf_counter_ns() - self.due

    def not_connected(self, kind: str, why: str) -> None:
        """Count the request that found no connection, and try the next after a pause."""
        engine = self.engine
        engine.tally.add(None, kind, perf_counter_ns() - self.due, 0)
        self.busy = False
        if not engine.opened:
            engine.give_up(f"{engine.load.url}: {kind} ({why}): {REMEDIES[kind]}")
        elif engine.sending:
            loop = asyncio.get_running_loop()
            loop.call_later(self.backoff_s, lambda: self.proceed(perf_counter_ns()))
            self.backoff_s = min(2 * self.backoff_s, LONGEST_BACKOFF_S)
        else:
            engine.idle()


NOBODY = asyncio.Protocol()


class Wire(Client, asyncio.Protocol):
    """A connection of bare protocol, over as many sockets as it takes.

    The request is one constant. An answer is parsed by httptools, unless it is byte for byte
    the whole answer that was parsed last: then what it says is known.
    """

    __slots__ = (
        "complete", "framed", "fresh", "keep", "opening", "parser", "request", "sock", "status",
        "transport", "write",
    )  # fmt: skip

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.request = engine.load.to_bytes()
        self.transport: asyncio.Transport | None = None
        self.opening: asyncio.Task[None] | None = None
        self.fresh = False  # a request is out and no byte of its answer has come

    def start(self) -> None:
        if self.transport is None:
            self.opening = asyncio.get_running_loop().create_task(self.open())
        else:
            self.lag = 0
            self.send()

    def time_out(self) -> None:
        if self.opening:
            self.opening.cancel()
            self.opening = None
            self.not_connected("connect timeout", f"no answer in {self.engine.load.timeout_s:g} s")
        else:
            self.fail("timeout")

    def close(self) -> None:
        if self.opening:
            self.opening.cancel()
        self.drop()

    # Opening, sending, giving up a socket

    async def open(self) -> None:
        engine, loop = self.engine, asyncio.get_running_loop()
        family, address = engine.addresses[0]
        self.sock = None
        connected_ns, began_ns = 0, perf_counter_ns()
        try:
            if engine.straight:
                self.sock = socket.socket(family, socket.SOCK_STREAM)
                self.sock.setblocking(False)
                await loop.sock_connect(self.sock, address)
                connected_ns = perf_counter_ns()
                await loop.create_connection(
                    lambda: self,
                    sock=self.sock,
                    ssl=engine.tls,
                    server_hostname=URL(engine.load.url).host if engine.tls else None,
                )
            else:
                await loop.create_connection(lambda: self, *address[:2])
        except OSError as error:
            if self.sock:
                self.sock.close()
            if not engine.opened and not connected_ns and len(engine.addresses) > 1:
                engine.addresses.pop(0)  # the name's next address; no request was sent yet
                await self.open()
                return
            self.opening = None
            self.not_connected("tls" if connected_ns else "refused", str(error))
            return
        except asyncio.CancelledError:
            if self.sock:
                self.sock.close()
            raise
        now = perf_counter_ns()
        engine.connect_s.append(((connected_ns or now) - began_ns) / 1e9)
        if engine.tls:
            engine.tls_s.append((now - connected_ns) / 1e9)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # A small request fits the empty send buffer whole, so it need not take uvloop's queue.
        self.write = self.transport.write
        if self.sock and not self.engine.tls and len(self.request) <= STRAIGHT_BYTES:
            self.write = self.sock.send
        self.parser = httptools.HttpResponseParser(self)
        self.opening = None
        self.connected()
        self.send()

    def send(self) -> None:
        self.fresh = True
        try:
            self.write(self.request)
        except OSError:
            self.fail("reset")

    def drop(self) -> None:
        """Let go of the socket; what it still says concerns nobody."""
        if self.transport:
            self.transport.set_protocol(NOBODY)
            self.transport.abort()
            self.transport = None
        self.fresh = False

    # Answers

    def data_received(self, data: bytes) -> None:
        engine = self.engine
        if data == engine.known and self.fresh:
            now = perf_counter_ns()
            if self.lag:
                engine.alike.late.append((now - self.due, self.lag))
                self.lag = 0
            else:
                engine.alike.prompt.append(now - self.due)
            if engine.left:
                engine.left -= 1
                self.due = now
                try:
                    self.write(self.request)
                except OSError:
                    self.fail("reset")
            else:
                self.fresh = False
                self.proceed(now)
        elif self.busy:
            self.parse(data)
        else:
            self.drop()  # nobody asked: this socket is out of step

    def parse(self, data: bytes) -> None:
        first = self.fresh
        if first:
            self.fresh = self.complete = self.framed = False
            self.status = 0
            self.expectation.begin()
        self.engine.tally.bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.status, self.complete, self.keep = 101, True, False
        except httptools.HttpParserError:
            if not self.complete:
                self.fail("protocol")
                return
            self.keep = False
        if self.complete:
            self.answered(data if first else None)

    def on_message_begin(self) -> None:
        if self.complete:  # more than was asked for
            self.keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        self.expectation.body(piece)

    def on_message_complete(self) -> None:
        if self.status >= 200:  # 1xx comes before the answer
            self.complete = True
            self.keep = self.parser.should_keep_alive()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if not self.busy:
            return
        if not error and not self.fresh and self.status >= 200 and not self.framed:
            self.keep = False  # a body that ends with the connection
            self.answered(None)
        else:
            self.fail("reset" if self.fresh else "incomplete")

    def answered(self, whole: bytes | None) -> None:
        kind = self.expectation.error(self.status)
        if not (self.keep and self.engine.load.keepalive):
            self.drop()
        elif whole is not None:
            self.engine.learn(whole, self.status, kind)
        self.settle(self.status, kind)

    def fail(self, kind: str) -> None:
        self.drop()
        self.settle(None, kind)


class Session(Client):
    """One request after the other by aiohttp's ClientSession, which all of them share."""

    def __init__(self, engine: Engine, session: aiohttp.ClientSession) -> None:
        super().__init__(engine)
        self.session = session
        self.task: asyncio.Task[None] | None = None
        self.connecting = False

    @staticmethod
    def trace() -> aiohttp.TraceConfig:
        """Tells a request when its connection is being made, and when it is there."""

        async def begins(_: Any, context: Any, __: Any) -> None:
            context.trace_request_ctx.connecting = True

        async def ends(_: Any, context: Any, __: Any) -> None:
            client: Session = context.trace_request_ctx
            client.connecting = False
            client.connected()
            client.engine.connect_s.append(client.lag / 1e9)

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(begins)
        trace.on_connection_create_end.append(ends)
        return trace

    def start(self) -> None:
        self.lag = 0
        self.task = asyncio.get_running_loop().create_task(self.request())

    async def request(self) -> None:
        load, status, kind = self.engine.load, None, None
        self.expectation.begin()
        try:
            async with self.session.request(
                load.method, load.url, headers=load.all_headers(), data=load.body or None,
                allow_redirects=False, trace_request_ctx=self,
            ) as response:  # fmt: skip
                async for piece in response.content.iter_any():
                    self.engine.tally.bytes += len(piece)
                    self.expectation.body(piece)
                status = response.status
                kind = self.expectation.error(status)
        except (aiohttp.ClientError, OSError) as error:
            kind = error_kind(error)
            if self.connecting:
                self.connecting = False
                self.not_connected(kind, str(error))
                return
        self.settle(status, kind)

    def time_out(self) -> None:
        self.close()
        if self.connecting:
            self.connecting = False
            self.not_connected("connect timeout", f"no answer in {self.engine.load.timeout_s:g} s")
        else:
            self.settle(None, "timeout")

    def close(self) -> None:
        if self.task:
            self.task.cancel()


def error_kind(error: Exception) -> str:
    """Under which kind aiohttp's error counts."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ClientConnectorError():
            return "tls" if isinstance(error.os_error, ConnectionResetError) else "refused"
        case aiohttp.ServerDisconnectedError():
            return "reset" if isinstance(error.message, str) else "incomplete"
        case aiohttp.ClientPayloadError():
            return "incomplete"
        case aiohttp.ClientOSError() | ConnectionResetError():
            return "reset"
        case _:
            return "protocol"


# ---- The machine ---------------------------------------------------------------------


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process and of the children it has reaped; 0.0 once it is gone."""
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


class Machine:
    """What the processes of this machine had used when this was made, to be subtracted."""

    def __init__(self, server_pid: int | None) -> None:
        self.tree: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(server_pid) if server_pid else None
            self.tree = [root, *root.children(recursive=True)] if root else []
        self.server_cpu_s = sum(map(cpu_s, self.tree))
        ours = {process.pid for process in self.tree} | {os.getpid()}
        self.others = {p: cpu_s(p) for p in psutil.process_iter() if p.pid not in ours}
        self.times = psutil.cpu_times()
        self.overflows = listen_overflows()

    def memory(self) -> Json:
        """Resident bytes, processes and threads of the server's process tree now."""
        rss_bytes = processes = threads = 0
        for process in self.tree:
            with suppress(psutil.Error):
                rss_bytes += process.memory_info().rss
                threads += process.num_threads()
                processes += 1
        return {"rss_bytes": rss_bytes, "processes": processes, "threads": threads}

    def since(self, before: Machine, elapsed_s: float) -> Json:
        """What disturbed the `elapsed_s` since `before`."""
        ticks = sum(self.times) - sum(before.times)
        steal = getattr(self.times, "steal", 0.0) - getattr(before.times, "steal", 0.0)
        used = {p: s - before.others[p] for p, s in self.others.items() if p in before.others}
        neighbour = max(used, key=lambda p: used[p], default=None)
        name = ""
        with suppress(psutil.Error):
            name = neighbour.name() if neighbour else ""
        return {
            "steal": steal / ticks if ticks else 0.0,
            "listen_overflows": self.overflows - before.overflows,
            "neighbour": name,
            "neighbour_busy": used[neighbour] / elapsed_s if neighbour else 0.0,
        }


def listen_overflows() -> int:
    """How often this machine dropped a connection for a full listen queue; 0 if unknown."""
    try:
        lines = Path("/proc/net/netstat").read_text().splitlines()
    except OSError:  # not Linux
        return 0
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(dict(zip(names, values, strict=True)).get("ListenOverflows", 0))


@cache
def _fixed_environment() -> Json:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    described = subprocess.run(git, capture_output=True, text=True, check=False)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": described.stdout.strip() or None,
    }


def environment(packages: Sequence[str] = ("aiohttp", "httptools", "uvloop")) -> Json:
    """What a figure depends on besides the server: machine, versions, command and commit."""
    versions = {}
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    command = ["python", Path(sys.argv[0]).name, *sys.argv[1:]]
    return _fixed_environment() | {
        "packages": versions,
        "load_average": os.getloadavg()[0],
        "command": shlex.join(command),
    }


# ---- One run, and rounds of several --------------------------------------------------


class Resolver(aiohttp.abc.AbstractResolver):
    """Gives aiohttp the addresses that were looked up before the run began."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        return [
            {"hostname": host, "host": address[0], "port": port, "family": family,
             "proto": 0, "flags": socket.AI_NUMERICHOST}
            for family, address in self.addresses
        ]  # fmt: skip

    async def close(self) -> None:
        pass


async def look_up(load: Load) -> list[Address]:
    url = URL(load.url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.host, url.port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise CannotRun(f"{load.url}: {url.host} does not resolve: {REMEDIES['dns']}") from error
    return [(family, address) for family, _, _, _, address in found]


async def _run(load: Load, watch: Callable[[Engine, float], None] | None) -> Run:
    loop = asyncio.get_running_loop()
    asked_ns = perf_counter_ns()
    addresses = await look_up(load)
    dns_s = (perf_counter_ns() - asked_ns) / 1e9
    engine = Engine(load, addresses)
    crashes: list[BaseException] = []

    def crashed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        crashes.append(context.get("exception") or RuntimeError(context["message"]))
        engine.settled.set()

    loop.set_exception_handler(crashed)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, engine.interrupt)
    connector = aiohttp.TCPConnector(
        limit=0, force_close=not load.keepalive, ssl=engine.tls or True,
        resolver=Resolver(addresses), use_dns_cache=False,
    )  # fmt: skip
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None), trace_configs=[Session.trace()],
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
    ) as session:  # fmt: skip
        session._retry_connection = False  # a failure is counted, not sent again
        slots = min(load.connections, load.requests or load.connections)
        wire = load.client == "wire"
        engine.clients = [Wire(engine) if wire else Session(engine, session) for _ in range(slots)]
        try:
            if load.warmup_s:
                await engine.phase(None, load.warmup_s)
            started, before = datetime.now(UTC), Machine(load.pid)
            peak = before.memory()

            def each_tick(elapsed_s: float) -> None:
                for key, value in before.memory().items() if load.pid else ():
                    peak[key] = max(peak[key], value)
                if watch:
                    watch(engine, elapsed_s)

            if not engine.interrupted:
                await engine.phase(load.requests, load.duration_s, each_tick)
            after = Machine(load.pid)
            unfinished = sum(client.busy for client in engine.clients)
        finally:
            for client in engine.clients:
                client.close()
    if crashes:
        raise crashes[0]
    return _record(engine, started, before, after, peak, unfinished, dns_s)


def _record(
    engine: Engine, started: datetime, before: Machine, after: Machine,
    peak: Json, unfinished: int, dns_s: float,
) -> Run:  # fmt: skip
    load, tally = engine.load, engine.tally
    elapsed_s = (engine.ended_ns - engine.began_ns) / 1e9
    requests = tally.ok + tally.failed + unfinished
    client = after.since(before, elapsed_s) | {
        "cpu_s": engine.cpu_s,
        "cpu_us_per_request": engine.cpu_s / max(requests, 1) * 1e6,
        "busy": engine.cpu_s / elapsed_s,
        "loop_lag_s": engine.loop_lag_s,
        "in_flight": engine.in_flight,
    }
    server_cpu_s = after.server_cpu_s - before.server_cpu_s
    run = Run(
        name=load.name or load.url,
        started=started.isoformat(timespec="seconds"),
        elapsed_s=elapsed_s,
        load=load.to_json(),
        ok=tally.ok,
        failed=tally.failed,
        unfinished=unfinished,
        interrupted=engine.interrupted,
        statuses=dict(tally.statuses),
        errors=dict(tally.errors),
        bytes_received=tally.bytes,
        histograms=tally.histograms,
        series=tally.series,
        connections={
            "opened": engine.opened,
            "dns_s": dns_s,
            "connect_s": float(np.median(engine.connect_s)) if engine.connect_s else None,
            "tls_s": float(np.median(engine.tls_s)) if engine.tls_s else None,
        },
        client=client,
        server={"cpu_s": server_cpu_s, **peak} if load.pid else None,
        environment=environment(),
    )
    run.validity = summarize.validity(run)
    return run


def run(load: Load, watch: Callable[[Engine, float], None] | None = None) -> Run:
    """Load one URL and return what came of it.

    `watch(engine, elapsed_s)` is called ten times a second. SIGINT and SIGTERM end the load;
    the Run is then `interrupted`. Raises CannotRun when the first connection fails.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = load.connections + 100
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise CannotRun(f"{load.connections} connections take {needed} open files; ulimit -n")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    hot = load.client == "wire"  # which makes no cycles for the collector to find
    if hot:
        gc.collect()
        gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(load, watch))
    finally:
        gc.enable()


def run_rounds(
    loads: Mapping[str, Load], order: random.Random, rounds: int,
    watch: Callable[[str, int], None] = lambda name, number: None,
) -> dict[str, list[Run]]:  # fmt: skip
    """Load every arm once a round, in an order shuffled anew: {name: runs, shape (rounds,)}.

    `watch(name, number)` is told what comes next. Raises KeyboardInterrupt when interrupted.
    """
    runs: dict[str, list[Run]] = {name: [] for name in loads}
    for number in range(1, rounds + 1):
        for name in order.sample(list(loads), len(loads)):
            watch(name, number)
            runs[name].append(run(loads[name]))
            if runs[name][-1].interrupted:
                raise KeyboardInterrupt
    return runs


# ---- Command line --------------------------------------------------------------------


def duration_s(text: str) -> float:
    """Seconds of "10s", "1m30s", "500ms", "0.5" (seconds). Raises ValueError."""
    units_s = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|h|m|s|$)", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise ValueError(f"{text!r} is no duration: write 10s, 1m30s or 500ms")
    return float(sum(float(number) * units_s[unit or "s"] for number, unit in parts))


def count(text: str) -> int:
    """A whole number: "5000", "10k", "1M". Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", text)
    number = float(found[1]) * {"": 1, "k": 10**3, "M": 10**6}[found[2]] if found else 0.5
    if number != int(number):
        raise ValueError(f"{text!r} is no count: write 5000 or 5k")
    return int(number)


def header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is no header: write 'Name: value'")
    return name.strip(), value.strip()


def body_of(text: str) -> bytes:
    return Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()


def _parser() -> summarize.Parser:
    parser = summarize.Parser(
        prog="loadgen.py",
        usage="python loadgen.py [options] URL [URL …]",
        description="Put HTTP load on a URL; of several, run rounds and give the ratio.",
        epilog="Durations: 10s, 1m30s, 500ms. Counts: 5000, 10k.",
    )
    add = parser.add_argument_group("load").add_argument
    add("urls", nargs="+", metavar="URL")
    add("-c", "--connections", type=count, default=50, metavar="N", help="at once (50)")
    add("-n", "--requests", type=count, metavar="N", help="exactly N requests")
    add("-z", "--duration", type=duration_s, metavar="T", help="for this long (10s)")
    add("--warmup", type=duration_s, default=0.0, metavar="T", help="uncounted load first (0)")
    add("--no-keepalive", action="store_true", help="a new connection for each request")
    add("-t", "--timeout", type=duration_s, default=20.0, metavar="T", help="(20s)")
    add("--client", choices=("wire", "aiohttp"), default="wire", help="(wire)")
    add = parser.add_argument_group("request").add_argument
    add("-m", "--method", metavar="METHOD", help="(GET, or POST with a body)")
    add("-H", "--header", type=header, action="append", default=[], metavar="HEADER")
    add("-d", "--data", metavar="BODY|@FILE")
    add("-D", "--data-file", metavar="FILE", help="as -d @FILE")
    add("--json", metavar="VALUE", help="a JSON body, and its content type")
    add("-T", "--content-type", metavar="TYPE")
    add("-a", "--auth", metavar="USER:PASSWORD", help="basic authentication")
    add("--insecure", action="store_true", help="accept any certificate")
    add("--expect", metavar="STATUS|TEXT", help="what else is an error (a status of 400 or more)")
    add = parser.add_argument_group("rounds, of several URLs").add_argument
    add("--rounds", type=count, default=6, metavar="N", help="each of the duration (6)")
    add("--seed", type=int, default=1, metavar="N", help="of their order (1)")
    add = parser.add_argument_group("results").add_argument
    add("-o", "--output", metavar="FILE|-", help="write the record as JSON")
    add("--name", default="", metavar="NAME", help="in the record (the URL)")
    add("--pid", type=int, metavar="PID", help="account for this process and its children")
    add("--quiet", action="store_true", help="no progress, no report")
    return parser


def _load(options: argparse.Namespace, url: str) -> Load:
    """The Load that the options ask for. Raises ValueError or OSError."""
    body, headers = b"", list(options.header)
    if options.data is not None:
        body = body_of(options.data)
    elif options.data_file is not None:
        body = body_of(f"@{options.data_file}")
    elif options.json is not None:
        json.loads(options.json)
        body = options.json.encode()
    given = {name.lower() for name, _ in headers}
    kind = "application/json" if options.json is not None else options.content_type
    if (kind or body) and "content-type" not in given:
        headers.append(("Content-Type", options.content_type or kind or "text/plain"))
    if options.auth is not None:
        user, _, password = options.auth.partition(":")
        headers.append(("Authorization", aiohttp.BasicAuth(user, password).encode()))
    return Load(
        url=url,
        name=options.name,
        method=(options.method or ("POST" if body else "GET")).upper(),
        headers=tuple(headers),
        body=body,
        connections=options.connections,
        requests=options.requests,
        duration_s=options.duration,
        timeout_s=options.timeout,
        keepalive=not options.no_keepalive,
        insecure=options.insecure,
        expect=options.expect,
        warmup_s=options.warmup,
        client=options.client,
        pid=options.pid,
    )


@contextmanager
def live_line(shown: bool) -> Iterator[Callable[[Engine, float], None]]:
    """A line on a terminal: elapsed, requests/s, p50, p99 and errors so far."""
    with tqdm(bar_format="{desc}", disable=not shown, leave=False) as line:

        def show(engine: Engine, elapsed_s: float) -> None:
            tally = engine.tally
            p50, p99 = map(tally.histograms["latency_s"].percentile_s, (50, 99))
            line.set_description_str(
                f"{elapsed_s:5.1f} s  {tally.ok / max(elapsed_s, 1e-9):8.0f} requests/s  "
                f"p50 {summarize.duration(p50)}  p99 {summarize.duration(p99)}  "
                f"{tally.failed} errors"
            )

        yield show if shown else lambda engine, elapsed_s: None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status of DESIGN: 0, 1, 2, 3 or 130."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        loads = [_load(options, url) for url in options.urls]
        output = summarize.Output(options.output)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    shown = not options.quiet and sys.stderr.isatty()
    try:
        if len(loads) > 1:
            return _compare(loads, options, output)
        with live_line(shown) as show:
            result = run(loads[0], show)
    except CannotRun as error:
        print(f"loadgen.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    output.write(result)
    if not options.quiet and not output.is_stdout:
        print(summarize.report(result))
    if result.interrupted:
        return 130
    return 0 if result.statuses else 1


def _compare(loads: Sequence[Load], options: argparse.Namespace, output: summarize.Output) -> int:
    """Rounds of several URLs, each against the first."""
    named = {load.url: load for load in loads}
    began = datetime.now(UTC)
    with tqdm(disable=options.quiet, total=len(named) * options.rounds, leave=False) as bar:

        def watch(name: str, number: int) -> None:
            bar.set_description_str(f"round {number}: {name}"[:50])
            bar.update()

        runs = run_rounds(named, random.Random(options.seed), options.rounds, watch)
    result = Result(
        name=options.name or "comparison",
        title=options.name or f"{len(named)} URLs compared",
        started=began.isoformat(timespec="seconds"),
        load=loads[0].to_json() | {"rounds": options.rounds, "seed": options.seed, "launches": 1},
        arms={name: summarize.arm(runs[name]) for name in named},
        environment=environment(),
    )
    for load in loads[1:]:
        summarize.add_ratio(result, load.url, loads[0].url)
    output.write(result)
    if not options.quiet and not output.is_stdout:
        print(summarize.report_result(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
