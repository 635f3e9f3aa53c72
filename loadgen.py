"""Put HTTP load on any URL and say what came back, how fast, and whether to believe it.

    python loadgen.py http://127.0.0.1:8000/                   50 connections for 10 s
    python loadgen.py -n 5000 -c 1000 --no-keepalive URL       exactly 5000, as ab does
    python loadgen.py URL_A URL_B                              rounds of both, and the ratio

As a library: ``run(Load(url="http://127.0.0.1:8000/", requests=1000))`` returns a
`summarize.Run`. This module owns the network and the order of load. It never retries: a
request that fails is counted once, under its kind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import json
import math
import os
import platform
import random
import re
import resource
import shlex
import signal
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache, partial
from itertools import pairwise
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
from summarize import Histogram, Json, Result, Run

TICK_S = 0.1  # how often samples are folded and time-outs looked for
DIRECT_BYTES = 2048  # a request of this size always fits an empty send buffer
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.01, 1.0  # between attempts of a connection refused
REMEDIES = {
    "dns": "check the spelling, or write the IP address",
    "refused": "is the server running, and on this port?",
    "connect timeout": "is the address right, or does a firewall drop it?",
    "tls": "for a certificate of your own add --insecure; for plain HTTP write http://",
}


class CannotRun(Exception):
    """Nothing could be measured; the message is one line: what, where and what to do."""


class Interrupted(KeyboardInterrupt):
    """The user ended the rounds; its one argument is {name: runs} of those that are whole."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to ask of a server: how often, over how many connections, for how long.

    It ends after `requests` or `duration_s`, whichever comes first; with neither, after
    10 s. `expect` is a status ("204") or a text that the body must hold; without it every
    status from 200 to 399 is ok. `pid` is a process whose tree is accounted for as the
    server. Raises ValueError for what cannot be done.
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
        url, token = URL(self.url), re.compile(r"[!#-'*+.^-z|~\w-]+", re.ASCII)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{self.url!r} is no URL to load: write http://HOST:PORT/PATH")
        for key in ("connections", "requests", "duration_s", "timeout_s"):
            if (value := getattr(self, key)) is not None and value <= 0:
                raise ValueError(f"{key} is {value:g}: it must be above 0")
        if self.warmup_s < 0:
            raise ValueError(f"warmup_s is {self.warmup_s:g}: it cannot be below 0")
        if self.client not in ("wire", "aiohttp"):
            raise ValueError(f"client is {self.client!r}: it must be wire or aiohttp")
        if not token.fullmatch(self.method):
            raise ValueError(f"{self.method!r} is no method: write GET, POST or the like")
        for name, value in self.headers:
            if not token.fullmatch(name) or not value.replace("\t", "").isprintable():
                raise ValueError(f"{name + ': ' + value!r} is no header: write 'Name: value'")
        set_field = partial(object.__setattr__, self)
        set_field("method", self.method.upper())
        if self.requests is None and self.duration_s is None:
            set_field("duration_s", 10.0)
        if self.method == "HEAD":  # httptools cannot be told that such an answer has no body
            set_field("client", "aiohttp")

    def all_headers(self) -> CIMultiDict[str]:
        """The headers as either client sends them, in their order."""
        url, given = URL(self.url), CIMultiDict(self.headers)
        host = given.pop("Host", url.host_port_subcomponent or "")
        headers = CIMultiDict({"Host": host, "User-Agent": "loadgen/1", "Accept": "*/*"})
        if url.user:
            headers["Authorization"] = aiohttp.encode_basic_auth(url.user, url.password or "")
        for name in given:
            headers.popall(name, None)
        headers.extend(given)
        if self.body or self.method not in ("GET", "HEAD", "OPTIONS", "TRACE"):
            headers["Content-Length"] = str(len(self.body))
        if not self.keepalive:
            headers["Connection"] = "close"
        return headers

    def to_bytes(self) -> bytes:
        """The request as it goes over the wire."""
        lines = [f"{self.method} {URL(self.url).raw_path_qs} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.all_headers().items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def to_json(self) -> Json:
        """What was asked for, without secrets; of the body only its size in bytes."""
        secret = ("authorization", "cookie", "proxy-authorization")
        headers = [[n, "***" if n.lower() in secret else value] for n, value in self.headers]
        asked = {"url": self.public_url, "headers": headers, "body": len(self.body)}
        return asdict(self) | asked | {"rate": None, "arrivals": None, "processes": 1}

    @property
    def public_url(self) -> str:
        return str(URL(self.url).with_user(None))


# ---- Counting ------------------------------------------------------------------------
class Tally:
    """What came back: appended to by the hot path, folded into histograms in bulk."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[int | None, str | None], list[int]] = {}
        self.histograms = {key: Histogram() for key in summarize.RECORDED}
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.ok = self.failed = self.held_ns = 0
        self.series: list[Json] = []
        self.second: list[NDArray[np.int64]] = []
        self.failed_before = 0

    def outcome(self, status: int | None, kind: str | None) -> list[int]:
        """Where to append the response time in ns of a request that ends with `status` (None
        without a whole answer) and error `kind` (None if it is ok); and then, where it was not
        sent when it was due, its send lag as a negative number.
        """
        return self.outcomes.setdefault((status, kind), [])

    def add(self, status: int | None, kind: str | None, latency_ns: int, lag_ns: int) -> None:
        self.outcome(status, kind).extend((latency_ns, -lag_ns) if lag_ns else (latency_ns,))

    def fold(self) -> None:
        """Empty all outcomes into the counts and histograms."""
        for (status, kind), times in self.outcomes.items():
            both = np.array(times, dtype=np.int64)
            times.clear()
            latency, lags = both[both >= 0], np.flatnonzero(both < 0)
            lag, count = np.zeros_like(latency), len(latency)
            lag[lags - np.arange(1, len(lags) + 1)] = -both[lags]
            self.held_ns += int(latency.sum())
            if status is not None and count:
                self.statuses[str(status)] += count
            if kind is None:
                self.ok += count
                self.second.append(latency)
                self.histograms["latency_s"].record(latency)
                self.histograms["service_s"].record(latency - lag)
                self.histograms["send_lag_s"].record(lag)
            elif count:
                self.failed += count
                self.errors[kind] += count
                self.histograms["failed_s"].record(latency)

    def end_second(self, time_s: float) -> None:
        """Close the entry of the series that ends `time_s` after the window began."""
        self.fold()
        values = np.concatenate(self.second) if self.second else np.empty(0)
        p50_s, p99_s = np.percentile(values, (50, 99)) / 1e9 if len(values) else (None, None)
        failed, self.failed_before = self.failed - self.failed_before, self.failed
        entry = {"time": time_s, "ok": len(values), "failed": failed}
        self.series.append(entry | {"p50": p50_s, "p99": p99_s})
        self.second = []


# ---- The engine: who sends what when -------------------------------------------------
Watch = Callable[["Engine", float], None]  # is told the seconds since the window began


class Engine:
    """A closed loop: each connection sends its next request when the last is settled.

    The clients ask it for leave to send (`left`) and tell it what became of each request.
    It owns the clock, the tally, the time-outs and the end.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.host = str(URL(load.url).host)
        self.address = self.host, int(URL(load.url).port or 0)
        self.tls = ssl.create_default_context() if URL(load.url).scheme == "https" else None
        if self.tls and load.insecure:
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.opened = 0
        self.connect_s: list[float] = []
        self.tls_s: list[float] = []
        self.interrupted = False
        self.fault: BaseException | None = None
        self.clients: Sequence[Wire | Session] = ()
        self.begin()

    def begin(self) -> None:
        """Start counting from nothing, for the warm-up or for the window that is measured."""
        self.tally = Tally()
        self.known: bytes | None = None
        self.alike = self.tally.outcome(200, None)
        self.left = 0
        self.sending = True
        self.in_flight = self.loop_lag_s = 0.0
        self.settled = asyncio.Event()
        self.cpu_s = -process_time()
        self.began_ns = self.ended_ns = perf_counter_ns()

    def idle(self) -> None:
        """A connection was refused leave to send: the load is over."""
        self.end_load()
        if not any(client.busy for client in self.clients):
            self.settled.set()

    def end_load(self) -> None:
        """Send nothing more; note how many requests were under way on average until now."""
        if self.sending:
            self.sending, self.left = False, 0
            now = perf_counter_ns()
            self.tally.fold()
            held_ns = self.tally.held_ns + sum(now - c.due for c in self.clients if c.busy)
            self.in_flight = held_ns / max(now - self.began_ns, 1)
            self.idle()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task whose failure ends the run."""

        def done(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception():
                self.stop(task.exception())

        task = asyncio.get_running_loop().create_task(coroutine)
        task.add_done_callback(done)
        return task

    def stop(self, fault: BaseException | None = None) -> None:
        """End at once: the user interrupts, or there is a fault that leaves nothing to do."""
        self.fault = self.fault or fault
        self.interrupted = not self.fault
        self.settled.set()

    async def phase(
        self, requests: int | None, duration_s: float, watch: Watch, opening_s: float = 0.0
    ) -> None:
        """Load until `requests` are sent or `duration_s` has passed, and all are settled.

        The connections are opened one after the other over `opening_s`: where many come at
        once, one worker of a server has accepted them all before another wakes. `watch` is
        called at each tick. What is not settled when the user interrupts stays unfinished.
        """
        self.begin()
        self.left = requests or sys.maxsize
        loop, step_s = asyncio.get_running_loop(), opening_s / len(self.clients)
        if duration_s < math.inf:
            loop.call_later(duration_s, self.end_load)
        for number, client in enumerate(self.clients):
            if opening_s:
                client.pause = loop.call_later(number * step_s, client.resume)
            else:
                client.resume()
        now = perf_counter_ns()
        while not self.settled.is_set():
            due_ns = now + TICK_S * 1e9
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self.settled.wait()
            now = perf_counter_ns()
            self.loop_lag_s = max(self.loop_lag_s, (now - due_ns) / 1e9)
            for client in self.clients:
                if client.busy and now - client.due > self.load.timeout_s * 1e9:
                    client.time_out()
            self.tally.fold()
            elapsed_s = (now - self.began_ns) / 1e9
            if elapsed_s >= len(self.tally.series) + 1:
                self.tally.end_second(elapsed_s)
            watch(self, elapsed_s)
        self.ended_ns = perf_counter_ns()
        self.cpu_s += process_time()
        self.end_load()
        self.tally.end_second((self.ended_ns - self.began_ns) / 1e9)
        if self.fault:
            raise self.fault


class Expectation:
    """What makes a whole answer right: its status, or a text somewhere in its body."""

    def __init__(self, expect: str | None) -> None:
        is_status = bool(re.fullmatch(r"\d{3}", expect or ""))
        self.statuses = (int(expect or 0),) if is_status else range(200, 400)
        self.text = b"" if is_status else (expect or "").encode()
        self.begin()

    def begin(self) -> None:
        self.found, self.tail = not self.text, b""

    def body(self, piece: bytes) -> None:
        """Look for the text, which may lie across pieces, and keep no more than it takes."""
        if not self.found:
            window = self.tail + piece
            self.found = self.text in window
            self.tail = window[max(len(window) - len(self.text) + 1, 0) :]

    def error(self, status: int) -> str | None:
        """The kind of error in an answer that is whole, or None."""
        if status not in self.statuses:
            return "status"
        return None if self.found else "body"


class Client:
    """One connection's worth of requests, one after the other: what both clients share."""

    start: Callable[[], None]  # sends the request that is due, over a new connection if need be
    close: Callable[[], None]  # gives up what is under way

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.expectation = Expectation(engine.load.expect)
        self.busy = False  # from when a request is due until it is settled
        self.opening = False  # a connection is being made for it
        self.due = self.lag = 0
        self.backoff_s = FIRST_BACKOFF_S
        self.pause: asyncio.TimerHandle | None = None

    def proceed(self, now: int) -> None:
        """Begin the next request, due now, if there is leave to send one."""
        if self.pause:
            self.pause.cancel()
            self.pause = None
        if not self.engine.left:
            self.busy = False
            self.engine.idle()
            return
        self.engine.left -= 1
        self.busy = True
        self.due = now
        self.start()

    def resume(self) -> None:
        self.proceed(perf_counter_ns())

    def settle(self, status: int | None, kind: str | None) -> None:
        now = perf_counter_ns()
        self.engine.tally.add(status, kind, now - self.due, self.lag)
        self.proceed(now)

    def time_out(self) -> None:
        self.close()
        if self.opening:
            self.not_connected("connect timeout", f"none in {self.engine.load.timeout_s:g} s")
        else:
            self.settle(None, "timeout")

    def connected(self) -> None:
        self.engine.opened += 1
        self.opening, self.backoff_s = False, FIRST_BACKOFF_S
        self.lag = perf_counter_ns() - self.due

    def not_connected(self, kind: str, why: str) -> None:
        """Count the request that found no connection, and try the next after a pause."""
        engine, waited_ns = self.engine, perf_counter_ns() - self.due
        engine.tally.add(None, kind, waited_ns, waited_ns)
        self.busy = self.opening = False
        if not engine.opened:
            engine.stop(CannotRun(f"{engine.load.url}: {kind} ({why}): {REMEDIES[kind]}"))
        elif engine.sending:
            self.pause = asyncio.get_running_loop().call_later(self.backoff_s, self.resume)
            self.backoff_s = min(2 * self.backoff_s, LONGEST_BACKOFF_S)
        else:
            engine.idle()


NOBODY = asyncio.Protocol()


class Wire(Client, asyncio.Protocol):
    """A connection of bare protocol, over as many sockets as it takes.

    The request is one constant. An answer is parsed by httptools, unless it is byte for byte
    the whole answer that was parsed last: then what it says is known.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.request = engine.load.to_bytes()
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        self.write: Callable[[bytes], object]
        self.fresh = False  # a request is out and no byte of its answer has come

    def start(self) -> None:
        if self.transport is None:
            self.opening = True
            self.task = self.engine.spawn(self.open())
        else:
            self.lag = 0
            self.send()

    def close(self) -> None:
        if self.opening and self.task:
            self.task.cancel()
        self.drop()

    async def open(self) -> None:
        engine, loop, began_ns = self.engine, asyncio.get_running_loop(), perf_counter_ns()
        first: asyncio.Protocol = NOBODY if engine.tls else self
        try:
            transport, _ = await loop.create_connection(lambda: first, *engine.address)
            tcp_ns = perf_counter_ns()
            engine.connect_s.append((tcp_ns - began_ns) / 1e9)
        except OSError as error:
            self.not_connected("refused", str(error))
            return
        if not engine.tls:
            return
        try:
            secure = await loop.start_tls(transport, self, engine.tls, server_hostname=engine.host)
            if not secure or secure.is_closing():
                raise ConnectionResetError("closed after the handshake")
        except OSError as error:
            self.not_connected("tls", str(error))
            return
        engine.tls_s.append((perf_counter_ns() - tcp_ns) / 1e9)
        self.connection_made(secure)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        engine = self.engine
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpResponseParser(self)
        self.write = self.transport.write
        if not engine.tls and engine.load.keepalive and len(self.request) <= DIRECT_BYTES:
            # it fits the empty send buffer whole, and so need not take uvloop's queue
            self.write = partial(os.write, transport.get_extra_info("socket").fileno())
        if engine.opened == 0:
            engine.address = transport.get_extra_info("peername")[:2]  # looked up once
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
        self.fresh = False
        if self.transport:
            self.transport.set_protocol(NOBODY)
            self.transport.abort()
            self.transport = None

    def data_received(self, data: bytes) -> None:
        engine = self.engine
        if data == engine.known and self.fresh:
            now = perf_counter_ns()
            engine.alike.append(now - self.due)
            if self.lag:
                engine.alike.append(-self.lag)
                self.lag = 0
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
        whole = data if self.fresh else None
        if self.fresh:
            self.fresh = self.complete = False
            self.status = 0
            self.expectation.begin()
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
            self.answered(whole)

    def on_message_begin(self) -> None:
        if self.complete:  # more than was asked for
            self.keep = False
        self.framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self.parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        if not self.complete:
            self.expectation.body(piece)

    def on_message_complete(self) -> None:
        if not self.complete and self.status // 100 != 1:  # 1xx comes before the answer
            self.complete = True
            self.keep = self.parser.should_keep_alive()

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is None:  # still in the handshake, which will say so itself
            return
        self.transport = None
        if self.busy and not error and not self.fresh and self.status >= 200 and not self.framed:
            self.keep = False  # a body that ends with the connection
            self.answered(None)
        elif self.busy:
            self.fail("reset" if self.fresh else "incomplete")

    def answered(self, whole: bytes | None) -> None:
        engine, kind = self.engine, self.expectation.error(self.status)
        if not (self.keep and engine.load.keepalive):
            self.drop()
        elif whole is not None:
            engine.known, engine.alike = whole, engine.tally.outcome(self.status, kind)
        self.settle(self.status, kind)

    def fail(self, kind: str) -> None:
        self.drop()
        self.settle(None, kind)


class Session(Client):
    """One request after the other by aiohttp's ClientSession, which all of them share."""

    def __init__(self, engine: Engine, session: aiohttp.ClientSession) -> None:
        super().__init__(engine)
        self.session = session
        self.url = URL(engine.load.url).with_user(None)
        self.headers = engine.load.all_headers()
        self.task: asyncio.Task[None] | None = None

    @staticmethod
    def trace() -> aiohttp.TraceConfig:
        """Tells a request when its connection is being made, and when it is there."""

        async def begins(_: Any, context: Any, __: Any) -> None:
            context.trace_request_ctx.opening = True

        async def ends(_: Any, context: Any, __: Any) -> None:
            client: Session = context.trace_request_ctx
            client.connected()
            client.engine.connect_s.append(client.lag / 1e9)

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(begins)
        trace.on_connection_create_end.append(ends)
        return trace

    def start(self) -> None:
        self.lag = 0
        self.task = self.engine.spawn(self.request())

    async def request(self) -> None:
        load, status, kind = self.engine.load, None, None
        self.expectation.begin()
        try:
            async with self.session.request(
                load.method, self.url, headers=self.headers, data=load.body or None,
                allow_redirects=False, trace_request_ctx=self,
            ) as response:  # fmt: skip
                async for piece in response.content.iter_any():
                    self.expectation.body(piece)
                status, kind = response.status, self.expectation.error(response.status)
        except (aiohttp.ClientError, OSError) as error:
            kind = error_kind(error)
            if self.opening:
                self.not_connected(kind, str(error))
                return
        self.settle(status, kind)

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
        case aiohttp.ServerDisconnectedError(message=str()) | aiohttp.ClientOSError():
            return "reset"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "incomplete"
    return "protocol"


# ---- The machine ---------------------------------------------------------------------
class Machine:
    """What the processes of this machine had used when this was made, to be subtracted."""

    def __init__(self, server_pid: int | None) -> None:
        self.tree: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            if server_pid:
                root = psutil.Process(server_pid)
                self.tree = [root, *root.children(recursive=True)]
        self.server_cpu_s = sum(map(cpu_s, self.tree))
        me = psutil.Process()  # and with me what I started, such as a load beside this one
        ours = {process.pid for process in (*self.tree, me, *me.children())}
        self.others_s = {p: cpu_s(p) for p in psutil.process_iter() if p.pid not in ours}
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

    def steal(self, before: Machine) -> float:
        """The share of the machine's time that its hypervisor took since `before`."""
        stolen_s = getattr(self.times, "steal", 0.0) - getattr(before.times, "steal", 0.0)
        return float(stolen_s / max(sum(self.times) - sum(before.times), 1e-9))

    def disturbances(self, before: Machine, elapsed_s: float) -> Json:
        """What else went on in the `elapsed_s` since `before`."""
        used_s = {p: s - before.others_s.get(p, s) for p, s in self.others_s.items()}
        busiest = max(used_s, key=lambda process: used_s[process])
        name = ""
        with suppress(psutil.Error):
            name = f"{busiest.name()} (process {busiest.pid})"
        return {
            "listen_overflows": self.overflows - before.overflows,
            "neighbour": name,
            "neighbour_busy": used_s[busiest] / max(elapsed_s, 1e-9),
        }


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process and of the children it has reaped; 0.0 once it is gone."""
    with suppress(psutil.Error):
        times = process.cpu_times()
        reaped = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return float(times.user + times.system + reaped)
    return 0.0


def listen_overflows() -> int:
    """How often this machine dropped a connection for a full listen queue; 0 if unknown."""
    with suppress(OSError):  # not Linux
        lines = Path("/proc/net/netstat").read_text().splitlines()
        names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
        return int(dict(zip(names, values, strict=True))["ListenOverflows"])
    return 0


@cache
def _machine() -> Json:
    """What does not change while this process lives."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = found[1] if found else cpu
    git = f"git -C {shlex.quote(str(Path(__file__).parent))} describe --always --dirty"
    status, commit = subprocess.getstatusoutput(git)
    secret = re.compile(r"(?i)(?<=//)[^/@]+(?=@)|(?<=^-a).+|(?<=^--auth=).+|(?<=authorization:).+")
    words = [secret.sub("***", word) for word in sys.argv[1:]]
    words = ["***" if b in ("-a", "--auth") else w for b, w in pairwise(["", *words])]
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "command": shlex.join(["python", Path(sys.argv[0]).name, *words]),
        "commit": commit if status == 0 else None,
    }


