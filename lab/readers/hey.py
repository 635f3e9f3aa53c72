"""hey: the summary that it prints, and its list of samples (-o csv).

Its requests/s counts errors, its response times leave them out. The status codes and the
distribution are of the first million requests only, and so is the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.readers.parsing import count_answers, find, find_all, name_figures, report_cut
from lab.readers.reader import ListReader, TextReader
from lab.readers.samples import read_columns

KEPT = 1_000_000  # requests whose codes it keeps
INTERVALS = 10  # of its histogram, which has a row for the lower end of the first, too


def read_csv(blocks: Iterator[bytes]) -> Foreign:
    return read_columns(blocks, columns=8, latency=0, status=6, start=7)


def read_text(text: str) -> Foreign:
    rate = float(find("Requests/sec", r"Requests/sec:\s+([\d.]+)\s", text)[0])
    lines = re.findall(r"(Total|Slowest|Fastest|Average):\s+([\d.]+) secs", text)
    said = dict(lines[:4])
    elapsed_s = float(said.pop("Total"))
    reached = find_all(r"(?<!\d)(\d+%) in ([\d.]+) secs", text)
    said |= {rank: value for rank, value in reached.items() if rank != "0%"}
    latency_s = name_figures(said) if float(said.get("Slowest", 0)) else {}
    return replace(
        _count(text, rate, elapsed_s),
        elapsed_s=elapsed_s,
        rate=rate,
        latency_s=latency_s,
        buckets=_find_buckets(text, latency_s.get("min") or 0.0, latency_s.get("max") or 0.0),
    )


def _count(text: str, rate: float, elapsed_s: float) -> Foreign:
    """The counts, checked against what was sent in this time, which is printed to 0.1 ms."""
    requests = rate * elapsed_s
    codes = find_all(r"\[(\d+)\]\s+(\d+) responses", text)
    statuses = {code: int(count) for code, count in codes.items()}
    lines = re.findall(r"^ +\[(\d+)\]\t(?!\d+ resp|\|)(.+)", text, re.M)
    errors = {kind: int(count) for count, kind in lines}
    found = count_answers(statuses, errors)
    if requests > KEPT * 1.001:
        return Foreign(requests=round(requests), errors=found.errors)
    if not found.requests:
        return Foreign(requests=round(requests))
    if abs(found.requests - requests) > 1 + rate * 1e-4:
        raise report_cut("not all of its status codes are there")
    return found


def _find_buckets(text: str, low_s: float, high_s: float) -> dict[float, int]:
    """Its histogram, whose edges it prints to three decimals only."""
    rows = re.findall(r"(?<![\d.])[\d.]+ \[(\d+)\]\s*\|", text)
    if rows and len(rows) != INTERVALS + 1:
        raise Unreadable("cut off in its histogram; save all that it writes")
    if rows and low_s == high_s:
        return {high_s: sum(map(int, rows))}
    width_s = (high_s - low_s) / INTERVALS
    return {low_s + n * width_s: int(count) for n, count in enumerate(rows)}


READERS = (
    ListReader(
        source="hey csv",
        cannot_know="requests without an answer, and all after the first million",
        begins="response-time,",
        looks=r"response-time,DNS\+dialup,",
        read=read_csv,
    ),
    TextReader(
        source="hey",
        cannot_know="its requests/s counts errors, its response times leave them out",
        begins=r"Summary:\s*\n\s*Tot",
        looks=r"Summary:\s+Total:\s+[\d.]+ secs",
        read=read_text,
    ),
)
