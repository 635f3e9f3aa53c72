"""wrk and wrk2: what they print.

Requests that were not answered within its time-out are missing from wrk's response times, and
the first 10 s, in which it calibrates, from wrk2's.
"""

from __future__ import annotations

import re
from dataclasses import replace

from lab.facts.foreign import Foreign
from lab.readers.parsing import find, find_all, name_figures, parse_span
from lab.readers.reader import TextReader

SOCKET_ERRORS = r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)"


def read_text(text: str) -> Foreign:
    asked, url = find("Running", r"Running (\S+) test @ (\S+)", text)
    rate = float(find("Requests/sec", r"Requests/sec:\s+([\d.]+)\s", text)[0])
    count, elapsed = find("requests in", r"\b(\d+) requests in ([^ ,]+),", text)
    errors = _count_errors(text)
    failed, answered = sum(errors.values()), int(count)
    found = Foreign(
        name=url,
        connections=int(find("connections", r"threads and (\d+) connections", text)[0]),
        duration_s=parse_span(asked),
        elapsed_s=answered / rate if rate else parse_span(elapsed),  # to more digits
        rate=rate,
        requests=answered + failed - errors.get("status", 0),
        failed=failed,
        errors=errors,
        latency_s=name_figures({key: parse_span(value) for key, value in _find_times(text)}),
    )
    if "calibration" in text or "HdrHistogram" in text:
        return replace(found, source="wrk2", cannot_know="the response times of its first 10 s")
    return found


def _count_errors(text: str) -> dict[str, int]:
    lost = re.search(SOCKET_ERRORS, text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    counts = (
        dict(zip(("connect", "read", "write", "timeout"), lost.groups(), strict=True))
        if lost
        else {}
    )
    counts |= {"status": bad[1]} if bad else {}
    return {kind: int(count) for kind, count in counts.items() if int(count)}


def _find_times(text: str) -> list[tuple[str, str]]:
    figures = find("Latency", r"Latency\s+(\S+)\s+(\S+)\s+(\S+)\s", text)
    said = dict(zip(("mean", "stdev", "max"), figures, strict=True))
    corrected = text.partition("Uncorrected Latency")[0]
    said |= find_all(r"^[ \t]*(\d[\d.]*%)[ \t]+(\d[\d.]*[a-z]+)[ \t]*$", corrected)
    return list(said.items())


READERS = (
    TextReader(
        source="wrk",
        cannot_know="requests that were not answered in its time-out",
        begins=r"Running \d+[smh]\b",
        looks=r"Running \S+ test @ \S+",
        read=read_text,
    ),
)