def environment(packages: Sequence[str] = ("aiohttp", "httptools", "uvloop")) -> Json:
    """What a figure depends on besides the load: machine, versions, command and commit."""
    versions = {}
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return _machine() | {"packages": versions, "load_average": os.getloadavg()[0]}


# ---- One run, and rounds of several --------------------------------------------------
def _session(load: Load, tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """A session that sends what it is given and nothing else, once."""
    connector = aiohttp.TCPConnector(
        limit=0, force_close=not load.keepalive, ssl=tls or True, ttl_dns_cache=None
    )
    session = aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        max_line_size=1 << 20,
        max_field_size=1 << 20,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[Session.trace()],
    )
    session._retry_connection = False
    return session


async def _run(load: Load, watch: Watch) -> Run:
    loop, engine, asked_ns = asyncio.get_running_loop(), Engine(load), perf_counter_ns()
    try:
        await loop.getaddrinfo(*engine.address)
    except (OSError, UnicodeError) as error:
        raise CannotRun(f"{load.url}: no address for {engine.host}: {REMEDIES['dns']}") from error
    dns_s = (perf_counter_ns() - asked_ns) / 1e9
    loop.set_exception_handler(
        lambda _, context: engine.stop(context.get("exception") or RuntimeError(context["message"]))
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, engine.stop)
    async with _session(load, engine.tls) as session:
        engine.clients = [
            Wire(engine) if load.client == "wire" else Session(engine, session)
            for _ in range(min(load.connections, load.requests or load.connections))
        ]
        try:
            if load.warmup_s:
                await engine.phase(None, load.warmup_s, lambda *_: None, load.warmup_s)
                if engine.interrupted:
                    raise KeyboardInterrupt
            started, before = datetime.now(UTC), Machine(load.pid)
            server = before.memory()

            def each_tick(engine: Engine, elapsed_s: float) -> None:
                if load.pid:
                    server.update({key: max(server[key], n) for key, n in before.memory().items()})
                watch(engine, elapsed_s)

            await engine.phase(load.requests, load.duration_s or math.inf, each_tick)
            after, unfinished = Machine(load.pid), sum(client.busy for client in engine.clients)
        finally:
            for client in engine.clients:
                client.close()
    server["cpu_s"] = after.server_cpu_s - before.server_cpu_s
    tally, elapsed_s = engine.tally, (engine.ended_ns - engine.began_ns) / 1e9
    connect_s, tls_s = (
        float(np.median(x)) if x else None for x in (engine.connect_s, engine.tls_s)
    )
    connections = {"opened": engine.opened, "dns_s": dns_s, "connect_s": connect_s, "tls_s": tls_s}
    cost = {key: getattr(engine, key) for key in ("cpu_s", "loop_lag_s", "in_flight")}
    return summarize.judged(Run(
        name=load.name or load.public_url, started=started.isoformat(timespec="seconds"),
        elapsed_s=elapsed_s, load=load.to_json(),
        ok=tally.ok, failed=tally.failed, unfinished=unfinished, interrupted=engine.interrupted,
        statuses=dict(tally.statuses), errors=dict(tally.errors),
        histograms=tally.histograms, series=tally.series, connections=connections,
        client=cost | after.disturbances(before, elapsed_s),
        server=server if load.pid else None,
        environment=environment() | {"steal": after.steal(before)},
    ))  # fmt: skip


