"""What another load generator says of one run of load."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lab.facts.histogram import FIGURES, SAMPLES_BEYOND, Figures, Histogram
from lab.facts.records import Second


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A run as its own tool tells it. What that does not say is None, or empty."""

    name: str
    source: str  # the tool, and the form of its output
    cannot_know: str  # what the source leaves out or gets wrong, in a line
    started: str = ""
    elapsed_s: float | None = None
    connections: int | None = None
    keepalive: bool | None = None
    asked_rate: float | None = None  # requests/s that it was told to send
    duration_s: float | None = None  # that it was told to last
    requests: int | None = None
    failed: int | None = None
    rate: float | None = None  # requests/s, its own figure
    statuses: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    latency_s: Figures = field(default_factory=dict)  # without what the count cannot carry
    buckets: dict[float, int] = field(default_factory=dict)  # upper edge in s: samples since last
    histogram: Histogram | None = None  # of the ok ones, where every sample was written down
    series: list[Second] = field(default_factory=list)

    def __post_init__(self) -> None:
        said = self.histogram.summary_s() if self.histogram else self.latency_s
        figures = {key: said.get(key) for key in (*FIGURES, *(said.keys() - set(FIGURES)))}
        for key in figures.keys() - {"min", "mean", "stdev", "max"}:
            beyond = (self.requests or math.inf) * (100 - float(key[1:])) / 100
            if beyond < SAMPLES_BEYOND - 1e-6:
                figures[key] = None
        object.__setattr__(self, "latency_s", figures)

    @property
    def ok(self) -> int | None:
        return None if self.requests is None or self.failed is None else self.requests - self.failed

    @property
    def throughput(self) -> float | None:
        """Successes a second; where the source does not tell them apart, its own figure."""
        if self.ok is None or not self.elapsed_s:
            return self.rate
        return self.ok / self.elapsed_s
