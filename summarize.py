"""Turn recorded runs into text: one run as a report, several as a comparison.

    python summarize.py run.json               a report
    python summarize.py a.json b.csv page.md   one table, shared histogram edges, the ratios
    python summarize.py old.json new.json      two results of one experiment: what changed
    python loadgen.py -o - URL | python summarize.py
    python summarize.py --merge 1.json 2.json --percentiles 50,99.9 --hgrm both.hgrm
    python summarize.py --claims results       the table of claims, in Markdown
    python summarize.py --claims results --check README.md

A file is a record of ours or what another load generator wrote, known by its content: hey
(text, csv), ab (text, -g, -e), wrk, wrk2, vegeta (ndjson, csv, reports), oha (json, csv), k6
(json), Locust (_stats.csv), autocannon and bombardier (json), HdrHistogram (.hgrm, .hlog); or
a page that quotes the texts among them.

As a library: ``from summarize import Run, read, report, compare``. This module owns the
records (`Run`, `Result`, and `Foreign` of other tools), the statistics of a verdict and every
text that is printed. It touches no network. Times are seconds and sizes bytes unless a name
says otherwise; what cannot be read raises `Unreadable`, whose text is one line.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import statistics
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn, Self

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

WIDTH = 79
PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
SAMPLES_BEYOND = 10  # a percentile with fewer samples beyond it is not shown
CONFIDENCE = 0.95

Json = dict[str, Any]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as all errors of this project are, and whose
    help keeps to the width.
    """

    def __init__(self, **options: Any) -> None:
        form = partial(argparse.RawDescriptionHelpFormatter, width=WIDTH)
        super().__init__(allow_abbrev=False, formatter_class=form, **options)

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

    def record(self, values_ns: NDArray[np.int64], counts: NDArray[np.int64] | None = None) -> None:
        """Add values, shape (n,), in ns, each as often as `counts` says, if it is given.

        What is beyond 1 ns or 1 h is counted at that end.
        """
        if not len(values_ns):
            return
        values = np.clip(values_ns, 1, LONGEST_NS)
        bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)
        bucket = np.maximum(bits - 1 - _HALF_BITS, 0)
        slots = (bucket << _HALF_BITS) + (values >> bucket)
        first = int(slots.min())
        found = np.bincount(slots - first, counts).astype(np.int64, copy=False)
        self.counts[first : first + len(found)] += found
        self.hdr.total_count += len(values) if counts is None else int(counts.sum())
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
    Where another tool measured, and gave no samples, `quoted_s` has the times that it gave.
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
    quoted_s: Json = field(default_factory=dict)

    FORMAT = "loadgen-run/1"

    @property
    def requests(self) -> int:
        return self.ok + self.failed + self.unfinished

    @property
    def throughput(self) -> float:
        """Successes a second of the measured window."""
        return self.ok / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def histogram(self) -> Histogram:
        return self.histograms["latency_s"]

    @property
    def latency_s(self) -> dict[str, float | None]:
        return self.quoted_s or self.histogram.summary_s()

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
    client |= {
        key: sum(c.get(key, 0) for c in clients)
        for key in ("cpu_s", "queued_s", "listen_overflows")
    }
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
        quoted_s={
            key: None if None in values else statistics.median(values)
            for key in first.quoted_s
            for values in [[run.quoted_s[key] for run in runs]]
        },
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
        for name, arm in result.arms.items():
            if not arm["rounds"]:
                raise Unreadable(f"not a whole record: no rounds of {name}")
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


# ---- What other tools write ----------------------------------------------------------
FIGURES = ("min", "mean", "stdev", *(f"p{p:g}" for p in PERCENTILES), "max")
BLOCK, LARGEST = 1 << 22, 1 << 26  # bytes: read at once of a list of samples; of all else, in all
LONGEST_SERIES_S = 7 * 24 * 3600


@dataclass(kw_only=True)
class Foreign:
    """What another tool says of one run of load. What it does not say is None, or empty.

    Only where the tool wrote down every sample is there a `histogram`, of those that are ok,
    as in a Run. Else `latency_s` is what the tool prints, without the percentiles that the
    count cannot carry, and `buckets` maps an upper edge in seconds to the samples since the
    edge before. `rate` is its own figure, in requests/s; `cannot_know` says in a line what
    the source leaves out or gets wrong.
    """

    name: str
    source: str
    cannot_know: str
    started: str = ""
    elapsed_s: float | None = None
    load: Json = field(default_factory=dict)
    requests: int | None = None
    failed: int | None = None
    rate: float | None = None
    statuses: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    latency_s: dict[str, float | None] = field(default_factory=dict)
    buckets: dict[float, int] = field(default_factory=dict)
    histogram: Histogram | None = None
    series: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        said = self.histogram.summary_s() if self.histogram else self.latency_s
        self.latency_s = {key: said.get(key) for key in [*FIGURES, *(said.keys() - FIGURES)]}
        for key in self.latency_s.keys() - {"min", "mean", "stdev", "max"}:
            if (self.requests or math.inf) * (100 - float(key[1:])) < 100 * SAMPLES_BEYOND - 1e-6:
                self.latency_s[key] = None

    @property
    def ok(self) -> int | None:
        return None if self.requests is None or self.failed is None else self.requests - self.failed

    @property
    def throughput(self) -> float | None:
        """Successes a second; where the source does not tell them apart, its own figure."""
        return self.ok / self.elapsed_s if self.ok is not None and self.elapsed_s else self.rate


@dataclass(frozen=True)
class Reader:
    """One form of output: how it is known, and the function that reads it.

    `looks` is, for "samples" and "file", the pattern a file begins with; for "text", that of
    the first lines of the output, wherever in a page they stand; for "json", the keys of the
    object. `read` is given blocks of lines, the text, or the object. It returns the fields of
    a Foreign, and raises for what is missing or cut off.
    """

    form: str
    source: str
    looks: str
    cannot_know: str
    read: Callable[[Any], Json]


READERS: list[Reader] = []
_Read = Callable[[Any], Json]


def reads(form: str, source: str, looks: str, cannot_know: str) -> Callable[[_Read], _Read]:
    """Register a reader."""

    def register(read: _Read) -> _Read:
        READERS.append(Reader(form, source, looks, cannot_know, read))
        return read

    return register


def _latency(said: Mapping[str, Any], scale_s: float = 1.0) -> dict[str, float]:
    """Our keys for the min, mean, stdev, max and percentiles in `said`, whatever it calls them."""
    names = {"average": "mean", "fastest": "min", "slowest": "max", "stddev": "stdev"}
    names |= {"p0": "min", "p100": "max"}
    found: dict[str, float] = {}
    for name, value in said.items():
        rank = re.fullmatch(r"p?(\d{1,3}(?:[._]\d+)?)(?:th|%)?", name)
        key = f"p{float(rank[1].replace('_', '.')):g}" if rank else name.lower()
        key = names.get(key, key)
        if (rank or key in FIGURES) and value is not None and math.isfinite(float(value)):
            found.setdefault(key, float(value) * scale_s)
    return found


def _outcome(statuses: Mapping[str, Any], errors: Mapping[str, Any]) -> Json:
    """The counts that follow from those of the answers, and of the requests without one."""
    answers, lost = ({k: int(n) for k, n in c.items() if int(n)} for c in (statuses, errors))
    unanswered = sum(lost.values())
    bad = sum(n for status, n in answers.items() if not 200 <= int(status) < 400)
    counts = {"requests": sum(answers.values()) + unanswered, "failed": bad + unanswered}
    return {**counts, "statuses": answers, "errors": lost}


def _found(pattern: str, text: str) -> tuple[str, ...]:
    """The groups of what must be there."""
    if match := re.search(pattern, text):
        return match.groups()
    begins = re.match(r"[A-Za-z /]*", re.sub(r"\(.*?\) ", "", pattern, count=1))
    raise Unreadable(f"cut off: no {begins[0] if begins else pattern!r}")


_SPANS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def _seconds(text: str) -> float:
    """A duration as wrk and Go write it, "20.51ms" or "1m0.5s"; NaN for anything else."""
    parts = re.findall(r"([\d.]+)(h|ms|m|s|us|µs|ns)", text)
    return sum(float(n) * _SPANS_S[unit] for n, unit in parts) if parts else math.nan


# ---- Lists of samples
class Samples:
    """What a list of samples adds up to, however long it is.

    For the seconds of the first hour their response times are kept too, in steps of 2 %.
    """

    STEPS, SERIES_S = 1500, 3600

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.statuses: Counter[int] = Counter()
        self.began_s, self.ended_s = math.inf, -math.inf
        self.per_second = np.zeros((0, 2), dtype=np.int64)  # ok and failed
        self.times = np.zeros((0, self.STEPS), dtype=np.int32)

    def add(
        self,
        latency_s: NDArray[np.float64],
        statuses: NDArray[np.int64],
        starts_s: NDArray[np.float64] | None = None,
    ) -> None:
        """Add samples, three arrays of shape (n,); status 0 is a request without an answer."""
        if not len(latency_s):
            return
        if statuses.min() < 0 or statuses.max() > 599 or not np.isfinite(latency_s).all():
            raise Unreadable("a status beyond 599, or a response time that is no number")
        self.statuses.update(dict(enumerate(np.bincount(statuses).tolist())))
        ok = (statuses >= 200) & (statuses < 400)
        latency_ns = np.rint(latency_s * 1e9)
        self.histogram.record(latency_ns[ok].astype(np.int64))
        if starts_s is not None:
            self._add_seconds(latency_ns, starts_s, ok)

    def _add_seconds(
        self, latency_ns: NDArray[np.float64], starts_s: NDArray[np.float64], ok: NDArray[np.bool_]
    ) -> None:
        ends_s = starts_s + latency_ns / 1e9
        if math.isinf(self.began_s):
            self.zero_s = float(starts_s.min())
        self.began_s = min(self.began_s, float(starts_s.min()))
        self.ended_s = max(self.ended_s, float(ends_s.max()))
        if self.ended_s - self.began_s > LONGEST_SERIES_S:
            raise Unreadable("its time stamps are more than a week apart")
        seconds = np.maximum(ends_s - self.zero_s, 0).astype(np.int64)
        more = max(int(seconds.max()) + 1 - len(self.per_second), 0)
        self.per_second = np.pad(self.per_second, ((0, more), (0, 0)))
        np.add.at(self.per_second, (seconds, (~ok).astype(int)), 1)
        more = min(len(self.per_second), self.SERIES_S) - len(self.times)
        self.times = np.pad(self.times, ((0, more), (0, 0)))
        kept = ok & (seconds < self.SERIES_S)
        steps = np.rint(50 * np.log(np.maximum(latency_ns[kept], 1))).astype(int)
        np.add.at(self.times, (seconds[kept], np.minimum(steps, self.STEPS - 1)), 1)

    def fields(self) -> Json:
        found = {str(status): n for status, n in sorted(self.statuses.items()) if n}
        if not found:
            raise Unreadable("no sample in it")
        errors = {"no answer": found.pop("0")} if "0" in found else {}
        elapsed_s = self.ended_s - self.began_s if math.isfinite(self.began_s) else None
        series: list[Json] = []
        for n, (ok, failed) in enumerate(self.per_second.tolist(), 1):
            series.append({"time": min(n, elapsed_s or n), "ok": ok, "failed": failed})
            if ok and n <= self.SERIES_S:
                ranks = np.searchsorted(np.cumsum(self.times[n - 1]), [ok * 0.5, ok * 0.99])
                p50_s, p99_s = np.exp(ranks / 50) / 1e9
                series[-1] |= {"p50": float(p50_s), "p99": float(p99_s)}
        fields = {"elapsed_s": elapsed_s, "histogram": self.histogram, "series": series}
        return fields | _outcome(found, errors)


