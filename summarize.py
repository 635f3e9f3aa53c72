"""Turn recorded runs into text: one run as a report, several as a comparison.

    python summarize.py run.json               a report
    python summarize.py a.json b.json          one table, shared histogram edges, the ratio
    python loadgen.py -o - URL | python summarize.py
    python summarize.py --claims results       the table of claims, in Markdown
    python summarize.py --claims results --check README.md

As a library: ``from summarize import Run, report, compare``. This module owns the
records (`Run`, `Result`), the statistics of a verdict and every text that is printed.
It touches no network. Times are seconds and sizes bytes unless a name says otherwise.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

WIDTH = 79
PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
SAMPLES_BEYOND = 10  # a percentile with fewer samples beyond it is not shown
CONFIDENCE = 0.95

Json = dict[str, Any]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as all errors of this project are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help shows how\n")


class NoDuration(argparse.ArgumentTypeError, ValueError):
    """A text that is no duration; the message says how to write one."""


class Unreadable(Exception):
    """An input that is not what it should be; the message is one line for the reader."""


# ---- Histogram -----------------------------------------------------------------------
LONGEST_NS = 3600 * 10**9
_HALF_BITS = 10  # three digits: 2048 sub-buckets, of which the upper 1024 are new each time


@cache
def _layout(counts_len: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest value and width, in ns, of each slot of an HdrHistogram with three digits."""
    slots = np.arange(counts_len, dtype=np.int64)
    bucket = np.maximum((slots >> _HALF_BITS) - 1, 0)
    sub = np.where(
        slots < 2 << _HALF_BITS, slots, (slots & (1 << _HALF_BITS) - 1) + (1 << _HALF_BITS)
    )
    return sub << bucket, np.int64(1) << bucket


class Histogram:
    """Durations from 1 ns to 1 h at three significant digits, as an HdrHistogram.

    Recording is in bulk, because one call a value costs more than the request it times.
    """

    def __init__(self, hdr: HdrHistogram | None = None) -> None:
        self.hdr = hdr or HdrHistogram(1, LONGEST_NS, 3)
        self.counts: NDArray[np.int64] = np.frombuffer(self.hdr.counts, dtype=np.int64)

    @classmethod
    def of_seconds(cls, values_s: Iterable[float]) -> Histogram:
        histogram = cls()
        histogram.record(np.rint(np.fromiter(values_s, float) * 1e9).astype(np.int64))
        return histogram

    def record(self, values_ns: NDArray[np.int64]) -> None:
        """Add values, shape (n,), in ns; what is beyond 1 ns or 1 h is counted at that end."""
        if not len(values_ns):
            return
        values = np.clip(values_ns, 1, LONGEST_NS)
        bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)
        bucket = np.maximum(bits - 1 - _HALF_BITS, 0)
        slots = (bucket << _HALF_BITS) + (values >> bucket)
        self.counts += np.bincount(slots, minlength=len(self.counts))
        self.hdr.total_count += len(values)
        self.hdr.min_value = min(self.hdr.min_value, int(values.min()))
        self.hdr.max_value = max(self.hdr.max_value, int(values.max()))

    def add(self, other: Histogram) -> None:
        """Merge exactly: the counts of `other` are added slot by slot."""
        if other.count:
            lowest = min(self.hdr.min_value, other.hdr.min_value)
            highest = max(self.hdr.max_value, other.hdr.max_value)
            self.hdr.add(other.hdr)  # which knows both ends to three digits only
            self.hdr.min_value, self.hdr.max_value = lowest, highest

    @property
    def count(self) -> int:
        return int(self.hdr.total_count)

    def summary_s(self) -> dict[str, float | None]:
        """Min, mean, stdev, percentiles and max in seconds.

        A percentile beyond which lie fewer than ten samples is None, and so is every
        figure of an empty histogram.
        """
        keys = ["min", "mean", "stdev", *(f"p{p:g}" for p in PERCENTILES), "max"]
        if not self.count:
            return dict.fromkeys(keys)
        lowest, width = _layout(len(self.counts))
        middles = lowest + (width - 1) / 2
        mean = float(self.counts @ middles) / self.count
        spread = math.sqrt(float(self.counts @ (middles - mean) ** 2) / self.count)
        percentiles = [self.percentile_s(p) for p in PERCENTILES]
        lo, hi = self.hdr.min_value / 1e9, self.hdr.max_value / 1e9
        return dict(zip(keys, [lo, mean / 1e9, spread / 1e9, *percentiles, hi], strict=True))

    def percentile_s(self, percentile: float, beyond: int = SAMPLES_BEYOND) -> float | None:
        """The value in seconds that `percentile` % of the samples do not exceed; None where
        fewer than `beyond` samples lie beyond it, or there are none at all.
        """
        if not self.count or self.count * (100 - percentile) / 100 < beyond - 1e-9:
            return None
        rank = max(1, math.ceil(self.count * percentile / 100 - 1e-9))
        slot = int(np.searchsorted(np.cumsum(self.counts), rank))
        lowest, width = _layout(len(self.counts))
        return min(float(lowest[slot] + width[slot] - 1), float(self.hdr.max_value)) / 1e9

    def above(self, value_s: float) -> int:
        """How many samples exceed `value_s`, to the histogram's three digits."""
        lowest, _ = _layout(len(self.counts))
        return int(self.counts[np.searchsorted(lowest, value_s * 1e9, "right") :].sum())

    def between(self, edges_s: Sequence[float]) -> list[int]:
        """How many samples lie from each edge to the next, the outermost ones included."""
        lowest, width = _layout(len(self.counts))
        cuts = np.searchsorted(lowest + (width - 1) / 2, np.asarray(edges_s) * 1e9)
        cuts[0], cuts[-1] = 0, len(self.counts)
        totals = np.concatenate([[0], np.cumsum(self.counts)])
        return [int(n) for n in np.diff(totals[cuts])]

    def encode(self) -> str:
        return str(self.hdr.encode().decode())

    @classmethod
    def decode(cls, text: str) -> Histogram:
        """Read HdrHistogram V2 base64. Raises Unreadable when it is something else."""
        histogram = cls()
        try:
            histogram.hdr.decode_and_add(text)
        except Exception as error:  # hdrhistogram raises struct, zlib, base64 and its own errors
            raise Unreadable(f"not an HdrHistogram: {error}") from error
        return histogram


# ---- Records -------------------------------------------------------------------------
RECORDED = ("latency_s", "service_s", "send_lag_s", "failed_s")


_KINDS: dict[str, Any] = {
    "str": str, "int": int, "float": int | float, "bool": bool, "list": list, "dict": dict,
    "Json": dict, "Json | None": dict | None,
}  # fmt: skip


