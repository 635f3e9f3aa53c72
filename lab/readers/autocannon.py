"""autocannon: its report (--json).

It rounds to whole milliseconds. At a set rate (-R) it makes up samples for the requests that
it believes it should have sent, so its response times are not taken then.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from lab.facts.foreign import Foreign
from lab.readers.parsing import count_answers, name_figures
from lab.readers.reader import JsonReader


class Answers(msgspec.Struct):
    count: int


class Requests(msgspec.Struct):
    total: int


class Report(msgspec.Struct, rename={"status_code_stats": "statusCodeStats"}):
    """Times in ms, the duration in s."""

    url: str
    start: str
    duration: float
    connections: int
    errors: int
    mismatches: int
    status_code_stats: dict[str, Answers]
    requests: Requests
    latency: dict[str, float | None]


def read_report(report: Report) -> Foreign:
    statuses = {code: answers.count for code, answers in report.status_code_stats.items()}
    lost = {"connection": report.errors, "mismatch": report.mismatches}
    found = replace(
        count_answers(statuses, lost),
        name=report.url,
        started=report.start,
        connections=report.connections,
        elapsed_s=report.duration,
    )
    samples, total = report.latency["totalCount"] or 0, report.requests.total
    if samples > 1.01 * total:
        counts = f"it has {samples:.0f} of {total} requests"
        return replace(found, cannot_know=f"response times: {counts}, most of them made up")
    return replace(found, latency_s=name_figures(report.latency, 1e-3))


READERS = (
    JsonReader(
        source="autocannon",
        cannot_know="whole milliseconds",
        begins=r'\{"url":',
        keys=frozenset({"latency", "requests", "throughput", "non2xx"}),
        shape=Report,
        read=read_report,
    ),
)
