"""One run as a report."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from lab.facts.foreign import Foreign
from lab.facts.histogram import PERCENTILES, SAMPLES_BEYOND
from lab.facts.ramp import trace_ramp
from lab.facts.records import Asked, Environment, Objectives, Point, Run
from lab.facts.text import WIDTH, count_of, duration, percent, size, three_digits, unit_of, wrapped
from lab.reports.chart import draw_buckets, draw_histograms, draw_sparkline
from lab.reports.parts import tabulate_classes, tabulate_curve, tabulate_targets, tabulate_timing
from lab.reports.safe import make_safe
from lab.reports.shards import tabulate_shards
from lab.reports.table import Block, Table, format_cells, render

MOST_RANKS = 20  # of percentiles that a source says: of more, the usual ones are shown
TOO_FEW = f"- means fewer than {SAMPLES_BEYOND} samples beyond it"
MOST_RATES = 12  # of a ramp that are shown
LEAST_LAG_S = 1e-6  # below, a lag is that of the clock


def report(
    run: Run | Foreign, markdown: bool = False, percentiles: Sequence[float] = PERCENTILES
) -> str:
    """One run as text: what was asked, what came back, and whether to believe it."""
    run = make_safe(run)
    if isinstance(run, Run):
        asked, facts = describe_load(run.load), _summarize(run)
    else:
        asked, facts = _describe_foreign_load(run), _summarize_foreign(run)
    summary = [wrapped(f"  {label}", text, 17) for label, text in facts.items()]
    blocks: list[Block] = [
        [*textwrap.wrap(run.name, WIDTH), *textwrap.wrap(asked, WIDTH)],
        ["Summary", *summary] if summary else [],
        draw_sparkline(run.series),
        _list_histogram(run),
        _list_percentiles(run, percentiles),
    ]
    for title, counts in (("Status codes", run.statuses), ("Errors", run.errors)):
        if counts or isinstance(run, Run):
            blocks.append([title, *_list_counts(counts)])
    if isinstance(run, Foreign):
        blocks.append([wrapped("Not known", f"from {run.source}: {run.cannot_know}", 11)])
        return render(blocks, markdown)
    if len(run.classes) > 1:
        blocks += [["Response times by class of status"], tabulate_classes(run.classes)]
    blocks += tabulate_timing(run.server_timing) if run.server_timing else []
    blocks += [["Targets"], tabulate_targets(run.targets)] if run.targets else []
    blocks += [["Shares of the load"], tabulate_shards(run.shards)] if run.shards else []
    blocks += [["Rates tried"], tabulate_curve(run.curve)] if run.curve else []
    if run.load.ramp:
        blocks += [["Rates of the ramp"], tabulate_curve(trace_ramp(run.series, MOST_RATES))]
    blocks += [_list_objectives(run.slo, run.curve)] if run.slo else []
    reasons = [wrapped("  -", reason, 4) for reason in run.validity.reasons]
    blocks.append([run.validity.verdict, *reasons])
    return render(blocks, markdown)


# ---- What was asked, and on what -------------------------------------------------------
def describe_load(load: Asked) -> str:
    """What was asked for, in words."""
    connections = count_of(load.connections, "connection")
    if not load.keepalive:
        connections += ", a new one for each request"
    amount = [count_of(load.requests, "request")] if load.requests else []
    amount += [duration(load.duration_s)] if load.duration_s else []
    client = f"{load.client} client"
    if load.cluster:
        client += f" on {count_of(load.processes, 'worker')} of {load.cluster}"
    elif load.processes > 1:
        client += f" in {load.processes} processes"
    return ", ".join([connections, _describe_loop(load), " or ".join(amount), client])


def _describe_loop(load: Asked) -> str:
    if load.ramp:
        first, last = load.ramp
        return f"open loop from {first:g}/s to {last:g}/s, {load.arrivals} arrivals"
    if load.rate:
        spinning = ", waiting by spinning" if load.precise else ""
        return f"open loop at {load.rate:g}/s, {load.arrivals} arrivals{spinning}"
    if not load.think_s:
        return "closed loop"
    low, high = map(duration, load.think_s)
    pause = low if low == high else f"{low} to {high}"
    return f"closed loop, {pause} between requests"


def _describe_foreign_load(run: Foreign) -> str:
    asked = [run.source]
    if run.connections:
        asked.append(count_of(run.connections, "connection"))
    if run.keepalive is False:
        asked.append("a new one for each request")
    if run.asked_rate:
        asked.append(f"at {run.asked_rate:g}/s")
    return ", ".join(asked)


def list_versions(packages: Mapping[str, str]) -> str:
    """Versions of packages in a line: "flask 3.1.2, uvicorn 0.38.0"."""
    return ", ".join(f"{package} {version}" for package, version in packages.items())


def describe_machine(environment: Environment) -> str:
    """The processor and its cores; nothing where they are not recorded."""
    return f"{environment.cpu}, {environment.cores} cores" if environment.cpu else ""


def describe_environment(environment: Environment) -> str:
    """Versions and machine in a line."""
    python = f"Python {environment.python}"
    known = [list_versions(environment.packages), python, describe_machine(environment)]
    return ", ".join(filter(None, known))


# ---- The parts of a report -------------------------------------------------------------
def _summarize(run: Run) -> dict[str, str]:
    latency_s, client, server = run.latency_s, run.client, run.server
    requests = f"{run.requests}: {run.ok} ok, {run.failed} failed"
    if run.unfinished:
        requests += f", {run.unfinished} unfinished"
    facts = {
        "requests": requests,
        "elapsed": duration(run.elapsed_s),
        "throughput": f"{three_digits(run.throughput)} requests/s that succeeded",
        "response time": f"{duration(latency_s['mean'])} mean, "
        f"{duration(latency_s['stdev'])} stdev",
        **_summarize_open_loop(run),
        "connections": _describe_connections(run),
        "client": f"{three_digits(client.cpu_us_per_request)} CPU µs per request, "
        f"{percent(client.busy)} of a core",
    }
    if server:
        facts["server"] = (
            f"{three_digits(server.cpu_us_per_request)} CPU µs per request, "
            f"{size(server.rss_bytes)} of memory at most, "
            f"{count_of(server.processes, 'process')}, {count_of(server.threads, 'thread')}"
        )
    return facts


def _summarize_open_loop(run: Run) -> dict[str, str]:
    """What an open loop has beside the response time, which counts from the plan."""
    if not run.load.rate:
        return {}
    facts = {}
    times = {"service time": run.histograms.service_s, "send lag": run.histograms.send_lag_s}
    for label, histogram in times.items():
        p50, p99 = map(_describe_lag, (histogram.percentile_s(50), histogram.percentile_s(99)))
        facts[label] = f"p50 {p50}, p99 {p99}"
    facts["planned"] = f"{run.client.planned} requests, {run.client.sent} of them sent"
    return facts


def _describe_lag(lag_s: float | None) -> str:
    return "under 1 µs" if lag_s is not None and lag_s < LEAST_LAG_S else duration(lag_s)


def _describe_connections(run: Run) -> str:
    known = run.connections
    times = {"DNS": known.dns_s, "connect": known.connect_s, "TLS": known.tls_s}
    took = [f"{what} {duration(time_s)}" for what, time_s in times.items() if time_s]
    return f"{known.opened} opened" + (f" ({', '.join(took)})" if took else "")


def _summarize_foreign(run: Foreign) -> dict[str, str]:
    facts: dict[str, str] = {}
    mean_s, stdev_s = run.latency_s["mean"], run.latency_s["stdev"]
    if run.requests is not None:
        facts["requests"] = str(run.requests)
        if run.failed is not None:
            facts["requests"] += f": {run.ok} ok, {run.failed} failed"
    if run.elapsed_s is not None:
        facts["elapsed"] = duration(run.elapsed_s)
    if run.throughput is not None:
        whose = "requests/s, as the tool says"
        if run.ok is not None:
            whose = "requests/s that succeeded"
        facts["throughput"] = f"{three_digits(run.throughput)} {whose}"
    if mean_s is not None:
        facts["response time"] = f"{duration(mean_s)} mean"
        if stdev_s is not None:
            facts["response time"] += f", {duration(stdev_s)} stdev"
    return facts


def _list_histogram(run: Run | Foreign) -> list[str]:
    if run.histogram:
        bars = draw_histograms({"": run.histogram})
    else:
        bars = draw_buckets(run.buckets) if isinstance(run, Foreign) else []
    return ["Response time histogram", *(f"  {bar}" for bar in bars)] if bars else []


def read_figure_s(run: Run | Foreign, key: str) -> float | None:
    """One figure of the response times in seconds: "min", "mean", "p99.9"; None if not known."""
    if key[0] == "p" and run.histogram:
        return run.histogram.percentile_s(float(key[1:]))
    return run.latency_s.get(key)


def _list_percentiles(run: Run | Foreign, percentiles: Sequence[float]) -> list[str]:
    keys = ["min", *(f"p{p:g}" for p in percentiles), "max"]
    if not run.histogram and percentiles is PERCENTILES:
        keys = _list_known(run)
    shown = {key: read_figure_s(run, key) for key in keys}
    if not any(shown.values()):
        return []
    unit_s, unit = unit_of(shown.values())
    cells = format_cells(shown.values(), unit_s)
    sure = [describe_interval(run, key, unit_s) for key in shown]
    rows = [[f"  {key}", *rest] for key, *rest in zip(shown, cells, sure, strict=True)]
    if not any(sure):
        rows = [row[:2] for row in rows]
    title = f"Latency distribution ({unit}{', 95 % CI' if any(sure) else ''})"
    lines = [title, *Table(rows, "<><"[: len(rows[0])]).to_lines()]
    if None in shown.values():
        lines.append(f"  {TOO_FEW}")
    return lines


def describe_interval(run: Run | Foreign, key: str, unit_s: float) -> str:
    """The interval of a percentile, where the run lasted long enough to have one."""
    if not isinstance(run, Run) or key[0] != "p":
        return ""
    found = run.find_interval_s(float(key[1:]))
    if found is None:
        return ""
    low = three_digits(found.low / unit_s)
    if found.high == math.inf:
        return f"{low} or more"
    return f"{low}–{three_digits(found.high / unit_s)}"


def _list_known(run: Run | Foreign) -> list[str]:
    """All figures that a source says, and no more; of very many the usual ones."""
    said = {key for key, value in run.latency_s.items() if value is not None}
    ranks = sorted(float(key[1:]) for key in said if key[0] == "p")
    ranks = [p for p in ranks if p >= 50 and (len(ranks) < MOST_RANKS or p in PERCENTILES)]
    return [*({"min"} & said), *(f"p{p:g}" for p in ranks), *({"max"} & said)]


def _list_counts(counts: Mapping[str, int]) -> list[str]:
    rows = [[f"  {key}", str(count)] for key, count in sorted(counts.items())]
    return Table(rows, "<>").to_lines() if rows else ["  none"]


def describe_point(point: Point) -> str:
    """A point of the curve in one line, as a search goes on."""
    times = f"p50 {duration(point.p50_s)}, p99 {duration(point.p99_s)}"
    word = "kept" if point.kept else "broken"
    if point.confirmed_s:
        word += f" for {duration(point.confirmed_s)}"
    return f"{point.rate:>8.5g}/s  {times}, {point.failed} failed: {word}"


def _list_objectives(slo: Objectives, curve: Sequence[Point]) -> list[str]:
    """Whether the objective was kept, and the highest rate that keeps it, where it was sought."""
    lines = [f"Objective {slo.asked}"]
    if slo.sought and slo.max_rate is None:
        lines.append("  no rate keeps it")
    elif slo.max_rate is not None:
        lines.append(f"  kept up to {three_digits(slo.max_rate)} requests/s")
        confirmed = [point for point in curve if _confirms(point, slo)]
        lines += [_describe_confirmation(point) for point in confirmed[-1:]]
    elif not slo.broken:
        lines.append("  kept")
    return lines + [wrapped("  -", f"broken: {sentence}", 4) for sentence in slo.broken]


def _confirms(point: Point, slo: Objectives) -> bool:
    return bool(point.confirmed_s and point.kept) and point.rate == slo.max_rate


def _describe_confirmation(point: Point) -> str:
    times = f"p50 {duration(point.p50_s)}, p99 {duration(point.p99_s)}"
    failed = f"{point.failed} of {point.requests} failed"
    return wrapped("  -", f"confirmed for {duration(point.confirmed_s)}: {times}, {failed}", 4)
