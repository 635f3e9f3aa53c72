"""What lists of samples add up to, however long they are, and how such lists are read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO, TypeVar

import msgspec

from lab.facts.arrays import NDArray, np
from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.histogram import LONGEST_NS, Histogram
from lab.facts.records import Second
from lab.facts.text import size
from lab.readers.parsing import count_answers, part_unanswered, report_damage

BLOCK, LONGEST_LINE = 1 << 20, 1 << 24  # bytes: read at once; of what may be one sample
LONGEST_SERIES_S = 7 * 24 * 3600
LAST_STATUS = 599
Line = TypeVar("Line")
Number = TypeVar("Number", bound=np.generic)
Sample = tuple[float, int, float]  # when it was sent in s, its status, its response time in s


class SampleTotals:
    """What samples add up to: counts, a histogram, and the seconds in which they ended.

    For the seconds of the first hour their response times are kept too, in steps of 2 %.
    """

    STEPS, SERIES_S = 1500, 3600

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.statuses: Counter[int] = Counter()
        self.zero_s = 0.0  # the start of the first second
        self.began_s, self.ended_s = math.inf, -math.inf
        self.per_second: NDArray[np.int64] = np.zeros((0, 2), np.int64)  # ok and failed
        self.times: NDArray[np.int32] = np.zeros((0, self.STEPS), np.int32)

    def add(
        self,
        latency_s: NDArray[np.float64],
        statuses: NDArray[np.int64],
        starts_s: NDArray[np.float64] | None = None,
    ) -> None:
        """Add samples, three arrays of shape (n,); status 0 is a request without an answer."""
        if not len(latency_s):
            return
        if statuses.min() < 0 or statuses.max() > LAST_STATUS:
            raise Unreadable(f"a status below 0 or beyond {LAST_STATUS}")
        if not np.isfinite(latency_s).all() or latency_s.min() < 0:
            raise Unreadable("a response time that is no number, or below 0")
        self.statuses.update(dict(enumerate(np.bincount(statuses).tolist())))
        ok = (statuses >= 200) & (statuses < 400)
        latency_ns = np.minimum(np.rint(latency_s * 1e9), LONGEST_NS)
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
        self.per_second = _lengthen(self.per_second, int(seconds.max()) + 1)
        self.times = _lengthen(self.times, min(len(self.per_second), self.SERIES_S))
        np.add.at(self.per_second, (seconds, (~ok).astype(int)), 1)
        kept = ok & (seconds < self.SERIES_S)
        steps = np.rint(50 * np.log(np.maximum(latency_ns[kept], 1))).astype(int)
        np.add.at(self.times, (seconds[kept], np.minimum(steps, self.STEPS - 1)), 1)

    def to_foreign(self) -> Foreign:
        """Raises Unreadable where there was no sample."""
        codes = {str(status): count for status, count in sorted(self.statuses.items()) if count}
        if not codes:
            raise Unreadable("no sample in it")
        elapsed_s = self.ended_s - self.began_s if math.isfinite(self.began_s) else None
        return replace(
            count_answers(*part_unanswered(codes)),
            elapsed_s=elapsed_s,
            histogram=self.histogram,
            series=list(self._list_seconds(elapsed_s)),
        )

    def _list_seconds(self, elapsed_s: float | None) -> Iterator[Second]:
        for n, (ok, failed) in enumerate(self.per_second.tolist()):
            second = Second(time=min(n + 1, elapsed_s or n + 1), ok=ok, failed=failed)
            if ok and n < self.SERIES_S:
                ranks = np.searchsorted(np.cumsum(self.times[n]), [ok * 0.5, ok * 0.99])
                p50_s, p99_s = (np.exp(ranks / 50) / 1e9).tolist()
                times = _encode_steps(self.times[n])
                second = replace(second, p50=p50_s, p99=p99_s, histogram=times)
            yield second


def _encode_steps(counts: NDArray[np.int32]) -> str:
    """The histogram of response times that were counted in steps of 2 %."""
    steps = np.flatnonzero(counts)
    histogram = Histogram()
    histogram.record(np.exp(steps / 50).astype(np.int64), counts[steps].astype(np.int64))
    return histogram.encode()


def _lengthen(rows: NDArray[Number], count: int) -> NDArray[Number]:
    """The same rows, and empty ones up to that count."""
    missing = count - len(rows)
    return np.pad(rows, ((0, missing), (0, 0))) if missing > 0 else rows


def part_lines(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    """The lines of a file that begins with `head`, some megabytes of whole ones at a time."""
    rest = head
    while more := stream.read(BLOCK):
        whole, newline, rest = (rest + more).rpartition(b"\n")
        if newline:
            yield whole.replace(b"\r", b"") + newline
        if len(rest) > LONGEST_LINE:
            raise Unreadable(f"a line of more than {size(LONGEST_LINE)}, so no list of samples")
    if rest.strip():
        yield rest.replace(b"\r", b"").rstrip(b"\n") + b"\n"


# ---- Columns of numbers ----------------------------------------------------------------
def read_columns(
    blocks: Iterable[bytes],
    *,
    columns: int,
    latency: int,
    status: int | None = None,
    start: int | None = None,
    unit_s: float = 1.0,
    separator: str = ",",
    header: bool = True,
) -> Foreign:
    """Add up the samples of lines with so many columns; which is which is said from 0."""
    totals, line = SampleTotals(), 1
    wanted = [column for column in (latency, status, start) if column is not None]
    for block in blocks:
        skipped = int(header and line == 1)
        found, bad = _parse_columns(block, columns, wanted, separator, skipped)
        line += skipped
        if status is not None:
            codes = found[status]
            bad |= (codes != 0) & ((codes < 100) | (codes > LAST_STATUS))
        if bad.any():
            raise report_damage(line + int(np.argmax(bad)))
        totals.add(
            found[latency] * unit_s,
            np.full(len(bad), 200) if status is None else found[status].astype(np.int64),
            None if start is None else found[start] * unit_s,
        )
        line += len(bad)
    return totals.to_foreign()


def _parse_columns(
    block: bytes, columns: int, wanted: list[int], separator: str, skipped: int
) -> tuple[dict[int, NDArray[np.float64]], NDArray[np.bool_]]:
    """The numbers of the wanted columns, and which of the lines lack one."""
    data = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    begins = np.concatenate([[0], ends[:-1] + 1])[skipped:]
    ends = ends[skipped:]
    marks = np.append(np.flatnonzero(data == ord(separator)), np.full(columns, len(data)))
    first = np.searchsorted(marks, begins)
    bad = np.searchsorted(marks, ends) - first < columns - 1
    found = {}
    for column in wanted:
        left = marks[first + column - 1] + 1 if column else begins
        found[column] = parse_numbers(data, left, np.minimum(marks[first + column], ends))
        bad |= np.isnan(found[column])
    return found, bad


def parse_numbers(
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


# ---- Objects of JSON, one a line -------------------------------------------------------
def read_objects(
    blocks: Iterable[bytes], shape: type[Line], sample: Callable[[Line], Sample | None]
) -> Foreign:
    """Add up the samples of objects, one a line; None is something else than a sample."""
    totals, line = SampleTotals(), 1
    decoder = msgspec.json.Decoder(shape)
    for block in blocks:
        try:
            found = [sample(each) for each in decoder.decode_lines(block)]
        except (ValueError, RecursionError):
            _name_damage(block, line, decoder, sample)
            raise
        if kept := [each for each in found if each]:
            starts_s, statuses, latency_s = zip(*kept, strict=True)
            totals.add(np.array(latency_s), np.array(statuses), np.array(starts_s))
        line += block.count(b"\n")
    return totals.to_foreign()


def _name_damage(
    block: bytes,
    line: int,
    decoder: msgspec.json.Decoder[Line],
    sample: Callable[[Line], Sample | None],
) -> None:
    """Raises Unreadable for the first of these lines, counted from `line`, that is no object."""
    for number, text in enumerate(block.splitlines(), line):
        try:
            for each in decoder.decode_lines(text):
                sample(each)
        except (ValueError, RecursionError) as error:
            raise report_damage(number, str(error)) from error
