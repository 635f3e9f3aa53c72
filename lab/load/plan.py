"""Pacing: when the requests of an open loop are due, and how processes share a load."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from lab.facts.arrays import np
from lab.load.load import Load

_CHUNK = 1 << 14  # times made at once


def plan_due_ns(load: Load, requests: float, duration_s: float) -> Iterator[int]:
    """When requests are due in an open loop, in ns after its start."""
    assert load.rate
    order, done, last_s = np.random.default_rng(load.seed), 0, 0.0
    if load.arrivals == "constant" and duration_s < math.inf:
        requests = min(requests, math.ceil(load.rate * duration_s - 1e-9))
    while done < requests:
        count = int(min(requests - done, _CHUNK))
        due_s = np.arange(done, done + count) / load.rate
        if load.arrivals == "poisson":
            due_s = last_s + order.exponential(1 / load.rate, count).cumsum()
            last_s = due_s[-1]
        yield from (due_s[due_s < duration_s] * 1e9).astype(np.int64).tolist()
        done += count
        if due_s[-1] >= duration_s:
            return


def split_load(load: Load) -> list[Load]:
    """The same load for each process: connections, requests and planned times add up to it."""
    n = load.processes
    requests = [load.requests] * n  # in an open loop each takes its times of the whole plan
    if load.requests and not load.rate:
        requests = [*_split(load.requests, n)]
    return [
        replace(load, processes=1, connections=c, requests=r, share=(number, n), pid=None)
        for number, (c, r) in enumerate(zip(_split(load.connections, n), requests, strict=True))
    ]


def _split(total: int, n: int) -> list[int]:
    return [total // n + (number < total % n) for number in range(n)]