class Record:
    """What a Run and a Result have in common: their JSON form."""

    FORMAT: ClassVar[str]
    __dataclass_fields__: ClassVar[Json]

    def to_json(self) -> Json:
        fields = {key: getattr(self, key) for key in self.__dataclass_fields__}
        return {"format": self.FORMAT, **fields}

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Raises Unreadable for a value of another kind; unknown keys are left alone."""
        known = {key: v for key, v in data.items() if key in cls.__dataclass_fields__}
        for key, value in known.items():
            kind = str(cls.__dataclass_fields__[key].type).partition("[")[0]
            if not isinstance(value, _KINDS[kind]):
                raise Unreadable(f"not a {cls.__name__} record: {key} is {value!r:.40}")
        return cls(**known)

    def save(self, path: Path) -> None:
        """Write it whole or not at all: to a temporary name beside it, then renamed."""
        text = json.dumps(self.to_json(), indent=1) + "\n"
        if path.exists() and not path.is_file():  # a pipe or a device: there is nothing to lose
            path.write_text(text, encoding="utf-8")
            return
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@dataclass(kw_only=True)
class Run(Record):
    """One run of load on one server: what was asked, what came back, what it cost.

    `requests` = `ok` + `failed` + `unfinished`, always. `latency_s` counts from the moment
    a request was due, `service_s` from its sending, `send_lag_s` is the difference; all
    three are of the `ok` ones. `histograms` holds the same three and that of the failures,
    `failed_s`, in ns. `targets` has figures for each of several, `slo` what was asked of the
    run, what of it is broken, and the highest rate that kept it, if `curve` searched for one.
    """

    name: str
    started: str
    elapsed_s: float
    load: Json
    ok: int
    failed: int
    unfinished: int
    statuses: dict[str, int]
    errors: dict[str, int]
    histograms: dict[str, Histogram]
    series: list[Json] = field(default_factory=list)
    connections: Json = field(default_factory=dict)
    client: Json = field(default_factory=dict)
    server: Json | None = None
    validity: Json = field(default_factory=dict)
    environment: Json = field(default_factory=dict)
    interrupted: bool = False
    targets: list[Json] = field(default_factory=list)
    curve: list[Json] = field(default_factory=list)
    slo: Json = field(default_factory=dict)

    FORMAT = "loadgen-run/1"

    @property
    def requests(self) -> int:
        return self.ok + self.failed + self.unfinished

    @property
    def throughput(self) -> float:
        """Successes a second of the measured window."""
        return self.ok / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def latency_s(self) -> dict[str, float | None]:
        return self.histograms["latency_s"].summary_s()

    @property
    def server_cpu_us(self) -> float | None:
        """The server's CPU time for a request, in µs."""
        return self.server["cpu_us_per_request"] if self.server else None

    def to_json(self) -> Json:
        data = super().to_json() | {"requests": self.requests, "throughput": self.throughput}
        data |= {key: self.histograms[key].summary_s() for key in RECORDED}
        return data | {"histograms": {key: h.encode() for key, h in self.histograms.items()}}

    @classmethod
    def from_json(cls, data: Json) -> Run:
        histograms = {key: _recorded(data["histograms"][key], data[key]) for key in RECORDED}
        run = super().from_json(data | {"histograms": histograms})
        if data["requests"] != run.requests:
            raise Unreadable("requests is not ok + failed + unfinished")
        return judged(run)


def _recorded(encoded: str, summary_s: Json) -> Histogram:
    """A histogram of a record: its encoded form keeps both ends to three digits only."""
    histogram = Histogram.decode(encoded)
    if histogram.count:
        histogram.hdr.min_value = round(summary_s["min"] * 1e9)
        histogram.hdr.max_value = round(summary_s["max"] * 1e9)
    return histogram


def _merged_target(parts: Sequence[Json]) -> Json:
    """The figures that several runs have for the same target, as those of one run."""
    merged, latency = parts[0].copy(), Histogram()
    for part in parts:
        latency.add(_recorded(part["histogram"], part["latency_s"]))
    for key in ("statuses", "errors"):
        merged[key] = dict(sum((Counter(part[key]) for part in parts), Counter()))
    for key in ("ok", "failed"):
        merged[key] = sum(part[key] for part in parts)
    return merged | {"latency_s": latency.summary_s(), "histogram": latency.encode()}


def merge(runs: Sequence[Run]) -> Run:
    """Rounds of the same load as one run: counts and times added, histograms merged exactly."""
    first, histograms = runs[0], {key: Histogram() for key in RECORDED}
    for run in runs:
        for key, histogram in run.histograms.items():
            histograms[key].add(histogram)
    clients = [run.client for run in runs]
    client = max(clients, key=lambda client: client["neighbour_busy"]).copy()
    client |= {key: sum(c[key] for c in clients) for key in ("cpu_s", "listen_overflows")}
    client["loop_lag_s"] = max(c["loop_lag_s"] for c in clients)
    client["in_flight"] = float(np.mean([c["in_flight"] for c in clients]))
    servers = [run.server for run in runs if run.server]
    server = {key: max(s[key] for s in servers) for key in servers[0]} if servers else None
    if server:
        server["cpu_s"] = sum(s["cpu_s"] for s in servers)
    merged = replace(
        first,
        statuses=dict(sum((Counter(run.statuses) for run in runs), Counter())),
        errors=dict(sum((Counter(run.errors) for run in runs), Counter())),
        histograms=histograms,
        series=[],
        targets=[_merged_target(t) for t in zip(*(r.targets for r in runs), strict=True)],
        connections=first.connections | {"opened": sum(run.connections["opened"] for run in runs)},
        client=client,
        server=server,
        environment=first.environment | {"steal": max(r.environment["steal"] for r in runs)},
        interrupted=any(run.interrupted for run in runs),
    )
    for key in ("elapsed_s", "ok", "failed", "unfinished"):
        setattr(merged, key, sum(getattr(run, key) for run in runs))
    return judged(merged)


@dataclass(kw_only=True)
class Result(Record):
    """A comparison in rounds, and the verdict of the claim it was made for, if there is one.

    `arms` maps a name to {command, run, rounds, …}; `ratios`, `findings` and `evidence` are
    what was found, `verdict` what follows by the rule, `reasons` why there is none, `then`
    the same for the versions the claim was made about.
    """

    name: str
    title: str
    claim: str = ""
    source: str = ""
    expect: str = ""
    started: str
    elapsed_s: float = 0.0
    mode: str = "plain"
    load: Json = field(default_factory=dict)
    arms: dict[str, Json] = field(default_factory=dict)
    ratios: list[Json] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    evidence: list[Json] = field(default_factory=list)
    rule: str = ""
    verdict: str = ""
    then: str = ""
    reasons: list[str] = field(default_factory=list)
    cause: list[str] = field(default_factory=list)
    environment: Json = field(default_factory=dict)

    FORMAT = "loadgen-result/1"

    def to_json(self) -> Json:
        arms = {name: arm | {"run": arm["run"].to_json()} for name, arm in self.arms.items()}
        return super().to_json() | {"arms": arms}

    @classmethod
    def from_json(cls, data: Json) -> Result:
        result = super().from_json(data)
        for arm in result.arms.values():
            arm["run"] = Run.from_json(arm["run"])
        return result


class Output:
    """Where a record goes: a file, standard output ("-") or nowhere (""). Made before anything
    is measured, so that a file that cannot be written is an error then.
    """

    def __init__(self, name: str) -> None:
        self.is_stdout = name == "-"
        self.path = Path(name).resolve() if name and not self.is_stdout else None
        if self.path and (self.path.is_dir() or not os.access(self.path.parent, os.W_OK)):
            raise argparse.ArgumentTypeError(f"{name} cannot be written: name a file in a folder")

    def write(self, record: Run | Result) -> None:
        if self.path:
            record.save(self.path)
        elif self.is_stdout:
            show(json.dumps(record.to_json()))


