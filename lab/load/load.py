"""A load: what to ask of a server, how often, over how many connections, for how long."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from multidict import CIMultiDict
from yarl import URL

from lab.facts.abort import parse_aborts
from lab.facts.records import Asked
from lab.facts.secrets import hide_in_header, hide_in_headers, hide_in_url
from lab.facts.text import is_text

LOGS = (".csv", ".ndjson")  # a row an answer, as hey's and as vegeta's
MOST_TARGETS = 1000  # each has histograms of its own, about 1 MB
CLIENTS = ("wire", "aiohttp")
ARRIVALS = ("constant", "poisson")
_TOKEN = re.compile(r"[!#-'*+.^-z|~\w-]+", re.ASCII)
_ABOVE_ZERO = (
    "connections", "requests", "duration_s", "rate", "timeout_s", "connect_timeout_s", "processes",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to ask of a server. Raises ValueError for what cannot be done.

    It ends after `requests` or `duration_s`, whichever comes first; with neither, after 10 s.
    Without a `rate` it is a closed loop, with one it is an open loop.
    """

    url: str
    name: str = ""  # in the record; the URL where it is empty
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    lines: tuple[bytes, ...] = ()  # bodies, sent in turn
    targets: tuple[tuple[int, str, str, bytes], ...] = ()  # (weight, method, URL, body), one server
    connections: int = 50
    requests: int | None = None
    duration_s: float | None = None
    rate: float | None = None  # requests/s of an open loop
    ramp: tuple[float, float] | None = None  # rates from its start to its end; `rate` is their mean
    arrivals: str = "constant"  # or poisson, in an open loop
    precise: bool = False  # spin before what is due, in an open loop
    think_s: tuple[float, float] | None = None  # pause between two requests, from and to
    timeout_s: float = 20.0  # of a request
    connect_timeout_s: float | None = None  # None: as timeout_s
    keepalive: bool = True
    insecure: bool = False  # take any certificate
    unix_socket: str | None = None
    follow: int = 0  # redirects
    expect: str | None = None  # a status ("204"), or a text in the body; None: 200 to 399 is ok
    server_timing: bool = False  # read the Server-Timing headers
    abort: str = ""  # what ends it early: "failed>5%,p99>2s"
    warmup_s: float = 0.0
    processes: int = 1
    cluster: str = ""  # whose workers put it on: "local", an address or a scheduler's file
    share: tuple[int, int] = (0, 1)  # number and count of the processes that share a plan
    client: str = "wire"  # or aiohttp
    seed: int = 1
    samples: str | None = None  # a .csv or .ndjson file for every single answer
    pid: int | None = None  # a process whose tree is accounted for as the server

    def __post_init__(self) -> None:
        if self.ramp:
            self._set_ramp(*self.ramp)
        for method, url in self.asked_of():
            _check_request(self.parsed, method, url)
        _check_figures(self)
        _check_forms(self)
        for name, value in self.headers:
            if not _TOKEN.fullmatch(name) or not value.replace("\t", "").isprintable():
                shown = f"{name}: {hide_in_header(name, value)}"
                raise ValueError(f"{shown!r} is not a valid header: write 'Name: value'")
            if name.lower() == "content-length" and value != str(len(self.body)):
                raise ValueError(f"Content-Length is {value}, and the body has {len(self.body)}")
        self._set("method", self.method.upper())
        if self.requests is None and self.duration_s is None:
            self._set("duration_s", 10.0)
        methods = {method.upper() for method, _ in self.asked_of()}
        if self.follow or "HEAD" in methods:  # httptools cannot know that HEAD has no body
            self._set("client", "aiohttp")
        if self.lines:
            self._set("body", self.lines[0])

    def _set(self, key: str, value: object) -> None:
        object.__setattr__(self, key, value)

    def _set_ramp(self, first: float, last: float) -> None:
        """Know the mean rate of a ramp, and how long it takes."""
        mean = (first + last) / 2
        if first < 0 or last < 0 or not 0 < mean < math.inf:
            raise ValueError(f"ramp is {first:g}..{last:g}: one of the two must be above 0")
        if self.rate not in (None, mean):
            raise ValueError("a ramp says its rates itself: leave out the rate (-q)")
        self._set("rate", mean)
        if self.duration_s is None and self.requests is not None:
            self._set("duration_s", self.requests / mean)

    @property
    def parsed(self) -> URL:
        return URL(self.url)

    @property
    def public_url(self) -> str:
        return hide_in_url(self.url)

    @property
    def slots(self) -> int:
        """How many connections it uses at most."""
        return int(min(self.connections, self.requests or math.inf))

    def asked_of(self) -> Iterator[tuple[str, str]]:
        """Method and URL of all that it asks for."""
        yield self.method, self.url
        for _, method, url, _ in self.targets:
            yield method, url

    def weighed(self) -> list[tuple[int, Load]]:
        """A load of one request for each of its targets, and how often that comes."""
        if not self.targets:
            return [(1, self)]
        return [
            (weight, replace(self, targets=(), method=method, url=url, body=body))
            for weight, method, url, body in self.targets
        ]

    def all_headers(self) -> CIMultiDict[str]:
        """The headers as either client sends them, in their order."""
        url, given = self.parsed, CIMultiDict(self.headers)
        host = given.pop("Host", url.host_port_subcomponent or "")
        headers = CIMultiDict({"Host": host, "User-Agent": "loadgen/1", "Accept": "*/*"})
        if url.user:
            headers["Authorization"] = encode_basic_auth(url.user, url.password or "")
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
        lines = [f"{self.method} {self.parsed.raw_path_qs} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.all_headers().items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def to_asked(self) -> Asked:
        """What was asked for, as it is recorded."""
        shown = {
            "url": self.public_url,
            "headers": hide_in_headers(self.headers),
            "body": len(self.body),
            "lines": len(self.lines),
            "targets": [
                (weight, method, hide_in_url(url), len(body))
                for weight, method, url, body in self.targets
            ],
        }
        return Asked(**vars(self) | shown)


def encode_basic_auth(user: str, password: str = "") -> str:
    """The value of an Authorization header. Raises ValueError for a colon in the name."""
    if ":" in user:
        raise ValueError("a user name for basic authentication has no colon")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _check_request(server: URL, method: str, url: str) -> None:
    parsed, shown = URL(url), hide_in_url(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{shown!r} is not a valid URL: write http://HOST:PORT/PATH")
    if parsed.origin() != server.origin():
        raise ValueError(f"{shown}: not on {server.origin()}: a run is of one server")
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"{method!r} is not a valid method: write GET, POST or the like")


def _check_figures(load: Load) -> None:
    for key in _ABOVE_ZERO:
        value = getattr(load, key)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{key} is {value:g}: it must be above 0")
    if load.warmup_s < 0:
        raise ValueError(f"warmup_s is {load.warmup_s:g}: it cannot be below 0")
    if load.processes > load.connections or load.processes > (load.requests or math.inf):
        raise ValueError(f"{load.processes} processes: each takes a connection and a request")


def _check_forms(load: Load) -> None:
    if len(load.targets) > MOST_TARGETS:
        raise ValueError(f"{len(load.targets)} targets: at most {MOST_TARGETS}, each has a record")
    parse_aborts(load.abort)
    if load.arrivals not in ARRIVALS:
        raise ValueError(f"arrivals is {load.arrivals!r}: it must be constant or poisson")
    if load.client not in CLIENTS:
        raise ValueError(f"client is {load.client!r}: it must be wire or aiohttp")
    words = [load.url, load.name, load.expect or "", load.unix_socket or ""]
    is_one = load.processes == 1 and not load.cluster
    if not is_one and not is_text("".join(words)):
        raise ValueError("a URL, a name or what is expected is not UTF-8: use one process")
    if load.samples and (not is_one or Path(load.samples).suffix not in LOGS):
        raise ValueError(f"samples in {load.samples}: a .csv or .ndjson file, of one process")
    if load.ramp and load.warmup_s:
        raise ValueError("warmup_s is not for a ramp: let it begin with a low rate")
    if load.think_s and load.rate:
        raise ValueError("think_s is for a closed loop: with a rate, the rate says when to send")
