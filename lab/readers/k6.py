"""k6: its results, one point of a metric a line (--out json).

A response time of its is without the time that the connection took.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from lab.facts.foreign import Foreign
from lab.readers.reader import ListReader
from lab.readers.samples import Sample, read_objects

MS = 1e-3


class Entry(msgspec.Struct):
    """A line: what a metric is, or a point of it."""

    metric: str
    type: str
    data: msgspec.Raw


class Tags(msgspec.Struct):
    status: str


class Point(msgspec.Struct):
    """A response time, in ms, and when it ended."""

    time: datetime
    value: float
    tags: Tags


POINT = msgspec.json.Decoder(Point)


def read_points(blocks: Iterator[bytes]) -> Foreign:
    return read_objects(blocks, Entry, _take_sample)


def _take_sample(entry: Entry) -> Sample | None:
    if entry.metric != "http_req_duration" or entry.type != "Point":
        return None
    point = POINT.decode(entry.data)
    lasted_s = point.value * MS
    return point.time.timestamp() - lasted_s, int(point.tags.status), lasted_s


READERS = (
    ListReader(
        source="k6",
        cannot_know="the time that a connection took: it is not in http_req_duration",
        looks=r'\{(?=[^\n]*"metric":\s*")[^\n]*"type":\s*"(?:Metric|Point)"',
        read=read_points,
    ),
)
