"""bombardier: its report (--print r --format json).

It has no shortest response time, and percentiles only with -l.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from lab.facts.foreign import Foreign
from lab.readers.parsing import count_answers, name_figures
from lab.readers.reader import JsonReader


class Spec(msgspec.Struct):
    url: str
    connections: int = msgspec.field(name="numberOfConnections")
    rate: float | None = None


class Latency(msgspec.Struct):
    """Times in µs."""

    mean: float
    stddev: float
    max: float
    percentiles: dict[str, float] = {}


class Outcome(msgspec.Struct):
    elapsed_s: float = msgspec.field(name="timeTakenSeconds")
    req1xx: int
    req2xx: int
    req3xx: int
    req4xx: int
    req5xx: int
    others: int  # without an answer
    latency: Latency


class Report(msgspec.Struct):
    spec: Spec
    result: Outcome


def read_report(report: Report) -> Foreign:
    spec, result, times = report.spec, report.result, report.result.latency
    classes = (result.req1xx, result.req2xx, result.req3xx, result.req4xx, result.req5xx)
    found = count_answers(
        {f"{n}00": count for n, count in enumerate(classes, 1)}, {"no answer": result.others}
    )
    said = {"mean": times.mean, "stdev": times.stddev, "max": times.max, **times.percentiles}
    return replace(
        found,
        name=spec.url,
        connections=spec.connections,
        asked_rate=spec.rate,
        elapsed_s=result.elapsed_s,
        statuses={f"{code[0]}xx": count for code, count in found.statuses.items()},
        latency_s=name_figures(said, 1e-6),
    )


READERS = (
    JsonReader(
        source="bombardier",
        cannot_know="the shortest response time",
        begins=r'\{"spec":',
        keys=frozenset({"spec", "result"}),
        shape=Report,
        read=read_report,
    ),
)