def run(load: Load, watch: Watch = lambda *_: None) -> Run:
    """Load one URL and return what came of it.

    `watch(engine, elapsed_s)` is called ten times a second. SIGINT and SIGTERM end the load;
    the Run is then `interrupted`. Raises CannotRun when the first connection fails.
    """
    if load.pid is not None and (load.pid < 1 or not psutil.pid_exists(load.pid)):
        raise CannotRun(f"there is no process {load.pid} to account for: look for it with ps")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < (needed := load.connections + 100):
        if needed > hard != resource.RLIM_INFINITY:
            raise CannotRun(
                f"{load.connections} connections take {needed} files: ulimit -n {needed}"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if load.client == "wire":  # it makes no cycles for the collector to find
        gc.collect()
        gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(load, watch))
    finally:
        gc.enable()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run_rounds(
    loads: Mapping[str, Load], order: random.Random, rounds: int,
    watch: Callable[[str, int], None] = lambda name, number: None,
    put: Callable[[Load], Run] = run,
) -> dict[str, list[Run]]:  # fmt: skip
    """Load every arm once a round, in an order shuffled anew: {name: runs, shape (rounds,)}.

    `watch(name, number)` is told what comes next; `put` does it. Raises Interrupted.
    """
    runs: dict[str, list[Run]] = {name: [] for name in loads}
    for number in range(1, rounds + 1):
        for name in order.sample(list(loads), len(loads)):
            watch(name, number)
            runs[name].append(put(loads[name]))
            if runs[name][-1].interrupted:
                raise Interrupted({name: done[: number - 1] for name, done in runs.items()})
    return runs


