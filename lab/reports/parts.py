"""What the answers of a run are made of, as tables: its targets, classes of status, rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.facts.named import NamedTimes, ServerTiming
from lab.facts.records import Point, Target
from lab.facts.text import duration, unit_of
from lab.reports.table import Table, format_cells


def tabulate_classes(classes: Sequence[NamedTimes]) -> Table:
    """A row for each class of status, all times in one unit."""
    return _tabulate_times("status", classes)


def tabulate_timing(timing: ServerTiming) -> list[list[str] | Table]:
    """What answers say of their own time: the split, and each metric."""
    notes = []
    if timing.without:
        notes.append(f"  {timing.without} answers name no duration")
    if timing.unreadable:
        notes.append(f"  {timing.unreadable} answers have a header that cannot be read whole")
    if timing.longer:
        notes.append(f"  {timing.longer} answers name a duration longer than their whole response")
    parts = [*timing.split, *timing.metrics] if timing.answers else []
    if not parts:
        return [["Server-Timing", *notes]]
    named = [replace(part, name=f"metric {part.name}") for part in timing.metrics]
    table = _tabulate_times("response time", [*timing.split, *named])
    return [["Server-Timing", *notes], table]


def _tabulate_times(title: str, parts: Sequence[NamedTimes]) -> Table:
    times = [[part.times_s[key] for key in ("p50", "p99", "max")] for part in parts]
    unit_s, unit = unit_of(time_s for row in times for time_s in row)
    rows = [[title, "answers", f"p50 {unit}", f"p99 {unit}", f"max {unit}"]]
    for part, row in zip(parts, times, strict=True):
        rows.append([part.name, str(part.histogram.count), *format_cells(row, unit_s)])
    return Table(rows, "<>>>>")


def tabulate_targets(targets: Sequence[Target]) -> Table:
    """A row of figures for each target of a run."""
    times = [(target.latency_s["p50"], target.latency_s["p99"]) for target in targets]
    unit_s, unit = unit_of(time_s for pair in times for time_s in pair)
    rows = [["target", "ok", "failed", f"p50 {unit}", f"p99 {unit}"]]
    for target, pair in zip(targets, times, strict=True):
        counts = [str(target.ok), str(target.failed)]
        rows.append([target.name, *counts, *format_cells(pair, unit_s)])
    return Table(rows, "<>>>>")


def tabulate_curve(points: Sequence[Point]) -> Table:
    """What a server did at each rate it was asked for, one unit for both response times."""
    unit_s, unit = unit_of(time_s for point in points for time_s in (point.p50_s, point.p99_s))
    rows = [["rate", "requests/s", f"p50 {unit}", f"p99 {unit}", "failed"]]
    for point in points:
        rates = format_cells([point.rate, point.throughput])
        times = format_cells([point.p50_s, point.p99_s], unit_s)
        rows.append([*rates, *times, str(point.failed)])
    if any(point.confirmed_s for point in points):
        lasted = [duration(point.confirmed_s) if point.confirmed_s else "" for point in points]
        rows = [[*row, cell] for row, cell in zip(rows, ["again for", *lasted], strict=True)]
    return Table(rows, ">>>>>>"[: len(rows[0])], ())
