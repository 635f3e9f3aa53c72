"""oha: its summary (--output-format json) and its list of samples (csv).

Requests without an answer are not in its response times. Versions 1.6 to 1.13 correct them in
the wrong direction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from lab.facts.foreign import Foreign
from lab.readers.parsing import count_answers, name_figures
from lab.readers.reader import JsonReader, ListReader
from lab.readers.samples import read_columns

STILL_WAITING = "aborted due to deadline"  # under way when the time was up: not a failure


class Summary(msgspec.Struct):
    """Times in s."""

    total: float
    slowest: float | None
    fastest: float | None
    average: float | None


class Report(msgspec.Struct, rename="camel"):
    """Its summary in JSON; times in s."""

    summary: Summary
    latency_percentiles: dict[str, float | None]
    status_code_distribution: dict[str, int]
    error_distribution: dict[str, int]
    response_time_histogram: dict[str, int]


def read_csv(blocks: Iterator[bytes]) -> Foreign:
    return read_columns(blocks, columns=7, latency=4, status=6, start=0)


def read_report(report: Report) -> Foreign:
    errors = dict(report.error_distribution)
    errors.pop(STILL_WAITING, None)
    edges = sorted((float(edge), count) for edge, count in report.response_time_histogram.items())
    said = msgspec.structs.asdict(report.summary) | report.latency_percentiles
    return replace(
        count_answers(report.status_code_distribution, errors),
        elapsed_s=report.summary.total,
        latency_s=name_figures(said),
        buckets={edge: count for edge, count in edges if math.isfinite(edge)},
    )


READERS = (
    ListReader(
        source="oha csv",
        cannot_know="requests without an answer",
        begins="request-start,",
        looks=r"request-start,DNS,",
        read=read_csv,
    ),
    JsonReader(
        source="oha",
        cannot_know=(
            "requests without an answer in its response times; 1.6 to 1.13 correct wrongly"
        ),
        begins=r'\{\s*"summary":',
        keys=frozenset({"summary", "latencyPercentiles", "statusCodeDistribution"}),
        shape=Report,
        read=read_report,
    ),
)
