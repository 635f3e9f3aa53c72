"""vegeta: its results as ndjson or csv (vegeta encode), and its reports as text or JSON.

Its clock starts when a worker is free, so it does not know how late a request was sent. What
failed is in its response times, but for the lists, of which we take the successes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import msgspec

from lab.facts.foreign import Foreign
from lab.readers.parsing import (
    count_answers,
    find,
    name_figures,
    parse_span,
    part_unanswered,
    report_cut,
)
from lab.readers.reader import JsonReader, ListReader, TextReader
from lab.readers.samples import Sample, read_columns, read_objects

CANNOT_KNOW = "how late a request was sent: its clock starts when a worker is free"
NS = 1e-9


class Hit(msgspec.Struct):
    """A line of its ndjson."""

    timestamp: datetime
    code: int
    latency: float  # ns


class Report(msgspec.Struct):
    """Its report in JSON; times in ns."""

    latencies: dict[str, float | None]
    status_codes: dict[str, int]
    rate: float
    duration: float
    wait: float
    earliest: str = ""
    buckets: dict[int, int] | None = None  # by their lower edge


def read_csv(blocks: Iterator[bytes]) -> Foreign:
    return read_columns(blocks, columns=12, latency=2, status=1, start=0, unit_s=NS, header=False)


def read_ndjson(blocks: Iterator[bytes]) -> Foreign:
    return read_objects(blocks, Hit, _take_sample)


def _take_sample(hit: Hit) -> Sample:
    return hit.timestamp.timestamp(), hit.code, hit.latency / 1e9


def read_text(text: str) -> Foreign:
    requests = _find_row("Requests", text)
    codes = dict(pair.split(":") for pair in _find_row("Status Codes", text)["code:count"].split())
    found = count_answers(*part_unanswered({code: int(count) for code, count in codes.items()}))
    if found.requests != int(requests["total"]):
        raise report_cut("not all of its status codes are there")
    said = _find_row("Latencies", text)
    return replace(
        found,
        asked_rate=float(requests["rate"]),
        elapsed_s=parse_span(_find_row("Duration", text)["total"]),
        latency_s=name_figures({key: parse_span(value) for key, value in said.items()}),
    )


def _find_row(name: str, text: str) -> dict[str, str]:
    labels, values = find(name, rf"{name}\s+\[([^]]+)\][ \t]+(\S.*)", text)
    return dict(zip(labels.split(", "), values.strip().split(", "), strict=False))


def read_report(report: Report) -> Foreign:
    edges = sorted((report.buckets or {}).items())
    uppers_s = [edge / 1e9 for edge, _ in edges[1:]] + [math.inf]
    counts = [count for _, count in edges]
    return replace(
        count_answers(*part_unanswered(report.status_codes)),
        started=report.earliest,
        asked_rate=report.rate,
        elapsed_s=(report.duration + report.wait) / 1e9,
        latency_s=name_figures(report.latencies, NS),
        buckets=dict(zip(uppers_s, counts, strict=False)),
    )


READERS = (
    ListReader(
        source="vegeta csv",
        cannot_know=CANNOT_KNOW,
        begins=r"\d{16,19},\d{1,3},",
        looks=r"\d{16,19},\d{1,3},\d+,\d+,\d+,",
        read=read_csv,
    ),
    ListReader(
        source="vegeta",
        cannot_know=CANNOT_KNOW,
        looks=r'\{(?=[^\n]*"timestamp":\s*")[^\n]*"latency":\s*\d',
        read=read_ndjson,
    ),
    TextReader(
        source="vegeta",
        cannot_know=CANNOT_KNOW,
        begins=r"Requests\s+\[",
        looks=r"Requests\s+\[total, rate",
        read=read_text,
    ),
    JsonReader(
        source="vegeta",
        cannot_know=CANNOT_KNOW,
        begins=r'\{"latencies":',
        keys=frozenset({"latencies", "status_codes", "requests"}),
        shape=Report,
        read=read_report,
    ),
)
