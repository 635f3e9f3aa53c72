"""ab: what it prints, its list of samples (-g) and its percentiles (-e).

It rounds to whole milliseconds, and calls an answer of another length a failure. Its list is
sorted by response time, so it has no timeline; it does not say what failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from lab.facts.foreign import Foreign
from lab.readers.parsing import find, find_all, name_figures, report_cut
from lab.readers.reader import FileReader, ListReader, TextReader
from lab.readers.samples import read_columns

MS = 1e-3
FAILURES = {
    "connect": r"\(Connect",
    "receive": "Receive",
    "exceptions": "Exceptions",
    "status": "Non-2xx responses",
}


def read_text(text: str) -> Foreign:
    counts = {kind: _count(label, text) for kind, label in FAILURES.items()}
    errors = {kind: count for kind, count in counts.items() if count}
    said = find_all(r"(?<!\d)(\d+%)\s+(\d+)\s", text.partition("served within")[2])
    table = re.search(r"Total:" + r"\s+([\d.]+)" * 5 + r"(?=[\sP])", text)
    if table:
        said |= dict(zip(("min", "mean", "stdev", "p50", "max"), table.groups(), strict=True))
    url = re.search(
        r"name:\s+(\S+?)\s*Server Port:\s+(\d+)\s*Document Path:\s+(/\S*?)\s*Document", text
    )
    return Foreign(
        name="http://{}:{}{}".format(*url.groups()) if url else "",
        connections=_count("Concurrency Level", text),
        keepalive="Keep-Alive req" in text,
        requests=int(find("Complete requests", r"Complete requests:\s+(\d+)", text)[0]),
        failed=sum(errors.values()),
        errors=errors,
        elapsed_s=float(
            find("Time taken for tests", r"Time taken for tests:\s+([\d.]+) s", text)[0]
        ),
        rate=float(find("Requests per second", r"Requests per second:\s+([\d.]+) \[", text)[0]),
        latency_s=name_figures(said, MS),
    )


def _count(label: str, text: str) -> int:
    """A count that may be there."""
    found = re.search(rf"{label}:\s+(\d+)", text)
    return int(found[1]) if found else 0


def read_samples(blocks: Iterator[bytes]) -> Foreign:
    found = read_columns(blocks, columns=6, latency=4, unit_s=MS, separator="\t")
    return replace(found, statuses={}, failed=None)


def read_percentiles(text: str) -> Foreign:
    said = find_all(r"^(\d+),([\d.]+)$", text)
    times_ms = [float(value) for value in said.values()]
    if "100" not in said or times_ms != sorted(times_ms):
        raise report_cut("no whole row 100")
    return Foreign(latency_s=name_figures(said, MS))


READERS = (
    TextReader(
        source="ab",
        cannot_know="whole milliseconds; answers of another length are failures only to ab",
        begins=r"This is ApacheBench|Server Software:",
        looks=r"(?:Server Software:[^%]{0,400}?)?Concurrency Level:\s+\d+",
        read=read_text,
    ),
    ListReader(
        source="ab -g",
        cannot_know="how long it took, and what failed; whole milliseconds",
        begins=r"starttime\t",
        looks=r"starttime\tseconds\tctime\t",
        read=read_samples,
    ),
    FileReader(
        source="ab -e",
        cannot_know="anything but percentiles",
        begins=r"Percentage served",
        looks=r"Percentage served,Time in ms",
        read=read_percentiles,
    ),
)
