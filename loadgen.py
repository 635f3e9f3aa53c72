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
import ctypes
import gc
import importlib.metadata
import json
import math
import os
import pickle
import platform
import random
import re
import resource
import shlex
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache, partial
from itertools import cycle, islice, pairwise, zip_longest
from pathlib import Path
from time import perf_counter_ns, process_time
from typing import IO, Any, cast

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
from summarize import Histogram, Json, Objective, Result, Run, seconds

CHECKPOINT_S = 5.0  # how often the record is saved while it grows
SILENT_S = 3.0  # so long nothing may move on stderr
TICK_S = 0.1  # how often samples are folded and time-outs looked for
DIRECT_BYTES = 2048  # a request of this size always fits an empty send buffer
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.01, 1.0  # between attempts of a connection refused
EARLY_NS = 30_000  # a timer is set so much before: to wake up takes about as long
SAMPLES = (".csv", ".ndjson")  # as hey's and as vegeta's
FIRST_RATE, SLOWEST_RATE, CLOSE_ENOUGH, MOST_STEPS = 100.0, 0.5, 1.05, 60  # of --find-max
STEP_S = 3.0  # each of its rates is tried for so long
REMEDIES = {
    "dns": "check the spelling, or write the IP address",
    "refused": "is the server running, and on this port?",
    "connect timeout": "is the address right, or does a firewall drop it?",
    "tls": "for a certificate of your own add --insecure; for plain HTTP write http://",
}


class CannotRun(Exception):
    """Nothing could be measured; the message is one line: what, where and what to do."""


class Interrupted(KeyboardInterrupt):
    """The user ended the rounds; its argument is {name: runs} of those that are whole."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to ask of a server: how often, over how many connections, for how long.

    It ends after `requests` or `duration_s`, whichever comes first; with neither, after
    10 s. Without a `rate` (requests/s) it is a closed loop, in which a connection waits
    `think_s` (from, to) between two requests; with one it is an open loop, and `arrivals`
    are constant or poisson. `expect` is a status ("204") or a text that the body must hold;
    without it every status from 200 to 399 is ok. `lines` are bodies, sent in turn;
    `targets` are (weight, method, URL, body), all of one server. `pid` is a process whose
    tree is accounted for as the server. `samples` names a .csv or .ndjson file for every
    single answer. Raises ValueError for what cannot be done.
    """

    url: str
    name: str = ""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    lines: tuple[bytes, ...] = ()
    targets: tuple[tuple[int, str, str, bytes], ...] = ()
    connections: int = 50
    requests: int | None = None
    duration_s: float | None = None
    rate: float | None = None
    arrivals: str = "constant"
    think_s: tuple[float, float] | None = None
    timeout_s: float = 20.0
    connect_timeout_s: float | None = None
    keepalive: bool = True
    insecure: bool = False
    unix_socket: str | None = None
    follow: int = 0
    expect: str | None = None
    warmup_s: float = 0.0
    processes: int = 1
    share: tuple[int, int] = (0, 1)  # number and count of the processes that share a plan
    client: str = "wire"
    seed: int = 1
    samples: str | None = None
    pid: int | None = None

    def __post_init__(self) -> None:
        token = re.compile(r"[!#-'*+.^-z|~\w-]+", re.ASCII)
        for method, url in ((self.method, self.url), *(target[1:3] for target in self.targets)):
            if URL(url).scheme not in ("http", "https") or not URL(url).host:
                raise ValueError(f"{url!r} is no URL to load: write http://HOST:PORT/PATH")
            if URL(url).origin() != URL(self.url).origin():
                raise ValueError(f"{url}: not on {URL(self.url).origin()}: a server a run")
            if not token.fullmatch(method):
                raise ValueError(f"{method!r} is no method: write GET, POST or the like")
        above_0 = "connections requests duration_s rate timeout_s connect_timeout_s processes"
        for key in above_0.split():
            if (value := getattr(self, key)) is not None and not 0 < value < math.inf:
                raise ValueError(f"{key} is {value:g}: it must be above 0")
        if self.warmup_s < 0:
            raise ValueError(f"warmup_s is {self.warmup_s:g}: it cannot be below 0")
        if self.arrivals not in ("constant", "poisson"):
            raise ValueError(f"arrivals is {self.arrivals!r}: it must be constant or poisson")
        if self.client not in ("wire", "aiohttp"):
            raise ValueError(f"client is {self.client!r}: it must be wire or aiohttp")
        if self.samples and (self.processes > 1 or Path(self.samples).suffix not in SAMPLES):
            raise ValueError(f"samples in {self.samples}: a .csv or .ndjson file, of one process")
        if self.think_s and self.rate:
            raise ValueError(
                "think_s is for a closed loop: with a rate, the rate says when to send"
            )
        if self.processes > self.connections or self.processes > (self.requests or math.inf):
            raise ValueError(f"{self.processes} processes: each takes a connection and a request")
        for name, value in self.headers:
            if not token.fullmatch(name) or not value.replace("\t", "").isprintable():
                raise ValueError(f"{name + ': ' + value!r} is no header: write 'Name: value'")
        set_field = partial(object.__setattr__, self)
        set_field("method", self.method.upper())
        if self.requests is None and self.duration_s is None:
            set_field("duration_s", 10.0)
        methods = {self.method, *(target[1].upper() for target in self.targets)}
        if self.follow or "HEAD" in methods:  # httptools cannot know that HEAD has no body
            set_field("client", "aiohttp")
        if self.lines:
            set_field("body", self.lines[0])

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
        asked: Json = {"url": self.public_url, "headers": headers, "body": len(self.body)}
        asked["lines"] = len(self.lines)
        asked["targets"] = [[*target[:3], len(target[3])] for target in self.targets]
        return asdict(self) | asked

    @property
    def public_url(self) -> str:
        return str(URL(self.url).with_user(None))


# ---- Counting ------------------------------------------------------------------------
class Counts:
    """What came of some requests: how many, with which status or error, and how long it took."""

    def __init__(self) -> None:
        self.histograms = {key: Histogram() for key in summarize.RECORDED}
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.ok = self.failed = 0

    def record(
        self, status: int | None, kind: str | None,
        latency_ns: NDArray[np.int64], lag_ns: NDArray[np.int64],
    ) -> None:  # fmt: skip
        count = len(latency_ns)
        if status is not None:
            self.statuses[str(status)] += count
        if kind is None:
            self.ok += count
            self.histograms["latency_s"].record(latency_ns)
            self.histograms["service_s"].record(latency_ns - lag_ns)
            self.histograms["send_lag_s"].record(lag_ns)
        else:
            self.failed += count
            self.errors[kind] += count
            self.histograms["failed_s"].record(latency_ns)


