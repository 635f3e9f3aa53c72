"""Pacing: when the requests of an open loop are due, and how processes share a load."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lab.facts.arrays import NDArray, np
from lab.facts.records import Second
from lab.load.load import Load

_CHUNK = 1 << 14  # times made at once


def plan_due_ns(load: Load, requests: float, duration_s: float) -> Iterator[int]:
    """When requests are due in an open loop, in ns after its start: those of its share.

    Each of several takes every n-th of a constant plan, and of Poisson arrivals those that fall
    to it by lot. Parts of a Poisson process that were drawn so are Poisson processes themselves,
    independent of each other; and together all are the plan of one.
    """
    assert load.rate
    order, done, last = np.random.default_rng(load.seed), 0, 0.0
    number, of = load.share
    lots = np.random.default_rng([load.seed, of])
    if load.arrivals == "constant" and duration_s < math.inf:
        requests = min(requests, math.ceil(load.rate * duration_s - 1e-9))
    while done < requests:
        count = int(min(requests - done, _CHUNK))
        # how many requests the plan asks for until each of them is due
        until = np.arange(done, done + count, dtype=float)
        if load.arrivals == "poisson":
            until = last + order.exponential(1, count).cumsum()
            last = until[-1]
        due_s = _find_due_s(load, until)
        is_ours = np.arange(done, done + count) % of == number
        if load.arrivals == "poisson" and of > 1:
            is_ours = lots.integers(of, size=count) == number
        yield from (due_s[is_ours & (due_s < duration_s)] * 1e9).astype(np.int64).tolist()
        done += count
        if due_s[-1] >= duration_s:
            return


def _find_due_s(load: Load, until: NDArray[np.float64]) -> NDArray[np.float64]:
    """When the plan has asked for so many requests, in s; inf where it never does.

    A ramp from a to b over D seconds has asked for a t + (b - a) t² / 2D of them at t.
    """
    if load.ramp is None:
        return until / (load.rate or 1.0)
    assert load.duration_s
    first, last = load.ramp
    squared = first**2 + 2 * until * (last - first) / load.duration_s  # of the rate at that time
    due_s = np.full_like(until, math.inf)
    is_reached = squared >= 0
    sums = first + np.sqrt(squared[is_reached])
    due_s[is_reached] = 2 * until[is_reached] / np.where(sums > 0, sums, 1.0)
    return due_s


def add_rates(load: Load, series: Sequence[Second]) -> list[Second]:
    """The series of a ramp with the rate that was asked for in each of its entries."""
    if load.ramp is None:
        return list(series)
    starts_s = [0.0, *(second.time for second in series)]
    return [
        replace(second, rate=_find_mean_rate(load, start_s, second.time))
        for start_s, second in zip(starts_s, series, strict=False)
    ]


def _find_mean_rate(load: Load, start_s: float, end_s: float) -> float:
    """The mean rate of a ramp between two moments; after its end nothing is asked for."""
    assert load.ramp and load.duration_s
    (first, last), whole_s = load.ramp, load.duration_s
    asked_s = max(min(end_s, whole_s) - start_s, 0.0)
    middle = first + (last - first) * (start_s + asked_s / 2) / whole_s
    return middle * asked_s / max(end_s - start_s, 1e-9)


def split_load(load: Load) -> list[Load]:
    """The same load for each process: connections, requests and planned times add up to it."""
    n = load.processes
    requests = [load.requests] * n  # in an open loop each takes its times of the whole plan
    if load.requests and not load.rate:
        requests = [*_split(load.requests, n)]
    alone = replace(load, processes=1, cluster="", pid=None, abort="")
    return [
        replace(alone, connections=c, requests=r, share=(number, n))
        for number, (c, r) in enumerate(zip(_split(load.connections, n), requests, strict=True))
    ]


def _split(total: int, n: int) -> list[int]:
    return [total // n + (number < total % n) for number in range(n)]