def read(path: Path | None) -> Run | Result:
    """Read a record from a file, or from standard input. Raises Unreadable with one line."""
    label = "standard input" if path is None else str(path)
    try:
        text = sys.stdin.read() if path is None else path.read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise Unreadable(f"{label}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{label}: not JSON ({error}); expected a record of loadgen.py") from error
    kind = data.get("format") if isinstance(data, dict) else None
    if kind not in (Run.FORMAT, Result.FORMAT):
        raise Unreadable(f"{label}: JSON, but no record of loadgen.py (no known `format`)")
    try:
        record = Run.from_json(data) if kind == Run.FORMAT else Result.from_json(data)
        text_of(record)  # whatever is damaged shows itself here, and not half way down a page
        return record
    except (
        Unreadable,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
    ) as error:
        why = error if isinstance(error, Unreadable) else repr(error)
        raise Unreadable(f"{label}: not a whole record: {why}") from error


# ---- What decides --------------------------------------------------------------------
REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "REPRODUCED", "NOT REPRODUCED", "INCONCLUSIVE"
SAME_WITHIN = "inside 0.95 to 1.05"
THEN = ", then"  # what the name of an arm on old versions ends in
METRICS = {
    "throughput": "",
    "p50_s": " p50",
    "p99_s": " p99",
    "server_cpu_us": " CPU µs a request",
    "client_cpu_us": " client CPU µs a request",
    "elapsed_s": " time",
}


@dataclass(frozen=True)
class Interval:
    """A median, and an interval that holds the true one with probability `confidence`."""

    estimate: float
    low: float
    high: float
    confidence: float
    rounds: int

    @classmethod
    def of(cls, ratio: Json) -> Interval:
        return cls(*(ratio[key] for key in cls.__dataclass_fields__))

    def __str__(self) -> str:
        low, high = three_digits(self.low), three_digits(self.high)
        covers = f"{100 * self.confidence:.1f} %"
        return (
            f"× {three_digits(self.estimate)} ({low} to {high} at {covers}, {self.rounds} rounds)"
        )


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The exact order-statistic interval for the median of `values`, shape (n,).

    From the k-th lowest to the k-th highest, with the largest k whose coverage,
    1 - 2 P(Binomial(n, 1/2) < k), is still at least `confidence`. It assumes nothing of
    the distribution. None when even k = 1 covers less: 95 % takes six values.
    Source: David and Nagaraja, Order Statistics, 3rd edition, section 7.1.
    """
    n, ordered = len(values), sorted(values)
    k, coverage, outside = 0, 0.0, 0.0
    for candidate in range(1, n // 2 + 1):
        outside += 2 * math.comb(n, candidate - 1) / 2**n
        if 1 - outside < confidence:
            break
        k, coverage = candidate, 1 - outside
    if not k:
        return None
    return Interval(float(np.median(ordered)), ordered[k - 1], ordered[n - k], coverage, n)


_TESTS: dict[str, Callable[..., bool]] = {
    r"> ([\d.]+)": lambda i, a: i.low > a,
    r"< ([\d.]+)": lambda i, a: i.high < a,
    r"inside ([\d.]+) to ([\d.]+)": lambda i, a, b: i.low >= a and i.high <= b,
    r"outside ([\d.]+) to ([\d.]+)": lambda i, a, b: i.high < a or i.low > b,
    r"overlaps ([\d.]+) to ([\d.]+)": lambda i, a, b: i.low <= b and i.high >= a,
}


def satisfies(interval: Interval, rule: str) -> bool:
    """Whether the interval keeps `rule`: "> 5" (all of it is above), "< 2", "inside 1.05
    to 1.5", "outside 2 to 5", "overlaps 24 to 96", or several of them joined by " or ".

    Raises ValueError for anything else.
    """
    kept = []
    for test in rule.split(" or "):
        found = [(re.fullmatch(pattern, test), check) for pattern, check in _TESTS.items()]
        matched = [check(interval, *map(float, m.groups())) for m, check in found if m]
        if not matched:
            raise ValueError(f"no such rule: {test!r}")
        kept += matched
    return any(kept)


@dataclass(frozen=True)
class Ratio:
    """A claim about speed: by how much `over` exceeds `under`, round by round."""

    over: str
    under: str
    reproduced: str
    not_reproduced: str
    metric: str = "throughput"

    @property
    def rule(self) -> str:
        return f"{self.reproduced} is reproduced, {self.not_reproduced} is not"

    def verdict(self, interval: Interval) -> str:
        if satisfies(interval, self.reproduced):
            return REPRODUCED
        return NOT_REPRODUCED if satisfies(interval, self.not_reproduced) else INCONCLUSIVE


@dataclass(frozen=True)
class Outcome:
    """A claim about what the arms did, each side of it a question to {name: arm}."""

    rule: str
    reproduced: Callable[[Mapping[str, Json]], bool]
    not_reproduced: Callable[[Mapping[str, Json]], bool]

    def verdict(self, arms: Mapping[str, Json]) -> str:
        if self.reproduced(arms):
            return REPRODUCED
        return NOT_REPRODUCED if self.not_reproduced(arms) else INCONCLUSIVE


@dataclass(frozen=True)
class Cause:
    """What a control arm shows: `then` where the ratio keeps `when`, else `otherwise`."""

    over: str
    under: str
    when: str
    then: str
    otherwise: str
    metric: str = "throughput"


def words(interval: Interval) -> str:
    """What a ratio of throughputs says of the first against the second."""
    if satisfies(interval, SAME_WITHIN):
        return "no difference"
    if satisfies(interval, "> 1"):
        return "faster"
    return "slower" if satisfies(interval, "< 1") else "not enough data"


def arm(runs: Sequence[Run], **about: Any) -> Json:
    """An arm of a Result: its rounds as one run, and what the ratios take from each."""
    rounds = [
        {
            "throughput": run.throughput,
            "p50_s": run.latency_s["p50"],
            "p99_s": run.latency_s["p99"],
            "server_cpu_us": run.server_cpu_us,
            "client_cpu_us": run.client["cpu_us_per_request"],
            "elapsed_s": run.elapsed_s,
            "requests": run.requests,
            "ok": run.ok,
            "failed": run.failed,
            "errors": run.errors,
            "statuses": run.statuses,
            "doubts": doubts(run),
        }
        for run in runs
    ]
    return {"command": "", **about, "run": merge(runs), "rounds": rounds}


def add_ratio(result: Result, over: str, under: str, metric: str = "throughput") -> Interval | None:
    """Pair two arms round by round and note the ratio's interval in `result`, if there is one."""
    pairs = zip(result.arms[over]["rounds"], result.arms[under]["rounds"], strict=True)
    ratios = [a[metric] / b[metric] for a, b in pairs if a[metric] is not None and b[metric]]
    if interval := median_interval(ratios):
        result.ratios.append({"over": over, "under": under, "metric": metric, **vars(interval)})
    return interval


Claim = Ratio | Sequence[Ratio] | Outcome


def ratios_of(claim: Claim, era: str = "") -> list[Ratio]:
    """The ratios that a claim is about, between the arms of one era: "" is today, or THEN."""
    if isinstance(claim, Outcome):
        return []
    ratios = [claim] if isinstance(claim, Ratio) else claim
    return [replace(r, over=r.over + era, under=r.under + era) for r in ratios]


