"""What a load is made of as users write it: bodies, headers, and files of targets."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from multidict import CIMultiDict
from yarl import URL

from lab.facts.secrets import hide_in_text
from lab.facts.text import parse_duration
from lab.load.load import Load, encode_basic_auth

Target = tuple[int, str, str, bytes]  # weight, method, URL, body
_FORM = "[WEIGHT] METHOD URL [@BODY]"


def parse_count(text: str) -> int:
    """A whole number: "5000", "10k", "1M". Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", text)
    number = Fraction(found[1]) * {"": 1, "k": 10**3, "M": 10**6}[found[2]] if found else 0
    if number < 1 or number % 1:
        raise ValueError(f"{text!r} is not a valid count: write 5000 or 5k")
    return int(number)


def parse_rate(text: str) -> float:
    """Requests a second: "200", "0.5", "10k". Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(k?)(?:/s)?", text)
    if not found or not float(found[1]):
        raise ValueError(f"{text!r} is not a valid rate: write 200, 0.5 or 10k")
    return float(found[1]) * (1000 if found[2] else 1)


def parse_ramp(text: str) -> tuple[float, float]:
    """Two rates, of which one may be 0: "100..2k", "0..500". Raises ValueError."""
    ends = text.removesuffix("/s").split("..")
    if len(ends) != 2:
        raise ValueError(f"{text!r} is not a valid ramp: write 100..2k")
    first, last = (0.0 if end == "0" else parse_rate(end) for end in ends)
    return first, last


def parse_pause(text: str) -> tuple[float, float]:
    """A duration, or two: "100ms", "50ms..200ms". Raises ValueError."""
    low, _, high = text.partition("..")
    return parse_duration(low), parse_duration(high or low)


def read_body(data: str, data_file: str | None, json_text: str | None) -> bytes:
    """The body, which a text is, or a file ("@FILE"). Raises ValueError or OSError."""
    if json_text is not None:
        try:
            json.loads(json_text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"--json: not valid JSON: {error}") from error
        return json_text.encode()
    if data.startswith("@"):
        data_file = data[1:]
    return Path(data_file).read_bytes() if data_file else os.fsencode(data)


def read_lines(path: Path) -> tuple[bytes, ...]:
    """The bodies of a file, one a line. Raises ValueError or OSError."""
    lines = tuple(path.read_bytes().splitlines())
    if not lines:
        raise ValueError(f"{path}: no line to send as a body")
    return lines


def make_headers(
    lines: Sequence[str], content_type: str | None, auth: str | None
) -> tuple[tuple[str, str], ...]:
    """The headers of lines such as "Name: value", and what else says one. Raises ValueError."""
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("a header without a colon: write 'Name: value'")
        headers.add(name.strip(), value.strip())
    if content_type:
        headers.setdefault("Content-Type", content_type)
    if auth is not None:
        user, _, password = auth.partition(":")
        headers["Authorization"] = encode_basic_auth(user, password)
    return tuple((str(name), value) for name, value in headers.items())


def read_targets(path: Path, base: str) -> tuple[Target, ...]:
    """The targets of a file: lines of "[weight] METHOD URL [@body]", comments after #.

    A URL may be a path on `base`, and a body's file lies beside this one. Raises ValueError.
    """
    targets = tuple(_read_lines(path, base))
    if not targets:
        raise ValueError(f"{path}: no line of {_FORM}")
    return targets


def _read_lines(path: Path, base: str) -> Iterator[Target]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
            if words:
                yield _parse_target(words, path.parent, base)
        except (ValueError, OSError) as error:
            shown = hide_in_text(line)
            raise ValueError(f"{path}:{number}: {shown!r}: {error}") from error


def _parse_target(words: list[str], folder: Path, base: str) -> Target:
    weight = int(words.pop(0)) if words[0].isdecimal() else 1
    if not weight or len(words) not in (2, 3) or not words[-1]:
        raise ValueError(f"write {_FORM}")
    method, url, *bodies = words
    if bodies and not bodies[0].startswith("@"):
        raise ValueError(f"write {_FORM}")
    where = str(URL(base).join(URL(url))) if base else url
    body = (folder / bodies[0][1:]).read_bytes() if bodies else b""
    target = weight, method, where, body
    Load(url=base or where, targets=(target,))
    return target
