"""The record of one run of load: what was asked, what came back, what it cost.

Times are seconds and sizes bytes, shares are from 0 to 1. A record is JSON in a file and
these types everywhere else; the keys of the JSON are the names of the fields.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Self

from lab.facts.errors import Unreadable
from lab.facts.form import Json, checking, convert, to_builtins
from lab.facts.histogram import PERCENTILES, Figures, Histogram
from lab.facts.interval import Interval, percentile_interval
from lab.facts.kinds import Count, Fraction, Positive, Rate, Seconds
from lab.facts.named import NamedTimes, ServerTiming, add_ends, add_figures
from lab.facts.shards import Shard


class ErrorKind(StrEnum):
    """How a request can fail. Each that failed is in exactly one."""

    DNS = "dns"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect timeout"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"  # nothing of the answer came
    INCOMPLETE = "incomplete"  # a part of it did
    PROTOCOL = "protocol"
    STATUS = "status"
    BODY = "body"


class Topic(StrEnum):
    """What a measurement can be in doubt for."""

    CLIENT = "client"
    QUEUED = "queued"
    SENT = "sent"
    FAILURES = "failures"
    LITTLE = "little"
    LAG = "lag"
    RESOLUTION = "resolution"
    OVERFLOWS = "overflows"
    RESTARTS = "restarts"
    STEAL = "steal"
    NEIGHBOUR = "neighbour"
    SPREAD = "spread"
    SHARDS = "shards"


class Trust(StrEnum):
    """Whether to believe a run."""

    VALID = "VALID"
    SUSPECT = "SUSPECT"
    INVALID = "INVALID"


# ---- One run ---------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for, as it is recorded: no secrets, and of a body only its size."""

    url: str  # without user and password
    name: str = ""  # what the user called it
    method: str = "GET"
    headers: list[tuple[str, str]] = field(default_factory=list)  # secrets as ***
    body: int = 0  # bytes
    lines: int = 0  # bodies that were sent in turn
    targets: list[tuple[int, str, str, int]] = field(default_factory=list)  # the last in bytes
    connections: Positive
    requests: int | None = None  # None: as many as fit in the duration
    duration_s: float | None = None
    rate: Rate | None = None  # of an open loop
    ramp: tuple[Rate, Rate] | None = None  # at its start and at its end; `rate` is their mean
    arrivals: str | None = "constant"
    precise: bool = False  # an open loop waited by spinning
    think_s: tuple[float, float] | None = None
    timeout_s: float = 20.0
    connect_timeout_s: float | None = None
    keepalive: bool = True
    insecure: bool = False
    unix_socket: str | None = None
    follow: int = 0  # redirects
    expect: str | None = None
    server_timing: bool = False  # its headers were read
    abort: str = ""  # what was to end it early
    warmup_s: float = 0.0
    processes: Positive = 1
    cluster: str = ""  # of Dask, whose workers the processes were
    share: tuple[int, int] = (0, 1)
    client: str = "wire"  # or the command of another tool
    seed: int = 1
    samples: str | None = None
    pid: int | None = None
    rounds: int | None = None  # of a comparison
    launches: int | None = None  # starts of each server in a comparison
    metric: str | None = None  # by which it compares


@dataclass(frozen=True, kw_only=True)
class Second:
    """What one second of a run saw."""

    time: Seconds  # from the start of the window to the end of this second
    ok: Count
    failed: Count
    p50: Seconds | None = None  # None where nothing was answered, or it is not known
    p99: Seconds | None = None
    rate: Rate | None = None  # requests/s asked for meanwhile, of a ramp
    histogram: str = ""  # of its ok times, HdrHistogram V2 base64, where that was kept


@dataclass(frozen=True, kw_only=True)
class Stretches:
    """The answers of a run by stretches of time of the same length, in order: neighbours
    resemble each other, and so say less of a percentile than as many that do not.
    """

    counts: list[Count]  # how many were ok in each
    above: list[list[Count]]  # how many took longer than each of PERCENTILES of the run


@dataclass(frozen=True, kw_only=True)
class Connections:
    """The connections of a run, and what it took to open one."""

    opened: Count | None = None
    dns_s: float | None = None
    connect_s: float | None = None  # median
    tls_s: float | None = None  # median


