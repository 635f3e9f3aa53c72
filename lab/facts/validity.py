"""Whether to believe a run: one small function for each doubt, with its remedy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.facts.records import Run, Topic, Trust, Validity
from lab.facts.text import duration, percent

CLIENT_BUSY, FAILED_SHARE, LITTLE = 0.85, 0.001, 0.05
STEAL_SHARE, NEIGHBOUR_BUSY, QUEUED = 0.02, 0.2, 0.2
WAKE_UP_S = 1e-3  # a send lag below is the client's own, above that of a queue
SENT_SHARE, LOOP_LAG_S, RESOLUTION = 0.98, 0.1, 3


class Effect(StrEnum):
    """What a doubt does to a ratio that is taken of the run."""

    ENDS = "ends"  # something else was measured: there is no ratio
    WIDENS = "widens"  # the ratio may be off by a share, and is widened by it
    BOUNDS = "bounds"  # it pulled the ratio towards 1, which is a bound from one side


EFFECTS: Mapping[Topic, Effect] = {
    Topic.FAILURES: Effect.ENDS,
    Topic.OVERFLOWS: Effect.ENDS,
    Topic.RESTARTS: Effect.ENDS,
    Topic.SENT: Effect.ENDS,
    Topic.STEAL: Effect.WIDENS,
    Topic.NEIGHBOUR: Effect.WIDENS,
    Topic.QUEUED: Effect.WIDENS,
    Topic.LAG: Effect.WIDENS,
    Topic.RESOLUTION: Effect.WIDENS,
    Topic.CLIENT: Effect.BOUNDS,
    Topic.LITTLE: Effect.BOUNDS,
}


@dataclass(frozen=True)
class Doubt:
    """A reason not to believe a run, in a sentence that ends with what to do."""

    topic: Topic
    sentence: str


def _client(run: Run) -> str | None:
    if run.client.busy <= CLIENT_BUSY:
        return None
    remedy = "go by the CPU time of a request, or use a machine with more cores"
    if run.load.client == "aiohttp":
        remedy = "use --client wire"
    return (
        f"the load generator used {percent(run.client.busy)} of a core, so its own speed was "
        f"measured: {remedy}"
    )


def _queued(run: Run) -> str | None:
    share = run.client.queued_s / run.load.processes / max(run.elapsed_s, 1e-9)
    if share <= QUEUED:
        return None
    return (
        f"the load generator waited {percent(share)} of the time for a core that others "
        "used: close them, or give it a core of its own"
    )


def _sent(run: Run) -> str | None:
    if not run.load.rate or run.client.sent is None:
        return None
    share = run.client.sent / max(run.client.planned or 0, 1)
    if share >= SENT_SHARE:
        return None
    return (
        f"only {percent(share)} of what was planned could be sent: use more connections (-c) "
        "or a lower rate (-q)"
    )


def _is_failing(run: Run) -> bool:
    return run.failed > FAILED_SHARE * run.requests


def _failures(run: Run) -> str | None:
    if not _is_failing(run):
        return None
    kinds = ", ".join(f"{count} {kind}" for kind, count in run.errors.items())
    return (
        f"{run.failed} of {run.requests} requests failed ({kinds}): look at what the server "
        "itself says, and mend that first"
    )


def _little(run: Run) -> str | None:
    """Little's law: as many requests are under way as there are connections to carry them."""
    slots = min(run.load.connections, run.load.requests or math.inf)
    is_closed = not run.load.rate and not run.load.think_s
    if not is_closed or _is_failing(run) or abs(run.client.in_flight / slots - 1) <= LITTLE:
        return None
    return (
        f"{run.client.in_flight:.1f} of {slots} connections were busy on average (Little's "
        "law), so the load generator could not keep up: use fewer --connections"
    )


def _lag(run: Run) -> str | None:
    if run.client.loop_lag_s <= LOOP_LAG_S:
        return None
    return (
        f"the load generator itself stood still for up to {duration(run.client.loop_lag_s)}: "
        "close what else runs; in an open loop that is in the response times and the send lag"
    )


def _resolution(run: Run) -> str | None:
    lag_s = run.histograms.send_lag_s.percentile_s(50) or 0.0
    p50_s = run.histogram.percentile_s(50)
    waits = run.load.rate or run.load.think_s
    if not waits or p50_s is None or p50_s >= RESOLUTION * lag_s:
        return None
    if lag_s < WAKE_UP_S:
        return (
            f"the p50 of {duration(p50_s)} is under the resolution: it is below three times the "
            f"send lag of {duration(lag_s)}, so read the service time"
        )
    return (
        f"the p50 of {duration(p50_s)} is mostly send lag, {duration(lag_s)}: requests waited "
        "for a connection, so use more (-c), if the server should not be what they wait for"
    )


def _overflows(run: Run) -> str | None:
    if run.client.listen_overflows <= 0:
        return None
    return (
        f"the queue of new connections was full {run.client.listen_overflows} times, and who "
        "is turned away waits for a second or more: raise the server's backlog, or use fewer "
        "--connections"
    )


def _restarts(run: Run) -> str | None:
    if not run.server or run.server.replaced <= 0:
        return None
    return (
        f"{run.server.replaced} of the server's processes ended, so its start was measured, "
        "too: look at what it says, and switch off what restarts it"
    )


def _steal(run: Run) -> str | None:
    if run.environment.steal <= STEAL_SHARE:
        return None
    return (
        f"the host of this virtual machine kept {percent(run.environment.steal)} of its "
        "time for others: run again when they are quiet"
    )


def _neighbour(run: Run) -> str | None:
    if not run.server or run.client.neighbour_busy <= NEIGHBOUR_BUSY:
        return None
    busy = percent(run.client.neighbour_busy)
    return f"close {run.client.neighbour}: it used {busy} of a core meanwhile"


CHECKS: tuple[tuple[Topic, Callable[[Run], str | None]], ...] = (
    (Topic.CLIENT, _client),
    (Topic.QUEUED, _queued),
    (Topic.SENT, _sent),
    (Topic.FAILURES, _failures),
    (Topic.LITTLE, _little),
    (Topic.LAG, _lag),
    (Topic.RESOLUTION, _resolution),
    (Topic.OVERFLOWS, _overflows),
    (Topic.RESTARTS, _restarts),
    (Topic.STEAL, _steal),
    (Topic.NEIGHBOUR, _neighbour),
)


def find_doubts(run: Run) -> list[Doubt]:
    """Why a run should not be believed; empty where nothing speaks against it."""
    return [Doubt(topic, said) for topic, check in CHECKS if (said := check(run))]


def judge(run: Run) -> Run:
    """The same run with its validity."""
    doubts = find_doubts(run)
    reasons = [doubt.sentence for doubt in doubts]
    if run.interrupted:
        reasons.insert(0, f"interrupted after {duration(run.elapsed_s)}: run it to its end")
    if not run.ok:
        reasons.insert(0, "no request was answered as expected: look at its statuses and errors")
    verdict = Trust.SUSPECT if reasons else Trust.VALID
    if not run.ok or Topic.SENT in {doubt.topic for doubt in doubts}:
        verdict = Trust.INVALID
    return replace(run, validity=Validity(verdict=verdict, reasons=reasons))
