"""Counting what came back: appended to by the hot path, folded into counts in bulk."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from lab.facts.arrays import NDArray, np
from lab.facts.histogram import Histogram
from lab.facts.named import NamedTimes, merge_named
from lab.facts.records import ErrorKind, Histograms, Second, class_of
from lab.load.stretches import StretchCounter


class Times(list[int]):
    """Response times in ns, each with its send lag.

    Few requests have a lag, and to append to one list of integers is the cheapest there is:
    so a lag stands after its response time, as a negative number. Nothing outside of this
    class knows of it. A response time without a lag may simply be appended.
    """

    __slots__ = ()

    def pack(self, latency_ns: int, lag_ns: int) -> None:
        self.append(latency_ns)
        if lag_ns:
            self.append(-lag_ns)

    def unpack(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Empty it: the response times and their lags, in ns, both of shape (n,)."""
        both = np.array(self, dtype=np.int64)
        self.clear()
        latency_ns, at = both[both >= 0], np.flatnonzero(both < 0)
        lag_ns = np.zeros_like(latency_ns)
        lag_ns[at - np.arange(1, len(at) + 1)] = -both[at]
        return latency_ns, lag_ns


class Counts:
    """What came of some requests: how many, with which status or error, how long it took."""

    def __init__(self) -> None:
        self.histograms = Histograms()
        self.statuses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.ok = self.failed = 0

    def record(
        self,
        status: int | None,
        kind: ErrorKind | None,
        latency_ns: NDArray[np.int64],
        lag_ns: NDArray[np.int64],
    ) -> None:
        count = len(latency_ns)
        if status is not None:
            self.statuses[str(status)] += count
        if kind is None:
            self.ok += count
            self.histograms.latency_s.record(latency_ns)
            self.histograms.service_s.record(latency_ns - lag_ns)
            self.histograms.send_lag_s.record(lag_ns)
        else:
            self.failed += count
            self.errors[kind] += count
            self.histograms.failed_s.record(latency_ns)


class ClassTimes:
    """Response times of whole answers by the class of their status.

    While all that were ok have been of one class, they are in the histogram of all that were ok
    already, and so cost nothing here.
    """

    def __init__(self, ok: Histogram) -> None:
        self.ok = ok  # of all that were ok
        self.class_of_ok = ""
        self.is_split = False  # whether there have been two classes that were ok
        self.histograms: dict[str, Histogram] = {}

    def record(self, status: int, is_ok: bool, latency_ns: NDArray[np.int64]) -> None:
        """To be called before these are in the histogram of all that were ok."""
        name = class_of(str(status))
        if is_ok and not self.is_split:
            self.class_of_ok = self.class_of_ok or name
            if name == self.class_of_ok:
                return
            self.is_split = True
            self._histogram_of(self.class_of_ok).add(self.ok)
        self._histogram_of(name).record(latency_ns)

    def _histogram_of(self, name: str) -> Histogram:
        return self.histograms.setdefault(name, Histogram())

    def parts(self) -> list[NamedTimes]:
        """The times of each class; of one, those that were ok may be apart from the others."""
        parts = [NamedTimes(name=name, histogram=h) for name, h in self.histograms.items()]
        if self.class_of_ok and not self.is_split:
            parts.append(NamedTimes(name=self.class_of_ok, histogram=self.ok))
        return parts


class Tally:
    """The counts of a window, in all and of each target, and its series of seconds, with the
    histogram of each where that is to be kept.
    """

    def __init__(self, targets: int = 1, keeps_seconds: bool = False) -> None:
        self.keeps_seconds = keeps_seconds
        self.times: dict[tuple[int | None, ErrorKind | None, int], Times] = {}
        self.total = Counts()
        self.classes = ClassTimes(self.total.histograms.latency_s)
        self.parts = [Counts() for _ in range(targets)] if targets > 1 else []
        self.held_ns = 0  # by all settled requests together
        self.series: list[Second] = []
        self.stretches = StretchCounter()
        self._second: list[NDArray[np.int64]] = []  # what was ok in the second under way
        self._failed_before = 0

    def times_of(self, status: int | None, kind: ErrorKind | None = None, target: int = 0) -> Times:
        """Where the times go of a request that ends with this status (None without a whole
        answer) and this kind of error (None if it is ok).
        """
        return self.times.setdefault((status, kind, target), Times())

    def fold(self) -> None:
        """Empty all times into the counts and histograms."""
        for (status, kind, target), times in self.times.items():
            if not times:
                continue
            latency_ns, lag_ns = times.unpack()
            self.record(status, kind, target, latency_ns, lag_ns)
            if kind is None:
                self._second.append(latency_ns)

    def record(
        self,
        status: int | None,
        kind: ErrorKind | None,
        target: int,
        latency_ns: NDArray[np.int64],
        lag_ns: NDArray[np.int64],
    ) -> None:
        """Count requests that ended alike, both in all and for their target."""
        self.held_ns += int(latency_ns.sum())
        if status is not None:
            self.classes.record(status, kind is None, latency_ns)
        for counts in (self.total, *self.parts[target : target + 1]):
            counts.record(status, kind, latency_ns, lag_ns)

    def list_classes(self) -> list[NamedTimes]:
        """The response times of each class of status. Where all were ok, and of one class, there
        is nothing to add to those of all.
        """
        is_plain = not self.total.failed and not self.classes.is_split
        return [] if is_plain else merge_named(self.classes.parts())

    def end_second(self, time_s: float) -> None:
        """Close the entry of the series that ends `time_s` after the window began."""
        self.fold()
        values = np.concatenate(self._second) if self._second else np.empty(0, np.int64)
        p50_s = p99_s = None
        if len(values):
            ranks = [math.ceil(len(values) * share) - 1 for share in (0.5, 0.99)]
            p50_s, p99_s = (float(ns) / 1e9 for ns in np.partition(values, ranks)[ranks])
        failed = self.total.failed - self._failed_before
        second = Second(time=time_s, ok=len(values), failed=failed, p50=p50_s, p99=p99_s)
        if self.keeps_seconds:
            histogram = Histogram()
            histogram.record(values)
            second = replace(second, histogram=histogram.encode())
        self.series.append(second)
        lasted_s = time_s - (self.series[-2].time if len(self.series) > 1 else 0.0)
        self.stretches.end_second(self.total.histograms.latency_s, lasted_s)
        self._failed_before = self.total.failed
        self._second = []
