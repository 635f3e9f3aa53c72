"""Intervals: how sure a figure is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """An estimate, and the interval that holds the true value with `confidence`."""

    estimate: float
    low: float
    high: float
    confidence: float = 0.95
    rounds: int = 0
    launches: int = 0