def _blocks(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    """The lines of a file, some megabytes of whole ones at a time."""
    rest = head
    while more := stream.read(BLOCK):
        whole, newline, tail = (rest + more).rpartition(b"\n")
        if newline:
            yield whole.replace(b"\r", b"") + newline if b"\r" in whole else whole + newline
        if len(tail) > LARGEST:
            raise Unreadable(f"a line of more than {size(LARGEST)}")
        rest = tail
    if rest.strip():
        yield rest.replace(b"\r", b"").rstrip(b"\n") + b"\n"


def _numbers(
    data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The decimal numbers that stand at data[begin:end], read all at once; NaN for another text."""
    widths = ends - begins
    values, scale = np.zeros(len(begins)), np.ones(len(begins))
    fraction, bad = np.zeros(len(begins), dtype=bool), (widths < 1) | (widths > 30)
    for place in range(min(int(widths.max(initial=0)), 30)):
        inside = place < widths
        digit = data[np.minimum(begins + place, len(data) - 1)] - np.uint8(48)
        point = digit == 254  # "." is 46
        bad |= inside & ((digit > 9) & ~point | point & fraction)
        inside &= ~point
        values = np.where(inside, values * 10 + digit, values)
        scale[inside & fraction] *= 10
        fraction |= point
    return np.where(bad, np.nan, values / scale)


def _columns(
    blocks: Iterable[bytes],
    count: int,
    latency: tuple[int, float],
    status: int | None = None,
    start: tuple[int, float] | None = None,
    separator: str = ",",
    header: bool = True,
) -> Json:
    """Read samples from `count` columns, named from 0; a time as its column and its unit in s."""
    samples, line = Samples(), 1
    wanted = [column for column in (latency[0], status, start and start[0]) if column is not None]
    for block in blocks:
        data = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(data == 10)
        begins = np.concatenate([[0], ends[:-1] + 1])
        skip = int(header and line == 1)
        begins, ends, line = begins[skip:], ends[skip:], line + skip
        marks = np.append(np.flatnonzero(data == ord(separator)), np.full(count, len(data)))
        first = np.searchsorted(marks, begins)
        cut = np.searchsorted(marks, ends) - first < count - 1
        found = {}
        for column in wanted:
            left = marks[first + column - 1] + 1 if column else begins
            found[column] = _numbers(data, left, np.minimum(marks[first + column], ends))
            bad = cut | np.isnan(found[column])
            if column == status:
                bad |= (found[column] > 0) & ((found[column] < 100) | (found[column] >= 600))
            if bad.any():
                line += int(np.argmax(bad))
                raise Unreadable(f"cut off or damaged in line {line}")
        codes = np.full(len(begins), 200) if status is None else found[status].astype(np.int64)
        starts_s = found[start[0]] * start[1] if start else None
        samples.add(found[latency[0]] * latency[1], codes, starts_s)
        line += len(ends)
    return samples.fields()


@reads("samples", "hey csv", r"response-time,DNS\+dialup,",
       "requests without an answer, and all after the first million")  # fmt: skip
def _hey_csv(blocks: Iterable[bytes]) -> Json:
    return _columns(blocks, 8, latency=(0, 1.0), status=6, start=(7, 1.0))


@reads("samples", "ab -g", r"starttime\tseconds\tctime\t",
       "how long it took, and what failed; whole milliseconds")  # fmt: skip
def _ab_gnuplot(blocks: Iterable[bytes]) -> Json:
    counts = _columns(blocks, 6, latency=(4, 1e-3), separator="\t")
    return counts | {"statuses": {}, "failed": None}


@reads("samples", "oha csv", r"request-start,DNS,", "requests without an answer")
def _oha_csv(blocks: Iterable[bytes]) -> Json:
    return _columns(blocks, 7, latency=(4, 1.0), status=6, start=(0, 1.0))


VEGETA = "how late a request was sent: its clock starts when a worker is free"


@reads("samples", "vegeta csv", r"\d{16,19},\d{1,3},\d+,\d+,\d+,", VEGETA)
def _vegeta_csv(blocks: Iterable[bytes]) -> Json:
    return _columns(blocks, 12, latency=(2, 1e-9), status=1, start=(0, 1e-9), header=False)


def _lines(
    blocks: Iterable[bytes], sample: Callable[[Json], tuple[str, Any, float] | None]
) -> Json:
    """Read samples from a JSON object a line: time stamp, status and latency in seconds."""
    samples, line = Samples(), 1
    for block in blocks:
        objects = block.decode("utf-8", "replace").strip("\n").replace("\n", ",\n")
        found: list[tuple[str, Any, float] | None] = []
        try:
            for each in json.loads(f"[{objects}]"):
                found.append(sample(each))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            line += getattr(error, "lineno", len(found) + 1) - 1
            raise Unreadable(f"cut off or damaged in line {line}: {error!r:.60}") from error
        line += len(found)
        if kept := [each for each in found if each]:
            stamps, statuses, latency_s = zip(*kept, strict=True)
            starts_s = np.array([datetime.fromisoformat(stamp).timestamp() for stamp in stamps])
            samples.add(np.array(latency_s, float), np.array(statuses, int), starts_s)
    return samples.fields()


@reads("samples", "vegeta", r'\{(?=[^\n]*"timestamp":\s*")[^\n]*"latency":\s*\d', VEGETA)
def _vegeta(blocks: Iterable[bytes]) -> Json:
    return _lines(blocks, lambda hit: (hit["timestamp"], hit["code"], hit["latency"] / 1e9))


@reads("samples", "k6", r'\{(?=[^\n]*"metric":\s*")[^\n]*"type":\s*"(?:Metric|Point)"',
       "the time that a connection took: it is not in http_req_duration")  # fmt: skip
def _k6(blocks: Iterable[bytes]) -> Json:
    def sample(entry: Json) -> tuple[str, Any, float] | None:
        if entry["metric"] != "http_req_duration" or entry["type"] != "Point":
            return None
        data, tags = entry["data"], entry["data"]["tags"]
        lasted_s = data["value"] / 1e3
        ended = datetime.fromisoformat(data["time"]) - timedelta(seconds=lasted_s)
        return ended.isoformat(), int(tags["status"]), lasted_s

    return _lines(blocks, sample)


# ---- Sums, percentiles and buckets
@reads("text", "hey", r"Summary:\s+Total:\s+[\d.]+ secs",
       "its requests/s counts errors, its response times leave them out")  # fmt: skip
def _hey(text: str) -> Json:
    rate = float(_found(r"Requests/sec:\s+([\d.]+)\s", text)[0])
    said = dict(re.findall(r"(Total|Slowest|Fastest|Average):\s+([\d.]+) secs", text)[:4])
    elapsed_s = float(said.pop("Total"))
    rows = re.findall(r"[\d.]+ \[(\d+)\]\s*\|", text)
    if len(rows) not in (0, 11):
        raise Unreadable("cut off in its histogram")
    said |= {p: v for p, v in re.findall(r"(\d+%) in ([\d.]+) secs", text) if p != "0%"}
    statuses = dict(re.findall(r"\[(\d+)\]\s+(\d+) responses", text))
    errors = {kind: n for n, kind in re.findall(r"^ +\[(\d+)\]\t(?!\d+ resp|\|)(.+)", text, re.M)}
    counts = _outcome(statuses, errors) if statuses or errors else {}
    if rate * elapsed_s > 1.001e6:  # it counts the codes of the first million only
        counts = counts and {"errors": counts["errors"]}
    elif counts and abs(counts["requests"] - rate * elapsed_s) > 1 + rate * 1e-4:
        raise Unreadable("cut off in its status codes")
    latency_s = _latency(said) if float(said.get("Slowest", 0)) else {}
    low, high = latency_s.get("min") or 0.0, latency_s.get("max") or 0.0
    marks = [low + n * (high - low) / 10 for n in range(len(rows))]  # printed to three decimals
    told = {"elapsed_s": elapsed_s, "rate": rate, "requests": round(rate * elapsed_s)}
    return {
        **told,
        "latency_s": latency_s,
        "buckets": dict(zip(marks, map(int, rows), strict=True)),
        **counts,
    }


@reads("text", "ab", r"(?:Server Software:[^%]{0,400}?)?Concurrency Level:\s+\d+",
       "whole milliseconds; answers of another length are failures only to ab")  # fmt: skip
def _ab(text: str) -> Json:
    def count(what: str) -> int:
        return int(found[1]) if (found := re.search(rf"{what}:\s+(\d+)", text)) else 0

    elapsed_s, rate = (
        float(_found(pattern, text)[0])
        for pattern in (
            r"Time taken for tests:\s+([\d.]+) s",
            r"Requests per second:\s+([\d.]+) \[",
        )
    )
    url = re.search(r"name:\s+(\S+?)\s*Server Port:\s+(\d+)\s*Document Path:\s+(/.*?)\s*Doc", text)
    names = {"connect": r"\(Connect", "receive": "Receive", "exceptions": "Exceptions"}
    errors = {kind: count(what) for kind, what in names.items()}
    errors["status"] = count("Non-2xx responses")
    said = dict(re.findall(r"(\d+%)\s+(\d+)\s", text.partition("served within")[2]))
    if table := re.search(r"Total:" + r"\s+([\d.]+)" * 5 + r"(?=[\sP])", text):
        said |= dict(zip(("min", "mean", "stdev", "p50", "max"), table.groups(), strict=True))
    return {
        "name": "http://{}:{}{}".format(*url.groups()) if url else "",
        "load": {"connections": count("Concurrency Level"), "keepalive": "Keep-Alive req" in text},
        "requests": int(_found(r"Complete requests:\s+(\d+)", text)[0]),
        "failed": sum(errors.values()),
        "errors": {kind: n for kind, n in errors.items() if n},
        "elapsed_s": elapsed_s,
        "rate": rate,
        "latency_s": _latency(said, 1e-3),
    }


@reads("text", "wrk", r"Running \S+ test @ \S+",
       "requests that were not answered in its time-out")  # fmt: skip
def _wrk(text: str) -> Json:
    asked, url = _found(r"Running (\S+) test @ (\S+)", text)
    rate = float(_found(r"Requests/sec:\s+([\d.]+)\s", text)[0])
    answered, elapsed = _found(r"(\d+) requests in ([^ ,]+),", text)
    errors = dict(re.findall(r"(connect|read|write|timeout) (\d+)", text.partition("errors:")[2]))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors["status"] = bad[1] if bad else "0"
    corrected = text.partition("Uncorrected Latency")[0]
    figures = _found(r"Latency\s+(\S+)\s+(\S+)\s+(\S+)\s", text)
    said = dict(zip(("mean", "stdev", "max"), figures, strict=True))
    said |= dict(re.findall(r"^\s*(\d[\d.]*%)\s+(\d[\d.]*[a-z]+)\s*$", corrected, re.M))
    fields: Json = {"errors": {kind: int(n) for kind, n in errors.items() if int(n)}}
    if "calibration" in text or "HdrHistogram" in text:
        fields |= {"source": "wrk2", "cannot_know": "the response times of its first 10 s"}
    failed = sum(fields["errors"].values())
    return fields | {
        "name": url,
        "load": {
            "connections": int(_found(r"threads and (\d+) connections", text)[0]),
            "duration_s": _seconds(asked),
        },
        "elapsed_s": int(answered) / rate if rate else _seconds(elapsed),  # to more digits
        "rate": rate,
        "requests": int(answered) + failed - int(errors["status"]),
        "failed": failed,
        "latency_s": _latency({key: _seconds(value) for key, value in said.items()}),
    }


@reads("text", "vegeta", r"Requests\s+\[total, rate", VEGETA)
def _vegeta_text(text: str) -> Json:
    def row(name: str) -> dict[str, str]:
        labels, values = _found(rf"{name}\s+\[([^]]+)\][ \t]+(\S.*)", text)
        return dict(zip(labels.split(", "), values.strip().split(", "), strict=True))

    requests, lasted, said = row("Requests"), row("Duration"), row("Latencies")
    statuses = dict(pair.split(":") for pair in row("Status Codes")["code:count"].split())
    lost = {"no answer": statuses.pop("0")} if "0" in statuses else {}
    counts = _outcome(statuses, lost)
    if counts["requests"] != int(requests["total"]):
        raise Unreadable("cut off in its status codes")
    return counts | {
        "load": {"rate": float(requests["rate"])},
        "elapsed_s": _seconds(lasted["total"]),
        "latency_s": _latency({key: _seconds(value) for key, value in said.items()}),
    }


# ---- One object of JSON
@reads("json", "vegeta", "latencies status_codes requests", VEGETA)
def _vegeta_json(data: Json) -> Json:
    statuses = dict(data["status_codes"])
    lost = {"no answer": statuses.pop("0")} if "0" in statuses else {}
    edges = sorted((int(edge), n) for edge, n in (data.get("buckets") or {}).items())
    uppers = [edge / 1e9 for edge, _ in edges[1:]] + [math.inf]
    return _outcome(statuses, lost) | {
        "started": data.get("earliest"),
        "load": {"rate": data["rate"]},
        "elapsed_s": (data["duration"] + data["wait"]) / 1e9,
        "latency_s": _latency(data["latencies"], 1e-9),
        "buckets": dict(zip(uppers, (n for _, n in edges), strict=False)),
    }


@reads("json", "oha", "summary latencyPercentiles statusCodeDistribution",
       "requests without an answer in its response times; 1.6 to 1.13 correct wrongly")  # fmt: skip
def _oha(data: Json) -> Json:
    summary = data["summary"]
    buckets = sorted((float(edge), n) for edge, n in data["responseTimeHistogram"].items())
    errors = dict(data["errorDistribution"])
    errors.pop("aborted due to deadline", None)  # were under way when the time was up
    return _outcome(data["statusCodeDistribution"], errors) | {
        "elapsed_s": summary["total"],
        "latency_s": _latency(summary | data["latencyPercentiles"]),
        "buckets": dict(buckets),
    }


@reads("json", "autocannon", "latency requests throughput non2xx", "whole milliseconds")
def _autocannon(data: Json) -> Json:
    statuses = {code: each["count"] for code, each in data["statusCodeStats"].items()}
    fields = _outcome(statuses, {"connection": data["errors"], "mismatch": data["mismatches"]})
    latency, total = data["latency"], data["requests"]["total"]
    if latency["totalCount"] > 1.01 * total:
        counts = f"it has {latency['totalCount']} of {total} requests"
        fields["cannot_know"] = f"response times: {counts}, most of them made up"
        latency = {}
    return fields | {
        "name": data["url"],
        "started": data["start"],
        "load": {"connections": data["connections"]},
        "elapsed_s": data["duration"],
        "latency_s": _latency(latency, 1e-3),
    }


@reads("json", "bombardier", "spec result", "the shortest response time")
def _bombardier(data: Json) -> Json:
    spec, result = data["spec"], data["result"]
    statuses = {f"{n}00": result[f"req{n}xx"] for n in range(1, 6)}
    fields = _outcome(statuses, {"no answer": result["others"]})
    return fields | {
        "name": spec["url"],
        "load": {"connections": spec["numberOfConnections"], "rate": spec.get("rate")},
        "elapsed_s": result["timeTakenSeconds"],
        "statuses": {f"{code[0]}xx": n for code, n in fields["statuses"].items()},
        "latency_s": _latency(result["latency"] | result["latency"].get("percentiles", {}), 1e-6),
    }


# ---- Whole files of text
@reads("file", "Locust", r"Type,Name,Request Count,Failure Count,",
       "failures are in its response times; two digits above 100 ms")  # fmt: skip
def _locust(text: str) -> Json:
    rows = list(csv.DictReader(text.splitlines()))
    if not rows or rows[-1]["Name"] != "Aggregated" or not rows[-1].get("100%"):
        raise Unreadable("cut off: no whole row 'Aggregated'")
    row = rows[-1]
    requests, rate = int(row["Request Count"]), float(row["Requests/s"])
    said = {key.removesuffix(" Response Time"): v for key, v in row.items() if v != "N/A"}
    return {
        "requests": requests,
        "failed": int(row["Failure Count"]),
        "elapsed_s": requests / rate if rate else None,
        "latency_s": _latency(said, 1e-3),
    }


@reads("file", "ab -e", r"Percentage served,Time in ms", "anything but percentiles")
def _ab_percentiles(text: str) -> Json:
    said = dict(line.split(",") for line in text.split()[4:])
    times = [float(value) for value in said.values()]
    if "100" not in said or times != sorted(times):
        raise Unreadable("cut off: no whole row 100")
    return {"latency_s": _latency(said, 1e-3)}


@reads("file", "hgrm", r"\s*Value(?:\(\w+\))?\s+Percentile\s+TotalCount",
       "how long it took, and what failed; each percentile is that of its next row")  # fmt: skip
def _hgrm(text: str) -> Json:
    unit = re.match(r"\s*Value\((\w+)\)", text)
    rows = re.findall(r"^\s*([\d.]+)\s+([\d.]+)\s+(\d+)(?:\s+\S+)?\s*$", text, re.M)
    if not rows or float(rows[-1][1]) < 1:
        raise Unreadable("cut off: no row of percentile 1")
    totals = np.array([int(total) for _, _, total in rows])
    if np.any(np.diff(totals) < 0):
        raise Unreadable("cut off in its last row")
    said = {"max": rows[-1][0]} | ({"min": rows[0][0]} if float(rows[0][1]) == 0 else {})
    for rank in PERCENTILES:
        said[f"p{rank:g}"] = rows[int(np.searchsorted(totals, totals[-1] * rank / 100 - 1e-9))][0]
    said |= dict(re.findall(r"(Mean|Max)\s*=\s*([\d.]+)[],]", text))  # some scale no StdDeviation
    fields = {"requests": int(totals[-1]), "latency_s": _latency(said, 1e-3)}
    if unit:
        return fields | {"latency_s": _latency(said, _SPANS_S[unit[1]])}
    return fields | {"cannot_know": "its unit (taken as ms), how long it took, and what failed"}


@reads("file", "hlog", r"(?:#.*\n)*\s*\"StartTimestamp\",\"Interval_Length\"", "what failed")
def _hlog(text: str) -> Json:
    """Its values have no unit but the one that makes their maximum Interval_Max, in ms."""
    histogram, series, began_s, ended_s = Histogram(), [], math.inf, -math.inf
    for line in text.splitlines():
        fields = line.removeprefix("Tag=").split(",")[-4:]
        if line.startswith(("#", '"')) or not line.strip():
            continue
        start_s, length_s, highest_ms = map(float, fields[:3])
        part = Histogram.decode(fields[3])
        began_s, ended_s = min(began_s, start_s), max(ended_s, start_s + length_s)
        if part.count:
            power = round(math.log10(part.hdr.max_value / highest_ms)) if highest_ms else 6
            used = np.flatnonzero(part.counts)
            values_ns = _layout(len(part.counts))[0][used] * 10 ** (6 - power)
            counts, part = part.counts[used], Histogram()
            part.record(values_ns, counts)
            histogram.add(part)
        p50, p99 = part.percentile_s(50), part.percentile_s(99)
        second: Json = {"ok": part.count, "failed": 0, "p50": p50, "p99": p99}
        series.append({"time": ended_s - began_s} | second)
    return {
        "requests": histogram.count,
        "elapsed_s": ended_s - began_s if series else None,
        "rate": histogram.count / (ended_s - began_s) if ended_s > began_s else None,
        "histogram": histogram,
        "series": series,
    }


def _page(text: str) -> list[Json]:
    """Each output of a known tool that a page quotes, named by the line above it."""
    readers = [reader for reader in READERS if reader.form == "text"]
    found = [(match, reader) for reader in readers for match in re.finditer(reader.looks, text)]
    found.sort(key=lambda each: each[0].start())
    ends = [match.start() for match, _ in found[1:]] + [len(text)]
    outputs = []
    for (match, reader), end in zip(found, ends, strict=False):
        fields = _fields(reader, text[match.start() : end])
        above = re.sub(r"^\W*(```|~~~).*", "", text[: match.start()], flags=re.M).splitlines()
        titles = [title for line in above if (title := line.strip("#*>$`: \t"))]
        if len(found) > 1 and titles:
            fields["name"] = titles[-1]
        outputs.append(fields)
    return outputs


def _fields(reader: Reader, content: Any) -> Json:
    try:
        fields = reader.read(content)
    except Unreadable as error:
        raise Unreadable(f"{reader.source}: {error}") from error
    return {"source": reader.source, "cannot_know": reader.cannot_know, **fields}


def _records(stream: BinaryIO, name: str) -> list[Run | Result | Foreign]:
    head = stream.read(1 << 16)
    beginning = head.decode("utf-8-sig", "replace")
    for reader in READERS:
        if reader.form == "samples" and re.match(reader.looks, beginning):
            return [_foreign(_fields(reader, _blocks(stream, head)), name)]
    content = head + stream.read(LARGEST - len(head))
    if len(content) == LARGEST:
        raise Unreadable(f"over {size(LARGEST)}, and no list of samples that is known")
    text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    if not text.strip():
        raise Unreadable("nothing in it; expected a record, or what a load generator wrote")
    for reader in READERS:
        if reader.form == "file" and re.match(reader.looks, text):
            return [_foreign(_fields(reader, text), name)]
    if outputs := _page(text):
        return [_foreign(fields, name) for fields in outputs]
    first = re.search(r"^\{", text, re.M)  # some tools talk before they write JSON
    try:
        data = json.loads(text[first.start() :] if first else text)
    except (ValueError, RecursionError) as error:
        expected = "expected a record, or what a load generator wrote"
        raise Unreadable(f"not JSON ({error}); {expected}") from error
    keys = data.keys() if isinstance(data, dict) else set()
    for reader in READERS:
        if reader.form == "json" and keys >= {*reader.looks.split()}:
            return [_foreign(_fields(reader, data), name)]
    kind = data["format"] if "format" in keys else None
    if kind not in (Run.FORMAT, Result.FORMAT):
        raise Unreadable("JSON, but no record of loadgen.py (no known `format`)")
    return [Run.from_json(data) if kind == Run.FORMAT else Result.from_json(data)]


def _foreign(fields: Json, name: str) -> Foreign:
    texts = {"name": str(fields.get("name") or name), "started": str(fields.get("started") or "")}
    return Foreign(**fields | texts)


def read_all(path: Path | None) -> list[Run | Result | Foreign]:
    """Every record in a file, or in standard input: more than one where a page quotes several
    outputs. Raises Unreadable with one line.
    """
    label = "standard input" if path is None else str(path)
    try:
        with nullcontext(sys.stdin.buffer) if path is None else path.open("rb") as stream:
            records = _records(stream, path.stem if path else label)
        for record in records:
            text_of(record)  # what is damaged shows itself here, and not half way down a page
        return records
    except OSError as error:
        raise Unreadable(f"{label}: {error.strerror}") from error
    except Unreadable as error:
        raise Unreadable(f"{label}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise Unreadable(f"{label}: not a whole record: {error!r}") from error


def read(path: Path | None) -> Run | Result | Foreign:
    """The one record in a file, or in standard input. Raises Unreadable with one line."""
    records = read_all(path)
    if len(records) > 1:
        raise Unreadable(f"{path or 'standard input'}: {len(records)} outputs, expected one")
    return records[0]


# ---- What decides --------------------------------------------------------------------
REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "REPRODUCED", "NOT REPRODUCED", "INCONCLUSIVE"
NOT_ENOUGH = "not enough data"
SAME_WITHIN = "inside 0.95 to 1.05"
THEN = ", then"  # what the name of an arm on old versions ends in
METRICS = {
    "throughput": "",
    "p50_s": " p50",
    "p99_s": " p99",
    "server_cpu_us": " CPU µs a request",
    "client_cpu_us": " client CPU µs",
    "elapsed_s": " time",
}


@dataclass(frozen=True)
class Interval:
    """A median, and an interval that holds the true one with probability `confidence`.

    It rests on `rounds`; or on `launches`, where these differ more than their rounds explain.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    rounds: int
    launches: int = 0

    @classmethod
    def of(cls, ratio: Json) -> Interval:
        return cls(**{key: ratio[key] for key in cls.__dataclass_fields__ if key in ratio})

    def __str__(self) -> str:
        low, high = three_digits(self.low), three_digits(self.high)
        covers = f"{100 * self.confidence:.1f} %"
        over = f"{self.launches} unlike launches" if self.launches else f"{self.rounds} rounds"
        return f"× {three_digits(self.estimate)} ({low} to {high} at {covers}, {over})"


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
    return Interval(statistics.median(ordered), ordered[k - 1], ordered[n - k], coverage, n)


STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # 97.5 %, from 1 df


def over_launches(values: Sequence[float], launches: Sequence[int]) -> Interval | None:
    """The interval for the median of ratios, shape (n,), from rounds in several launches.

    Rounds of one launch share what that launch was dealt: its memory layout, its cores, which
    worker took which connection. Where launches differ more than their rounds explain (a mean
    square between them above that within, F > 1), the exact interval over the rounds is
    widened until it holds Student's interval of the launches' means as well, both on the
    logarithms. Where they do not differ, it is that over the rounds. Over normal launch effects
    of any size this covers the truth in 94 % of simulated cases or more, that over the rounds
    in as few as 71 % (tests/test_verdicts.py). What no launch showed, no interval can hold.
    Sources: Kalibera and Jones, Rigorous Benchmarking in Reasonable Time, ISMM 2013 (launches
    as the outer level); Searle, Casella and McCulloch, Variance Components, section 3.6.
    """
    interval = median_interval(values)
    if interval is None or min(values) <= 0 or len(set(launches)) < 2:
        return interval
    groups = [
        np.log([v for v, n in zip(values, launches, strict=True) if n == launch])
        for launch in sorted(set(launches))
    ]
    if min(map(len, groups)) < 2:
        return interval
    means = [float(np.mean(group)) for group in groups]
    variance = float(np.var(means, ddof=1))  # of a launch's mean
    within = np.mean([np.var(group, ddof=1) / len(group) for group in groups])
    if variance <= within:
        return interval
    t = STUDENT_T[min(len(groups) - 1, len(STUDENT_T)) - 1]
    half, middle = t * math.sqrt(variance / len(groups)), float(np.mean(means))
    low = min(interval.low, math.exp(middle - half))
    high = max(interval.high, math.exp(middle + half))
    return replace(interval, low=low, high=high, confidence=CONFIDENCE, launches=len(groups))


_TESTS: dict[str, Callable[..., bool]] = {
    r"> ([\d.]+)": lambda i, a: i.low > a,
    r"< ([\d.]+)": lambda i, a: i.high < a,
    r"inside ([\d.]+) to ([\d.]+)": lambda i, a, b: i.low >= a and i.high <= b,
    r"outside ([\d.]+) to ([\d.]+)": lambda i, a, b: i.high < a or i.low > b,
    r"overlaps ([\d.]+) to ([\d.]+)": lambda i, a, b: i.low <= b and i.high >= a,
    r"holds ([\d.]+) inside ([\d.]+) to ([\d.]+)": (
        lambda i, x, a, b: a <= i.low <= x <= i.high <= b
    ),
}


def satisfies(interval: Interval, rule: str) -> bool:
    """Whether the interval keeps `rule`: "> 5" (all of it is above), "< 2", "inside 1.05
    to 1.5", "outside 2 to 5", "overlaps 24 to 96", "holds 1 inside 0.95 to 1.05", or several
    of them joined by " or ".

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
    return "slower" if satisfies(interval, "< 1") else NOT_ENOUGH


def arm(runs: Sequence[Run], launches: Sequence[int] = (), **about: Any) -> Json:
    """An arm of a Result: its rounds as one run, and what the ratios take from each; in
    `launches` the number of the launch that each was of. That a client shares its core with
    several workers is known of the arm, and no doubt.
    """
    shared = {"queued"} if about.get("workers", 1) > 1 else set()
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
            "launch": launch,
            "doubts": {k: why for k, why in doubts(run).items() if k not in shared},
        }
        for run, launch in zip(runs, launches or [0] * len(runs), strict=True)
    ]
    return {"command": "", **about, "run": merge(runs), "rounds": rounds}


def add_ratio(
    result: Result, over: str, under: str, metric: str = "throughput", subject: Sequence[str] = ()
) -> Interval | None:
    """Pair two arms round by round and note the ratio's interval in `result`, if there is one.

    There is none of an arm that did not do what it was asked to, but for its `subject`.
    """
    arms = [result.arms[name]["rounds"] for name in (over, under)]
    found = {topic for rounds in arms for r in rounds for topic in r["doubts"]}
    if found & set(BROKEN) - set(subject):
        return None
    pairs = [(a, b) for a, b in zip(*arms, strict=True) if a[metric] is not None and b[metric]]
    ratios = [a[metric] / b[metric] for a, b in pairs]
    interval = over_launches(ratios, [a.get("launch", 0) for a, _ in pairs])
    if interval:
        result.ratios.append({"over": over, "under": under, "metric": metric, **vars(interval)})
    return interval


def weigh(result: Result, over: str, under: str) -> None:
    """Compare two arms of a result that makes no claim: the ratio, or why there is doubt."""
    for name in (over, under):
        result.reasons += _gates(result, name, (), "throughput")
    result.reasons = list(dict.fromkeys(result.reasons))
    add_ratio(result, over, under)


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
    return "; ".join(f"{r.over} / {r.under}{METRICS[r.metric]} {r.rule}" for r in claim)


def decide(
    result: Result, claim: Claim, subject: Sequence[str] = (), era: str = ""
) -> tuple[str, list[str], list[Interval]]:
    """The verdict by the rule of a claim, the reasons where there is none, and the intervals.

    Of several ratios all must be reproduced, and any that is not settles it. `subject` names
    what is studied and so no reason for doubt. Old arms stand in an outcome for today's.
    """
    reasons: list[str] = []
    if isinstance(claim, Outcome):
        arms = {name: a for name, a in result.arms.items() if not name.endswith(THEN)}
        old = {n.removesuffix(THEN): a for n, a in result.arms.items() if n.endswith(THEN)}
        verdict = claim.verdict(arms | old if era else arms)
        for name in [n + THEN if n in old and era else n for n in arms]:
            reasons += _gates(result, name, subject)
        if verdict == INCONCLUSIVE:
            reasons.append("what was seen decides neither way: is the rule complete?")
        return INCONCLUSIVE if reasons else verdict, reasons, []
    ratios, intervals, verdicts = ratios_of(claim, era), [], []
    for ratio in ratios:
        for name in (ratio.over, ratio.under):
            reasons += _gates(result, name, subject, ratio.metric)
        interval = add_ratio(result, ratio.over, ratio.under, ratio.metric, subject)
        if interval:
            intervals.append(interval)
            verdicts.append(ratio.verdict(interval))
            result.ratios[-1]["claim"] = not era
    reasons = list(dict.fromkeys(reasons))
    few = median_interval([1.0] * result.load["rounds"]) is None
    if few or (len(verdicts) < len(ratios) and not reasons):
        reasons.append("too few rounds for an interval: use --rounds 6 or more")
    elif INCONCLUSIVE in verdicts and NOT_REPRODUCED not in verdicts:
        reasons.append(f"the interval decides neither way: {_narrower(result, intervals)}")
    verdict = NOT_REPRODUCED if NOT_REPRODUCED in verdicts else REPRODUCED
    return INCONCLUSIVE if reasons else verdict, reasons, intervals


def was_run(result: Result, claim: Claim, era: str) -> bool:
    """Whether the arms of an era were run that a claim takes: both of a ratio, or any."""
    if isinstance(claim, Outcome):
        return any(name.endswith(era) for name in result.arms)
    return all({r.over, r.under} <= set(result.arms) for r in ratios_of(claim, era))


def _narrower(result: Result, intervals: Sequence[Interval]) -> str:
    """What to do about an interval that is too wide."""
    more = 2 * result.load["rounds"]
    if any(interval.launches for interval in intervals):
        more = max(more, 30)  # --full launches a server for each five rounds
        return f"launches of a server differ; use --full --rounds {more}, which makes more of them"
    return "use --full, or --rounds 15" if more < 30 else f"use --rounds {more}"


def _longer_s(load: Json, spread: float) -> str:
    """A round long enough to halve the spread, or to bring it within its limit."""
    wanted_s = (load.get("duration_s") or 1.0) * max(4.0, 1.5 * (spread / SPREAD) ** 2)
    power = 10.0 ** math.floor(math.log10(wanted_s))
    return f"{next(n * power for n in (1, 2, 3, 5, 10) if n * power >= wanted_s * 0.999):g}s"


def _doubted(rounds: Sequence[Json]) -> dict[str, list[str]]:
    """The doubts in an arm's rounds, {topic: sentences}. Noise in a fifth of them moves no end
    of the interval inwards, and is let pass.
    """
    found: dict[str, list[str]] = {}
    for topic, sentence in (item for r in rounds for item in r["doubts"].items()):
        found.setdefault(topic, []).append(sentence)
    few = len(rounds) // 5
    return {topic: said for topic, said in found.items() if topic not in LIMITS or len(said) > few}


def _gates(result: Result, name: str, subject: Sequence[str], metric: str = "") -> list[str]:
    """Why the rounds of an arm should not be believed; their spread counts for a metric."""
    rounds = result.arms[name]["rounds"]
    reasons = [
        f"{name}, {len(found)} of {len(rounds)} rounds: {found[0]}"
        for topic, found in _doubted(rounds).items()
        if topic not in subject
    ]
    values = [r[metric] or 0.0 for r in rounds] if metric else []
    spread = float(np.std(values) / np.mean(values)) if any(values) else 0.0
    if spread > SPREAD and "spread" not in subject:
        longer = _longer_s(result.arms[name]["run"].load, spread)
        reasons.append(
            f"{name}: its rounds spread by {percent(spread)} where {percent(SPREAD)} can be "
            f"believed: use --duration {longer}, and let nothing else run"
        )
    return reasons


def explain(result: Result, cause: Cause, subject: Sequence[str] = ()) -> None:
    """Say what a control arm shows, where both its arms were run, or why it shows nothing."""
    if not {cause.over, cause.under} <= set(result.arms):
        return
    doubt = [r for n in (cause.over, cause.under) for r in _gates(result, n, subject, cause.metric)]
    interval = add_ratio(result, cause.over, cause.under, cause.metric, subject)
    if doubt:
        result.cause.append(f"{cause.over} / {cause.under} is in doubt: {doubt[0]}")
    elif interval:
        text = cause.then if satisfies(interval, cause.when) else cause.otherwise
        result.cause.append(text.format(ratio=f"× {three_digits(interval.estimate)}"))


def explain_limit(result: Result, ratio: Ratio) -> None:
    """Where not the servers limited the throughput, say what a request costs them instead."""
    found = [_doubted(result.arms[name]["rounds"]) for name in (ratio.over, ratio.under)]
    if ratio.metric == "throughput" and set(LIMITS) & {topic for each in found for topic in each}:
        interval = add_ratio(result, ratio.over, ratio.under, "server_cpu_us")
        if interval:
            result.cause.append(
                f"not the servers alone limited the throughput; a request costs {ratio.over} "
                f"{interval} of the CPU time it costs {ratio.under}"
            )


CLIENT_BUSY, FAILED_SHARE, LITTLE = 0.85, 0.001, 0.05
STEAL_SHARE, NEIGHBOUR_BUSY, SPREAD = 0.02, 0.2, 0.15
BROKEN = ("failures", "overflows", "restarts")  # with one of these no ratio is taken
LIMITS = ("client", "queued", "lag", "steal", "neighbour")  # not of the server
WAKE_UP_S = 1e-3  # a send lag below is the client's own, above that of a queue
SENT_SHARE, LOOP_LAG_S, RESOLUTION, QUEUED = 0.98, 0.1, 3, 0.2


def doubts(run: Run) -> dict[str, str]:
    """Why a run should not be believed: for each topic a sentence with the remedy."""
    client, load, server = run.client, run.load, run.server or {}
    queued = client.get("queued_s", 0.0) / load.get("processes", 1) / max(run.elapsed_s, 1e-9)
    slots = min(load["connections"], load["requests"] or math.inf)
    closed = not load.get("rate") and not load.get("think_s")
    kinds = ", ".join(f"{n} {kind}" for kind, n in run.errors.items())
    failing = run.failed > FAILED_SHARE * run.requests
    neighbour = client["neighbour_busy"] if run.server else 0.0
    sent = client["sent"] / max(client["planned"], 1) if load.get("rate") else 1.0
    lag_s = run.histograms["send_lag_s"].percentile_s(50) or 0.0
    p50_s = run.histograms["latency_s"].percentile_s(50) or math.inf
    replaced = server.get("replaced", 0)
    faster = (
        "use --client wire" if load["client"] == "aiohttp"
        else "go by the CPU time of a request, or use a machine with more cores"
    )  # fmt: skip
    found = {
        "client": (client["busy"] > CLIENT_BUSY,
            f"the load generator used {percent(client['busy'])} of a core, so its own speed was "
            f"measured: {faster}"),
        "queued": (queued > QUEUED,
            f"the load generator waited {percent(queued)} of the time for a core that others "
            "used: close them, or give it a core of its own"),
        "sent": (sent < SENT_SHARE,
            f"only {percent(sent)} of what was planned could be sent: use more connections (-c) "
            "or a lower rate (-q)"),
        "failures": (failing,
            f"{run.failed} of {run.requests} requests failed ({kinds}): look at what the server "
            "itself says, and mend that first"),
        "little": (closed and not failing and abs(client["in_flight"] / slots - 1) > LITTLE,
            f"{client['in_flight']:.1f} of {slots} connections were busy on average (Little's "
            "law), so the load generator could not keep up: use fewer --connections"),
        "lag": (client["loop_lag_s"] > LOOP_LAG_S,
            f"the load generator itself stood still for up to {duration(client['loop_lag_s'])}: "
            "close what else runs; in an open loop that is in the response times and the send lag"),
        "resolution": (not closed and p50_s < RESOLUTION * lag_s,
            f"the p50 of {duration(p50_s)} is under the resolution: it is below three times the "
            f"send lag of {duration(lag_s)}, so read the service time" if lag_s < WAKE_UP_S else
            f"the p50 of {duration(p50_s)} is mostly send lag, {duration(lag_s)}: requests waited "
            "for a connection, so use more (-c), if the server should not be what they wait for"),
        "overflows": (client["listen_overflows"] > 0,
            f"the queue of new connections was full {client['listen_overflows']} times, and who "
            "is turned away waits for a second or more: raise the server's backlog, or use fewer "
            "--connections"),
        "restarts": (replaced > 0,
            f"{replaced} of the server's processes ended, so its start was measured, too: look "
            "at what it says, and switch off what restarts it"),
        "steal": (run.environment["steal"] > STEAL_SHARE,
            f"the host of this virtual machine kept {percent(run.environment['steal'])} of its "
            "time for others: run again when they are quiet"),
        "neighbour": (neighbour > NEIGHBOUR_BUSY,
            f"close {client['neighbour']}: it used {percent(neighbour)} of a core meanwhile"),
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


def many(count: int, thing: str) -> str:
    """A count of things: "1 round", "6 rounds", "2 processes"."""
    return f"{count} {thing}{'' if count == 1 else 'es' if thing[-1] == 's' else 's'}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def three_digits(value: float) -> str:
    """A number at three significant digits, never in exponent form: 0.0123, 9.91, 196, 7890."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(float(value), digits)  # a float of numpy rounds in its own way
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
    return _bars(labels, {name: h.between(edges) for name, h in shown.items()}, len(named) > 1)


def bucket_rows(buckets: Mapping[float, int]) -> list[str]:
    """The rows of a histogram that another tool made, from upper edges in seconds to counts."""
    if not any(buckets.values()):
        return []
    scale, unit = unit_of(buckets)
    marks = _told_apart([edge / scale for edge in buckets])
    labels = [
        f"over {marks[-2]} {unit}" if mark == "inf" else f"to {mark} {unit}" for mark in marks
    ]
    return _bars(labels, {"": list(buckets.values())})


def _bars(labels: list[str], columns: dict[str, list[int]], titled: bool = False) -> list[str]:
    indent = max(map(len, [*labels, "response time"])) + 2
    room = max((WIDTH - 4 - indent) // len(columns), 12)
    columns = dict(list(columns.items())[: (WIDTH - 4 - indent) // room])
    titles = "".join(f"{name[: room - 2]:<{room}}" for name in columns)
    lines = [f"{'response time':<{indent}}{titles}"] if titled else []
    for row, label in enumerate(labels):
        cells = []
        for column in columns.values():
            digits = len(str(max(column)))
            bar = "■" * round(column[row] / max(column) * (room - digits - 3))
            tail = f" {column[row]}" if bar else f"{column[row]}"
            cells.append(f"|{bar}{tail if column[row] else ''}".ljust(room))
        lines.append(f"{label:<{indent}}{''.join(cells)}".rstrip())
    return lines


def sparkline(series: Sequence[Json]) -> list[str]:
    """The successes a second of a run as a line of bars, and what happened to them when.

    Empty where they do not change: see `moments`.
    """
    if not (found := moments(series)):
        return []
    spans_s, ok, _ = _seconds_of(series)
    together = -(-len(ok) // (WIDTH - 30))  # seconds in a bar
    starts = np.arange(0, len(ok), together)
    rates = np.add.reduceat(ok, starts) / np.add.reduceat(spans_s, starts)
    bars = "".join("▁▂▃▄▅▆▇█"[round(7 * rate / rates.max())] for rate in rates)
    span = f"0 to {spans_s.sum():.0f} s, up to {three_digits(rates.max())}/s"
    return [
        "Requests/s over time",
        f"  {bars}  {span}",
        *(wrapped("  -", each, 4) for each in found),
    ]


def moments(series: Sequence[Json]) -> list[str]:
    """Where the successes a second were below 70 % of the usual, and by more than chance.

    Usual is what they reach in the best quarter of the seconds.
    """
    spans_s, ok, failed = _seconds_of(series)
    if len(ok) < 4:
        return []
    usual = float(np.quantile(ok / spans_s, 0.75))
    expected = usual * spans_s
    low = (ok < 0.7 * expected) & (expected - ok > 5 * np.sqrt(expected))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]]).astype(int)))
    ends_s, found = np.concatenate([[0.0], np.cumsum(spans_s)]), []
    for first, last in edges.reshape(-1, 2):
        begin, end, lost = ends_s[first], ends_s[last], int(failed[first:last].sum())
        span = f"from {begin:.0f} s to {end:.0f} s"
        if first == 0:
            found.append(f"warm-up until {end:.0f} s")
        elif lost:
            found.append(f"restart or outage {span}: {lost} requests failed")
        else:
            found.append(f"stall {span}" if last < len(ok) else f"slower from {begin:.0f} s on")
    return found


def _seconds_of(series: Sequence[Json]) -> NDArray[np.float64]:
    """Length in s, successes and failures of each entry, but for a short last one."""
    ends_s = [0.0, *(entry["time"] for entry in series)]
    rows = [
        (end - begin, entry["ok"], entry["failed"])
        for (begin, end), entry in zip(pairwise(ends_s), series, strict=True)
        if end - begin > 0.5
    ]
    return np.array(rows, dtype=float).reshape(-1, 3).T


def load_line(load: Json) -> str:
    """What was asked for, in words."""
    amount = [many(load["requests"], "request")] if load.get("requests") else []
    amount += [duration(load["duration_s"])] if load.get("duration_s") else []
    connections = many(load["connections"], "connection")
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


def figure_s(run: Run | Foreign, key: str) -> float | None:
    """One figure of the response times in seconds: "min", "mean", "p99.9"; None if not known."""
    if key[0] == "p" and run.histogram:
        return run.histogram.percentile_s(float(key[1:]))
    return run.latency_s.get(key)


def report(
    run: Run | Foreign, markdown: bool = False, percentiles: Sequence[float] = PERCENTILES
) -> str:
    """One run as text: what was asked, what came back, and whether to believe it."""
    asked = load_line(run.load) if isinstance(run, Run) else _foreign_load(run)
    blocks: list[Block] = [[run.name[:WIDTH], *textwrap.wrap(asked, WIDTH)]]
    facts = _summary(run) if isinstance(run, Run) else _foreign_summary(run)
    if facts:
        lines = (wrapped(f"  {label}", text, 17) for label, text in facts.items())
        blocks.append(["Summary", *lines])
    blocks.append(sparkline(run.series))
    bars = bucket_rows(run.buckets) if isinstance(run, Foreign) else []
    if bars := histogram_rows({"": run.histogram}) if run.histogram else bars:
        blocks.append(["Response time histogram", *(f"  {bar}" for bar in bars)])
    keys = ["min", *(f"p{p:g}" for p in percentiles), "max"]
    if not run.histogram and percentiles is PERCENTILES:  # all that the source says, and no more
        said = {key for key, value in run.latency_s.items() if value is not None}
        ranks = sorted(float(key[1:]) for key in said if key[0] == "p")
        ranks = [p for p in ranks if p >= 50 and (len(ranks) < 20 or p in PERCENTILES)]
        keys = [*({"min"} & said), *(f"p{p:g}" for p in ranks), *({"max"} & said)]
    shown = {key: figure_s(run, key) for key in keys}
    if any(shown.values()):
        scale, unit = unit_of(shown.values())
        cells = [
            [f"  {k}", "-" if v is None else three_digits(v / scale)] for k, v in shown.items()
        ]
        too_few = f"  - fewer than {SAMPLES_BEYOND} samples beyond it"
        note = [too_few] if None in shown.values() else []
        blocks.append([f"Latency distribution ({unit})", *Table(cells, "<>").text(), *note])
    for title, counts in (("Status codes", run.statuses), ("Errors", run.errors)):
        cells = [[f"  {key[:60]}", str(n)] for key, n in sorted(counts.items())]
        if cells or isinstance(run, Run):
            blocks.append([title, *(Table(cells, "<>").text() if cells else ["  none"])])
    if isinstance(run, Run):
        blocks += [["Targets"], target_table(run.targets)] if run.targets else []
        blocks += [["Rates tried"], curve_table(run.curve)] if run.curve else []
        blocks += [_objective_lines(run.slo)] if run.slo else []
    if isinstance(run, Foreign):
        blocks.append([wrapped("Not known", f"from {run.source}: {run.cannot_know}", 11)])
    else:
        reasons = [wrapped("  -", reason, 4) for reason in run.validity["reasons"]]
        blocks.append([run.validity["verdict"], *reasons])
    return render(blocks, markdown)


def _foreign_load(run: Foreign) -> str:
    load, asked = run.load, [run.source]
    if load.get("connections"):
        asked.append(many(load["connections"], "connection"))
    if load.get("keepalive") is False:
        asked.append("a new one for each request")
    return ", ".join(asked + ([f"at {load['rate']:g}/s"] if load.get("rate") else []))


def _foreign_summary(run: Foreign) -> dict[str, str]:
    facts, mean, stdev = {}, run.latency_s["mean"], run.latency_s["stdev"]
    if run.requests is not None:
        facts["requests"] = str(run.requests)
        if run.failed is not None:
            facts["requests"] += f": {run.ok} ok, {run.failed} failed"
    if run.elapsed_s is not None:
        facts["elapsed"] = duration(run.elapsed_s)
    if run.throughput is not None:
        whose = "requests/s (those that are ok)" if run.ok is not None else "requests/s, as it says"
        facts["throughput"] = f"{three_digits(run.throughput)} {whose}"
    if mean is not None:
        facts["response time"] = f"{duration(mean)} mean" + (
            f", {duration(stdev)} stdev" if stdev is not None else ""
        )
    return facts


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


def _summary(run: Run) -> dict[str, str]:
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
            f"{many(server['processes'], 'process')}, {many(server['threads'], 'thread')}"
        )
    return facts


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
        three_digits(statistics.median(r["throughput"] for r in a["rounds"])) for a in arms.values()
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