def rule_of(claim: Claim) -> str:
    """The rule of a claim, in words; of several ratios each with its arms."""
    if isinstance(claim, Ratio | Outcome):
        return claim.rule
    return "; ".join(f"{r.over} / {r.under} {r.rule}" for r in claim)


def decide(
    result: Result, claim: Claim, subject: Sequence[str] = (), era: str = ""
) -> tuple[str, list[str], list[Interval]]:
    """The verdict by the rule of a claim, the reasons where there is none, and the intervals.

    Of several ratios all must be reproduced, and any that is not settles it. `subject` names
    what is studied and so no reason for doubt. Old arms stand in an outcome for today's.
    """
    reasons: list[str] = []
    intervals: list[Interval] = []
    if isinstance(claim, Outcome):
        arms = {name: a for name, a in result.arms.items() if not name.endswith(THEN)}
        if era:
            old = {n.removesuffix(era): a for n, a in result.arms.items() if n.endswith(era)}
            arms |= old
        for name, each in arms.items():
            reasons += _gates(name, each, subject)
        verdict = claim.verdict(arms)
        if verdict == INCONCLUSIVE:
            reasons.append("what was seen decides neither way")
        return INCONCLUSIVE if reasons else verdict, reasons, intervals
    ratios, verdicts = ratios_of(claim, era), []
    for ratio in ratios:
        for name in (ratio.over, ratio.under):
            reasons += _gates(name, result.arms[name], subject, ratio.metric)
        if interval := add_ratio(result, ratio.over, ratio.under, ratio.metric):
            intervals.append(interval)
            verdicts.append(ratio.verdict(interval))
    if len(verdicts) < len(ratios):
        verdicts.append(INCONCLUSIVE)
        reasons.append("too few rounds for an interval: use --rounds 6 or more")
    elif INCONCLUSIVE in verdicts and NOT_REPRODUCED not in verdicts:
        reasons.append("the interval decides neither way: more --rounds give a narrower one")
    verdict = NOT_REPRODUCED if NOT_REPRODUCED in verdicts else REPRODUCED
    return INCONCLUSIVE if reasons else verdict, list(dict.fromkeys(reasons)), intervals


def was_run(result: Result, claim: Claim, era: str) -> bool:
    """Whether the arms of an era were run that a claim takes: both of a ratio, or any."""
    if isinstance(claim, Outcome):
        return any(name.endswith(era) for name in result.arms)
    return all({r.over, r.under} <= set(result.arms) for r in ratios_of(claim, era))


def _gates(name: str, arm: Json, subject: Sequence[str], metric: str = "") -> list[str]:
    """Why the rounds of an arm should not be believed; their spread counts for a metric."""
    rounds, reasons = arm["rounds"], []
    for topic in dict.fromkeys(topic for r in rounds for topic in r["doubts"]):
        found = [r["doubts"][topic] for r in rounds if topic in r["doubts"]]
        if topic not in subject:
            reasons.append(f"{name}, {len(found)} of {len(rounds)} rounds: {found[0]}")
    values = [r[metric] or 0.0 for r in rounds] if metric else []
    spread = float(np.std(values) / np.mean(values)) if any(values) else 0.0
    if spread > SPREAD and "spread" not in subject:
        reasons.append(
            f"{name}: its rounds spread by {percent(spread)}: "
            "quieten the machine, or use a longer --duration"
        )
    return reasons


def explain(result: Result, cause: Cause) -> None:
    """Say what a control arm shows, where both its arms were run."""
    if cause.over in result.arms and cause.under in result.arms:
        interval = add_ratio(result, cause.over, cause.under, cause.metric)
        if interval:
            text = cause.then if satisfies(interval, cause.when) else cause.otherwise
            result.cause.append(text.format(ratio=f"× {three_digits(interval.estimate)}"))


CLIENT_BUSY, FAILED_SHARE, LITTLE = 0.85, 0.001, 0.05
STEAL_SHARE, NEIGHBOUR_BUSY, SPREAD = 0.02, 0.2, 0.15
SENT_SHARE, LOOP_LAG_S, RESOLUTION = 0.98, 0.1, 3


def doubts(run: Run) -> dict[str, str]:
    """Why a run should not be believed: for each topic a sentence with the remedy."""
    client, load = run.client, run.load
    slots = min(load["connections"], load["requests"] or math.inf)
    closed = not load.get("rate") and not load.get("think_s")
    kinds = ", ".join(f"{n} {kind}" for kind, n in run.errors.items())
    failing = run.failed > FAILED_SHARE * run.requests
    neighbour = client["neighbour_busy"] if run.server else 0.0
    sent = client["sent"] / max(client["planned"], 1) if load.get("rate") else 1.0
    lag_s = run.histograms["send_lag_s"].percentile_s(50) or 0.0
    p50_s = run.histograms["latency_s"].percentile_s(50) or math.inf
    found = {
        "client": (client["busy"] > CLIENT_BUSY,
            f"the client used {percent(client['busy'])} of a core, so it was measured too: use "
            "fewer connections, or give it a core of its own"),
        "sent": (sent < SENT_SHARE,
            f"only {percent(sent)} of what was planned could be sent: use more connections (-c) "
            "or a lower rate (-q)"),
        "failures": (failing,
            f"{run.failed} of {run.requests} requests failed ({kinds}): look at what the server "
            "itself says"),
        "little": (closed and not failing and abs(client["in_flight"] / slots - 1) > LITTLE,
            f"{client['in_flight']:.1f} of {slots} connections were busy on average (Little's "
            "law): the client could not keep up, use fewer"),
        "lag": (client["loop_lag_s"] > LOOP_LAG_S,
            f"the client itself stood still for up to {duration(client['loop_lag_s'])}: close "
            "what else runs; in an open loop that is in the response times and in the send lag"),
        "resolution": (not closed and p50_s < RESOLUTION * lag_s,
            f"the p50 of {duration(p50_s)} is under the resolution: it is below three times the "
            f"send lag of {duration(lag_s)}, so read the service time, or use -c without -q"),
        "overflows": (client["listen_overflows"] > 0,
            f"a listen queue overflowed {client['listen_overflows']} times: raise the server's "
            "backlog, or open fewer connections at once"),
        "steal": (run.environment["steal"] > STEAL_SHARE,
            f"the hypervisor took {percent(run.environment['steal'])} of this machine: run again "
            "when its other guests are quiet"),
        "neighbour": (neighbour > NEIGHBOUR_BUSY,
            f"{client['neighbour']} used {percent(neighbour)} of a core: close it and run again"),
    }  # fmt: skip
    return {topic: sentence for topic, (true, sentence) in found.items() if true}


def judged(run: Run) -> Run:
    """The same run with what a request cost both sides, and with its validity."""
    processes = {id(run.client): run.load.get("processes", 1)}
    for account in (run.client, run.server or {"cpu_s": 0.0}):
        account["cpu_us_per_request"] = account["cpu_s"] / max(run.requests, 1) * 1e6
        shared = account["cpu_s"] / processes.get(id(account), 1)
        account["busy"] = shared / max(run.elapsed_s, 1e-9)
    found = doubts(run)
    reasons = list(found.values())
    if run.interrupted:
        reasons.insert(0, f"interrupted after {duration(run.elapsed_s)}: run it to its end")
    if not run.ok:
        reasons.insert(0, "no request was answered as expected: look at its statuses and errors")
    invalid = not run.ok or "sent" in found
    verdict = "INVALID" if invalid else "SUSPECT" if reasons else "VALID"
    run.validity = {"verdict": verdict, "reasons": reasons}
    return run


