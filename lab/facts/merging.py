"""Several runs as one: counts and times added, histograms merged exactly."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.histogram import Figures, Histogram, merge_histograms
from lab.facts.named import NamedTimes, merge_named, merge_timings
from lab.facts.records import (
    ClientCost,
    Histograms,
    Run,
    Second,
    ServerCost,
    Stretches,
    Target,
)
from lab.facts.results import Result
from lab.facts.validity import judge


def add_counts(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts of the same things, added up."""
    return dict(sum((Counter(part) for part in parts), Counter[str]()))


def merge(runs: Sequence[Run]) -> Run:
    """Rounds of the same load, one after the other, as one run. It has no series."""
    first = runs[0]
    elapsed_s = sum(run.elapsed_s for run in runs)
    requests = sum(run.requests for run in runs)
    merged = replace(
        first,
        elapsed_s=elapsed_s,
        ok=sum(run.ok for run in runs),
        failed=sum(run.failed for run in runs),
        unfinished=sum(run.unfinished for run in runs),
        statuses=add_counts(run.statuses for run in runs),
        errors=add_counts(run.errors for run in runs),
        histograms=merge_all_histograms([run.histograms for run in runs]),
        series=[],
        shards=[],
        stretches=_join_stretches([run.stretches for run in runs]),
        targets=[merge_targets(parts) for parts in zip(*(r.targets for r in runs), strict=True)],
        classes=_merge_classes(runs),
        server_timing=merge_timings([r.server_timing for r in runs if r.server_timing]),
        connections=replace(
            first.connections, opened=sum(run.connections.opened or 0 for run in runs)
        ),
        client=merge_clients([run.client for run in runs]).spread_over(
            requests, elapsed_s, first.load.processes
        ),
        server=_merge_servers([run.server for run in runs if run.server], requests, elapsed_s),
        environment=replace(first.environment, steal=max(r.environment.steal for r in runs)),
        interrupted=any(run.interrupted for run in runs),
        aborted=next((run.aborted for run in runs if run.aborted), ""),
        quoted_s=_median_figures([run.quoted_s for run in runs]),
    )
    return judge(merged)


def _join_stretches(parts: Sequence[Stretches | None]) -> Stretches | None:
    """Stretches one after the other; None where a run was too short to have some."""
    known = [part for part in parts if part]
    if len(known) < len(parts):
        return None
    rows = zip(*(part.above for part in known), strict=True)
    return Stretches(
        counts=[count for part in known for count in part.counts],
        above=[[count for row in one for count in row] for one in rows],
    )


def merge_records(records: Sequence[Run | Result | Foreign]) -> Run | Foreign:
    """All records of a command as one, exactly.

    Raises Unreadable for what has no samples, or is not of one kind.
    """
    runs = [record for record in records if isinstance(record, Run)]
    lists = [record for record in records if isinstance(record, Foreign) and record.histogram]
    if len(runs) == len(records):
        return merge(runs)
    if len(lists) == len(records):
        return _merge_lists(lists)
    raise Unreadable("only runs of loadgen.py, or only lists of samples, merge exactly")


def _merge_lists(parts: Sequence[Foreign]) -> Foreign:
    """Lists of samples as one; what is not known of each is not known of all."""
    elapsed_s = [part.elapsed_s for part in parts if part.elapsed_s is not None]
    return replace(
        parts[0],
        requests=_add_known([part.requests for part in parts]),
        failed=_add_known([part.failed for part in parts]),
        elapsed_s=sum(elapsed_s) if len(elapsed_s) == len(parts) else None,
        rate=None,
        statuses=add_counts(part.statuses for part in parts),
        errors=add_counts(part.errors for part in parts),
        histogram=merge_histograms(part.histogram for part in parts if part.histogram),
        series=[],
    )


def _add_known(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def merge_all_histograms(parts: Sequence[Histograms]) -> Histograms:
    """The four histograms of several runs, each merged with its like."""
    keys = [field.name for field in fields(Histograms)]
    return Histograms(**{k: merge_histograms(getattr(part, k) for part in parts) for k in keys})


def merge_targets(parts: Sequence[Target]) -> Target:
    """What several runs say of the same target, as one."""
    return replace(
        parts[0],
        ok=sum(part.ok for part in parts),
        failed=sum(part.failed for part in parts),
        statuses=add_counts(part.statuses for part in parts),
        errors=add_counts(part.errors for part in parts),
        histogram=merge_histograms(part.histogram for part in parts),
    )


def _merge_classes(runs: Sequence[Run]) -> list[NamedTimes]:
    """The response times of each class of status; none where those of a run are not known."""
    parts = [run.find_classes() for run in runs if run.statuses]
    is_one = len({named.name for part in parts for named in part}) == 1
    if not all(parts) or (is_one and not any(run.failed for run in runs)):
        return []
    return merge_named([named for part in parts for named in part])


def add_seconds(parts: Sequence[Second]) -> Second:
    """What several processes saw in the same second. Percentiles do not add up: they are those
    of the histograms, where these were kept.
    """
    total = replace(
        parts[0],
        ok=sum(part.ok for part in parts),
        failed=sum(part.failed for part in parts),
        p50=None,
        p99=None,
        histogram="",
    )
    if not all(part.histogram for part in parts):
        return total
    merged = merge_histograms(Histogram.decode(part.histogram) for part in parts)
    p50_s, p99_s = (merged.percentile_s(percentile, beyond=0) for percentile in (50, 99))
    return replace(total, p50=p50_s, p99=p99_s, histogram=merged.encode())


def merge_clients(clients: Sequence[ClientCost]) -> ClientCost:
    """What the client of several rounds used, with the worst of what disturbed it."""
    worst = max(clients, key=lambda client: client.neighbour_busy)
    return replace(
        worst,
        cpu_s=sum(client.cpu_s for client in clients),
        queued_s=sum(client.queued_s for client in clients),
        listen_overflows=sum(client.listen_overflows for client in clients),
        loop_lag_s=max(client.loop_lag_s for client in clients),
        unread=max((one.unread for one in clients if one.unread is not None), default=None),
        in_flight=statistics.fmean(client.in_flight for client in clients),
    )


def _merge_servers(
    servers: Sequence[ServerCost], requests: int, elapsed_s: float
) -> ServerCost | None:
    if not servers:
        return None
    queued_s = [server.queued_s for server in servers if server.queued_s is not None]
    merged = ServerCost(
        cpu_s=sum(server.cpu_s for server in servers),
        queued_s=sum(queued_s) if len(queued_s) == len(servers) else None,
        rss_bytes=max(server.rss_bytes for server in servers),
        processes=max(server.processes for server in servers),
        threads=max(server.threads for server in servers),
        replaced=max(server.replaced for server in servers),
    )
    return merged.spread_over(requests, elapsed_s)


def _median_figures(quoted_s: Sequence[Figures]) -> Figures:
    """Of times that another tool gave there is nothing better to take than the median."""
    merged: Figures = {}
    for key in quoted_s[0]:
        values = [figures.get(key) for figures in quoted_s]
        known = [value for value in values if value is not None]
        merged[key] = statistics.median(known) if len(known) == len(values) else None
    return merged
