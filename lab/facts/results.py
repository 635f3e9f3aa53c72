"""The record of a comparison in rounds: its arms, their ratios, and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

from lab.facts.errors import Unreadable
from lab.facts.form import Json, checking, convert, to_builtins
from lab.facts.interval import Interval
from lab.facts.kinds import Fraction, Rate, Seconds
from lab.facts.records import (
    Asked,
    Environment,
    Memory,
    Point,
    Run,
    Topic,
    with_ends,
)

THEN = ", then"  # what the name of an arm on old versions ends in


class Metric(StrEnum):
    """What two arms can be compared by; each is an attribute of a Round."""

    THROUGHPUT = "throughput"
    P50 = "p50_s"
    P90 = "p90_s"
    P95 = "p95_s"
    P99 = "p99_s"
    SERVER_CPU = "server_cpu_us"
    CLIENT_CPU = "client_cpu_us"
    ELAPSED = "elapsed_s"


PERCENTILES = (Metric.P50, Metric.P90, Metric.P95, Metric.P99)  # of response times


@dataclass(frozen=True, kw_only=True)
class Round:
    """What an arm did in one round."""

    throughput: Rate  # of those that were right
    p50_s: Seconds | None
    p99_s: Seconds | None
    p90_s: Seconds | None = None
    p95_s: Seconds | None = None
    server_cpu_us: float | None = None  # for a request
    client_cpu_us: float | None = None  # for a request
    elapsed_s: float = 0.0
    requests: int = 0
    ok: int = 0
    failed: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    launch: int = 0  # the number of the start of the servers
    margin: Fraction = 0.0  # noise may have taken so much of its throughput
    idle: Fraction | None = None  # of the time its server neither ran nor waited for a core
    doubts: dict[Topic, str] = field(default_factory=dict)  # a sentence for each

    def value(self, metric: Metric) -> float | None:
        """What it measured of a metric; None where it has no such figure."""
        value: float | None = getattr(self, metric)
        return value


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A server with one thing to ask of it: its rounds, and what was seen beside them."""

    run: Run  # all rounds as one
    rounds: list[Round]
    command: str = ""
    path: str = ""
    port: int | None = None
    workers: int = 1
    expected: str = ""  # the arm's own line of what the script expects
    versions: dict[str, str] = field(default_factory=dict)  # of an old arm's own Python
    backlog: int | None = None  # new connections that may wait, as in force
    idle: Memory = field(default_factory=Memory)  # before any load
    said: list[Any] = field(default_factory=list)  # JSON, asked after each launch
    log: dict[str, int] = field(default_factory=dict)  # lines of its output, counted
    columns: dict[str, str] = field(default_factory=dict)  # of the script's own
    curve: list[Point] = field(default_factory=list)  # open loops at shares of its rate
    launches: list[int] = field(default_factory=list)  # the launch of each round


@dataclass(frozen=True, kw_only=True)
class MeasuredRatio:
    """By how much one arm exceeds another, and how sure that is."""

    over: str
    under: str
    metric: Metric = Metric.THROUGHPUT
    estimate: float
    low: float
    high: float
    confidence: float = 0.95  # that the true one lies between low and high
    rounds: int = 0
    launches: int = 0
    claim: bool = False  # whether the claim is about it
    claimed: float | tuple[float, float] | None = None  # by its source; a range for a word
    least: float | None = None  # the least effect that counts, where there is no figure
    margin: Fraction = 0.0  # noise may have moved it so far, either way
    at_least: bool = False  # something else limited it: the true one may be larger
    at_most: bool = False  # or smaller
    word: str = ""  # what it says of the claim

    @property
    def interval(self) -> Interval:
        ends = self.estimate, self.low, self.high
        return Interval(*ends, self.confidence, self.rounds, self.launches)

    @property
    def judged(self) -> Interval:
        """The interval that decides: widened by what noise can have done, open to a limit."""
        low = 0.0 if self.at_most else self.low * (1 - self.margin)
        high = math.inf if self.at_least else self.high / max(1 - self.margin, 1e-9)
        return replace(self.interval, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one request was answered, for a claim about behaviour."""

    arm: str
    then: bool = False  # whether it was asked of old versions
    command: str = ""
    port: int | None = None
    path: str = "/"
    expected: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    status: int
    answer: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """A comparison in rounds, and the verdict of the claim it was made for, if there is one."""

    name: str
    title: str
    claim: str = ""
    source: str = ""
    expect: str = ""
    started: str  # ISO 8601, UTC
    elapsed_s: float = 0.0
    mode: str = "plain"  # quick, plain or full
    budget_s: float | None = None  # it was to be decided within
    load: Asked | None = None  # what all arms have in common
    arms: dict[str, Arm] = field(default_factory=dict)
    ratios: list[MeasuredRatio] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    rule: str = ""
    verdict: str = ""
    then: str = ""  # the verdict on the versions the claim was made about
    reasons: list[str] = field(default_factory=list)  # why there is no verdict
    cause: list[str] = field(default_factory=list)  # what the control arms show
    why: str = ""  # the one of these that the verdict stands beside
    another_reason: bool = False  # it holds, but not for the reason that its source gives
    by_cpu: str = ""  # the word by CPU time for a request, where something else limited
    repeated: int = 0  # rounds that the machine disturbed, and that were done again
    shortened: Fraction = 1.0  # of their length that rounds had in the end, so that launches fit
    over_s: Seconds = 0.0  # it took so much longer than its budget, for the third launch
    interrupted: bool = False  # by the user, before it was decided
    services: dict[str, str] = field(default_factory=dict)  # commands of what ran beside all arms
    environment: Environment = field(default_factory=Environment)

    FORMAT: ClassVar[str] = "loadgen-result/1"

    def to_json(self) -> Json:
        data = {"format": self.FORMAT, **to_builtins(self)}
        data["load"] = data["load"] or {}
        for name, arm in self.arms.items():
            data["arms"][name]["run"] = arm.run.to_json()
        return data

    @classmethod
    def from_json(cls, data: Json) -> Result:
        """Raises Unreadable for what is not a whole record; unknown keys are left alone."""
        with checking():
            runs = {name: with_ends(fields["run"]) for name, fields in data["arms"].items()}
            arms = {name: arm | {"run": runs[name]} for name, arm in data["arms"].items()}
            result = convert(data | {"arms": arms, "load": data["load"] or None}, cls)
            for name, arm in result.arms.items():
                arm.run.check(runs[name]["requests"])
                if not arm.rounds:
                    raise Unreadable(f"not a whole record: no rounds of {name}")
        return result
