"""What another load generator says of one run of load."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain

from lab.facts.errors import Unreadable
from lab.facts.histogram import FIGURES, LARGEST_COUNT, SAMPLES_BEYOND, Figures, Histogram
from lab.facts.records import Second

LARGEST = 1e12  # seconds, or requests/s: beyond that it is no figure


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A run as its own tool tells it. What that does not say is None, or empty.

    Raises Unreadable for figures that cannot be.
    """

    name: str = ""
    source: str = ""  # the tool, and the form of its output
    cannot_know: str = ""  # what the source leaves out or gets wrong, in a line
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
        self._check()
        said = self.histogram.summary_s() if self.histogram else self.latency_s
        figures = {
            key: said.get(key) for key in (*FIGURES, *(key for key in said if key not in FIGURES))
        }
        for key in figures.keys() - {"min", "mean", "stdev", "max"}:
            beyond = (self.requests or math.inf) * (100 - float(key[1:])) / 100
            if beyond < SAMPLES_BEYOND - 1e-6:
                figures[key] = None
        object.__setattr__(self, "latency_s", figures)

    def _check(self) -> None:
        parts = (self.statuses.values(), self.errors.values(), self.buckets.values())
        for count in (self.requests, self.failed, *chain(*parts)):
            if count is not None and not 0 <= count <= LARGEST_COUNT:
                raise Unreadable(f"a count of {count:.3g}")
        if (self.ok or 0) < 0:
            raise Unreadable(f"{self.failed} failed of {self.requests} requests")
        figures = (self.elapsed_s, self.duration_s, self.asked_rate, self.rate)
        for figure in (*figures, *self.latency_s.values()):
            if figure is not None and not 0 <= figure <= LARGEST:
                raise Unreadable(f"a time or rate of {figure:.3g}")
        if not all(edge >= 0 for edge in self.buckets):
            raise Unreadable("a bucket of times below 0")

    @property
    def ok(self) -> int | None:
        return None if self.requests is None or self.failed is None else self.requests - self.failed

    @property
    def throughput(self) -> float | None:
        """Successes a second; where the source does not tell them apart, its own figure."""
        if self.ok is None or not self.elapsed_s:
            return self.rate
        return self.ok / self.elapsed_s
