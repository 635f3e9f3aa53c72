"""Several runs beside each other."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from lab.facts.foreign import Foreign
from lab.facts.histogram import PERCENTILES
from lab.facts.records import Environment, Run
from lab.facts.text import WIDTH, unit_of, wrapped
from lab.reports.chart import draw_histograms
from lab.reports.report import (
    describe_interval,
    describe_machine,
    list_versions,
    read_figure_s,
)
from lab.reports.safe import make_safe
from lab.reports.table import Block, Table, escape, format_cells, make_table, render

SURE = (50.0, 90.0, 99.0)  # the percentiles for whose intervals a table has room


def compare(
    runs: Sequence[Run | Foreign],
    markdown: bool = False,
    percentiles: Sequence[float] = PERCENTILES,
    baseline: str = "",
) -> str:
    """Several runs beside each other, from any source, as text.

    The ratios are those of the successes a second to the run named `baseline`, or else to
    the first; ValueError where no run has that name. A run each has no interval: for that,
    let loadgen.py run the URLs in rounds.
    """
    runs = [make_safe(run) for run in runs]
    names = [run.name for run in runs]
    base = names.index(baseline) if baseline else 0
    is_alike = len(set(names)) < len(names)
    labels = [f"{n} {name}" if is_alike else name for n, name in enumerate(names, 1)]
    named = dict(zip(labels, runs, strict=True))
    title = f"{len(runs)} runs, each against {labels[base]}"
    histograms = {label: run.histogram for label, run in named.items() if run.histogram}
    whose = [f"{label}:" for label in histograms] if len(histograms) == 1 else []
    blocks: list[Block] = [
        _list_circumstances(runs),
        _tabulate_rates(named, runs[base]),
        _tabulate_percentiles(named, percentiles),
        _tabulate_intervals(named, percentiles),
        whose + draw_histograms(histograms),
        [wrapped("-", note, 2) for note in _list_notes(named)],
    ]
    head = f"### {escape(title)}" if markdown else "\n".join(textwrap.wrap(title, WIDTH))
    return f"{head}\n\n{render(blocks, markdown)}"


def _list_circumstances(runs: Sequence[Run | Foreign]) -> list[str]:
    """What all runs have in common in how they were made, and in what they differ."""
    facts: dict[str, list[str]] = {}
    for run in runs:
        for key, value in _describe_circumstances(run).items():
            facts.setdefault(key, []).append(value)
    lines: dict[str, list[str]] = {"the same": [], "different": [], "not always said": []}
    for key, values in facts.items():
        known = [value for value in dict.fromkeys(values) if value]
        if len(known) > 1:
            lines["different"].append(f"{key} {' | '.join(known)}")
        elif known:
            line = "not always said" if "" in values else "the same"
            lines[line].append(f"{key} {known[0]}")
    return [wrapped(label, "; ".join(found), 17) for label, found in lines.items() if found]


def _describe_circumstances(run: Run | Foreign) -> dict[str, str]:
    """How a run was made, as far as its source says."""
    if isinstance(run, Foreign):
        rate, keepalive, environment = run.asked_rate, run.keepalive, Environment()
        client, connections, loop = run.source, run.connections, ""
    else:
        rate, keepalive, environment = run.load.rate, run.load.keepalive, run.environment
        client, connections, loop = run.load.client, run.load.connections, "closed"
        if run.load.ramp:
            loop, rate = "open, {:g}/s to {:g}/s".format(*run.load.ramp), None
    return {
        "client": client,
        "connections": str(connections or ""),
        "loop": f"open, {rate:g}/s" if rate else loop,
        "keep-alive": {True: "yes", False: "no", None: ""}[keepalive],
        "versions": list_versions(environment.packages),
        "Python": environment.python,
        "machine": describe_machine(environment),
        "day": run.started[:10],
    }


def _list_notes(named: Mapping[str, Run | Foreign]) -> list[str]:
    notes = ["a ratio of two single runs has no interval: give loadgen.py both URLs for one"]
    for label, run in named.items():
        if isinstance(run, Run):
            notes += [f"{label}: {reason}" for reason in run.validity.reasons]
    sources = {run.source: run.cannot_know for run in named.values() if isinstance(run, Foreign)}
    return notes + [f"not known from {source}: {what}" for source, what in sources.items()]


def _tabulate_rates(named: Mapping[str, Run | Foreign], base: Run | Foreign) -> Table:
    runs, ratios = list(named.values()), []
    for run in runs:
        is_known = run.throughput is not None and base.throughput
        ratios.append((run.throughput or 0.0) / (base.throughput or 1.0) if is_known else None)
    columns = [
        ["run", *named],
        ["requests/s", *format_cells(run.throughput for run in runs)],
        ["ratio", *format_cells(ratios)],
        ["requests", *("-" if run.requests is None else str(run.requests) for run in runs)],
        ["failed", *("-" if run.failed is None else str(run.failed) for run in runs)],
    ]
    servers = [run.server for run in runs if isinstance(run, Run) and run.server]
    if len(servers) == len(runs):
        cpu_us = format_cells(server.cpu_us_per_request for server in servers)
        columns.append(["CPU µs/req", *cpu_us])
        columns.append(["RSS MB", *format_cells((s.rss_bytes for s in servers), 1e6)])
    return make_table(columns)


def _tabulate_percentiles(
    named: Mapping[str, Run | Foreign], percentiles: Sequence[float]
) -> Table:
    """The response times of each run in a row, all in the unit that suits their medians."""
    runs = list(named.values())
    unit_s, unit = _choose_unit(runs)
    columns = [[f"response time ({unit})", *named]]
    for key in ["min", *(f"p{p:g}" for p in percentiles), "max"]:
        values_s = [read_figure_s(run, key) for run in runs]
        if any(values_s) or percentiles is not PERCENTILES:  # what was asked for is shown
            columns.append([key, *format_cells(values_s, unit_s)])
    return make_table(columns)


def _choose_unit(runs: Sequence[Run | Foreign]) -> tuple[float, str]:
    """The unit that suits the medians of some runs."""
    return unit_of(read_figure_s(run, "p50") or read_figure_s(run, "max") for run in runs)


def _tabulate_intervals(
    named: Mapping[str, Run | Foreign], percentiles: Sequence[float]
) -> Table | list[str]:
    """How sure the percentiles of each run are, where one of them lasted long enough to tell."""
    unit_s, unit = _choose_unit(list(named.values()))
    columns = [[f"95 % CI ({unit})", *named]]
    for key in (f"p{p:g}" for p in (SURE if percentiles is PERCENTILES else percentiles)):
        cells = [describe_interval(run, key, unit_s) for run in named.values()]
        if any(cells):
            columns.append([key, *(cell or "-" for cell in cells)])
    return make_table(columns) if len(columns) > 1 else []