# ---- Command line --------------------------------------------------------------------
def seconds(text: str) -> float:
    """Seconds of "10s", "1m30s", "500ms" or "0.5"."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|h|m|s|$)", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 10s, 1m30s or 500ms")
    unit_s = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0, "ms": 1e-3, "us": 1e-6}
    return float(sum(float(number) * unit_s[unit] for number, unit in parts))


def count(text: str) -> int:
    """A whole number: "5000", "10k", "1M"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", text)
    number = Fraction(found[1]) * {"": 1, "k": 10**3, "M": 10**6}[found[2]] if found else 0
    if number < 1 or number % 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: write 5000 or 5k")
    return int(number)


def _parser() -> summarize.Parser:
    parser = summarize.Parser(
        prog="loadgen.py",
        usage="python loadgen.py [options] URL [URL …]",
        description="Put HTTP load on a URL; of several, run rounds and give the ratio.",
        epilog="Durations: 10s, 1m30s, 500ms. Counts: 5000, 10k.",
    )
    number: Json = {"type": count, "metavar": "N"}
    time: Json = {"type": seconds, "metavar": "T"}
    add = parser.add_argument_group("load").add_argument
    add("urls", nargs="+", metavar="URL")
    add("-c", "--connections", **number, default=50, help="at once (50)")
    add("-n", "--requests", **number, help="exactly so many, and then end")
    add("-z", "--duration", dest="duration_s", **time, help="end after this long (10s)")
    add("--warmup", dest="warmup_s", **time, default=0.0, help="first load uncounted (0)")
    add("--no-keepalive", dest="keepalive", action="store_false", help="connect for each request")
    add("-t", "--timeout", dest="timeout_s", **time, default=20.0, help="of a request (20s)")
    add("--client", choices=("wire", "aiohttp"), default="wire", help="what sends (wire)")
    add = parser.add_argument_group("request").add_argument
    add("-m", "--method", metavar="METHOD", help="(GET, or POST where there is a body)")
    add("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="repeatable")
    add("-d", "--data", metavar="BODY|@FILE", help="the body")
    add("-D", "--data-file", metavar="FILE", help="the body, from a file")
    add("--json", metavar="VALUE", help="the body, and its content type")
    add("-T", "--content-type", metavar="TYPE", help="of the body (text/plain)")
    add("-a", "--auth", metavar="USER:PASSWORD", help="basic authentication")
    add("--insecure", action="store_true", help="take any certificate")
    add("--expect", metavar="STATUS|TEXT", help="all else is an error (a status above 399)")
    add = parser.add_argument_group("rounds, when there are several URLs").add_argument
    add("--rounds", **number, default=6, help="of the duration each (6)")
    add("--seed", type=int, default=1, metavar="N", help="of their order (1)")
    add = parser.add_argument_group("results").add_argument
    add("-o", "--output", type=summarize.Output, default=summarize.Output(""), metavar="FILE|-")
    add("--name", default="", metavar="NAME", help="in the record (the URL)")
    add("--pid", type=int, metavar="PID", help="account for this process and its children")
    add("--quiet", action="store_true", help="no progress, no report")
    return parser


def _load(options: argparse.Namespace, url: str) -> Load:
    """The Load that the options ask for. Raises ValueError or OSError."""
    asked = {f.name: v for f in fields(Load) if (v := getattr(options, f.name, None)) is not None}
    text, file = options.json or options.data or "", options.data_file
    if options.json is not None:
        try:
            json.loads(options.json)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"--json {options.json[:30]!r} is no JSON: {error}") from error
    elif text.startswith("@"):
        file = text[1:]
    body = Path(file).read_bytes() if file else text.encode()
    headers: CIMultiDict[str] = CIMultiDict()
    for line in options.header:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"{line!r} is no header: write 'Name: value'")
        headers.add(name.strip(), value.strip())
    kind = options.content_type or ("application/json" if options.json else "text/plain")
    if body or options.content_type:
        headers.setdefault("Content-Type", kind)
    if options.auth is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(*options.auth.split(":", 1))
    method = options.method or ("POST" if body else "GET")
    made = {"url": url, "method": method, "headers": tuple(headers.items()), "body": body}
    return Load(**asked | made)


