"""Numbers, durations and sizes in words, and back."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable

WIDTH = 79
SMALLEST = 1e-12  # below it a number is written as 0
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SPANS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0, "ms": 1e-3, "us": 1e-6}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class NoDuration(ValueError):
    """A text that is no duration; the message says how to write one."""


def parse_duration(text: str) -> float:
    """Seconds of "10s", "1m30s", "500ms" or "0.5". Raises NoDuration."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|h|m|s|$)", text)
    if not parts or "".join(map("".join, parts)) != text:
        raise NoDuration(f"{text!r} is not a duration: write 10s, 1m30s or 500ms")
    return float(sum(float(number) * _SPANS_S[unit] for number, unit in parts))


def count_of(count: int, thing: str) -> str:
    """A count of things: "1 round", "6 rounds", "2 processes", "3 launches"."""
    plural = "es" if thing.endswith(("s", "ch")) else "s"
    return f"{count} {thing}{'' if count == 1 else plural}"


def percent(share: float) -> str:
    """A share as a whole percentage: "12 %"."""
    return f"{100 * share:.0f} %"


def three_digits(value: float) -> str:
    """A number at three significant digits, never in exponent form: 0.0123, 9.91, 196, 7890."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) < SMALLEST:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(float(value), digits)  # a float of numpy rounds in its own way
    if rounded and 2 - math.floor(math.log10(abs(rounded))) < digits:  # 9.999 became 10
        digits -= 1
    return f"{rounded:.{max(digits, 0)}f}"


def unit_of(values_s: Iterable[float | None]) -> tuple[float, str]:
    """The one unit for a column of durations: the one that suits the middle between its
    smallest and its largest, by their orders of magnitude.
    """
    known = [value for value in values_s if value and math.isfinite(value)]
    middle_s = math.sqrt(min(known) * max(known)) if known else 1.0
    return next(((size, name) for size, name in UNITS if middle_s >= size * 0.9999), UNITS[-1])


def duration(value_s: float | None) -> str:
    """A duration in the unit that suits it: "102 ms"; None is a dash."""
    if value_s is None:
        return "-"
    size_s, name = unit_of([value_s])
    return f"{three_digits(value_s / size_s)} {name}"


def size(value_bytes: float) -> str:
    """A size in decimal units: "48 MB"."""
    for power, name in ((9, "GB"), (6, "MB"), (3, "kB")):
        if value_bytes >= 10**power:
            return f"{three_digits(value_bytes / 10**power)} {name}"
    return f"{value_bytes:.0f} bytes"


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8; what was typed as other bytes cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def harmless(text: str) -> str:
    """The text with control characters spelled out, so that none of them steers a terminal."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def wrapped(label: str, text: str, indent: int, width: int = WIDTH) -> str:
    """A label, and beside it a text that keeps to its column over several lines."""
    lines = textwrap.wrap(text, width - indent, break_on_hyphens=False) or [""]
    lead = f"{label:<{indent}}" if len(label) < indent else f"{label[:width]}\n{' ' * indent}"
    return lead + f"\n{' ' * indent}".join(lines)