def compare(
    runs: Sequence[Run | Foreign],
    markdown: bool = False,
    percentiles: Sequence[float] = PERCENTILES,
    baseline: str = "",
) -> str:
    """Several runs beside each other, from any source, as text.

    The ratios are those of the successes a second to the run named `baseline`, or else to
    the first; ValueError where no run has that name. A run each has no interval: for that,
    let loadgen.py run the URLs in rounds.
    """
    names = [run.name for run in runs]
    base = names.index(baseline) if baseline else 0
    alike = len({name[:14] for name in names}) < len(names)
    labels = [f"{n} {name}" if alike else name for n, name in enumerate(names, 1)]
    named = dict(zip(labels, runs, strict=True))
    title = f"{len(runs)} runs, each against {labels[base]}"[: WIDTH - 4]
    blocks: list[Block] = [[] if markdown else [title], _made(runs)]
    blocks += [_rates_table(named, runs[base]), _percentiles_table(named, percentiles)]
    histograms = {label: run.histogram for label, run in named.items() if run.histogram}
    whose = [f"{label[: WIDTH - 1]}:" for label in histograms] if len(histograms) == 1 else []
    blocks.append(whose + histogram_rows(histograms))
    notes = ["the ratios are of one run each, so they have no interval"]
    for label, run in named.items():
        if isinstance(run, Run):
            notes += [f"{label}: {reason}" for reason in run.validity["reasons"]]
    sources = {run.source: run.cannot_know for run in runs if isinstance(run, Foreign)}
    notes += [f"not known from {source}: {what}" for source, what in sources.items()]
    blocks.append([wrapped("-", note, 2) for note in notes])
    return f"### {title}\n\n" * markdown + render(blocks, markdown)


