"""The processes or workers that shared a load."""

from __future__ import annotations

from dataclasses import dataclass

from lab.facts.kinds import Count, Fraction, Seconds


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of several processes that shared a load, on one machine or on many."""

    name: str  # what ran it
    share: Fraction  # of the load
    requests: Count
    ok: Count
    p50_s: Seconds | None = None
    p99_s: Seconds | None = None
    cpu_s: Seconds = 0.0
    busy: Fraction = 0.0  # of one core
    queued_s: Seconds = 0.0
    loop_lag_s: Seconds = 0.0
    steal: Fraction = 0.0  # of its machine's time
    start_skew_s: float | None = None  # after the moment at which all were to begin
    clock_error_s: Seconds = 0.0  # its clock may differ from ours by so much
    unlike: str = ""  # in what it differs from the others, where it does
    lost: str = ""  # how it was lost, where it was
