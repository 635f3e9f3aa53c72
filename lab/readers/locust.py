"""Locust: the statistics that it writes (--csv, the file that ends in _stats.csv).

Failures are in its response times, of which it keeps two digits above 100 ms.
"""

from __future__ import annotations

from lab.facts.foreign import Foreign
from lab.readers.parsing import name_figures, report_cut
from lab.readers.reader import FileReader

MOST = 100  # columns


def read_stats(text: str) -> Foreign:
    table = text.strip()
    names, sums = table.partition("\n")[0], table.rpartition("\n")[2]
    said = dict(zip(names.split(",", MOST), sums.split(",", MOST), strict=False))
    if said.get("Name") != "Aggregated" or not said.get("100%"):
        raise report_cut("no whole row 'Aggregated'")
    requests, rate = int(said["Request Count"]), float(said["Requests/s"])
    figures = {
        name.removesuffix(" Response Time"): value for name, value in said.items() if value != "N/A"
    }
    return Foreign(
        requests=requests,
        failed=int(said["Failure Count"]),
        elapsed_s=requests / rate if rate else None,
        latency_s=name_figures(figures, 1e-3),
    )


READERS = (
    FileReader(
        source="Locust",
        cannot_know="failures are in its response times; two digits above 100 ms",
        begins="Type,Name,",
        looks=r"Type,Name,Request Count,Failure Count,",
        read=read_stats,
    ),
)