def _made(runs: Sequence[Run | Foreign]) -> list[str]:
    """What all runs have in common in how they were made, and in what they differ."""
    facts: dict[str, list[str]] = {}
    for run in runs:
        load, environment = run.load, run.environment if isinstance(run, Run) else {}
        loop = "closed" if isinstance(run, Run) else ""
        made = {
            "client": load.get("client") or getattr(run, "source", ""),
            "connections": load.get("connections") or "",
            "loop": f"open, {load['rate']:g}/s" if load.get("rate") else loop,
            "keep-alive": {"True": "yes", "False": "no"}.get(str(load.get("keepalive")), ""),
            "versions": ", ".join(f"{k} {v}" for k, v in environment.get("packages", {}).items()),
            "Python": environment.get("python", ""),
            "machine": f"{environment['cpu']}, {environment['cores']} cores" if environment else "",
            "day": run.started[:10],
        }
        for key, value in made.items():
            facts.setdefault(key, []).append(str(value))
    lines: dict[str, list[str]] = {"alike in": [], "differ in": [], "unsaid of some": []}
    for key, values in facts.items():
        known = [value for value in dict.fromkeys(values) if value]
        line = "alike in" if len(known) == 1 else "differ in"
        line = "unsaid of some" if line == "alike in" and "" in values else line
        lines[line] += [f"{key} {' | '.join(known)}"] if known else []
    return [wrapped(label, "; ".join(found), 16) for label, found in lines.items() if found]