class Tally:
    """What came back: appended to by the hot path, folded into counts in bulk."""

    def __init__(self, targets: int = 1) -> None:
        self.outcomes: dict[tuple[int | None, str | None, int], list[int]] = {}
        self.total = Counts()
        self.parts = [Counts() for _ in range(targets)] if targets > 1 else []
        self.held_ns = 0
        self.series: list[Json] = []
        self.second: list[NDArray[np.int64]] = []
        self.failed_before = 0

    def outcome(self, status: int | None, kind: str | None, target: int = 0) -> list[int]:
        """Where to append the response time in ns of a request that ends with `status` (None
        without a whole answer) and error `kind` (None if it is ok); and then, where it was not
        sent when it was due, its send lag as a negative number.
        """
        return self.outcomes.setdefault((status, kind, target), [])

    def fold(self) -> None:
        """Empty all outcomes into the counts and histograms."""
        for (status, kind, target), times in self.outcomes.items():
            if not times:
                continue
            both = np.array(times, dtype=np.int64)
            times.clear()
            latency, lags = both[both >= 0], np.flatnonzero(both < 0)
            lag = np.zeros_like(latency)
            lag[lags - np.arange(1, len(lags) + 1)] = -both[lags]
            self.held_ns += int(latency.sum())
            for counts in (self.total, *self.parts[target : target + 1]):
                counts.record(status, kind, latency, lag)
            if kind is None:
                self.second.append(latency)

    def end_second(self, time_s: float) -> None:
        """Close the entry of the series that ends `time_s` after the window began."""
        self.fold()
        values = np.concatenate(self.second) if self.second else np.empty(0)
        p50_s = p99_s = None
        if len(values):
            ranks = [math.ceil(len(values) * share) - 1 for share in (0.5, 0.99)]
            p50_s, p99_s = (float(ns) / 1e9 for ns in np.partition(values, ranks)[ranks])
        failed, self.failed_before = self.total.failed - self.failed_before, self.total.failed
        entry = {"time": time_s, "ok": len(values), "failed": failed}
        self.series.append(entry | {"p50": p50_s, "p99": p99_s})
        self.second = []


class Samples:
    """Every single answer, in a file: a .csv as hey's or an .ndjson as vegeta's.

    Durations have nine decimals, and count from when a request was due.
    """

    HEY = (
        "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset"
    )

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8")
        self.rows: list[tuple[int, int, int, int | None, str | None, int, Load]] = []
        self.write = self.as_hey if path.suffix == ".csv" else self.as_vegeta
        if path.suffix == ".csv":
            print(self.HEY, file=self.file)
        self.number = 0

    def flush(self, began_ns: int, began: datetime) -> None:
        """Write what has come, of a window that began at `began_ns` on our clock."""
        rows, self.rows = self.rows, []
        for row in rows:
            self.write(row, row[0] - began_ns, began)
            self.number += 1
        self.file.flush()

    def as_hey(self, row: Any, offset_ns: int, _: datetime) -> None:
        """Whole answers only, as hey has it; what hey calls dialling is all our send lag."""
        _, lag, latency, status, _, _, _ = row
        if status is not None:
            times = (latency, lag, 0, 0, latency - lag, 0)
            cells = ",".join(f"{ns / 1e9:.9f}" for ns in times)
            print(f"{cells},{status},{offset_ns / 1e9:.9f}", file=self.file)

    def as_vegeta(self, row: Any, offset_ns: int, began: datetime) -> None:
        _, _, latency, status, kind, size_bytes, load = row
        at_ns = int(began.timestamp() * 1e6) * 1000 + offset_ns
        at = datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        hit = {
            "attack": load.name, "seq": self.number, "code": status or 0,
            "timestamp": f"{at}.{at_ns % 10**9:09}Z", "latency": latency,
            "bytes_out": len(load.body), "bytes_in": size_bytes, "error": kind or "",
            "body": None, "method": load.method, "url": load.public_url, "headers": None,
        }  # fmt: skip
        print(json.dumps(hit), file=self.file)


# ---- The engine: who sends what when -------------------------------------------------
Tick = Callable[["Engine", float], None]  # is told the seconds since the window began
Watch = Callable[["Engine | None", float], None]  # of several processes there is no one engine
Checkpoint = Callable[[Run], None]


class Target:
    """One request to make, with one body or several in turn, and what answers it."""

    def __init__(self, load: Load, number: int) -> None:
        self.load, self.number = load, number
        self.known: bytes | None = None  # the answer that was parsed last, whole
        self.alike: list[int] = []  # where to count the answers that are the same
        self.bodies = cycle(load.lines or (load.body,))
        head = load.to_bytes().removesuffix(load.body)
        self.head = re.split(rb"(?<=\r\nContent-Length: )\d+", head, maxsplit=1)
        self.url, self.headers = URL(load.url).with_user(None), load.all_headers()

    def request(self, body: bytes) -> bytes:
        """The request as it goes over the wire."""
        return (b"%d" % len(body)).join(self.head) + body


def due_times(load: Load, requests: float, duration_s: float) -> Iterator[int]:
    """When requests are due in an open loop, in ns after its start."""
    rate, order, done, last_s = cast(float, load.rate), np.random.default_rng(load.seed), 0, 0.0
    if load.arrivals == "constant" and duration_s < math.inf:
        requests = min(requests, math.ceil(rate * duration_s - 1e-9))
    while done < requests:
        count = int(min(requests - done, 1 << 14))
        due_s = np.arange(done, done + count) / rate
        if load.arrivals == "poisson":
            due_s = last_s + order.exponential(1 / rate, count).cumsum()
            last_s = due_s[-1]
        yield from (due_s[due_s < duration_s] * 1e9).astype(np.int64).tolist()
        done += count
        if due_s[-1] >= duration_s:
            return


