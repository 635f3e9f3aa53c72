"""Whether to believe a run: one small function for each doubt, with its remedy."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.facts.records import Run, Topic, Trust, Validity
from lab.facts.text import duration, percent

CLIENT_BUSY, FAILED_SHARE, LITTLE = 0.85, 0.001, 0.05
STEAL_SHARE, NEIGHBOUR_BUSY, QUEUED = 0.02, 0.2, 0.2
UNREAD_SHARE, WAITED = 0.2, 0.02
WAKE_UP_S = 1e-3  # a send lag below is the client's own, above that of a queue
SENT_SHARE, LOOP_LAG_S, RESOLUTION = 0.98, 0.1, 3


class Effect(StrEnum):
    """What a doubt does to a ratio that is taken of the run."""

    ENDS = "ends"  # something else was measured: there is no ratio
    WIDENS = "widens"  # the ratio may be off by a share, and is widened by it
    BOUNDS = "bounds"  # it pulled the ratio towards 1, which is a bound from one side


@dataclass(frozen=True)
class Doubt:
    """A reason not to believe a run, in a sentence that ends with what to do."""

    topic: Topic
    sentence: str


def _keeps_to_plan(run: Run) -> bool:
    """An open loop that sends in time is not at its limit, even where it waits by spinning."""
    lag_s = run.histograms.send_lag_s.percentile_s(99, beyond=0)
    return bool(run.load.rate) and lag_s is not None and lag_s < WAKE_UP_S


def _client(run: Run) -> str | None:
    unread = run.client.unread or 0.0
    if unread > UNREAD_SHARE:
        return (
            f"{percent(unread)} of the requests under way had their answer waiting, so the load "
            "generator read too late, and service times are too long: use a lower rate (-q), or "
            "--processes"
        )
    if run.client.busy <= CLIENT_BUSY or _keeps_to_plan(run):
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
        f"{run.failed} of {run.requests} requests failed ({kinds}): look at the server's own "
        "log, and fix that first"
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
        f"the load generator itself stalled for up to {duration(run.client.loop_lag_s)}: close "
        "what else runs; in an open loop the stall is part of response times and send lag"
    )


def _resolution(run: Run) -> str | None:
    lag_s = run.histograms.send_lag_s.percentile_s(50) or 0.0
    p50_s = run.histogram.percentile_s(50)
    waits = run.load.rate or run.load.think_s
    if not waits or p50_s is None:
        return None
    if p50_s >= RESOLUTION * lag_s:
        return _late_ones(run)
    if lag_s < WAKE_UP_S:
        return (
            f"the p50 of {duration(p50_s)} is under the resolution: it is below three times the "
            f"send lag of {duration(lag_s)}, so read the service time"
        )
    return (
        f"the p50 of {duration(p50_s)} is mostly send lag, {duration(lag_s)}: requests waited "
        "for a connection, so use more (-c), unless that wait is what you measure"
    )


def _late_ones(run: Run) -> str | None:
    """What `_resolution` says of the p50, of the p99 of an open loop."""
    lag_s = run.histograms.send_lag_s.percentile_s(99) or 0.0
    p99_s = run.histogram.percentile_s(99)
    is_small = lag_s < WAKE_UP_S or p99_s is None or p99_s >= RESOLUTION * lag_s
    if is_small or not run.load.rate:
        return None
    return (
        f"one request in a hundred left {duration(lag_s)} late or more, which is much of the p99: "
        "close what else runs, or use more connections (-c), unless that wait is what you measure"
    )


def _overflows(run: Run) -> str | None:
    if run.client.listen_overflows <= 0:
        return None
    return (
        f"the queue of new connections was full {run.client.listen_overflows} times, and "
        "clients that were turned away waited for a second or more: raise the server's backlog, "
        "or use fewer --connections"
    )


def _restarts(run: Run) -> str | None:
    if not run.server or run.server.replaced <= 0:
        return None
    return (
        f"{run.server.replaced} of the server's processes ended, so its restart was measured, "
        "too: look at its log, and switch off what restarts it"
    )


def _steal(run: Run) -> str | None:
    if run.environment.steal <= STEAL_SHARE:
        return None
    return (
        f"the host of this virtual machine gave {percent(run.environment.steal)} of its "
        "time to others: run again when they are quiet"
    )


def _neighbour(run: Run) -> str | None:
    """Where the server is not known, a process counts that kept the load generator waiting."""
    waited = run.client.queued_s / run.load.processes / max(run.elapsed_s, 1e-9)
    if run.client.neighbour_busy <= NEIGHBOUR_BUSY or not (run.server or waited > WAITED):
        return None
    busy = percent(run.client.neighbour_busy)
    return f"close {run.client.neighbour}: it used {busy} of a core meanwhile"


def _shards(run: Run) -> str | None:
    unlike = [
        f"{shard.name} is unlike the others: {shard.unlike}" for shard in run.shards if shard.unlike
    ]
    if not unlike:
        return None
    remedy = "look at that machine and its way to the server, or leave it out"
    return f"{'; '.join(unlike)}: {remedy}"


# ---- How far noise can have moved a throughput ---------------------------------------------
def _lost_to_steal(run: Run, cores: int) -> float:
    """The hypervisor kept a share of all cores' time. All of it may have come from the one core
    that mattered, of which it then is as many times the share as there are cores.
    """
    return run.environment.steal * (run.environment.cores or 1)


def _lost_to_neighbour(run: Run, cores: int) -> float:
    """Another process used a share of one core, and kept the server waiting for no more than
    that; nor for longer than the server's threads are known to have waited for a core.
    """
    queued_s = run.server.queued_s if run.server else None
    waited = math.inf if queued_s is None else queued_s / max(run.elapsed_s, 1e-9)
    return min(run.client.neighbour_busy, waited)


def _lost_to_queue(run: Run, cores: int) -> float:
    """While the load generator waited for a core, nothing was sent or taken. In the rest of the
    time the server did all that it did: a share q lost leaves at least 1 - q of the throughput.
    """
    return run.client.queued_s / run.load.processes / max(run.elapsed_s, 1e-9)


def _lost_to_lag(run: Run, cores: int) -> float:
    """For as long as the load generator stood still, nothing was sent or taken either."""
    return run.client.loop_lag_s / max(run.elapsed_s, 1e-9)


def _lost_to_resolution(run: Run, cores: int) -> float:
    """A response time has the send lag in it, and may be smaller by so much."""
    lag_s = run.histograms.send_lag_s.percentile_s(50) or 0.0
    return min(1.0, lag_s / max(run.histogram.percentile_s(50) or 0.0, 1e-9))


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong, how to see it, and what it does to a ratio."""

    topic: Topic
    find: Callable[[Run], str | None]
    effect: Effect
    lost: Callable[[Run, int], float] | None = None  # the share of the throughput it took at most