def _fitted(columns: list[list[str]]) -> Table:
    """A table whose first column gets what room the others leave."""
    room = WIDTH - sum(max(map(len, column)) + 2 for column in columns[1:])
    columns[0] = [name[:room] for name in columns[0]]
    return Table([list(row) for row in zip(*columns, strict=True)], "<" + ">" * len(columns))


def _cells(title: str, values: Sequence[float | None]) -> list[str]:
    return [title, *("-" if v is None else three_digits(v) for v in values)]


def _rates_table(named: Mapping[str, Run | Foreign], base: Run | Foreign) -> Table:
    runs = list(named.values())
    ratios = [
        run.throughput / base.throughput if run.throughput is not None and base.throughput else None
        for run in runs
    ]
    columns = [["run", *named], _cells("requests/s", [run.throughput for run in runs])]
    columns.append(_cells("ratio", ratios))
    for title in ("requests", "failed"):
        counts = [getattr(run, title) for run in runs]
        columns.append([title, *("-" if n is None else str(n) for n in counts)])
    servers = [run.server for run in runs if isinstance(run, Run) and run.server]
    if len(servers) == len(runs):
        columns.append(_cells("CPU µs/req", [server["cpu_us_per_request"] for server in servers]))
        columns.append(_cells("RSS MB", [server["rss_bytes"] / 1e6 for server in servers]))
    return _fitted(columns)


