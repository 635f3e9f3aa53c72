"""HdrHistogram: its percentile tables (.hgrm, also of wrk2 and vegeta) and logs (.hlog).

Neither says what failed, and a table not how long it took. A value has no unit: that of a
table is milliseconds unless its head says another, that of a log is found by its maxima,
which are in milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from lab.facts.arrays import np
from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.histogram import PERCENTILES, Histogram
from lab.facts.records import Second
from lab.readers.parsing import SPANS_S, find_all, name_figures, report_cut, report_damage
from lab.readers.reader import FileReader, ListReader
from lab.readers.samples import LONGEST_SERIES_S

ROW = r"^[ \t]*([\d.]+)[ \t]+([\d.]+)[ \t]+(\d+)(?:[ \t]+\S+)?[ \t]*$"
MOST_ROWS = 200_000
MOST_HISTOGRAMS = 3600  # of intervals, that are kept
FACTORS = {0: 1_000_000, 3: 1_000, 6: 1}  # of a unit in ns, by its power of ten in a ms


# ---- Tables ----------------------------------------------------------------------------
def read_table(text: str) -> Foreign:
    rows = [match.groups() for match in islice(re.finditer(ROW, text, re.M), MOST_ROWS + 1)]
    if len(rows) > MOST_ROWS:
        raise Unreadable(f"more than {MOST_ROWS:,} rows")
    if not rows or float(rows[-1][1]) < 1:
        raise report_cut("no row of percentile 1")
    totals = np.array([int(total) for _, _, total in rows], dtype=np.int64)
    if np.any(np.diff(totals) < 0):
        raise report_cut("its last row is not whole")
    said = {"max": rows[-1][0]}
    if float(rows[0][1]) == 0:
        said["min"] = rows[0][0]
    for rank in PERCENTILES:
        said[f"p{rank:g}"] = rows[int(np.searchsorted(totals, totals[-1] * rank / 100 - 1e-9))][0]
    said |= find_all(r"(Mean|Max)\s*=\s*([\d.]+)[],]", text)  # some scale no StdDeviation
    unit = re.match(r"\s*Value\((\w+)\)", text)
    latency_s = name_figures(said, SPANS_S[unit[1] if unit else "ms"])
    found = Foreign(requests=int(totals[-1]), latency_s=latency_s)
    if unit:
        return found
    return replace(found, cannot_know="its unit (taken as ms), how long it took, and what failed")


# ---- Logs ------------------------------------------------------------------------------
class Log:
    """The intervals of a log, added up."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.series: list[Second] = []
        self.began_s, self.ended_s = math.inf, -math.inf

    def add(self, line: str) -> None:
        """Add the interval of a line, whose tag makes no difference."""
        fields = line.split(",")[-4:]
        if len(fields) < 4:
            raise ValueError("it has fewer than four values")
        start_s, length_s, highest_ms = map(float, fields[:3])
        self.began_s = min(self.began_s, start_s)
        self.ended_s = max(self.ended_s, start_s + length_s)
        if not 0 <= self.ended_s - self.began_s <= LONGEST_SERIES_S:
            raise ValueError("an interval more than a week from the others")
        if len(self.series) >= LONGEST_SERIES_S:
            raise ValueError("more intervals than a week has seconds")
        part = _in_ns(Histogram.decode(fields[3]), highest_ms)
        self.histogram.add(part)
        self.series.append(
            Second(
                time=self.ended_s - self.began_s,
                ok=part.count,
                failed=0,
                p50=part.percentile_s(50),
                p99=part.percentile_s(99),
                histogram=part.encode() if len(self.series) < MOST_HISTOGRAMS else "",
            )
        )

    def to_foreign(self) -> Foreign:
        if not self.series:
            raise Unreadable("no interval in it")
        elapsed_s = self.ended_s - self.began_s
        return Foreign(
            requests=self.histogram.count,
            elapsed_s=elapsed_s,
            rate=self.histogram.count / elapsed_s if elapsed_s else None,
            histogram=self.histogram,
            series=self.series,
        )


def _in_ns(part: Histogram, highest_ms: float) -> Histogram:
    """The same times in ns, of a histogram in the unit that makes its maximum `highest_ms`."""
    if not part.count:
        return part
    power = round(math.log10(part.max_ns / highest_ms)) if highest_ms else 6
    if power not in FACTORS:
        raise ValueError("its values are not in ms, µs or ns")
    lowest, _, counts = part.used()
    scaled = Histogram()
    scaled.record(lowest * FACTORS[power], counts)
    return scaled


def read_log(blocks: Iterator[bytes]) -> Foreign:
    log = Log()
    lines = (line for block in blocks for line in block.decode("utf-8", "replace").splitlines())
    for number, line in enumerate(lines, 1):
        if line.startswith(("#", '"')) or not line.strip():
            continue
        try:
            log.add(line)
        except (ValueError, Unreadable) as error:
            raise report_damage(number, str(error)) from error
    return log.to_foreign()


READERS = (
    FileReader(
        source="hgrm",
        cannot_know=("how long it took, and what failed; each percentile is that of its next row"),
        begins=r"Value(?:\(\w+\))?\s+Perc",
        looks=r"\s*Value(?:\(\w+\))?\s+Percentile\s+TotalCount",
        read=read_table,
    ),
    ListReader(
        source="hlog",
        cannot_know="what failed",
        begins=r"#\[|\"StartTimestamp\"",
        looks=r"(?:#.*\n)*\s*\"StartTimestamp\",\"Interval_Length\"",
        read=read_log,
    ),
)