CHECKS = (
    Check(Topic.CLIENT, _client, Effect.BOUNDS),
    Check(Topic.QUEUED, _queued, Effect.WIDENS, _lost_to_queue),
    Check(Topic.SENT, _sent, Effect.ENDS),
    Check(Topic.FAILURES, _failures, Effect.ENDS),
    Check(Topic.LITTLE, _little, Effect.BOUNDS),
    Check(Topic.LAG, _lag, Effect.WIDENS, _lost_to_lag),
    Check(Topic.RESOLUTION, _resolution, Effect.WIDENS, _lost_to_resolution),
    Check(Topic.OVERFLOWS, _overflows, Effect.ENDS),
    Check(Topic.RESTARTS, _restarts, Effect.ENDS),
    Check(Topic.STEAL, _steal, Effect.WIDENS, _lost_to_steal),
    Check(Topic.SHARDS, _shards, Effect.BOUNDS),
    Check(Topic.NEIGHBOUR, _neighbour, Effect.WIDENS, _lost_to_neighbour),
)
EFFECTS: Mapping[Topic, Effect] = {check.topic: check.effect for check in CHECKS}
OF_THE_MACHINE = (Topic.STEAL, Topic.NEIGHBOUR, Topic.QUEUED, Topic.LAG)


def find_margin(run: Run, topics: Container[Topic], cores: int = 0) -> float:
    """The share of its throughput that noise can have taken from a run, at most, for `topics`.

    What each took leaves a share of the time, and what all took leaves the product of these. A
    server in a closed loop that may use `cores` and used u of their time cannot have lost more
    than the other 1 - u, whatever went on: for more answers it would have needed more of them.
    """
    left = 1.0
    for check in CHECKS:
        if check.lost and check.topic in topics:
            left *= 1 - min(1.0, check.lost(run, cores))
    idle = 1.0
    if run.server and cores and not run.load.rate and not run.load.think_s:
        idle = 1 - min(1.0, run.server.cpu_s / max(run.elapsed_s, 1e-9) / cores)
    return min(1 - left, idle)


def find_disturbance(run: Run) -> float:
    """The share of the time that others took, by what was seen of the machine alone."""
    return find_margin(run, OF_THE_MACHINE)


def find_doubts(run: Run) -> list[Doubt]:
    """Why a run should not be believed; empty where nothing speaks against it."""
    return [Doubt(check.topic, said) for check in CHECKS if (said := check.find(run))]


def judge(run: Run) -> Run:
    """The same run with its validity."""
    doubts = find_doubts(run)
    reasons = [doubt.sentence for doubt in doubts]
    if run.interrupted:
        reasons.insert(0, f"interrupted after {duration(run.elapsed_s)}: run it to its end")
    if run.aborted:
        reasons.insert(0, f"ended early, as asked for: {run.aborted}")
    if not run.ok:
        reasons.insert(0, "no request was answered as expected: look at its statuses and errors")
    verdict = Trust.SUSPECT if reasons else Trust.VALID
    if not run.ok or Topic.SENT in {doubt.topic for doubt in doubts}:
        verdict = Trust.INVALID
    return replace(run, validity=Validity(verdict=verdict, reasons=reasons))