def _percentiles_table(named: Mapping[str, Run | Foreign], percentiles: Sequence[float]) -> Table:
    """The response times of each run in a row, all in the unit that suits their medians."""
    keys = ["min", *(f"p{p:g}" for p in percentiles), "max"]
    figures = {key: [figure_s(run, key) for run in named.values()] for key in keys}
    scale, unit = unit_of(figure_s(run, "p50") or figure_s(run, "max") for run in named.values())
    columns = [[f"response time ({unit})", *named]]
    for key, values in figures.items():
        if any(values) or percentiles is not PERCENTILES:  # what was asked for is shown
            columns.append(_cells(key, [None if v is None else v / scale for v in values]))
    return _fitted(columns)


def measured(record: Run | Result) -> dict[str, Run]:
    """The runs that a record holds, by the name of the arm."""
    if isinstance(record, Run):
        return {record.name: record}
    return {name: arm["run"] for name, arm in record.arms.items()}


def text_of(
    record: Run | Result | Foreign,
    markdown: bool = False,
    percentiles: Sequence[float] = PERCENTILES,
) -> str:
    """Any record as text."""
    if isinstance(record, Result):
        return report_result(record, markdown)
    return report(record, markdown, percentiles)


def percentile_table(run: Run | Foreign) -> str:
    """The response times of all samples as HdrHistogram's tools write and plot them (.hgrm).

    In ms; each row halves what is left in five steps. Raises Unreadable without samples.
    """
    if not run.histogram or not run.histogram.count:
        raise Unreadable(f"{run.name}: no samples, so no percentile distribution")
    lowest, width = _layout(len(run.histogram.counts))
    totals, count = np.cumsum(run.histogram.counts), run.histogram.count
    rows, left = ["   Value(ms)     Percentile TotalCount 1/(1-Percentile)", ""], 1.0
    while left * count >= 0.5:
        for share in (1 - left * (1 - step / 10) for step in range(5)):
            slot = int(np.searchsorted(totals, max(1, math.ceil(share * count - 1e-9))))
            value_ms = min(int(lowest[slot] + width[slot] - 1), run.histogram.hdr.max_value) / 1e6
            rows.append(
                f"{value_ms:12.6f} {share:2.12f} {totals[slot]:10d} {1 / (1 - share):14.2f}"
            )
        left /= 2
    rows.append(f"{run.histogram.hdr.max_value / 1e6:12.6f} {1:2.12f} {count:10d}")
    said = {key: (figure_s(run, key) or 0.0) * 1e3 for key in ("mean", "stdev", "max")}
    rows.append(f"#[Mean    = {said['mean']:12.6f}, StdDeviation   = {said['stdev']:12.6f}]")
    rows.append(f"#[Max     = {said['max']:12.6f}, Total count    = {count:12d}]")
    return "\n".join(rows) + "\n"