@contextmanager
def live_line(shown: bool) -> Iterator[Watch]:
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
    """Run the command line; returns its exit status: 0, 1, 2 or 130."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        loads = [_load(options, url) for url in options.urls]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    shown = not options.quiet and sys.stderr.isatty()
    try:
        if len(loads) > 1:
            record: Run | Result = _compare(loads, options, shown)
        else:
            with live_line(shown) as show:
                record = run(loads[0], show)
    except CannotRun as error:
        print(f"loadgen.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if not options.quiet and not options.output.is_stdout:
        summarize.show(summarize.text_of(record))
    try:
        options.output.write(record)
    except OSError as error:
        print(f"loadgen.py: {error}: the record is lost, the report is above", file=sys.stderr)
        return 1
    if isinstance(record, Result):
        ran = min(len(arm["rounds"]) for arm in record.arms.values())
        return 130 if ran < options.rounds else 0
    return 130 if record.interrupted else 0 if record.statuses else 1


def _compare(loads: Sequence[Load], options: argparse.Namespace, shown: bool) -> Result:
    """Rounds of several URLs, each against the first."""
    alike, began = len({load.url for load in loads}) < len(loads), datetime.now(UTC)
    named = {f"{n} {x.url}" if alike else x.url: x for n, x in enumerate(loads, 1)}
    first, *others = named
    with tqdm(total=len(named) * options.rounds, disable=not shown, leave=False) as bar:

        def watch(name: str, number: int) -> None:
            bar.set_description_str(f"round {number}: {name}"[:50])
            bar.update()

        try:
            runs, reasons = (
                run_rounds(named, random.Random(options.seed), options.rounds, watch),
                [],
            )
        except Interrupted as end:
            runs = end.args[0]
            if not runs[first]:
                raise
            done = f"{len(runs[first])} of {options.rounds} rounds"
            reasons = [f"interrupted after {done}: run it to its end"]
    result = Result(
        name=options.name or "comparison",
        title=options.name or f"{len(named)} URLs, each against the first",
        started=began.isoformat(timespec="seconds"),
        load=loads[0].to_json() | {"rounds": options.rounds, "seed": options.seed, "launches": 1},
        arms={name: summarize.arm(runs[name]) for name in named},
        reasons=reasons,
        environment=environment(),
    )
    for name in others:
        summarize.weigh(result, name, first)
    return result


if __name__ == "__main__":
    sys.exit(main())