@dataclass(frozen=True, kw_only=True)
class Cost:
    """CPU time that one side used."""

    cpu_s: float
    cpu_us_per_request: float = 0.0
    busy: float = 0.0  # share of one core, for each of its processes

    def spread_over(self, requests: int, elapsed_s: float, processes: int = 1) -> Self:
        """The same cost with its shares of the requests and of the time."""
        us_per_request = self.cpu_s / max(requests, 1) * 1e6
        busy = self.cpu_s / processes / max(elapsed_s, 1e-9)
        return replace(self, cpu_us_per_request=us_per_request, busy=busy)


@dataclass(frozen=True, kw_only=True)
class ClientCost(Cost):
    """What the load generator used, and what disturbed it meanwhile."""

    queued_s: Seconds = 0.0  # it was ready to run, and others had its core
    loop_lag_s: float = 0.0  # the longest time for which it stood still
    in_flight: float = 0.0  # requests under way on average while load was on
    planned: int | None = None  # requests of an open loop
    sent: int | None = None  # of them
    start_skew_s: float | None = None  # after the moment at which several were to begin
    listen_overflows: int = 0  # connections dropped for a full listen queue
    unread: Fraction | None = None  # of the requests under way, those whose answer lay unread
    neighbour: str = ""  # the busiest of all other processes
    neighbour_busy: Fraction = 0.0  # of one core


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a server's processes hold at a moment; of a run, the most that they held."""

    rss_bytes: Count = 0
    processes: Count = 0
    threads: Count = 0


@dataclass(frozen=True, kw_only=True)
class ServerCost(Cost, Memory):
    """What a server used, all its processes together."""

    replaced: int = 0  # processes that ended meanwhile
    queued_s: Seconds | None = None  # its threads were ready to run, and others had their core


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a figure depends on besides the load."""

    cpu: str = ""
    cores: int | None = None
    kernel: str = ""
    python: str = ""
    command: str = ""
    commit: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    load_average: float = 0.0
    steal: Fraction = 0.0  # of the machine's time, taken by its hypervisor


@dataclass(frozen=True, kw_only=True)
class Validity:
    """Whether to believe a run, and the reasons not to."""

    verdict: Trust
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What came of one of several requests in a mix."""

    name: str
    ok: Count
    failed: Count
    statuses: dict[str, Count]
    errors: dict[str, Count]
    histogram: Histogram  # of response times

    @property
    def latency_s(self) -> Figures:
        return self.histogram.summary_s()


@dataclass(frozen=True, kw_only=True)
class Point:
    """One rate of an open loop, and what became of it."""

    rate: Rate  # asked for
    throughput: Rate  # of what was answered right
    failed: Count
    requests: Count
    p50_s: Seconds | None
    p99_s: Seconds | None
    confirmed_s: Seconds | None = None  # for so long it was tried once more, in a search
    kept: bool | None = None  # whether it kept the objective, where there is one


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """What was asked of a run, and what came of it."""

    asked: str = ""
    broken: list[str] = field(default_factory=list)
    sought: bool = False  # whether the highest rate was searched
    max_rate: Rate | None = None  # the highest that keeps them

    def to_json(self) -> Json:
        found: Json = {"max_rate": self.max_rate} if self.sought else {}
        return {"asked": self.asked, "broken": self.broken, **found}


