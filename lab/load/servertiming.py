"""The Server-Timing header (W3C): what an answer says of the time that it took."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lab.facts.arrays import np
from lab.facts.histogram import LONGEST_NS, Histogram
from lab.facts.named import NamedTimes, ServerTiming

WHOLE = "total"  # the name of a metric that holds all others
LONGEST_HEADER = 4096  # characters: a longer one is not read
MOST_METRICS = 20  # of a run: of a server that invents names, the others are not kept
_OWS = r"[ \t]*+"
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rf'(?:{_TOKEN}|"(?:[^"\\]|\\.)*+")'
_PARAMETER = rf";{_OWS}({_TOKEN}){_OWS}(?:={_OWS}({_VALUE}){_OWS})?+"
_METRIC = re.compile(rf"{_OWS}(?:({_TOKEN}){_OWS}((?:{_PARAMETER})*+))?+(?:,|$)")
_PARAMETERS = re.compile(_PARAMETER)
_NUMBER = re.compile(r"\d{1,15}(?:\.\d*)?(?:[eE][+-]?\d{1,3})?|\.\d+")


def parse_server_timing(values: Iterable[str]) -> tuple[dict[str, float], bool]:
    """Durations in ms by the names of their metrics, and whether all could be read.

    A metric without a duration is none of ours. Durations of the same name are added up.
    """
    found: dict[str, float] = {}
    is_whole = True
    for value in values:
        is_whole &= len(value) <= LONGEST_HEADER and _read_header(value, found)
    return found, is_whole


def _read_header(value: str, found: dict[str, float]) -> bool:
    """Add what one header says to what was found. Whether all of it could be read."""
    at, is_whole = 0, True
    while at < len(value):
        match = _METRIC.match(value, at)
        if match is None:
            is_whole = False
            at = value.find(",", at) + 1 or len(value)
            continue
        at = match.end()
        if match[1]:
            is_whole &= _read_metric(match[1], match[2], found)
    return is_whole


def _read_metric(name: str, text: str, found: dict[str, float]) -> bool:
    for parameter, value in _PARAMETERS.findall(text):
        if parameter.lower() == "dur":  # the first counts
            number = value.strip('"')
            if not _NUMBER.fullmatch(number) or float(number) * 1e6 > LONGEST_NS:
                return False
            found[name] = found.get(name, 0.0) + float(number)
            return True
    return True


class ServerTimings:
    """What the answers of a run say, split into the handler's time and the rest.

    The handler's time is that of the metric `total`; where there is none, of the longest metric
    of that answer: metrics may lie in each other or follow on each other, and none is longer
    than the whole.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, list[int]] = {}  # ns, until they are folded
        self.histograms: dict[str, Histogram] = {}
        self.waiting: list[tuple[int, int]] = []  # the handler's time and the response time, in ns
        self.handler, self.rest = Histogram(), Histogram()
        self.answers = self.without = self.unreadable = self.longer = 0

    def note(self, values: Sequence[str], latency_ns: int) -> None:
        """Take the headers of one answer that was ok."""
        found, is_whole = parse_server_timing(values)
        self.unreadable += not is_whole
        if not found:
            self.without += 1
            return
        self.answers += 1
        for name, duration_ms in found.items():
            if name in self.metrics or len(self.metrics) < MOST_METRICS:
                self.metrics.setdefault(name, []).append(round(duration_ms * 1e6))
        handler_ns = round(found.get(WHOLE, max(found.values())) * 1e6)
        self.longer += handler_ns > latency_ns
        self.waiting.append((handler_ns, latency_ns))

    def fold(self) -> None:
        """Count what has come, so that memory stays flat."""
        if not self.waiting:
            return
        handler_ns, latency_ns = np.array(self.waiting, dtype=np.int64).T
        self.handler.record(handler_ns)
        self.rest.record(latency_ns - handler_ns)
        self.waiting.clear()
        for name, times_ns in self.metrics.items():
            histogram = self.histograms.setdefault(name, Histogram())
            histogram.record(np.array(times_ns, dtype=np.int64))
            times_ns.clear()

    def record(self) -> ServerTiming:
        """What came of it until now."""
        self.fold()
        split = [("handler", self.handler), ("rest", self.rest)]
        return ServerTiming(
            answers=self.answers,
            without=self.without,
            unreadable=self.unreadable,
            longer=self.longer,
            split=[NamedTimes(name=name, histogram=times) for name, times in split],
            metrics=[
                NamedTimes(name=name, histogram=times)
                for name, times in sorted(self.histograms.items())
            ],
        )


class HeaderReader:
    """Stands between httptools and a client of bare protocol, and keeps these headers for it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.on_message_begin = client.on_message_begin
        self.on_headers_complete = client.on_headers_complete
        self.on_body, self.on_message_complete = client.on_body, client.on_message_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"server-timing" and not (self.client.complete or self.client.has_head):
            self.client.server_timing.append(value.decode("latin-1"))
        self.client.on_header(name, value)