class Timer:
    """Calls back at a moment of our clock: to some 20 µs where the system has a timerfd, and
    elsewhere to the millisecond of the event loop's own timers.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self.loop, self.callback = asyncio.get_running_loop(), callback
        self.handle: asyncio.TimerHandle | None = None
        self.fd = -1
        if sys.platform == "linux":
            self.libc = ctypes.CDLL(None, use_errno=True)
            monotonic, nonblocking_cloexec = 1, os.O_NONBLOCK | os.O_CLOEXEC
            self.fd = self.libc.timerfd_create(monotonic, nonblocking_cloexec)
        if self.fd >= 0:
            self.spec = (ctypes.c_long * 4)()  # interval and first, each in s and ns
            self.loop.add_reader(self.fd, callback)

    def set(self, at_ns: float) -> None:
        """Call back at `at_ns`, at once if that is past and never if it is inf."""
        if self.fd >= 0:
            self.spec[2:] = [*divmod(int(at_ns), 10**9)] if at_ns < math.inf else [0, 0]
            absolute = 1  # setting it anew also takes back that it has run out
            self.libc.timerfd_settime(self.fd, absolute, self.spec, None)
            return
        if self.handle:
            self.handle.cancel()
        if at_ns < math.inf:
            wait_s = max(at_ns - perf_counter_ns(), 0) / 1e9
            self.handle = self.loop.call_later(wait_s, self.callback)

    def close(self) -> None:
        self.set(math.inf)
        if self.fd >= 0:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)


class Engine:
    """A closed loop: each connection sends its next request when the last is settled.

    The clients ask it for leave to send and tell it what became of each request. It owns
    the clock, the tally, the time-outs and the end.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.host = str(URL(load.url).host)
        self.address = self.host, int(URL(load.url).port or 0)
        self.tls = ssl.create_default_context() if URL(load.url).scheme == "https" else None
        if self.tls and load.insecure:
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        kinds = [
            (weight, replace(load, targets=(), method=method, url=url, body=body))
            for weight, method, url, body in load.targets
        ] or [(1, load)]
        self.weights = [weight for weight, _ in kinds]
        self.targets = [Target(kind, number) for number, (_, kind) in enumerate(kinds)]
        self.varied = len(kinds) > 1 or len(load.lines) > 1
        longest = max(
            len(target.request(b"")) + max(map(len, target.load.lines or (target.load.body,)))
            for target in self.targets
        )
        # then it fits the empty send buffer whole, and so need not take uvloop's queue
        self.direct = not self.tls and load.keepalive and longest < DIRECT_BYTES
        self.samples: Samples | None = None
        self.opened = 0
        self.connect_ns, self.tls_ns = list[int](), list[int]()
        self.connect, self.tls_handshake = Histogram(), Histogram()
        self.interrupted = False
        self.fault: BaseException | None = None
        self.clients: Sequence[Wire | Session] = ()
        self.begin(0, 0.0)

    def begin(self, requests: float, duration_s: float) -> None:
        """Start counting from nothing, for the warm-up or for the window that is measured."""
        self.tally = Tally(len(self.targets))
        for target in self.targets:
            target.known, target.alike = None, self.tally.outcome(200, None, target.number)
        self.order = random.Random(self.load.seed)
        self.deck = self.deal()
        # All leave to send is in `left`, which the hot path takes for itself, unless there is
        # more to a request than to send the same bytes at once.
        plain = not (self.varied or self.load.think_s)
        self.left, self.more = (requests, 0.0) if plain else (0.0, requests)
        self.planned, self.given_up = requests, 0
        self.sending = True
        self.in_flight = self.loop_lag_s = 0.0
        self.settled = asyncio.Event()
        self.cpu_s, self.queued_s = -process_time(), -queued_s()
        self.began_ns = self.ended_ns = perf_counter_ns()
        self.started = datetime.now(UTC)

    def deal(self) -> Iterator[Target]:
        """The targets in shuffled order, each as often as its weight says, over and over."""
        divisor = math.gcd(*self.weights)
        cards = [
            t for t, n in zip(self.targets, self.weights, strict=True) for _ in range(n // divisor)
        ]
        while True:
            self.order.shuffle(cards)
            yield from cards

    def due(self, client: Client, now: int) -> int | None:
        """When the next request of a free client was due; None leaves the client idle."""
        if self.left:
            self.left -= 1
            return now
        if self.more:
            self.more -= 1
            return now
        client.busy = False
        self.end_load()
        self.settle_if_all_is_done()
        return None

    def settle_if_all_is_done(self) -> None:
        if not any(client.busy for client in self.clients):
            self.settled.set()

    def refused(self, client: Client) -> None:
        """A client found no connection: let it pause before it tries for its next request."""
        if self.sending:
            loop = asyncio.get_running_loop()
            client.pause = loop.call_later(client.backoff_s, client.resume)
            client.backoff_s = min(2 * client.backoff_s, LONGEST_BACKOFF_S)
        else:
            self.settle_if_all_is_done()

    def end_load(self) -> None:
        """Send nothing more; note how many requests were under way on average until now."""
        if self.sending:
            self.sending, self.left, self.more = False, 0.0, 0.0
            now = perf_counter_ns()
            self.tally.fold()
            busy = [client for client in self.clients if client.busy]
            held_ns = self.tally.held_ns + sum(now - client.due_ns for client in busy)
            self.in_flight = held_ns / max(now - self.began_ns, 1)
            self.settle_if_all_is_done()

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

    def launch(self, duration_s: float, opening_s: float) -> None:
        """Set all clients going, one after the other over `opening_s`."""
        loop, step_s = asyncio.get_running_loop(), opening_s / len(self.clients)
        if duration_s < math.inf:
            loop.call_later(duration_s, self.end_load)
        for number, client in enumerate(self.clients):
            if opening_s:
                client.pause = loop.call_later(number * step_s, client.resume)
            else:
                client.resume()

    def give_up(self, now: int) -> None:
        """End the requests that have waited for as long as they may."""
        timeout_ns = self.load.timeout_s * 1e9
        connect_ns = (self.load.connect_timeout_s or self.load.timeout_s) * 1e9
        for client in self.clients:
            if client.opening and now - client.opening_ns > connect_ns:
                client.close()
                client.not_connected("connect timeout", f"none in {connect_ns / 1e9:g} s")
            elif client.busy and not client.opening and now - client.due_ns > timeout_ns:
                client.close()
                client.settle(None, "timeout")

    def fold(self) -> None:
        """Empty what the hot path has appended to, so that memory stays flat."""
        self.tally.fold()
        for times, histogram in (
            (self.connect_ns, self.connect),
            (self.tls_ns, self.tls_handshake),
        ):
            histogram.record(np.array(times, dtype=np.int64))
            times.clear()
        if self.samples:
            self.samples.flush(self.began_ns, self.started)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        if self.samples:
            self.samples.file.close()

    async def phase(
        self, requests: int | None, duration_s: float, tick: Tick, opening_s: float = 0.0
    ) -> None:
        """Load until `requests` are sent or `duration_s` has passed, and all are settled.

        The connections are opened one after the other over `opening_s`: where many come at
        once, one worker of a server has accepted them all before another wakes. `tick` is
        called ten times a second. What is not settled when the user interrupts stays unfinished.
        """
        self.begin(requests or math.inf, duration_s)
        self.launch(duration_s, opening_s)
        now = perf_counter_ns()
        while not self.settled.is_set():
            due_ns = now + TICK_S * 1e9
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self.settled.wait()
            now = perf_counter_ns()
            self.loop_lag_s = max(self.loop_lag_s, (now - due_ns) / 1e9)
            self.give_up(now)
            elapsed_s = (now - self.began_ns) / 1e9
            if elapsed_s >= len(self.tally.series) + 1:
                self.fold()
                self.tally.end_second(elapsed_s)
            elif not self.load.rate:  # in an open loop it would hold up what is due
                self.fold()
            tick(self, elapsed_s)
        self.ended_ns = perf_counter_ns()
        self.cpu_s, self.queued_s = self.cpu_s + process_time(), self.queued_s + queued_s()
        self.end_load()
        self.fold()
        self.tally.end_second((self.ended_ns - self.began_ns) / 1e9)
        if self.fault:
            raise self.fault


class OpenLoop(Engine):
    """Requests leave when the plan says so, over a connection that is idle; where none is,
    over a new one; and past that they wait for the first that is free. None is left out.
    """

    def __init__(self, load: Load) -> None:
        self.timer = Timer(self.send_what_is_due)
        super().__init__(load)

    def close(self) -> None:
        self.timer.close()
        super().close()

    def begin(self, requests: float, duration_s: float) -> None:
        super().begin(0, duration_s)
        self.planned, (first, step) = 0, self.load.share
        self.plan = islice(due_times(self.load, requests, duration_s), first, None, step)
        self.idle: deque[Client] = deque()
        self.unopened = list[Client](self.clients)
        self.next_ns = self.began_ns + next(self.plan, math.inf)

    def launch(self, duration_s: float, opening_s: float) -> None:
        self.armed = True
        self.timer.set(self.next_ns)
        self.settle_if_all_is_done()  # where its share of a small plan is nothing at all

    def advance(self) -> int:
        """Take the next request off the plan, and say when it is due."""
        due_ns, self.next_ns = self.next_ns, self.began_ns + next(self.plan, math.inf)
        self.planned += 1
        if self.next_ns == math.inf:
            self.end_load()
        return int(due_ns)

    def free(self) -> Client | None:
        """The connection that has been idle for longest, or one that is still to be opened."""
        while self.idle:
            client = self.idle.popleft()
            if client.ready:
                return client
            self.unopened.append(client)  # the server has closed it
        return self.unopened.pop() if self.unopened else None

    def send_what_is_due(self) -> None:
        while perf_counter_ns() >= self.next_ns - EARLY_NS and (client := self.free()):
            while (now := perf_counter_ns()) < self.next_ns:
                pass
            client.begin(self.advance(), now)
        self.armed = bool(self.idle or self.unopened)
        self.timer.set(self.next_ns - EARLY_NS if self.armed else math.inf)

    def due(self, client: Client, now: int) -> int | None:
        if now >= self.next_ns:
            return self.advance()
        client.busy = False
        (self.idle if client.ready else self.unopened).append(client)
        if not self.armed:
            self.armed = True
            self.timer.set(self.next_ns - EARLY_NS)
        self.settle_if_all_is_done()
        return None

    def settle_if_all_is_done(self) -> None:
        free = len(self.idle) + len(self.unopened)
        if self.next_ns == math.inf and free == len(self.clients):
            self.settled.set()

    def refused(self, client: Client) -> None:
        client.proceed(perf_counter_ns())  # the plan is pause enough

    def give_up(self, now: int) -> None:
        while self.next_ns < now - self.load.timeout_s * 1e9:  # it never was sent
            due_ns, target = self.advance(), next(self.deck)
            waited_ns = now - due_ns
            self.tally.outcome(None, "timeout", target.number).extend((waited_ns, -waited_ns))
            if self.samples:
                what = None, "timeout", 0, target.load
                self.samples.rows.append((due_ns, waited_ns, waited_ns, *what))
            self.given_up += 1
        super().give_up(now)


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
    ready = True  # there is no connection to be opened first

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.expectation = Expectation(engine.load.expect)
        self.target, self.body = engine.targets[0], engine.load.body
        self.busy = False  # from when a request leaves its queue until it is settled
        self.opening = False  # a connection is being made for it
        self.due_ns = self.lag_ns = self.opening_ns = self.body_bytes = 0
        self.backoff_s = FIRST_BACKOFF_S
        self.pause: asyncio.TimerHandle | None = None

    def proceed(self, now: int) -> None:
        """Begin the next request, if one is due."""
        if self.pause:
            self.pause.cancel()
            self.pause = None
        due_ns = self.engine.due(self, now)
        if due_ns is not None:
            self.begin(due_ns, now)

    def begin(self, due_ns: int, now: int) -> None:
        self.busy, self.due_ns, self.lag_ns = True, due_ns, now - due_ns
        if self.engine.varied:
            self.target = next(self.engine.deck)
            self.body = next(self.target.bodies)
        self.start()

    def resume(self) -> None:
        self.proceed(perf_counter_ns())

    def count(self, status: int | None, kind: str | None) -> int:
        """Count the request that is under way, and return the time."""
        now, engine, lag = perf_counter_ns(), self.engine, self.lag_ns
        times = (now - self.due_ns, -lag) if lag else (now - self.due_ns,)
        engine.tally.outcome(status, kind, self.target.number).extend(times)
        if engine.samples:
            what = status, kind, self.body_bytes, self.target.load
            engine.samples.rows.append((self.due_ns, lag, times[0], *what))
        return now

    def settle(self, status: int | None, kind: str | None) -> None:
        self.go_on(self.count(status, kind))

    def go_on(self, now: int) -> None:
        """Turn to the next request, at once or after thinking."""
        engine = self.engine
        if engine.load.think_s and engine.more:
            self.busy = False
            wait_s = engine.order.uniform(*engine.load.think_s)
            self.pause = asyncio.get_running_loop().call_later(wait_s, self.resume)
        else:
            self.proceed(now)

    def connects(self) -> None:
        self.opening, self.opening_ns = True, perf_counter_ns()

    def connected(self) -> None:
        self.engine.opened += 1
        self.opening, self.backoff_s = False, FIRST_BACKOFF_S
        self.lag_ns = perf_counter_ns() - self.due_ns

    def not_connected(self, kind: str, why: str) -> None:
        """Count the request that found no connection."""
        engine = self.engine
        self.count(None, kind)
        self.busy = self.opening = False
        if not engine.opened:
            engine.stop(CannotRun(f"{engine.load.url}: {kind} ({why}): {REMEDIES[kind]}"))
        else:
            engine.refused(self)


NOBODY = asyncio.Protocol()


class Wire(Client, asyncio.Protocol):
    """A connection of bare protocol, over as many sockets as it takes.

    The request is one constant, or made anew from the target's bodies. An answer is parsed
    by httptools, unless it is byte for byte the whole answer that was parsed last: then what
    it says is known.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.request = self.target.request(self.body)
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        self.write: Callable[[bytes], object]
        self.fresh = False  # a request is out and no byte of its answer has come

    @property
    def ready(self) -> bool:  # type: ignore[override]
        return self.transport is not None

    def start(self) -> None:
        if self.engine.varied:
            self.request = self.target.request(self.body)
        if self.transport is None:
            self.connects()
            self.task = self.engine.spawn(self.open())
        else:
            self.send()

    def close(self) -> None:
        if self.opening and self.task:
            self.task.cancel()
        self.drop()

    async def open(self) -> None:
        engine, loop, began_ns = self.engine, asyncio.get_running_loop(), perf_counter_ns()
        first: asyncio.Protocol = NOBODY if engine.tls else self
        try:
            if engine.load.unix_socket:
                path = engine.load.unix_socket
                transport, _ = await loop.create_unix_connection(lambda: first, path)
            else:
                transport, _ = await loop.create_connection(lambda: first, *engine.address)
            tcp_ns = perf_counter_ns()
            engine.connect_ns.append(tcp_ns - began_ns)
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
        engine.tls_ns.append(perf_counter_ns() - tcp_ns)
        self.connection_made(secure)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        engine = self.engine
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpResponseParser(self)
        self.write = self.transport.write
        if engine.direct:
            self.write = partial(os.write, transport.get_extra_info("socket").fileno())
        if engine.opened == 0 and not engine.load.unix_socket:
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
        target = self.target
        if data == target.known and self.fresh:
            now, engine = perf_counter_ns(), self.engine
            target.alike.append(now - self.due_ns)
            if self.lag_ns:
                target.alike.append(-self.lag_ns)
                self.lag_ns = 0
            if engine.left:
                engine.left -= 1
                self.due_ns = now
                try:
                    self.write(self.request)
                except OSError:
                    self.fail("reset")
            else:
                self.fresh = False
                self.go_on(now)
        elif self.busy:
            self.parse(data)
        else:
            self.drop()  # nobody asked: this socket is out of step

    def parse(self, data: bytes) -> None:
        whole = data if self.fresh else None
        if self.fresh:
            self.fresh = self.complete = False
            self.status = self.body_bytes = 0
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
            self.body_bytes += len(piece)
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
        elif whole is not None and not engine.samples:
            target = self.target
            target.known = whole
            target.alike = engine.tally.outcome(self.status, kind, target.number)
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

    @staticmethod
    def trace() -> aiohttp.TraceConfig:
        """Tells a request when its connection is being made, and when it is there."""

        async def begins(_: Any, context: Any, __: Any) -> None:
            context.trace_request_ctx.connects()

        async def ends(_: Any, context: Any, __: Any) -> None:
            client: Session = context.trace_request_ctx
            client.connected()
            client.engine.connect_ns.append(perf_counter_ns() - client.opening_ns)

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(begins)
        trace.on_connection_create_end.append(ends)
        return trace

    def start(self) -> None:
        self.task = self.engine.spawn(self.request())

    async def request(self) -> None:
        engine, target, status, kind = self.engine, self.target, None, None
        headers = target.headers
        if engine.varied and "Content-Length" in headers:
            headers = headers.copy()
            headers["Content-Length"] = str(len(self.body))
        self.body_bytes = 0
        self.expectation.begin()
        try:
            async with self.session.request(
                target.load.method, target.url, headers=headers, data=self.body or None,
                allow_redirects=bool(engine.load.follow), max_redirects=engine.load.follow + 1,
                trace_request_ctx=self,
            ) as response:  # fmt: skip
                async for piece in response.content.iter_any():
                    self.body_bytes += len(piece)
                    self.expectation.body(piece)
                status, kind = response.status, self.expectation.error(response.status)
        except aiohttp.TooManyRedirects as error:
            status, kind = error.history[-1].status, "status"
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
def steal(before: tuple[float, ...], after: tuple[float, ...]) -> float:
    """The share of the machine's time that its hypervisor took between two psutil.cpu_times()."""
    stolen_s = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
    return float(stolen_s / max(sum(after) - sum(before), 1e-9))


class Machine:
    """What the processes of this machine had used when this was made, to be subtracted."""

    def __init__(self, server_pid: int | None) -> None:
        self.tree: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            if server_pid:
                root = psutil.Process(server_pid)
                self.tree = [root, *root.children(recursive=True)]
        self.server_cpu_s = sum(cpu_s(process, reaped=True) for process in self.tree)
        me = psutil.Process()  # and with me what I started, such as a load beside this one
        ours = {process.pid for process in (*self.tree, me, *me.children())}
        others = (p for p in psutil.process_iter() if p.pid not in ours)
        self.others_s = {process: cpu_s(process, reaped=False) for process in others}
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

    def disturbances(self, before: Machine, elapsed_s: float) -> Json:
        """What else went on in the `elapsed_s` since `before`."""
        used_s = {p: s - before.others_s.get(p, 0.0) for p, s in self.others_s.items()}
        busiest = max(used_s, key=lambda process: used_s[process])
        name = ""
        with suppress(psutil.Error):
            name = f"{busiest.name()} (process {busiest.pid})"
        return {
            "listen_overflows": self.overflows - before.overflows,
            "neighbour": name,
            "neighbour_busy": used_s[busiest] / max(elapsed_s, 1e-9),
        }


def cpu_s(process: psutil.Process, reaped: bool = True) -> float:
    """CPU seconds of a process, and of the children it has reaped; 0.0 once it is gone.

    What a child used in all its life is its parent's from one moment to the next.
    """
    with suppress(psutil.Error):
        times = process.cpu_times()
        keys = ("user", "system", *("children_user", "children_system") * reaped)
        return float(sum(getattr(times, key, 0.0) for key in keys))
    return 0.0


def queued_s() -> float:
    """How long this process was ready to run and another had its core, in s; 0.0 if unknown."""
    with suppress(OSError):  # not Linux, or without these figures
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
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
    kept: Json = {"limit": 0, "force_close": not load.keepalive}
    session = aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(load.unix_socket, **kept)
        if load.unix_socket
        else aiohttp.TCPConnector(ssl=tls or True, ttl_dns_cache=None, **kept),
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


def _record(load: Load, engine: Engine, before: Machine, server: Json, dns_s: float | None) -> Run:
    """What has come of the load until now."""
    after, total = Machine(load.pid), engine.tally.total
    ended_ns = engine.ended_ns if engine.settled.is_set() else perf_counter_ns()
    elapsed_s = (ended_ns - engine.began_ns) / 1e9
    server = server | {"cpu_s": after.server_cpu_s - before.server_cpu_s}
    connections = {"opened": engine.opened, "dns_s": dns_s}
    for key, times in (("connect_s", engine.connect), ("tls_s", engine.tls_handshake)):
        connections[key] = times.percentile_s(50, beyond=0)
    settled = engine.settled.is_set()
    cost = {
        "cpu_s": engine.cpu_s + (0.0 if settled else process_time()),
        "queued_s": engine.queued_s + (0.0 if settled else queued_s()),
        "loop_lag_s": engine.loop_lag_s,
        "in_flight": engine.in_flight,
        "planned": engine.planned if load.rate else None,
        "sent": engine.planned - engine.given_up if load.rate else None,
    }
    targets = [
        {"name": f"{target.load.method} {target.load.public_url}", "ok": part.ok,
         "failed": part.failed, "statuses": dict(part.statuses), "errors": dict(part.errors),
         "latency_s": part.histograms["latency_s"].summary_s(),
         "histogram": part.histograms["latency_s"].encode()}
        for target, part in zip(engine.targets, engine.tally.parts, strict=False)
    ]  # fmt: skip
    return summarize.judged(Run(
        name=load.name or load.public_url, started=engine.started.isoformat(timespec="seconds"),
        elapsed_s=elapsed_s, load=load.to_json(), ok=total.ok, failed=total.failed,
        unfinished=sum(client.busy for client in engine.clients),
        interrupted=engine.interrupted or not settled,
        statuses=dict(total.statuses), errors=dict(total.errors), targets=targets,
        histograms=total.histograms, series=engine.tally.series, connections=connections,
        client=cost | after.disturbances(before, elapsed_s),
        server=server if load.pid else None,
        environment=environment() | {"steal": steal(before.times, after.times)},
    ))  # fmt: skip


async def _run(load: Load, watch: Watch, checkpoint: Checkpoint | None, signals: Signals) -> Run:
    loop, asked_ns = asyncio.get_running_loop(), perf_counter_ns()
    cancel = cast("asyncio.Task[Run]", asyncio.current_task()).cancel
    signals.then = partial(loop.call_soon_threadsafe, cancel)
    if signals.came:
        raise KeyboardInterrupt
    engine = OpenLoop(load) if load.rate else Engine(load)
    dns_s = None
    if not load.unix_socket:
        try:
            await loop.getaddrinfo(*engine.address)
        except (OSError, UnicodeError) as error:
            why = f"{load.url}: no address for {engine.host}: {REMEDIES['dns']}"
            raise CannotRun(why) from error
        dns_s = (perf_counter_ns() - asked_ns) / 1e9
    loop.set_exception_handler(
        lambda _, context: engine.stop(context.get("exception") or RuntimeError(context["message"]))
    )
    signals.then = partial(loop.call_soon_threadsafe, engine.stop)
    async with _session(load, engine.tls) as session:
        engine.clients = [
            Wire(engine) if load.client == "wire" else Session(engine, session)
            for _ in range(int(min(load.connections, load.requests or math.inf)))
        ]
        try:
            if load.warmup_s:
                await engine.phase(None, load.warmup_s, lambda *_: None, load.warmup_s)
                if engine.interrupted:
                    raise KeyboardInterrupt
            before = Machine(load.pid)
            server, saved_s = before.memory(), 0.0
            if load.samples:
                engine.samples = Samples(Path(load.samples))

            def each_tick(engine: Engine, elapsed_s: float) -> None:
                nonlocal saved_s
                if load.pid:
                    server.update({key: max(server[key], n) for key, n in before.memory().items()})
                if checkpoint and elapsed_s > saved_s + CHECKPOINT_S:
                    saved_s = elapsed_s
                    checkpoint(_record(load, engine, before, server, dns_s))
                watch(engine, elapsed_s)

            await engine.phase(load.requests, load.duration_s or math.inf, each_tick)
            return _record(load, engine, before, server, dns_s)
        finally:
            engine.close()


def allow_files(connections: int) -> None:
    """Let this process, and what it starts from now on, have so many connections open.

    Raises CannotRun where the system does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < (needed := connections + 100):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        except (ValueError, OSError) as error:
            why = f"{connections} connections take {needed} files: ulimit -n {needed}"
            raise CannotRun(why) from error


def run(load: Load, watch: Watch = lambda *_: None, checkpoint: Checkpoint | None = None) -> Run:
    """Load one URL and return what came of it.

    `watch(engine, elapsed_s)` is called ten times a second, with None for the engine where there
    are several processes, and `checkpoint(run)` every few seconds with what has come by then.
    SIGINT and SIGTERM end the load; the Run is then `interrupted`. Raises CannotRun when the
    first connection fails.
    """
    if load.pid is not None and (load.pid < 1 or not psutil.pid_exists(load.pid)):
        raise CannotRun(f"there is no process {load.pid} to account for: look for it with ps")
    allow_files(load.connections)
    run_it = _run_shared if load.processes > 1 else _run_alone
    with noted_signals() as signals:
        record = run_it(load, watch, checkpoint, signals)
    record.interrupted = record.interrupted or signals.came
    return record


def _run_alone(load: Load, watch: Watch, checkpoint: Checkpoint | None, signals: Signals) -> Run:
    """Load from this process."""
    if load.client == "wire":  # it makes no cycles for the collector to find
        gc.collect()
        gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(load, watch, checkpoint, signals))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        gc.enable()


class Signals:
    """SIGINT and SIGTERM while a load runs: noted, because what a handler raises is lost where
    it interrupts a callback of the garbage collector, and acted on.
    """

    came = False

    def __init__(self) -> None:
        self.then: Callable[[], object] = lambda: None  # what ends the load

    def __call__(self, *_: object) -> None:
        self.came = True
        with suppress(RuntimeError):  # its loop is closed
            self.then()


@contextmanager
def noted_signals() -> Iterator[Signals]:
    """Note SIGINT and SIGTERM, and leave their handlers as they were."""
    signals, handlers = Signals(), {}
    if threading.current_thread() is threading.main_thread():
        handlers = {n: signal.signal(n, signals) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


# A process of several: it says that it is ready, is sent its Load, and answers with records.
SHARE = """
import json, pickle, sys
sys.path.insert(0, sys.argv[1])
import loadgen
def send(answer):
    print(json.dumps(answer), flush=True)
send({})
load = loadgen.Load(**pickle.load(sys.stdin.buffer))
try:
    send(loadgen.run(load, checkpoint=lambda run: send(run.to_json())).to_json())
except loadgen.CannotRun as error:
    send({"cannot": str(error)})
except (KeyboardInterrupt, BrokenPipeError):
    pass
"""


def shares(load: Load) -> list[Load]:
    """The same load for each process: connections, requests and planned times add up to it."""
    n = load.processes

    def split(total: int) -> list[int]:
        return [total // n + (number < total % n) for number in range(n)]

    requests = split(load.requests) if load.requests and not load.rate else [load.requests] * n
    return [
        replace(load, processes=1, connections=c, requests=r, share=(number, n), pid=None)
        for number, (c, r) in enumerate(zip(split(load.connections), requests, strict=True))
    ]


def _run_shared(load: Load, watch: Watch, checkpoint: Checkpoint | None, signals: Signals) -> Run:
    """Load from several processes at once, and add up what they saw."""
    command = [sys.executable, "-c", SHARE, str(Path(__file__).resolve().parent)]
    with ExitStack() as stack:
        children: list[subprocess.Popen[bytes]] = []

        def stop() -> None:
            for child in children:
                child.terminate()  # which says nothing, not even before it can listen

        signals.then = stop
        for _ in range(load.processes):
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            children.append(stack.enter_context(child))
        if signals.came:  # before all of them were there
            stop()
        said = [cast(IO[bytes], child.stdout) for child in children]
        latest: list[Json] = [json.loads(lines.readline() or b"{}") for lines in said]

        def follow(number: int) -> None:
            for line in said[number]:
                latest[number] = json.loads(line)

        before = Machine(load.pid)
        server, saved_s, began_s = before.memory(), 0.0, time.monotonic()
        pool = stack.enter_context(ThreadPoolExecutor(len(children)))
        for child, part in zip(children, shares(load), strict=True):
            with suppress(BrokenPipeError), cast(IO[bytes], child.stdin) as told:
                pickle.dump(vars(part), told)
        following = [pool.submit(follow, number) for number in range(len(children))]
        while wait(following, TICK_S).not_done:
            server.update({key: max(server[key], n) for key, n in before.memory().items()})
            elapsed_s = time.monotonic() - began_s
            if checkpoint and elapsed_s > saved_s + CHECKPOINT_S and all(latest):
                saved_s = elapsed_s
                checkpoint(_together(load, latest, before, server))
            watch(None, elapsed_s)
        if signals.came and not all(latest):
            raise KeyboardInterrupt
        return _together(load, latest, before, server)


def _together(load: Load, records: Sequence[Json], before: Machine, server: Json) -> Run:
    """What several processes saw at the same time, as one run: histograms merge exactly."""
    for record in records:
        if "cannot" in record or not record:
            raise CannotRun(record.get("cannot", "a process of the client ended: see above"))
    runs, after = [Run.from_json(record) for record in records], Machine(load.pid)
    merged = summarize.merge(runs)
    merged.name, merged.load = load.name or load.public_url, load.to_json()
    merged.elapsed_s = max(run.elapsed_s for run in runs)
    merged.client |= after.disturbances(before, merged.elapsed_s)
    merged.client["in_flight"] = sum(run.client["in_flight"] for run in runs)
    for key in ("planned", "sent"):
        merged.client[key] = sum(run.client[key] for run in runs) if load.rate else None
    cpu_s = after.server_cpu_s - before.server_cpu_s
    merged.server = server | {"cpu_s": cpu_s} if load.pid else None
    for entries in zip_longest(*(run.series for run in runs)):
        there = [entry for entry in entries if entry]
        sums = {key: sum(entry[key] for entry in there) for key in ("ok", "failed")}
        merged.series.append({"time": there[0]["time"], **sums, "p50": None, "p99": None})
    return summarize.judged(merged)


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
        try:
            for name in order.sample(list(loads), len(loads)):
                watch(name, number)
                runs[name].append(put(loads[name]))
                if runs[name][-1].interrupted:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise Interrupted({name: done[: number - 1] for name, done in runs.items()}) from None
    return runs


# ---- The highest rate that keeps an objective ----------------------------------------
def find_max(load: Load, objectives: Sequence[Objective], watch: Callable[[Json], None]) -> Run:
    """Search the highest rate in requests/s at which `load` keeps its objectives.

    Rates double until one breaks them, then the gap is halved (geometrically) until it is
    under 5 %; then the answer must hold once more, and the rate just above it break once
    more. `watch(point)` is told of each rate that was tried. Returns the run that confirmed
    the answer, with all points as its `curve` and the answer as `max_rate` in its `slo`; where no
    rate is kept, the last that was tried; and so where the user interrupts the search.
    """
    curve: list[Json] = []
    held: dict[float, Run] = {}
    limits_s = [objective.limit for objective in objectives if objective.is_time]
    # what takes four times as long has broken the objective, and need not be waited for
    timeout_s = min(load.timeout_s, max(4 * max(limits_s, default=load.timeout_s), 1.0))
    base = replace(load, requests=None, timeout_s=timeout_s)

    tried: Run | None = None

    def keeps(rate: float) -> bool:
        nonlocal tried
        tried = run(replace(base, rate=rate))
        if tried.interrupted:
            raise Interrupted
        kept = not summarize.broken(tried, objectives)
        curve.append(summarize.point(tried) | {"kept": kept})
        watch(curve[-1])
        held.pop(rate, None)
        held.update({rate: tried} if kept else {})
        return kept

    low, high, rate = 0.0, math.inf, load.rate or FIRST_RATE
    with suppress(Interrupted):
        while rate >= SLOWEST_RATE and len(curve) < MOST_STEPS:
            if keeps(rate):
                low = rate
            else:
                high = rate
            if low and high <= low * CLOSE_ENOUGH:  # once more, on both sides
                if not keeps(low):
                    low, high = max((rate for rate in held if rate < low), default=0.0), low
                elif keeps(high):
                    low, high = high, math.inf
                else:
                    break
            rate = 2 * low if high == math.inf else math.sqrt(low * high) if low else high / 4
    last = cast(Run, tried)
    answer = last if last.interrupted else held.get(low, last)
    answer.curve, answer.slo["max_rate"] = curve, low or None
    return answer


# ---- Command line --------------------------------------------------------------------
def count(text: str) -> int:
    """A whole number: "5000", "10k", "1M"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", text)
    number = Fraction(found[1]) * {"": 1, "k": 10**3, "M": 10**6}[found[2]] if found else 0
    if number < 1 or number % 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: write 5000 or 5k")
    return int(number)


def rate(text: str) -> float:
    """Requests a second: "200", "0.5", "10k"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(k?)(?:/s)?", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no rate: write 200, 0.5 or 10k")
    return float(found[1]) * (1000 if found[2] else 1)


def span(text: str) -> tuple[float, float]:
    """A duration, or two: "100ms", "50ms..200ms"."""
    low, _, high = text.partition("..")
    return seconds(low), seconds(high or low)


EXAMPLES = """examples
  python loadgen.py http://127.0.0.1:8000/
      50 connections for 10 s, each sending its next request after an answer
  python loadgen.py -n 5k -c 100 --no-keepalive http://127.0.0.1:8000/
      exactly 5000 requests, a new connection for each
  python loadgen.py -q 200 -z 30s http://127.0.0.1:8000/
      200 requests/s, whether or not the server keeps up with the plan
  python loadgen.py --find-max --slo "p99<50ms,failed<0.1%" http://127.0.0.1:8000/
      the highest rate that keeps the objective
  python loadgen.py --json '{"n": 1}' --expect 200 -o run.json http://127.0.0.1:8000/
      a POST; any other status is an error; the record goes to run.json
  python loadgen.py http://127.0.0.1:8000/a http://127.0.0.1:8000/b
      rounds of both in turn, and their ratio with its interval

Durations: 10s, 1m30s, 500ms. Counts: 5000, 5k, 1M. Exit status: 0 measured,
1 nothing could be, 2 usage, 3 the objective was broken, 130 interrupted."""


def _parser() -> summarize.Parser:
    parser = summarize.Parser(
        prog="loadgen.py",
        usage="python loadgen.py [options] URL [URL …]",
        description="Put HTTP load on a URL; of several, run rounds and give the ratio.",
        epilog=EXAMPLES,
    )
    number: Json = {"type": count, "metavar": "N"}
    time: Json = {"type": seconds, "metavar": "T"}
    add = parser.add_argument_group("load").add_argument
    add("urls", nargs="*", metavar="URL")
    add("-c", "--connections", **number, default=50, help="at once, at most (50)")
    add("-n", "--requests", **number, help="exactly so many, and then end")
    add("-z", "--duration", dest="duration_s", **time, help="end after this long (10s)")
    add("-q", "--rate", type=rate, metavar="R", help="open loop: R requests/s in total")
    add("--arrivals", choices=("constant", "poisson"), default="constant", help="with -q")
    add("--think", dest="think_s", type=span, metavar="T[..T]", help="wait between two requests")
    add("--warmup", dest="warmup_s", **time, default=0.0, help="first load uncounted (0)")
    add("--no-keepalive", dest="keepalive", action="store_false", help="connect for each request")
    add("-t", "--timeout", dest="timeout_s", **time, default=20.0, help="of a request (20s)")
    add("--connect-timeout", dest="connect_timeout_s", **time, help="(as --timeout)")
    add("--processes", **number, default=1, help="that share the load (1)")
    add("--client", choices=("wire", "aiohttp"), default="wire", help="what sends (wire)")
    add = parser.add_argument_group("objective").add_argument
    add("--slo", metavar="OBJECTIVES", help='exit 3 when broken: "p99<50ms,failed<0.1%%"')
    add("--find-max", action="store_true", help="the highest rate that keeps --slo; -z a step")
    add = parser.add_argument_group("request").add_argument
    add("-m", "--method", metavar="METHOD", help="(GET, or POST where there is a body)")
    add("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="repeatable")
    add("-d", "--data", metavar="BODY|@FILE", help="the body")
    add("-D", "--data-file", metavar="FILE", help="the body, from a file")
    add("--json", metavar="VALUE", help="the body, and its content type")
    add("--lines", dest="lines_file", metavar="FILE", help="a body a line, in turn")
    targets: Json = {"dest": "targets_file", "metavar": "FILE"}
    add("--targets", **targets, help="lines of [WEIGHT] METHOD URL [@BODY]")
    add("-T", "--content-type", metavar="TYPE", help="of the body (text/plain)")
    add("-a", "--auth", metavar="USER:PASSWORD", help="basic authentication")
    add("--insecure", action="store_true", help="take any certificate")
    add("--unix-socket", metavar="PATH", help="connect there instead of to the URL's host")
    add("--follow", **number, default=0, help="redirects at most (0)")
    add("--expect", metavar="STATUS|TEXT", help="all else is an error (a status above 399)")
    add = parser.add_argument_group("rounds, when there are several URLs").add_argument
    add("--rounds", **number, default=6, help="of the duration each (6)")
    add("--seed", type=int, default=1, metavar="N", help="of their order, and of all chance (1)")
    add = parser.add_argument_group("results").add_argument
    output: Json = {"type": summarize.Output, "default": summarize.Output("")}
    add("-o", "--output", **output, metavar="FILE|-", help="the record, as JSON")
    add("--samples", metavar="FILE", help="every answer: .csv as hey's, .ndjson as vegeta's")
    add("--name", default="", metavar="NAME", help="in the record (the URL)")
    add("--pid", type=int, metavar="PID", help="account for this process and its children")
    add("--quiet", action="store_true", help="no progress, no report")
    return parser


def _body(options: argparse.Namespace) -> bytes:
    """The body that the options ask for. Raises ValueError or OSError."""
    if options.json is not None:
        try:
            json.loads(options.json)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"--json {options.json[:30]!r} is no JSON: {error}") from error
        return str(options.json).encode()
    text, file = options.data or "", options.data_file
    if text.startswith("@"):
        file = text[1:]
    return Path(file).read_bytes() if file else text.encode()


def targets_in(path: Path, base: str) -> Iterator[tuple[int, str, str, bytes]]:
    """The targets of a file: lines of "[weight] METHOD URL [@body]", comments after #.

    A URL may be a path on `base`, and a body's file lies beside this one. Raises ValueError.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
            if not words:
                continue
            weight = int(words.pop(0)) if words[0].isdecimal() else 1
            method, url, body = [*words, "", "", ""][:3]
            if not weight or not url or len(words) > 3 or not body.startswith("@"[: len(body)]):
                raise ValueError("write [WEIGHT] METHOD URL [@BODY]")
            where = str(URL(base).join(URL(url))) if base else url
            target = weight, method, where, (path.parent / body[1:]).read_bytes() if body else b""
            Load(url=base or where, targets=(target,))
        except (ValueError, OSError) as error:
            raise ValueError(f"{path}:{number}: {line!r}: {error}") from error
        yield target


def _load(options: argparse.Namespace, url: str) -> Load:
    """The Load that the options ask for. Raises ValueError or OSError."""
    made = {f.name: v for f in fields(Load) if (v := getattr(options, f.name, None)) is not None}
    made |= {"url": url, "body": _body(options)}
    if options.lines_file:
        made["lines"] = tuple(Path(options.lines_file).read_bytes().splitlines())
        if not made["lines"]:
            raise ValueError(f"{options.lines_file}: no line to send as a body")
    if options.targets_file:
        made["targets"] = tuple(targets_in(Path(options.targets_file), url))
        if not made["targets"]:
            raise ValueError(f"{options.targets_file}: no line of [WEIGHT] METHOD URL [@BODY]")
        made["url"] = url or made["targets"][0][2]
    has_body = bool(made["body"] or options.lines_file)
    headers: CIMultiDict[str] = CIMultiDict()
    for line in options.header:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"{line!r} is no header: write 'Name: value'")
        headers.add(name.strip(), value.strip())
    kind = options.content_type or ("application/json" if options.json else "text/plain")
    if has_body or options.content_type:
        headers.setdefault("Content-Type", kind)
    if options.auth is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(*options.auth.split(":", 1))
    made["method"] = options.method or ("POST" if has_body else "GET")
    if options.find_max and not options.duration_s:
        made["duration_s"] = STEP_S
    return Load(**made | {"headers": tuple(headers.items())})