@dataclass(frozen=True, kw_only=True)
class Histograms:
    """The times of all requests. Failures have their own."""

    latency_s: Histogram = field(default_factory=Histogram)  # from when it was due
    service_s: Histogram = field(default_factory=Histogram)  # from when it was sent
    send_lag_s: Histogram = field(default_factory=Histogram)  # the difference
    failed_s: Histogram = field(default_factory=Histogram)  # of those that failed


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of load on one server: what was asked, what came back, what it cost.

    `requests` = `ok` + `failed` + `unfinished`, always. The times are of the `ok` ones.
    """

    name: str
    started: str  # ISO 8601, UTC
    elapsed_s: Seconds  # from the first request to the last answer
    load: Asked
    ok: Count
    failed: Count
    unfinished: Count = 0  # when the user interrupted
    statuses: dict[str, Count]
    errors: dict[str, Count]
    histograms: Histograms
    series: list[Second] = field(default_factory=list)
    stretches: Stretches | None = None  # where it lasted for long enough
    connections: Connections = Connections()
    client: ClientCost
    server: ServerCost | None = None
    validity: Validity = Validity(verdict=Trust.VALID)
    environment: Environment = Environment()
    interrupted: bool = False
    aborted: str = ""  # why it ended early, where its own condition did that
    targets: list[Target] = field(default_factory=list)
    # Response times of whole answers, ok or not, by the class of their status; see classes_of()
    classes: list[NamedTimes] = field(default_factory=list)
    server_timing: ServerTiming | None = None  # where it was asked for
    shards: list[Shard] = field(default_factory=list)  # where several shared the load
    curve: list[Point] = field(default_factory=list)  # rates tried in a search
    slo: Objectives | None = None
    quoted_s: Figures = field(default_factory=dict)  # times that another tool gave

    FORMAT: ClassVar[str] = "loadgen-run/1"

    @property
    def requests(self) -> int:
        return self.ok + self.failed + self.unfinished

    @property
    def throughput(self) -> float:
        """Successes a second of the measured window."""
        return self.ok / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def histogram(self) -> Histogram:
        return self.histograms.latency_s

    @property
    def latency_s(self) -> Figures:
        return self.quoted_s or self.histogram.summary_s()

    def find_interval_s(self, percentile: float) -> Interval | None:
        """The interval of one of PERCENTILES, in s; None where the run is too short for one."""
        if self.stretches is None or percentile not in PERCENTILES:
            return None
        rows = self.stretches.above[: PERCENTILES.index(percentile) + 1]
        ranked_s, counts = self.histogram.ranked_s, self.stretches.counts
        return percentile_interval(ranked_s, percentile, counts, rows)

    @property
    def server_cpu_us(self) -> float | None:
        """The server's CPU time for a request, in µs."""
        return self.server.cpu_us_per_request if self.server else None

    def to_json(self) -> Json:
        data = {"format": self.FORMAT, **to_builtins(self)}
        data |= {"requests": self.requests, "throughput": self.throughput}
        data["slo"] = self.slo.to_json() if self.slo else {}
        for target, known in zip(data["targets"], self.targets, strict=True):
            target["latency_s"] = known.latency_s
        add_figures(data["classes"], self.classes)
        if self.server_timing:
            add_figures(data["server_timing"]["split"], self.server_timing.split)
            add_figures(data["server_timing"]["metrics"], self.server_timing.metrics)
        times = vars(self.histograms).items()
        return data | {key: histogram.summary_s() for key, histogram in times}

    @classmethod
    def from_json(cls, data: Json) -> Run:
        """Raises Unreadable for what is not a whole record; unknown keys are left alone."""
        with checking():
            run = convert(with_ends(data), cls)
            run.check(data["requests"])
        return run

    def check(self, requests: int) -> None:
        """Raises Unreadable where the counts of a record contradict each other."""
        if requests != self.requests:
            raise Unreadable("requests is not ok + failed + unfinished")
        if self.histogram.count not in (0, self.ok):
            raise Unreadable("its histogram does not hold as many as were ok")
        if self.classes and {x.name: x.histogram.count for x in self.classes} != self._in_classes:
            raise Unreadable("its classes of status do not hold as many as its statuses")

    @property
    def _in_classes(self) -> dict[str, int]:
        """How many answers came with a status of each class."""
        counts = Counter[str]()
        for status, count in self.statuses.items():
            counts[class_of(status)] += count
        return dict(counts)

    def find_classes(self) -> list[NamedTimes]:
        """The response times of each class of status; of one class alone those of all answers.

        Empty where they are not known.
        """
        if self.classes or self.failed or len(self._in_classes) != 1 or not self.histogram.count:
            return self.classes
        return [NamedTimes(name=next(iter(self._in_classes)), histogram=self.histogram)]


def class_of(status: str) -> str:
    """The class of a status: "5xx" of "503"."""
    return f"{status.zfill(3)[:-2]}xx"


def with_ends(data: Json) -> Json:
    """The JSON of a run, with each histogram beside the figures that hold its exact ends."""
    times = {key: (text, data[key]) for key, text in data["histograms"].items()}
    targets = [
        target | {"histogram": (target["histogram"], target["latency_s"])}
        for target in data.get("targets", [])
    ]
    timing = data.get("server_timing")
    if timing:
        timing = {**timing, **{key: add_ends(timing[key]) for key in ("split", "metrics")}}
    slo = data.get("slo") or None
    if slo:
        slo = {**slo, "sought": "max_rate" in slo}
    named = {"classes": add_ends(data.get("classes", [])), "server_timing": timing}
    return data | {"histograms": times, "targets": targets, "slo": slo, **named}
