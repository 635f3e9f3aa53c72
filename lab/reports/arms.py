"""What the arms of a result did: expected beside measured, and what each was answered."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from lab.facts.records import Run
from lab.facts.results import Arm, Evidence, Result
from lab.facts.text import WIDTH, unit_of
from lab.reports.table import GAP, INDENT, Table, format_cells, make_table

BODY = WIDTH - INDENT
LONGEST_ANSWER = 160  # characters
COSTS = {
    "CPU µs": "what a request costs the server",
    "MB": "the most memory that the server took",
}
ENOUGH = 16  # columns for the name of an arm, and for what is expected of it


def tabulate_answers(evidence: Sequence[Evidence]) -> Table:
    """A row for each request: what was expected, and what was answered."""
    columns = [["asked", *(asked.arm for asked in evidence)]]
    if any(asked.expected for asked in evidence):
        columns.append(["expected", *(asked.expected for asked in evidence)])
    columns.append(["status", *(str(asked.status) for asked in evidence)])
    columns.append(["answer", *(_cut(asked.answer) for asked in evidence)])
    last = len(columns) - 1
    rows = [list(row) for row in zip(*columns, strict=True)]
    align = "<" * (last - 1) + "><"
    return Table(rows, align, tuple(n for n in range(last + 1) if n != last - 1), width=BODY)


def _cut(answer: str) -> str:
    return answer if len(answer) <= LONGEST_ANSWER else f"{answer[:LONGEST_ANSWER]} …"


def tabulate_arms(result: Result, markdown: bool = False) -> Table:
    """A row for each arm: what was expected, and the figures that were measured. Requests/s are
    the median of the rounds; one unit a column.

    In a terminal memory, CPU time and p50 give way to the columns that a script adds.
    """
    arms = list(result.arms.values())
    words = [["arm", *result.arms]]
    if any(arm.expected for arm in arms):
        words.append(["expected", *(_shorten(arm.expected) for arm in arms)])
    measured, costs = _measure(arms), _measure_costs([arm.run for arm in arms])
    own = [
        [title, *(arm.columns.get(title, "-") for arm in arms)]
        for title in dict.fromkeys(title for arm in arms for title in arm.columns)
    ]
    names = max(map(len, words[0]))
    least = min(ENOUGH, names) + (ENOUGH + GAP) * (len(words) - 1)
    spare = [measured[1], *costs]  # the last goes first
    while spare and not markdown and _room_beside([*measured, *costs, *own]) < least:
        dropped = spare.pop()
        measured = [column for column in measured if column is not dropped]
        costs = [column for column in costs if column is not dropped]
    return make_table([*words, *measured, *costs, *own], BODY, len(words))


def _room_beside(columns: Sequence[list[str]]) -> int:
    return BODY - sum(max(map(len, column)) + GAP for column in columns)


def _shorten(expected: str) -> str:
    return re.sub(r"\brequests/s", "/s", expected).replace(" /s", "/s")


def _measure(arms: Sequence[Arm]) -> list[list[str]]:
    runs = [arm.run for arm in arms]
    times = [(run.latency_s["p50"], run.latency_s["p99"]) for run in runs]
    unit_s, unit = unit_of(time_s for pair in times for time_s in pair)
    rates = [statistics.median(each.throughput for each in arm.rounds) for arm in arms]
    columns = [
        ["requests/s", *format_cells(rates)],
        [f"p50 {unit}", *format_cells((p50_s for p50_s, _ in times), unit_s)],
        [f"p99 {unit}", *format_cells((p99_s for _, p99_s in times), unit_s)],
    ]
    if any(run.failed for run in runs):
        columns.append(["failed", *(str(run.failed) for run in runs)])
    return columns


def _measure_costs(runs: Sequence[Run]) -> list[list[str]]:
    servers = [run.server for run in runs if run.server]
    if len(servers) < len(runs):
        return []
    cpu_us = format_cells(server.cpu_us_per_request for server in servers)
    memory = format_cells((server.rss_bytes for server in servers), 1e6)
    return [["CPU µs", *cpu_us], ["MB", *memory]]


def describe_table(table: Table, result: Result) -> str:
    """What has to be known to read the table of arms."""
    runs = [arm.run for arm in result.arms.values()]
    known = {title: what for title, what in COSTS.items() if title in table.rows[0]}
    notes = [f"{', '.join(f'{title} is {what}' for title, what in known.items())}."]
    if not any(run.failed for run in runs):
        notes.append("No request failed.")
    if any(run.latency_s[key] is None for run in runs for key in ("p50", "p99")):
        notes.append("A dash means too few samples.")
    shared = [name for name, arm in result.arms.items() if arm.workers > 1]
    if shared:
        names = " · ".join(shared)
        notes.append(f"Several workers, on the same cores as the load generator: {names}.")
    return " ".join(notes if known else notes[1:])
