"""The processes or workers that shared a load, each with what it saw."""

from __future__ import annotations

from collections.abc import Sequence

from lab.facts.shards import Shard
from lab.facts.text import percent, unit_of
from lab.reports.table import Table, format_cells


def tabulate_shards(shards: Sequence[Shard]) -> Table:
    """A row for each: what it saw, and what its machine did meanwhile."""
    unit_s, unit = unit_of(shard.p99_s for shard in shards)
    rows = [["share by", "of it", "requests", f"p99 {unit}", "core", "lag ms", "steal", "late ms"]]
    for shard in shards:
        (p99,) = format_cells([shard.p99_s], unit_s)
        lag, late = format_cells([shard.loop_lag_s, shard.start_skew_s], 1e-3)
        name = shard.name.removesuffix(" of the client").removeprefix("worker ")
        saw = percent(shard.share), str(shard.requests), p99
        name += " (lost)" if shard.lost else ""
        rows.append([name, *saw, percent(shard.busy), lag, percent(shard.steal), late])
    return Table(rows, "<>>>>>>>")