def merge_all(records: Sequence[Run | Result | Foreign]) -> Run | Foreign:
    """All records as one, exactly: counts are added slot by slot, times one after another.

    Raises Unreadable for what has no samples, or is not of one kind.
    """
    runs = [record for record in records if isinstance(record, Run)]
    others = [record for record in records if isinstance(record, Foreign) and record.histogram]
    if len(runs) == len(records):
        return merge(runs)
    if len(others) != len(records):
        raise Unreadable("only runs of loadgen.py, or only lists of samples, merge exactly")
    first, histogram = others[0], Histogram()
    statuses: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for other in others:
        histogram.add(other.histogram or Histogram())
        statuses.update(other.statuses)
        errors.update(other.errors)
    sums: Json = {}
    for key in ("requests", "failed", "elapsed_s"):
        values = [getattr(other, key) for other in others]
        sums[key] = None if None in values else sum(values)
    sums |= {"statuses": dict(statuses), "errors": dict(errors)}
    return replace(first, histogram=histogram, series=[], rate=None, **sums)


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


MACHINE = ("cpu", "cores", "kernel")


def differing(old: Json, new: Json, keys: Iterable[str] = ()) -> list[str]:
    """What differs in two parts of records, "key: old, now new"; unknown is not different."""
    known = [key for key in keys or new if None not in (old.get(key), new.get(key))]
    return [f"{key}: {old[key]}, now {new[key]}" for key in known if old[key] != new[key]]


def same_machine(runs: Sequence[Run]) -> None:
    """Raises Unreadable where the runs, which are to be compared, are of several machines."""
    environments = [getattr(run, "environment", {}) for run in runs]
    for run, environment in zip(runs[1:], environments[1:], strict=True):
        if found := differing(environments[0], environment, MACHINE):
            raise Unreadable(
                f"{runs[0].name} and {run.name} were measured on different machines "
                f"({'; '.join(found)}): measure both on one, or add --across-machines"
            )


def changes(old: Result, new: Result, markdown: bool = False) -> str:
    """Two recorded results of one experiment: did the verdict change, and what else did."""
    width, digits = WIDTH - 4, 10 if old.started[:10] != new.started[:10] else 19
    days = old.started[:digits], new.started[:digits]
    verdicts = [f"{days[0]}  {old.verdict}", f"{days[1]}  {new.verdict}"]
    lines: list[str] = []
    apart: list[str] = []
    before = {(r["over"], r["under"], r["metric"]): Interval.of(r) for r in old.ratios}
    for ratio in new.ratios:
        if was := before.get((ratio["over"], ratio["under"], ratio["metric"])):
            now = Interval.of(ratio)
            meet = was.low <= now.high and now.low <= was.high
            name = f"{ratio['over']} / {ratio['under']}{METRICS[ratio['metric']]}"
            apart += [] if meet else [name]
            said = "the intervals overlap" if meet else "the intervals lie apart"
            lines += [name[:width], f"  {days[0]}  {was}", f"  {days[1]}  {now}", f"  {said}"]
    answers = {"answers": differing(_statuses(old), _statuses(new))} if new.evidence else {}
    differs = {
        "versions": differing(_versions(old), _versions(new)),
        "machine": differing(old.environment, new.environment, MACHINE),
        "load": differing(_loads(old), _loads(new)),
        "commands": differing(_commands(old), _commands(new)),
        "scripts": differing(old.environment, new.environment, ("commit",)),
    }
    rows = [
        wrapped(what, "; ".join(found) or "the same", 10, width)
        for what, found in (answers | differs).items()
    ]
    changed = old.verdict != new.verdict
    sentence = "The verdict changed." if changed else "The verdict is the same."
    if apart and not changed:
        sentence = "The verdict is the same, but ratios lie apart."
    if changed or apart or any(answers.values()):
        sentence += f" {_blame({what for what, found in differs.items() if found})}"
    number = new.name.split("_")[0]
    title = f"### {number} {new.title}" if markdown else wrapped(number, new.title, 4)
    blocks: list[Block] = [verdicts, lines, rows, textwrap.wrap(sentence, width)]
    return f"{title}\n{render(blocks, markdown, indent=4)}"


def _blame(differs: set[str]) -> str:
    """Whether it was the versions, as far as two records can tell."""
    others = " and ".join(f"the {what}" for what in sorted(differs - {"versions"}))
    if not differs:
        return "Nothing that is recorded differs, so it does not repeat itself: use --full."
    if "versions" not in differs:
        return f"It was not the versions, which are the same: look at {others}."
    if not others:
        return "Nothing but the versions differs, so it was they."
    return (
        f"It may have been the versions, but {others} changed with them: to tell, run the old "
        "versions again as the new ones were run."
    )


def _statuses(result: Result) -> Json:
    return {entry["arm"]: entry["status"] for entry in result.evidence}


def _loads(result: Result) -> Json:
    """What was asked for, of all arms and of those that differ from that."""
    found = {key: value for key, value in result.load.items() if key not in _OWN}
    for name, arm in result.arms.items():
        load = arm["run"].load.items()
        found |= {f"{k} of {name}": v for k, v in load if k not in _OWN and found.get(k) != v}
    return found


_OWN = ("url", "name", "pid")  # of a server, and of each run another


def _versions(result: Result) -> Json:
    """All versions that a result was made with; those inside an arm with its name."""
    found = {**result.environment["packages"], "Python": result.environment["python"]}
    for name, arm in result.arms.items():
        found |= {f"{package} of {name}": v for package, v in arm.get("versions", {}).items()}
    return found


def _commands(result: Result) -> Json:
    """The command of each arm, without the port, which is another each time."""
    asked = {entry["arm"]: entry for entry in result.evidence} | result.arms
    ports = re.compile(r"(?<!\d)\d{4,5}(?!\d)")
    return {name: ports.sub("{port}", entry["command"]) for name, entry in asked.items()}


def _head(result: Result, width: int) -> list[str]:
    load, lines = result.load, textwrap.wrap(result.source, width)
    facts = {"expect": result.expect, "with": environment_line(result.environment), "then": ""}
    asked = [*result.evidence, *result.arms.values()]
    old = [entry["versions"] for entry in asked if entry.get("versions")]
    facts["then"] = "; ".join(
        dict.fromkeys(
            ", ".join(f"{name} {version}" for name, version in versions.items()) for versions in old
        )
    )
    facts["load"] = ""
    if load:
        rounds = many(load["rounds"], "round")
        facts["load"] = f"{load_line(load)}, {rounds}, seed {load['seed']}"
        if load["launches"] > 1:
            facts["load"] += f", each server launched {load['launches']} times"
    queues = {name: arm.get("backlog") for name, arm in result.arms.items()}
    if len(different := dict.fromkeys(filter(None, queues.values()))) > 1:
        facts["queue"] = "of new connections: " + "; ".join(
            f"{size} {', '.join(n for n, q in queues.items() if q == size)}" for size in different
        )
    if result.mode == "quick":
        facts["mode"] = "--quick: a smoke verdict, with rounds too short to quote"
    lines += [wrapped(label, text, 9, width) for label, text in facts.items() if text]
    # one port for all, so that what differs in nothing else stands there once
    commands = (e["command"].replace(str(e.get("port", "")) or "{}", "8000") for e in asked)
    for command in dict.fromkeys(" ".join(command.split()) for command in commands if command):
        pieces = textwrap.wrap(command, width - 6, break_long_words=False, break_on_hyphens=False)
        lines.append("$ " + " \\\n    ".join(pieces))
    return lines


