"""What readers share: to find figures in texts, and to give them our names and units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import islice

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.histogram import FIGURES, Figures

MOST_FOUND = 10_000  # figures of one kind
SPANS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_SPAN = re.compile(r"([\d.]+)(h|ms|m|s|us|µs|ns)")
_RANK = re.compile(r"p?(\d{1,3}(?:[._]\d+)?)(?:th|%)?")
_NAMES = {
    "average": "mean", "stddev": "stdev", "fastest": "min", "slowest": "max",
    "p0": "min", "p100": "max",
}  # fmt: skip


def report_cut(missing: str) -> Unreadable:
    """The error for an output without its end."""
    return Unreadable(f"cut off: {missing}; save all that it writes")


def report_damage(line: int, why: str = "") -> Unreadable:
    """The error for a line of a list that is no sample."""
    said = f" ({why:.120})" if why else ""
    return Unreadable(f"cut off or damaged in line {line}{said}: leave it out to read the rest")


def find(label: str, pattern: str, text: str) -> tuple[str, ...]:
    """The groups of a pattern that must be there. Raises Unreadable."""
    match = re.search(pattern, text)
    if not match:
        raise report_cut(f"no {label}")
    return match.groups()


def find_all(pattern: str, text: str) -> dict[str, str]:
    """What the first group of each match is said to be by the second."""
    found = islice(re.finditer(pattern, text, re.M), MOST_FOUND)
    return {match[1]: match[2] for match in found}


def parse_span(text: str) -> float:
    """Seconds of a duration as wrk and Go write it, "20.51ms" or "1m0.5s"; NaN of another text."""
    parts = _SPAN.findall(text)
    return sum(float(number) * SPANS_S[unit] for number, unit in parts) if parts else math.nan


def name_figures(said: Mapping[str, float | str | None], unit_s: float = 1.0) -> Figures:
    """The min, mean, stdev, max and percentiles in `said`, by our names and in seconds.

    What has another name, is None or is no finite number is left out.
    """
    found: Figures = {}
    for name, value in said.items():
        rank = _RANK.fullmatch(name)
        key = f"p{float(rank[1].replace('_', '.')):g}" if rank else name.lower()
        key = _NAMES.get(key, key)
        if (rank or key in FIGURES) and value is not None and math.isfinite(float(value)):
            found.setdefault(key, float(value) * unit_s)
    return found


def count_answers(statuses: Mapping[str, int], errors: Mapping[str, int]) -> Foreign:
    """The counts that follow from those of the answers, and of the requests without one."""
    answers = {str(int(status)): count for status, count in statuses.items() if count}
    lost = {kind: count for kind, count in errors.items() if count}
    unanswered = sum(lost.values())
    bad = sum(count for status, count in answers.items() if not 200 <= int(status) < 400)
    return Foreign(
        requests=sum(answers.values()) + unanswered,
        failed=bad + unanswered,
        statuses=answers,
        errors=lost,
    )


def part_unanswered(codes: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Statuses and errors of codes of which 0 stands for no answer."""
    statuses = dict(codes)
    unanswered = statuses.pop("0", 0)
    return statuses, {"no answer": unanswered}