class Progress:
    """What goes on, on stderr: a line that changes on a terminal, and elsewhere a line of its
    own where nothing else would come for three seconds.
    """

    def __init__(self, total: int = 0, quiet: bool = False) -> None:
        self.in_lines = not quiet and not sys.stderr.isatty()
        self.said_s = time.monotonic()
        form = "{desc}  {bar:20}  {remaining} left" if total else "{desc}"
        hidden = quiet or self.in_lines
        self.bar = tqdm(total=total or None, bar_format=form, disable=hidden, leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    @property
    def is_due(self) -> bool:
        """Whether something should be written now."""
        silent = time.monotonic() >= self.said_s + SILENT_S
        return silent if self.in_lines else not self.bar.disable

    def say(self, text: str, steps: int = 0, takes_s: float = 0.0) -> None:
        """Say what comes next, which completes so many steps, and may hold all up for so long."""
        self.text = text
        self.said_s -= takes_s
        self.bar.set_description_str(text)
        self.bar.update(steps)
        self.still()

    def still(self, *_: object) -> None:
        """Say on which of the lines it still is, where nothing else has come."""
        if self.in_lines and self.is_due:
            self.said_s = time.monotonic()
            print(self.text, file=sys.stderr, flush=True)

    def watch(self, engine: Engine | None, elapsed_s: float) -> None:
        """Elapsed, requests/s, p50, p99 and errors of a run so far."""
        if engine is None:
            self.still()
        elif self.is_due:
            total = engine.tally.total
            p50, p99 = map(total.histograms["latency_s"].percentile_s, (50, 99))
            self.say(
                f"{elapsed_s:5.1f} s  {total.ok / max(elapsed_s, 1e-9):8.0f} requests/s  "
                f"p50 {summarize.duration(p50)}  p99 {summarize.duration(p99)}  "
                f"{total.failed} errors"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status: 0, 1, 2, 3 or 130."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not options.urls and not options.targets_file:
        parser.error("name a URL, such as http://127.0.0.1:8000/, or --targets FILE")
    if options.find_max and not options.slo:
        parser.error('--find-max needs an objective to keep: --slo "p99<50ms,failed<0.1%"')
    if options.find_max and options.requests:
        parser.error("--find-max tries each rate for a time: -z, not -n")
    if len(options.urls) > 1 and (options.targets_file or options.slo or options.samples):
        parser.error("--targets, --slo, --find-max and --samples are for one URL")
    try:
        loads = [_load(options, url) for url in options.urls or [""]]
        objectives = summarize.objectives(options.slo or "")
        if options.samples:
            Path(options.samples).touch()  # so that it is an error now if it cannot be
    except (ValueError, OSError) as error:
        parser.error(str(error))
    try:
        record = _measure(loads, objectives, options)
        if not options.quiet and not options.output.is_stdout:
            summarize.show(summarize.text_of(record))
        options.output.write(record)
    except CannotRun as error:
        print(f"loadgen.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"loadgen.py: {error}: the record is lost, the report is above", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if isinstance(record, Result):
        ran = min(len(arm["rounds"]) for arm in record.arms.values())
        return 130 if ran < options.rounds else 0
    if record.interrupted or not record.statuses:
        return 130 if record.interrupted else 1
    return 3 if record.slo.get("broken") else 0


def _measure(
    loads: Sequence[Load], objectives: Sequence[Objective], options: argparse.Namespace
) -> Run | Result:
    """Do what the options ask for: a comparison, a search or one run."""
    if len(loads) > 1:
        return _compare(loads, options)
    (load,) = loads
    with Progress(quiet=options.quiet) as progress:
        if options.find_max:
            progress.say(f"trying rates for {summarize.duration(load.duration_s)} each")

            def tell(point: Json) -> None:
                if not options.quiet:
                    print(summarize.point_line(point), file=sys.stderr)

            record = find_max(load, objectives, tell)
        else:
            progress.say(f"loading {load.public_url}")
            checkpoint = options.output.write if options.output.path else None
            record = run(load, progress.watch, checkpoint)
    if objectives:
        broken = summarize.broken(record, objectives)
        record.slo |= {"asked": options.slo, "broken": broken}
    return record


def _compare(loads: Sequence[Load], options: argparse.Namespace) -> Result:
    """Rounds of several URLs, each against the first."""
    alike, began = len({load.url for load in loads}) < len(loads), datetime.now(UTC)
    named = {f"{n} {x.url}" if alike else x.url: x for n, x in enumerate(loads, 1)}
    first, *others = named
    reasons: list[str] = []
    with Progress(len(named) * options.rounds, options.quiet) as progress:

        def watch(name: str, number: int) -> None:
            progress.say(f"round {number} of {options.rounds}: {name}"[:50], steps=1)

        order, put = random.Random(options.seed), partial(run, watch=progress.still)
        try:
            runs = run_rounds(named, order, options.rounds, watch, put)
        except Interrupted as end:
            runs = end.args[0]
            if not runs[first]:
                raise
            done = f"{len(runs[first])} of {options.rounds} rounds"
            reasons.append(f"interrupted after {done}: run it to its end")
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
