"""Durations counted as an HdrHistogram: recorded in bulk, merged exactly."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Iterable, Sequence
from functools import cache

from hdrh.histogram import HdrHistogram

from lab.facts.arrays import NDArray, np
from lab.facts.errors import Unreadable

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
FIGURES = ("min", "mean", "stdev", *(f"p{p:g}" for p in PERCENTILES), "max")
SAMPLES_BEYOND = 10  # a percentile with fewer samples beyond it is not shown
LONGEST_NS = 3600 * 10**9
LARGEST_COUNT = 1 << 53  # up to which floats are exact
_HALF_BITS = 10  # three digits: 2048 sub-buckets, of which the upper 1024 are new each time
_MOST_BITS = 61  # of a value
_LARGEST_PAYLOAD = 1 << 20  # bytes: all slots of ours take a fifth of it
_HEADER = 8  # bytes before the compressed payload: a cookie, and its length

Figures = dict[str, float | None]  # of response times, in s, by the names of FIGURES


@cache
def layout(slots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest value and width, in ns, of each slot of an HdrHistogram with three digits."""
    return _measure_slots(np.arange(slots, dtype=np.int64), _HALF_BITS, 0)


def _measure_slots(
    slots: NDArray[np.int64], half_bits: int, unit_bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest value and width of some slots of any HdrHistogram."""
    bucket = np.maximum((slots >> half_bits) - 1, 0)
    upper_half = (slots & (1 << half_bits) - 1) + (1 << half_bits)
    sub = np.where(slots < 2 << half_bits, slots, upper_half)
    return sub << bucket + unit_bits, np.int64(1) << bucket + unit_bits


class Histogram:
    """Durations from 1 ns to 1 h at three significant digits, as an HdrHistogram.

    Recording is in bulk, because one call a value costs more than the request it times.
    """

    def __init__(self) -> None:
        self.hdr = HdrHistogram(1, LONGEST_NS, 3)
        self.counts: NDArray[np.int64] = np.frombuffer(self.hdr.counts, dtype=np.int64)

    @classmethod
    def of(cls, values_ns: NDArray[np.int64]) -> Histogram:
        histogram = cls()
        histogram.record(values_ns)
        return histogram

    @classmethod
    def of_seconds(cls, values_s: Iterable[float]) -> Histogram:
        return cls.of(np.rint(np.fromiter(values_s, float) * 1e9).astype(np.int64))

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

    @property
    def min_ns(self) -> int:
        return int(self.hdr.min_value)

    @property
    def max_ns(self) -> int:
        return int(self.hdr.max_value)

    def used(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Lowest value and width, in ns, and count of the slots that are not empty."""
        lowest, width = layout(len(self.counts))
        slots = np.flatnonzero(self.counts != 0)  # which is found faster in truth than in counts
        return lowest[slots], width[slots], self.counts[slots]

    def summary_s(self) -> Figures:
        """Min, mean, stdev, percentiles and max in seconds.

        A percentile beyond which lie fewer than ten samples is None, and so is every
        figure of an empty histogram.
        """
        if not self.count:
            return dict.fromkeys(FIGURES)
        lowest, width, counts = self.used()
        middles = lowest + (width - 1) / 2
        mean = float(counts @ middles) / self.count
        spread = math.sqrt(float(counts @ (middles - mean) ** 2) / self.count)
        totals = np.cumsum(self.counts)
        ranked = [self.percentile_s(p, totals=totals) for p in PERCENTILES]
        figures = [self.min_ns / 1e9, mean / 1e9, spread / 1e9, *ranked, self.max_ns / 1e9]
        return dict(zip(FIGURES, figures, strict=True))

    def percentile_s(
        self,
        percentile: float,
        beyond: int = SAMPLES_BEYOND,
        totals: NDArray[np.int64] | None = None,
    ) -> float | None:
        """The value in seconds that `percentile` % of the samples do not exceed; None where
        fewer than `beyond` samples lie beyond it, or there are none at all. `totals` are the
        counts added up slot by slot, where they are known.
        """
        if not self.count or self.count * (100 - percentile) / 100 < beyond - 1e-9:
            return None
        return self.ranked_s(math.ceil(self.count * percentile / 100 - 1e-9), totals)

    def ranked_s(self, rank: int, totals: NDArray[np.int64] | None = None) -> float:
        """The value in seconds of the sample with this rank, from 1 to the count."""
        if totals is None:
            totals = np.cumsum(self.counts)
        slot = int(np.searchsorted(totals, max(rank, 1)))
        lowest, width = layout(len(self.counts))
        return min(float(lowest[slot] + width[slot] - 1), float(self.max_ns)) / 1e9

    def slot_of(self, value_s: float) -> int:
        """The slot that counts a value in seconds."""
        lowest, _ = layout(len(self.counts))
        return int(np.searchsorted(lowest, value_s * 1e9, "right")) - 1

    def above(self, value_s: float) -> int:
        """How many samples exceed `value_s`, to the histogram's three digits."""
        return int(self.counts[self.slot_of(value_s) + 1 :].sum())

    def between(self, edges_s: Sequence[float]) -> list[int]:
        """How many samples lie from each edge to the next, the outermost ones included."""
        lowest, width = layout(len(self.counts))
        cuts = np.searchsorted(lowest + (width - 1) / 2, np.asarray(edges_s) * 1e9)
        cuts[0], cuts[-1] = 0, len(self.counts)
        totals = np.concatenate([[0], np.cumsum(self.counts)])
        return [int(n) for n in np.diff(totals[cuts])]

    def encode(self) -> str:
        """HdrHistogram V2 base64. It keeps both ends to three digits only."""
        return str(self.hdr.encode().decode())

    @classmethod
    def decode(cls, text: str, min_s: float | None = None, max_s: float | None = None) -> Histogram:
        """Read HdrHistogram V2 base64, and the exact ends where they are known.

        Raises Unreadable when it is something else.
        """
        histogram, found = cls(), _unpack(text)
        histogram._add_any(found)
        if histogram.count and min_s is not None and max_s is not None:
            histogram._set_ends(min_s * 1e9, max_s * 1e9)
        return histogram

    def _add_any(self, other: HdrHistogram) -> None:
        """Add one of any layout, to our three digits."""
        ours = self.hdr.counts_len, self.hdr.sub_bucket_count, self.hdr.unit_magnitude
        if (other.counts_len, other.sub_bucket_count, other.unit_magnitude) == ours:
            self.hdr.add(other)
            return
        counts = np.frombuffer(other.counts, dtype=np.int64)
        slots = np.flatnonzero(counts)
        half_bits, unit_bits = other.sub_bucket_half_count_magnitude, other.unit_magnitude
        if half_bits + unit_bits + (int(slots.max(initial=0)) >> half_bits) > _MOST_BITS:
            raise Unreadable("not an HdrHistogram: its values are too large")
        self.record(_measure_slots(slots, half_bits, unit_bits)[0], counts[slots])

    def _set_ends(self, min_ns: float, max_ns: float) -> None:
        """Note the exact ends. Raises Unreadable for what is not in the outermost slots."""
        lowest, width, _ = self.used()
        ends = []
        for slot, end_ns in ((0, min_ns), (-1, max_ns)):
            ends.append(round(min(max(end_ns, 0), LONGEST_NS)))
            if not lowest[slot] <= ends[-1] < lowest[slot] + width[slot]:
                raise Unreadable(f"not an HdrHistogram that ends at {end_ns / 1e9:g} s")
        self.hdr.min_value, self.hdr.max_value = ends


def merge_histograms(parts: Iterable[Histogram]) -> Histogram:
    """One histogram of all samples, exactly."""
    merged = Histogram()
    for part in parts:
        merged.add(part)
    return merged


def _unpack(text: str) -> HdrHistogram:
    """An HdrHistogram of any layout. Raises Unreadable for what is none."""
    _check_payload(text)
    try:
        found = HdrHistogram.decode(text)
    except Exception as error:  # hdrhistogram raises struct, zlib, base64 and its own errors
        raise Unreadable(f"not an HdrHistogram: {error}") from error
    counts = np.frombuffer(found.counts, dtype=np.int64)
    total = float(counts.sum(dtype=float))  # which does not overflow
    if counts.min() < 0 or total != found.total_count or total > LARGEST_COUNT:
        raise Unreadable("not an HdrHistogram: its counts do not add up")
    return found


def _check_payload(text: str) -> None:
    """Raises Unreadable for what is not compressed, or would unpack to more than it may."""
    try:
        packed = base64.b64decode(text)
        unpacked = zlib.decompressobj().decompress(packed[_HEADER:], _LARGEST_PAYLOAD)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Unreadable(f"not an HdrHistogram: {error}") from error
    if len(unpacked) == _LARGEST_PAYLOAD:
        raise Unreadable("not an HdrHistogram: it unpacks to too much")