# ---- Objectives ----------------------------------------------------------------------
KEPT_UP = 0.95  # of the planned rate: below that, the queue grows for as long as it lasts


@dataclass(frozen=True)
class Objective:
    """One thing that a run must keep, such as p99 < 50 ms or failed < 0.1 %."""

    metric: str
    percentile: float | None  # of latency, where it is one
    above: bool  # whether the figure must be above the limit, and not below
    limit: float  # s, requests/s or a share

    @property
    def is_time(self) -> bool:
        return self.metric not in ("failed", "throughput")

    def broken(self, run: Run) -> bool:
        """Whether `run` breaks it. p99 < T is broken by more than 1 % of answers above T."""
        if self.percentile is not None and not self.above:
            allowed = run.ok * (100 - self.percentile) / 100
            return not run.ok or run.histograms["latency_s"].above(self.limit) > allowed + 1e-9
        value = self.value(run)
        return value is None or (value <= self.limit if self.above else value >= self.limit)

    def value(self, run: Run) -> float | None:
        if self.metric == "failed":
            return run.failed / run.requests if run.requests else None
        if self.metric == "throughput":
            return run.throughput
        if self.percentile is not None:
            return run.histograms["latency_s"].percentile_s(self.percentile, beyond=0)
        return run.latency_s[self.metric]

    def text(self, value: float | None) -> str:
        if value is None:
            return "-"
        if self.metric == "failed":
            return f"{three_digits(100 * value)} %"
        return duration(value) if self.is_time else f"{three_digits(value)}/s"


def objectives(text: str) -> list[Objective]:
    """Read "p99<50ms,failed<0.1%,throughput>200/s"; also mean, max, min and any percentile.

    Raises ValueError for anything else.
    """
    found = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = re.fullmatch(
            r"(failed|throughput|mean|max|min|p(\d+(?:\.\d+)?))\s*([<>])\s*(.+)", part
        )
        if not match or (match[2] and not 0 < float(match[2]) < 100):
            raise ValueError(f"{part!r} is no objective: write p99<50ms, failed<0.1% or mean<10ms")
        metric, percentile, sign, limit = match.groups()
        unit = {"failed": "%", "throughput": "/s"}.get(metric)
        if unit and not re.fullmatch(r"\d+(\.\d+)?", limit.removesuffix(unit)):
            raise ValueError(f"{part!r} is no objective: write {metric}{sign}1{unit}")
        value = float(limit.removesuffix(unit)) if unit else seconds(limit)
        value = value / 100 if metric == "failed" else value
        found.append(
            Objective(metric, float(percentile) if percentile else None, sign == ">", value)
        )
    return found


def broken(run: Run, objectives: Sequence[Objective]) -> list[str]:
    """A sentence for each objective that `run` breaks; also when it falls behind its plan."""
    found = [
        f"{o.metric} is {o.text(o.value(run))}, not {'above' if o.above else 'below'} "
        f"{o.text(o.limit)}"
        for o in objectives
        if o.broken(run)
    ]
    rate, asked_s = run.load.get("rate"), run.load.get("duration_s")
    if rate and asked_s and run.ok and run.throughput < KEPT_UP * run.client["planned"] / asked_s:
        found.append(f"it answered {three_digits(run.throughput)}/s of {rate:g}/s: it falls behind")
    return found


def point(run: Run) -> Json:
    """A run as a point of the curve of rate against response time."""
    figures = {"p50_s": run.latency_s["p50"], "p99_s": run.latency_s["p99"]}
    counts = {"throughput": run.throughput, "failed": run.failed, "requests": run.requests}
    return {"rate": run.load["rate"], **counts, **figures}


def point_line(point: Json) -> str:
    """A point of the curve in one line, as a search goes on."""
    times = f"p50 {duration(point['p50_s'])}, p99 {duration(point['p99_s'])}"
    word = "kept" if point["kept"] else "broken"
    return f"{point['rate']:>8.5g}/s  {times}, {point['failed']} failed: {word}"


# ---- Text ----------------------------------------------------------------------------
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def seconds(text: str) -> float:
    """Seconds of "10s", "1m30s", "500ms" or "0.5". Raises NoDuration."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|h|m|s|$)", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise NoDuration(f"{text!r} is no duration: write 10s, 1m30s or 500ms")
    unit_s = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0, "ms": 1e-3, "us": 1e-6}
    return float(sum(float(number) * unit_s[unit] for number, unit in parts))


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def three_digits(value: float) -> str:
    """A number at three significant digits, never in exponent form: 0.0123, 9.91, 196, 7890."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    if rounded and 2 - math.floor(math.log10(abs(rounded))) < digits:  # 9.999 became 10
        digits -= 1
    return f"{rounded:.{max(digits, 0)}f}"


def unit_of(values_s: Iterable[float | None]) -> tuple[float, str]:
    """The one unit for a column of durations: the largest in which its smallest is 1 or more."""
    smallest = min((v for v in values_s if v), default=1.0)
    return next(((size, name) for size, name in UNITS if smallest >= size), UNITS[-1])


def duration(value_s: float | None) -> str:
    """A duration in the unit that suits it: "102 ms"; None is a dash."""
    if value_s is None:
        return "-"
    size, name = unit_of([value_s])
    return f"{three_digits(value_s / size)} {name}"


def size(value_bytes: float) -> str:
    """A size in decimal units: "48 MB"."""
    for power, name in ((9, "GB"), (6, "MB"), (3, "kB")):
        if value_bytes >= 10**power:
            return f"{three_digits(value_bytes / 10**power)} {name}"
    return f"{value_bytes:.0f} bytes"


