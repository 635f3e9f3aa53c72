"""Objectives: what a run must keep, such as p99 < 50 ms or failed < 0.1 %."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.facts.records import Point, Run
from lab.facts.text import duration, parse_duration, three_digits

KEPT_UP = 0.95  # of the planned rate: below that, the queue grows for as long as it lasts
_FORM = re.compile(r"(failed|throughput|mean|max|min|p(\d+(?:\.\d+)?))\s*([<>])\s*(.+)")
_UNITS = {"failed": "%", "throughput": "/s"}


@dataclass(frozen=True)
class Objective:
    """One figure of a run, and the limit that it must keep."""

    metric: str  # failed, throughput, mean, max, min or a percentile such as p99
    percentile: float | None  # of response times, where it is one
    above: bool  # whether the figure must be above the limit, and not below
    limit: float  # s, requests/s or a share

    @property
    def is_time(self) -> bool:
        return self.metric not in _UNITS

    def is_broken_by(self, run: Run) -> bool:
        """p99 < T is broken by more than 1 % of answers above T."""
        if self.percentile is not None and not self.above:
            allowed = run.ok * (100 - self.percentile) / 100
            return not run.ok or run.histogram.above(self.limit) > allowed + 1e-9
        value = self.value_of(run)
        if value is None:
            return True
        return value <= self.limit if self.above else value >= self.limit

    def value_of(self, run: Run) -> float | None:
        if self.metric == "failed":
            return run.failed / run.requests if run.requests else None
        if self.metric == "throughput":
            return run.throughput
        if self.percentile is not None:
            return run.histogram.percentile_s(self.percentile, beyond=0)
        return run.latency_s[self.metric]

    def describe(self, value: float | None) -> str:
        """A value of its figure, with the unit."""
        if value is None:
            return "-"
        if self.metric == "failed":
            return f"{three_digits(100 * value)} %"
        return duration(value) if self.is_time else f"{three_digits(value)}/s"


def parse_objectives(text: str) -> list[Objective]:
    """Read "p99<50ms,failed<0.1%,throughput>200/s"; also mean, max, min and any percentile.

    Raises ValueError for anything else.
    """
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    if text and not pieces:
        raise ValueError(f"{text!r} is not a valid objective: write p99<50ms")
    return [_parse_objective(piece) for piece in pieces]


def _parse_objective(text: str) -> Objective:
    match = _FORM.fullmatch(text)
    if not match or (match[2] and not 0 < float(match[2]) < 100):
        raise ValueError(
            f"{text!r} is not a valid objective: write p99<50ms, failed<0.1% or mean<10ms"
        )
    metric, percentile, sign, limit = match.groups()
    unit = _UNITS.get(metric)
    if unit is None and limit[-1:].isdigit():
        raise ValueError(f"{text!r} has no unit: write {metric}{sign}50ms")
    if unit is None:
        value = parse_duration(limit)
    elif re.fullmatch(r"\d+(\.\d+)?", limit.removesuffix(unit)):
        value = float(limit.removesuffix(unit)) / (100 if metric == "failed" else 1)
    else:
        raise ValueError(f"{text!r} is not a valid objective: write {metric}{sign}1{unit}")
    if metric == "failed" and value > 1:
        raise ValueError(f"{text!r}: no more than 100 % can fail")
    return Objective(metric, float(percentile) if percentile else None, sign == ">", value)


def find_broken(run: Run, objectives: Sequence[Objective]) -> list[str]:
    """A sentence for each objective that `run` breaks; also when it falls behind its plan."""
    broken = [_say_broken(one, run) for one in objectives if one.is_broken_by(run)]
    rate, asked_s, planned = run.load.rate, run.load.duration_s, run.client.planned
    if rate and asked_s and planned and run.ok and run.throughput < KEPT_UP * planned / asked_s:
        broken.append(
            f"it answered {three_digits(run.throughput)}/s of {rate:g}/s: it falls behind"
        )
    return broken


def _say_broken(objective: Objective, run: Run) -> str:
    found = objective.describe(objective.value_of(run))
    side = "above" if objective.above else "below"
    return f"{objective.metric} is {found}, not {side} {objective.describe(objective.limit)}"


def point_of(run: Run) -> Point:
    """A run of an open loop as a point of the curve of rate against response time."""
    figures = run.latency_s
    return Point(
        rate=run.load.rate or 0.0,
        throughput=run.throughput,
        failed=run.failed,
        requests=run.requests,
        p50_s=figures["p50"],
        p99_s=figures["p99"],
    )