def _verdict_lines(result: Result, width: int) -> list[str]:
    """Each ratio, the rule, the verdict or why there is none, and the cause."""
    rows = {}
    for ratio in result.ratios:
        interval = Interval.of(ratio)
        word = words(interval)
        word += ", but in doubt" * (bool(result.reasons) and word != NOT_ENOUGH)
        says = "" if result.claim else f", {word}"
        rows[f"{ratio['over']} / {ratio['under']}{METRICS[ratio['metric']]}"] = f"{interval}{says}"
    rows |= {"rule": result.rule} if result.rule else {}
    indent = min(max(map(len, rows), default=0) + 2, width // 2)
    lines = [wrapped(label, text, indent, width) for label, text in rows.items()]
    rounds = [0.0] * max((len(arm["rounds"]) for arm in result.arms.values()), default=0)
    if len(result.arms) > 1 and not (result.claim or result.cause or median_interval(rounds)):
        lines.append(f"{NOT_ENOUGH}: use --rounds 6 or more")
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
    """The Markdown table of all results recorded in `folder`, one row for each experiment, and
    under it the versions and the machine of all; what a row has of its own stands in the row.

    Raises Unreadable where there are none.
    """
    results = []
    for path in sorted(folder.glob("[0-9]*.json")):
        if not isinstance(result := read(path), Result):
            raise Unreadable(f"{path}: the record of one run; expected that of an experiment")
        results.append(result)
    if not results:
        raise Unreadable(f"{folder}: no recorded results; make one with an experiment's --save")
    made = Counter(item for result in results for item in _made_with(result).items())
    usual: dict[str, str] = {}
    for (what, value), _ in made.most_common():
        usual.setdefault(what, value)
    rows = [["", "claim", "source", "now", "then", "measured", "cause", "recorded"]]
    for result in results:
        number = f"[{result.name.split('_')[0]}](experiments/{result.name}.py)"
        own = [value for what, value in _made_with(result).items() if value != usual[what]]
        recorded = ", ".join([result.started[:10], *own])
        cause = "; ".join(re.sub(r"( is in doubt): .*", r"\1", said) for said in result.cause)
        then = re.match(r"[A-Z ]*[A-Z](?: × [^)]*\))*", result.then)
        now, then_said = f"**{result.verdict}**", then[0] if then else "-"
        row = [number, result.claim, result.source, now, then_said, _measured(result)]
        rows.append([*row, cause, recorded])
    table = "\n".join(Table(rows, "<" * 8).markdown())
    versions = sorted(usual.items(), key=lambda item: (item[0] in ("Python", "machine"), item))
    recorded = ", ".join(value for _, value in versions)
    below = textwrap.wrap(f"Recorded with {recorded}, unless a row says otherwise.", WIDTH)
    return "\n".join([table, "", *below])


def _made_with(result: Result) -> dict[str, str]:
    """The versions and the machine of a result: what of, and in words."""
    environment = result.environment
    versions = {**environment["packages"], "Python": environment["python"]}
    words = {name: f"{name} {version}" for name, version in versions.items()}
    return words | {"machine": f"{environment['cpu']}, {environment['cores']} cores"}


def _measured(result: Result) -> str:
    """What a verdict rests on: the answers, the ratios of the claim, what was found, or the
    columns that its experiment added.
    """
    if result.evidence:
        return "; ".join(f"{entry['arm']}: {entry['status']}" for entry in result.evidence)
    claimed = [r for r in result.ratios if r.get("claim")] or result.ratios[:1]
    ratios = [f"{r['over']} / {r['under']}{METRICS[r['metric']]} {Interval.of(r)}" for r in claimed]
    columns = [
        f"{name}: {', '.join(f'{title} {value}' for title, value in arm['columns'].items())}"
        for name, arm in result.arms.items()
        if arm.get("columns")
    ]
    return "; ".join(ratios or result.findings or columns)


def stale(readme: Path, table: str) -> bool:
    """Whether the table between the marks of `readme` differs from `table`."""
    text = readme.read_text(encoding="utf-8")
    if TABLE_BEGIN not in text or TABLE_END not in text:
        raise Unreadable(f"{readme}: no table between {TABLE_BEGIN!r} and {TABLE_END!r}")
    return text.split(TABLE_BEGIN)[1].split(TABLE_END)[0].strip() != table.strip()


# ---- Pictures ------------------------------------------------------------------------
MIDTONE = "#767676"  # as far from white as from black
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito


def picture(name: str) -> Path:
    """The path of a picture to draw; its name must end in .svg or .png."""
    if not name.endswith((".svg", ".png")):
        raise argparse.ArgumentTypeError(f"{name!r} must end in .svg or .png")
    return Path(name)


def plot(records: Sequence[Run | Result | Foreign], path: Path) -> None:
    """Draw response times as an .svg or .png: against the percentile, with the nines evenly
    spaced; as a histogram; and over the seconds of the run. What a source has no samples or
    seconds for is left out.

    Text and lines are readable on white and on black, and lines differ in more than colour.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    named = [
        (name, run)
        for record in records
        for name, run in (
            {record.name: record} if isinstance(record, Foreign) else measured(record)
        ).items()
    ]
    style: Any = {f"{part}.color": MIDTONE for part in ("text", "xtick", "ytick", "grid")}
    style |= {"axes.edgecolor": MIDTONE, "axes.labelcolor": MIDTONE, "font.size": 10}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    panels = [_curve_panel, _histogram_panel]
    panels += [_time_panel] if any(len(run.series) > 1 for _, run in named) else []
    with pyplot.rc_context(style | {"axes.grid": True, "grid.alpha": 0.3, "lines.linewidth": 1.8}):
        columns = 1 if max((len(name) for name, _ in named), default=0) > 30 else 2
        size_in = (7, 3.1 * len(panels) + 0.22 * math.ceil(len(named) / columns))
        figure, axes = pyplot.subplots(len(panels), figsize=size_in, layout="constrained")
        for panel, panel_axes in zip(panels, axes, strict=True):
            panel(panel_axes, named)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=columns)
        figure.savefig(path, dpi=200, transparent=True)
        pyplot.close(figure)


def _drawn(named: Sequence[tuple[str, Run | Foreign]]) -> Iterator[tuple[Run | Foreign, Json]]:
    """Each run with the colour, dashes and name of its lines."""
    dashes = ("-", "--", ":", "-.")
    for n, (name, run) in enumerate(named):
        colour = COLOURS[n % len(COLOURS)]
        yield run, {"color": colour, "linestyle": dashes[n % 4], "label": name[:60]}


def _curve_panel(axes: Any, named: Sequence[tuple[str, Run | Foreign]]) -> None:
    for run, look in _drawn(named):
        if histogram := run.histogram:
            lowest, width = _layout(len(histogram.counts))
            used = np.flatnonzero(histogram.counts)
            beyond = histogram.count - np.cumsum(histogram.counts[used])
            x = histogram.count / np.maximum(beyond, 1)
            axes.step(x, (lowest + width)[used] / 1e6, where="post", **look)
        else:
            said = [(key, v) for key, v in run.latency_s.items() if key[0] == "p" and v]
            points = sorted((100 / (100 - float(key[1:])), value * 1e3) for key, value in said)
            axes.plot(*zip(*points or [(math.nan, math.nan)], strict=True), marker="o", **look)
    axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="response time (ms)")
    axes.set_xticks([1, 2, 10, 100, 1000, 10_000], ["0", "50", "90", "99", "99.9", "99.99"])
    axes.minorticks_off()
    _plain_ticks(axes.yaxis)


def _histogram_panel(axes: Any, named: Sequence[tuple[str, Run | Foreign]]) -> None:
    """Shares of the samples between edges that all share, some thirty of them."""
    histograms = [run.histogram for _, run in named if run.histogram and run.histogram.count]
    low = min((h.hdr.min_value for h in histograms), default=10**6) / 1e9
    high = max((h.hdr.max_value for h in histograms), default=10**7) / 1e9 * 1.001
    wide = high > 8 * low
    edges = list(np.geomspace(low, high, 40)) if wide else edges_s(histograms, 32)
    marks_ms = np.minimum(edges, 2 * high) * 1e3
    for run, look in _drawn(named):
        if run.histogram and run.histogram.count:
            shares = 100 * np.array(run.histogram.between(edges)) / run.histogram.count
            axes.stairs(shares, marks_ms, **look | {"linewidth": 1.8})
            axes.stairs(shares, marks_ms, fill=True, alpha=0.15, color=look["color"])
    axes.set(xscale="log" if wide else "linear", xlabel="response time (ms)", ylabel="requests (%)")
    _plain_ticks(axes.xaxis)


def _time_panel(axes: Any, named: Sequence[tuple[str, Run | Foreign]]) -> None:
    """The median of each second as a line, and p99 as a thin one."""
    for run, look in _drawn(named):
        for key, weight in (("p50", 1.8), ("p99", 0.8)):
            points = [(e["time"], e[key] * 1e3) for e in run.series if e.get(key) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), **look | {"linewidth": weight})
    axes.set(yscale="log", xlabel="seconds since the start", ylabel="p50, and thin p99 (ms)")
    axes.set_xlim(left=0)
    _plain_ticks(axes.yaxis)


def _plain_ticks(axis: Any) -> None:
    """Numbers as they are said, "200" and not "2 × 10²"."""
    from matplotlib import ticker

    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
        axis.set_minor_formatter(ticker.NullFormatter())


# ---- Command line --------------------------------------------------------------------
def show(text: str) -> None:
    """Print, for as long as somebody reads."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def ranks(text: str) -> list[float]:
    """Percentiles as the command line has them, "50,99.9"."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [math.nan]
    if not all(0 < rank < 100 for rank in found):
        raise argparse.ArgumentTypeError(f"{text!r} must be percentiles, as 50,99.9")
    return found


def _parser() -> Parser:
    parser = Parser(
        prog="summarize.py",
        usage="python summarize.py [options] [FILE …]",
        description="Turn recorded runs into text: one as a report, several as a comparison.",
        epilog="""FILE is a record, another load generator's output, or a page that quotes some.
Exit status: 0 written, 1 unreadable or stale, 2 usage.""",
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="records; none or - is standard input")
    add("--markdown", action="store_true", help="as Markdown to paste")
    add("--percentiles", metavar="P,P", type=ranks, default=PERCENTILES, help="as 50,99.9")
    add("--baseline", metavar="NAME", default="", help="what the ratios are to; else the first")
    add("--merge", action="store_true", help="all files as one run, exactly")
    add("--plot", metavar="FILE", type=picture, help="also draw an .svg or .png")
    add("--hgrm", metavar="FILE", type=Path, help="also write one run's percentiles")
    add("--claims", metavar="DIR", type=Path, help="the table of recorded claims")
    add("--across-machines", action="store_true", help="runs of several machines in one ratio")
    add("--check", metavar="README", type=Path, help="with --claims: exit 1 if its table is stale")
    return parser


def _claims(folder: Path, readme: Path | None) -> str:
    table = claims_table(folder)
    if readme and stale(readme, table):
        again = f"python summarize.py --claims {folder}"
        raise Unreadable(f"{readme}: its table is stale: put in what `{again}` says")
    return f"{readme}: its table is up to date" if readme else table


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
            show(_claims(options.claims, options.check))
            return 0
        files = [None if f == "-" else Path(f) for f in options.files or ["-"]]
        records = [record for file in files for record in read_all(file)]
        if options.merge:
            records = [merge_all(records)]
        runs = [record for record in records if not isinstance(record, Result)]
        results = [record for record in records if isinstance(record, Result)]
        if not options.across_machines:
            same_machine([run for run in runs if isinstance(run, Run)])
        if options.baseline and options.baseline not in [run.name for run in runs]:
            parser.error(f"--baseline: no run is named {options.baseline!r}")
        if options.hgrm and len(runs) != 1:
            parser.error(f"--hgrm is of one run, not of {len(runs)}: see --merge")
        if options.hgrm:
            options.hgrm.write_text(percentile_table(runs[0]), encoding="utf-8")
        if not runs and len({result.name for result in results}) < len(results) == 2:
            texts = [changes(results[0], results[1], options.markdown)]
        elif len(runs) > 1:
            texts = [compare(runs, options.markdown, options.percentiles, options.baseline)]
            texts += [text_of(result, options.markdown) for result in results]
        else:
            texts = [text_of(r, options.markdown, options.percentiles) for r in records]
        show("\n\n".join(texts))
        if options.plot:
            plot(records, options.plot)
    except (Unreadable, OSError) as error:
        print(f"summarize.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