def wrapped(label: str, text: str, indent: int, width: int = WIDTH) -> str:
    """A label, and beside it a text that keeps to its column over several lines."""
    lines = textwrap.wrap(text, width - indent, break_on_hyphens=False) or [""]
    lead = f"{label:<{indent}}" if len(label) < indent else f"{label[:width]}\n{' ' * indent}"
    return lead + f"\n{' ' * indent}".join(lines)


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; `align` holds < or > for each column."""

    rows: list[list[str]]
    align: str

    def text(self) -> list[str]:
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        return [
            "  ".join(f"{c:{a}{w}}" for c, a, w in zip(row, self.align, widths, strict=False))
            for row in self.rows
        ]

    def markdown(self) -> list[str]:
        ruler = ["---" if a == "<" else "--:" for a in self.align[: len(self.rows[0])]]
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        return [f"| {' | '.join(row)} |" for row in [rows[0], ruler, *rows[1:]]]


Block = list[str] | Table


def render(blocks: Sequence[Block], markdown: bool = False, indent: int = 0) -> str:
    """Blocks under each other; in Markdown tables become tables, and the rest is fenced."""
    parts = []
    for block in blocks:
        lines = block if isinstance(block, list) else block.text()
        if isinstance(block, Table) and markdown:
            lines = block.markdown()
        text = "\n".join(line.rstrip() for line in "\n".join(lines).split("\n"))
        if not lines:
            continue
        if markdown and isinstance(block, list):
            text = f"```text\n{text}\n```"
        parts.append(text if markdown else textwrap.indent(text, " " * indent))
    return "\n\n".join(parts)


def edges_s(histograms: Sequence[Histogram], rows: int = 11) -> list[float]:
    """Round edges that all `histograms` share: linear for a short tail, else logarithmic.

    A tail that is long but thin (under 1 % of the samples) gets a last row of its own,
    beyond linear edges for all the rest.
    """
    summaries = [h.summary_s() for h in histograms if h.count]
    low = min(s["min"] or 0 for s in summaries)
    high = max(s["max"] or 0 for s in summaries)
    bulk = max(s["p99"] or s["max"] or 0 for s in summaries)
    top = bulk if bulk < high / 2 else high
    if top > 8 * low:
        return _logarithmic(low, high)
    rough = max(top - low, low / 100) / (rows - 2)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    edges = [n * step for n in range(math.floor(low / step), math.floor(top / step) + 2)]
    if edges[0] > low:
        edges.insert(0, edges[0] - step)
    return edges if edges[-1] > high else [*edges, math.inf]


def _logarithmic(low: float, high: float) -> list[float]:
    fine = math.log10(high / low) < 2
    steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if fine else (1.0, 2.0, 5.0)
    powers = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    marks = [s * 10.0**p for p in powers for s in steps]
    first = max(n for n, mark in enumerate(marks) if mark <= low)
    last = min(n for n, mark in enumerate(marks) if mark > high)
    return marks[first : last + 1]


def _told_apart(values: Sequence[float]) -> list[str]:
    """Numbers at as few significant digits, but three, as leave no two of them alike."""
    marks = [three_digits(value) for value in values]
    decimals = 0
    while len(set(marks)) < len(marks):
        marks = [f"{value:.{decimals}f}" for value in values]
        decimals += 1
    return marks


def histogram_rows(named: Mapping[str, Histogram]) -> list[str]:
    """One row for each pair of edges, one column of bars for each histogram."""
    shown = {name: h for name, h in named.items() if h.count}
    if not shown:
        return []
    edges = edges_s(list(shown.values()))
    scale, unit = unit_of(edges)
    marks = _told_apart([edge / scale for edge in edges])
    labels = [f"{a} to {b} {unit}" for a, b in pairwise(marks)]
    if math.isinf(edges[-1]):
        labels[-1] = f"over {marks[-2]} {unit}"
    elif edges[-1] > 1000 * edges[0]:  # no one unit suits them all
        units = [unit_of([low]) for low in edges]
        labels = [
            f"{three_digits(low / scale)} to {three_digits(high / scale)} {unit}"
            for (low, high), (scale, unit) in zip(pairwise(edges), units, strict=False)
        ]
    indent = max(map(len, [*labels, "response time"])) + 2
    room = max((WIDTH - 4 - indent) // len(shown), 12)
    shown = dict(list(shown.items())[: (WIDTH - 4 - indent) // room])
    titles = "".join(f"{name[: room - 2]:<{room}}" for name in shown)
    lines = [f"{'response time':<{indent}}{titles}"] if len(named) > 1 else []
    counts = [histogram.between(edges) for histogram in shown.values()]
    for row, label in enumerate(labels):
        cells = []
        for column in counts:
            digits = len(str(max(column)))
            bar = "■" * round(column[row] / max(column) * (room - digits - 3))
            tail = f" {column[row]}" if bar else f"{column[row]}"
            cells.append(f"|{bar}{tail if column[row] else ''}".ljust(room))
        lines.append(f"{label:<{indent}}{''.join(cells)}".rstrip())
    return lines


def load_line(load: Json) -> str:
    """What was asked for, in words."""
    amount = [f"{load['requests']} requests"] if load.get("requests") else []
    amount += [duration(load["duration_s"])] if load.get("duration_s") else []
    connections = f"{load['connections']} connections"
    if not load.get("keepalive", True):
        connections += ", a new one for each request"
    loop = "closed loop"
    if load.get("rate"):
        loop = f"open loop at {load['rate']:g}/s, {load['arrivals']} arrivals"
    elif load.get("think_s"):
        low, high = map(duration, load["think_s"])
        loop += (
            f", {low} to {high} between requests" if low != high else f", {low} between requests"
        )
    client = f"{load['client']} client"
    if load.get("processes", 1) > 1:
        client += f" in {load['processes']} processes"
    return ", ".join([connections, loop, " or ".join(amount), client])


def environment_line(environment: Json) -> str:
    versions = [f"{package} {version}" for package, version in environment["packages"].items()]
    python, cores = f"Python {environment['python']}", f"{environment['cores']} cores"
    return ", ".join([*versions, python, environment["cpu"], cores])


def report(run: Run, markdown: bool = False) -> str:
    """One run as text: what was asked, what came back, and whether to believe it."""
    asked = textwrap.wrap(load_line(run.load), WIDTH)
    blocks: list[Block] = [[run.name[:WIDTH], *asked], _summary(run)]
    if run.ok:
        summary = run.latency_s
        shown = {k: summary[k] for k in ("min", *(f"p{p:g}" for p in PERCENTILES), "max")}
        scale, unit = unit_of(shown.values())
        cells = [
            [f"  {k}", "-" if v is None else three_digits(v / scale)] for k, v in shown.items()
        ]
        bars = histogram_rows({"": run.histograms["latency_s"]})
        too_few = f"  - fewer than {SAMPLES_BEYOND} samples beyond it"
        note = [too_few] if None in shown.values() else []
        blocks += [
            ["Response time histogram", *(f"  {bar}" for bar in bars)],
            [f"Latency distribution ({unit})", *Table(cells, "<>").text(), *note],
        ]
    for title, counts in (("Status codes", run.statuses), ("Errors", run.errors)):
        cells = [[f"  {key}", str(n)] for key, n in sorted(counts.items())]
        blocks.append([title, *(Table(cells, "<>").text() if cells else ["  none"])])
    if run.targets:
        blocks += [["Targets"], target_table(run.targets)]
    if run.curve:
        blocks += [["Rates tried"], curve_table(run.curve)]
    if run.slo:
        blocks.append(_objective_lines(run.slo))
    reasons = [wrapped("  -", reason, 4) for reason in run.validity["reasons"]]
    return render([*blocks, [run.validity["verdict"], *reasons]], markdown)


def target_table(targets: Sequence[Json]) -> Table:
    """A row of figures for each target of a run."""
    scale, unit = unit_of(t["latency_s"][key] for t in targets for key in ("p50", "p99"))
    rows = [["target", "ok", "failed", f"p50 {unit}", f"p99 {unit}"]]
    for target in targets:
        times = [target["latency_s"][key] for key in ("p50", "p99")]
        cells = ["-" if v is None else three_digits(v / scale) for v in times]
        rows.append([target["name"][:40], str(target["ok"]), str(target["failed"]), *cells])
    return Table(rows, "<>>>>")


def _objective_lines(slo: Json) -> list[str]:
    """Whether the objective was kept, and the highest rate that keeps it, where it was sought."""
    lines = [f"Objective {slo['asked']}"]
    if "max_rate" in slo and slo["max_rate"] is None:
        lines.append("  no rate keeps it")
    elif "max_rate" in slo:
        lines.append(f"  kept up to {three_digits(slo['max_rate'])} requests/s")
    elif not slo["broken"]:
        lines.append("  kept")
    return lines + [wrapped("  -", f"broken: {sentence}", 4) for sentence in slo["broken"]]


def _summary(run: Run) -> list[str]:
    latency, client, server = run.latency_s, run.client, run.server
    times = [
        f"{what} {duration(run.connections[key])}"
        for what, key in (("DNS", "dns_s"), ("connect", "connect_s"), ("TLS", "tls_s"))
        if run.connections.get(key)
    ]
    facts = {
        "requests": f"{run.requests}: {run.ok} ok, {run.failed} failed"
        + f", {run.unfinished} unfinished" * bool(run.unfinished),
        "elapsed": duration(run.elapsed_s),
        "throughput": f"{three_digits(run.throughput)} requests/s (those that are ok)",
        "response time": f"{duration(latency['mean'])} mean, {duration(latency['stdev'])} stdev",
        **_open_loop_facts(run),
        "connections": f"{run.connections['opened']} opened"
        + f" ({', '.join(times)})" * bool(times),
        "client": f"{three_digits(client['cpu_us_per_request'])} CPU µs a request, "
        f"{percent(client['busy'])} of a core",
    }
    if server:
        facts["server"] = (
            f"{three_digits(run.server_cpu_us or 0)} CPU µs a request, "
            f"{size(server['rss_bytes'])} at its peak, "
            f"{server['processes']} processes, {server['threads']} threads"
        )
    return ["Summary", *(wrapped(f"  {label}", text, 17) for label, text in facts.items())]


def _open_loop_facts(run: Run) -> dict[str, str]:
    """What an open loop has beside the response time, which counts from the plan."""
    if not run.load.get("rate"):
        return {}
    facts = {}
    for label, key in (("service time", "service_s"), ("send lag", "send_lag_s")):
        p50_s, p99_s = map(run.histograms[key].percentile_s, (50, 99))
        facts[label] = f"p50 {duration(p50_s)}, p99 {duration(p99_s)}"
    planned, sent = run.client["planned"], run.client["sent"]
    return facts | {"planned": f"{planned} requests, {sent} of them sent"}


def arm_table(arms: Mapping[str, Json]) -> Table:
    """A row of figures for each arm; one unit a column, requests/s the median of the rounds."""
    runs = {name: arm["run"] for name, arm in arms.items()}
    summaries = [run.latency_s for run in runs.values()]
    columns = [["arm", *runs], ["requests/s"], ["p50"], ["p99"], ["failed"]]
    columns[1] += [
        three_digits(np.median([r["throughput"] for r in a["rounds"]])) for a in arms.values()
    ]
    scale, unit = unit_of(summary[key] for summary in summaries for key in ("p50", "p99"))
    for column in columns[2:4]:
        values = [summary[column[0]] for summary in summaries]
        column += ["-" if v is None else three_digits(v / scale) for v in values]
        column[0] += f" {unit}"
    columns[4] += [str(run.failed) for run in runs.values()]
    if all(run.server for run in runs.values()):
        columns.append(
            ["CPU µs/req", *(three_digits(run.server_cpu_us or 0) for run in runs.values())]
        )
        columns.append(
            ["RSS MB", *(three_digits(run.server["rss_bytes"] / 1e6) for run in runs.values())]
        )
    for title in dict.fromkeys(title for a in arms.values() for title in a.get("columns", {})):
        columns.append([title, *(a.get("columns", {}).get(title, "-") for a in arms.values())])
    while True:
        room = WIDTH - 4 - sum(max(map(len, column)) + 2 for column in columns[1:])
        least = min(16, max(map(len, columns[0])))
        if room >= least or len(columns) < 4:
            break
        standard = [n for n, column in enumerate(columns) if column[0] in ("RSS MB", "CPU µs/req")]
        del columns[max(standard, default=-1)]  # what was asked for goes last
    columns[0] = [name[:room] for name in columns[0]]
    return Table([list(row) for row in zip(*columns, strict=True)], "<" + ">" * len(columns))


def curve_table(points: Sequence[Json]) -> Table:
    """What a server did at each rate it was asked for, one unit for both response times."""
    scale, unit = unit_of(point[key] for point in points for key in ("p50_s", "p99_s"))
    rows = [["rate", "requests/s", f"p50 {unit}", f"p99 {unit}", "failed"]]
    for point in points:
        times = [point["p50_s"], point["p99_s"]]
        cells = ["-" if v is None else three_digits(v / scale) for v in times]
        rates = [three_digits(point[key]) for key in ("rate", "throughput")]
        rows.append([*rates, *cells, str(point["failed"])])
    return Table(rows, ">>>>>")


def compare(runs: Sequence[Run], markdown: bool = False) -> str:
    """Several runs beside each other; the first is the baseline of the ratios.

    A run each has no interval: for that, let loadgen.py run the URLs in rounds.
    """
    alike = len({run.name[:20] for run in runs}) < len(runs)
    labels = [f"{n} {run.name}" if alike else run.name for n, run in enumerate(runs, 1)]
    result = Result(
        name="",
        title=f"{len(runs)} runs, each against the first",
        started=runs[0].started,
        arms={label: arm([run]) for label, run in zip(labels, runs, strict=True)},
        environment=runs[0].environment,
    )
    if base := runs[0].throughput:
        for label, run in zip(labels[1:], runs[1:], strict=True):
            ratio = f"× {three_digits(run.throughput / base)}"
            result.cause.append(f"{label} / {labels[0]} {ratio}, of one run each: no interval")
    for label, run in zip(labels, runs, strict=True):
        result.reasons += [f"{label}: {reason}" for reason in run.validity["reasons"]]
    return report_result(result, markdown)


def measured(record: Run | Result) -> dict[str, Run]:
    """The runs that a record holds, by the name of the arm."""
    if isinstance(record, Run):
        return {record.name: record}
    return {name: arm["run"] for name, arm in record.arms.items()}


def text_of(record: Run | Result, markdown: bool = False) -> str:
    if isinstance(record, Run):
        return report(record, markdown)
    return report_result(record, markdown)


def report_result(result: Result, markdown: bool = False) -> str:
    """A comparison or an experiment with its verdict."""
    width = WIDTH - 4
    number = result.name.split("_")[0] if result.claim else ""
    blocks: list[Block] = [_head(result, width)]
    if result.evidence:
        asked = max(len(entry["arm"]) for entry in result.evidence) + 2
        lines = [f"{'asked':<{asked}}status  answer"]
        for entry in result.evidence:
            lead = f"{entry['arm']:<{asked}}{entry['status']:>6}"
            lines.append(wrapped(lead, entry["answer"][:300], asked + 8, width))
        blocks.append(lines)
    if runs := measured(result):
        shared = [name for name, arm in result.arms.items() if arm.get("workers", 1) > 1]
        share = f"{', '.join(shared)}: several workers, on the same cores as the client"
        notes = textwrap.wrap(share, width) if shared else []
        first = result.ratios[0] if result.ratios else {}
        shown = [first["under"], first["over"]] if first else list(runs)[:4]
        bars = histogram_rows({name: runs[name].histograms["latency_s"] for name in shown})
        blocks += [arm_table(result.arms), notes, bars]
    for name, arm in result.arms.items():
        if arm.get("curve"):
            blocks += [textwrap.wrap(f"{name}, in an open loop", width), curve_table(arm["curve"])]
    blocks.append([wrapped("-", sentence, 2, width) for sentence in result.findings])
    blocks.append(_verdict_lines(result, width))
    title = wrapped(number, result.title, 4)
    if markdown:
        title = f"### {number} {result.title}" if number else f"### {result.title}"
    return f"{title}\n{render(blocks, markdown, indent=4)}"


def _head(result: Result, width: int) -> list[str]:
    load, lines = result.load, textwrap.wrap(result.source, width)
    facts = {"expect": result.expect, "with": environment_line(result.environment), "load": ""}
    if load:
        facts["load"] = f"{load_line(load)}, {load['rounds']} rounds, seed {load['seed']}"
        if load["launches"] > 1:
            facts["load"] += f", each server launched {load['launches']} times"
    if result.mode == "quick":
        facts["mode"] = "--quick: a smoke verdict, with rounds too short to quote"
    lines += [wrapped(label, text, 9, width) for label, text in facts.items() if text]
    asked = [*result.evidence, *result.arms.values()]
    for command in dict.fromkeys(entry["command"] for entry in asked if entry["command"]):
        pieces = textwrap.wrap(command, width - 6, break_long_words=False, break_on_hyphens=False)
        lines.append("$ " + " \\\n    ".join(pieces))
    return lines


def _verdict_lines(result: Result, width: int) -> list[str]:
    """Each ratio, the rule, the verdict or why there is none, and the cause."""
    rows = {}
    for ratio in result.ratios:
        interval = Interval.of(ratio)
        says = "" if result.claim else f", {words(interval)}"
        rows[f"{ratio['over']} / {ratio['under']}{METRICS[ratio['metric']]}"] = f"{interval}{says}"
    rows |= {"rule": result.rule} if result.rule else {}
    indent = min(max(map(len, rows), default=0) + 2, width // 2)
    lines = [wrapped(label, text, indent, width) for label, text in rows.items()]
    if len(result.arms) > 1 and not result.ratios and not result.claim and not result.cause:
        lines.append("not enough data: use --rounds 6 or more")
    smoke = " (smoke)" if result.mode == "quick" else ""
    lines += [f"{result.verdict}{smoke}"] if result.verdict else []
    lines += [wrapped("  -", reason, 4, width) for reason in result.reasons]
    lines += [wrapped("then", result.then, 8, width)] if result.then else []
    label = "cause" if result.claim else "ratio"
    return lines + [wrapped(label, cause, 8, width) for cause in result.cause]


# ---- The table of claims -------------------------------------------------------------
TABLE_BEGIN = "<!-- made by: python summarize.py --claims results -->"
TABLE_END = "<!-- end of claims -->"


def claims_table(folder: Path) -> str:
    """The Markdown table of all results recorded in `folder`, one row for each experiment.

    Raises Unreadable where there are none.
    """
    rows = [["", "claim", "source", "now", "then", "measured", "cause", "recorded"]]
    for path in sorted(folder.glob("[0-9]*.json")):
        if not isinstance(result := read(path), Result):
            raise Unreadable(f"{path}: the record of one run; expected that of an experiment")
        measured = "; ".join(f"{e['arm']}: {e['status']}" for e in result.evidence)
        for ratio in result.ratios[:1] if not measured else []:
            measured = f"{ratio['over']} / {ratio['under']} {Interval.of(ratio)}"
        number = f"[{result.name.split('_')[0]}](experiments/{result.name}.py)"
        now, cause = f"**{result.verdict}**", "; ".join(result.cause)
        made = f"{result.started[:10]}, {environment_line(result.environment)}"
        then = result.then or "-"
        rows.append([number, result.claim, result.source, now, then, measured, cause, made])
    if len(rows) == 1:
        raise Unreadable(f"{folder}: no recorded results; make one with an experiment's --save")
    return "\n".join(Table(rows, "<" * 8).markdown())


def stale(readme: Path, table: str) -> bool:
    """Whether the table between the marks of `readme` differs from `table`."""
    text = readme.read_text(encoding="utf-8")
    if TABLE_BEGIN not in text or TABLE_END not in text:
        raise Unreadable(f"{readme}: no table between {TABLE_BEGIN!r} and {TABLE_END!r}")
    return text.split(TABLE_BEGIN)[1].split(TABLE_END)[0].strip() != table.strip()


# ---- Pictures ------------------------------------------------------------------------
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito


def picture(name: str) -> Path:
    """The path of a picture to draw; its name must end in .svg or .png."""
    if not name.endswith((".svg", ".png")):
        raise argparse.ArgumentTypeError(f"{name!r} must end in .svg or .png")
    return Path(name)


def plot(records: Sequence[Run | Result], path: Path) -> None:
    """Draw response time against percentile, with the nines evenly spaced."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = [run for record in records for run in measured(record).items()]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for colour, (name, run) in zip(COLOURS * len(runs), runs, strict=False):
        histogram = run.histograms["latency_s"]
        lowest, width = _layout(len(histogram.counts))
        used = np.flatnonzero(histogram.counts)
        beyond = histogram.count - np.cumsum(histogram.counts[used])
        x = histogram.count / np.maximum(beyond, 1)
        axes.step(x, (lowest + width)[used] / 1e6, where="post", color=colour, label=name)
    axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="response time (ms)")
    axes.set_xticks([1, 2, 10, 100, 1000, 10_000], ["0", "50", "90", "99", "99.9", "99.99"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


# ---- Command line --------------------------------------------------------------------
def show(text: str) -> None:
    """Print, for as long as somebody reads."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> Parser:
    parser = Parser(
        prog="summarize.py",
        usage="python summarize.py [options] [FILE …]",
        description="Turn recorded runs into text: one as a report, several as a comparison.",
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="records; none or - is standard input")
    add("--markdown", action="store_true", help="as Markdown to paste")
    add("--plot", metavar="FILE", type=picture, help="also draw an .svg or .png")
    add("--claims", metavar="DIR", type=Path, help="the table of recorded claims")
    add("--check", metavar="README", type=Path, help="with --claims: exit 1 if its table is stale")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status: 0, 1 unreadable or stale, 2 usage."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.check and not options.claims:
        parser.error("--check goes with --claims DIR")
    if not options.files and not options.claims and sys.stdin.isatty():
        parser.error("name a FILE that loadgen.py -o wrote, or pipe one in")
    try:
        if options.claims:
            table = claims_table(options.claims)
            if options.check and stale(options.check, table):
                again = f"python summarize.py --claims {options.claims}"
                raise Unreadable(f"{options.check}: its table is stale: put in what `{again}` says")
            show(table if not options.check else f"{options.check}: its table is up to date")
            return 0
        records = [read(None if f == "-" else Path(f)) for f in options.files or ["-"]]
        runs = [record for record in records if isinstance(record, Run)]
        if len(runs) > 1:
            texts = [compare(runs, options.markdown)]
            texts += [text_of(r, options.markdown) for r in records if isinstance(r, Result)]
        else:
            texts = [text_of(record, options.markdown) for record in records]
        show("\n\n".join(texts))
        if options.plot:
            plot(records, options.plot)
    except (Unreadable, OSError) as error:
        print(f"summarize.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
