"""Records as JSON: checked when they are read, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from lab.facts.errors import Unreadable
from lab.facts.histogram import Figures, Histogram

MOST_HISTOGRAMS = 1500  # of a record: what is read takes bounded memory
Json = dict[str, Any]
Record = TypeVar("Record")


class Writable(Protocol):
    """What has a form in JSON."""

    def to_json(self) -> Json: ...


def write(record: Writable, path: Path) -> None:
    """Write a record whole or not at all: to a temporary name beside it, then renamed."""
    text = json.dumps(record.to_json(), indent=1) + "\n"
    if path.exists() and not path.is_file():  # a pipe or a device: there is nothing to lose
        path.write_text(text, encoding="utf-8")
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _encode(value: object) -> str:
    if isinstance(value, Histogram):
        return value.encode()
    raise NotImplementedError(type(value))


def to_builtins(record: object) -> Json:
    """The fields of a record as JSON has them, a histogram as its text."""
    data: Json = msgspec.to_builtins(record, enc_hook=_encode)
    return data


class _Decoder:
    """Decodes the histograms of one record: small texts, of which each takes 280 kB when read."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, kind: type, value: tuple[str, Figures]) -> Histogram:
        self.count += 1
        if self.count > MOST_HISTOGRAMS:
            raise ValueError(f"more than {MOST_HISTOGRAMS} histograms")
        text, figures_s = value
        return Histogram.decode(text, figures_s["min"], figures_s["max"])


def convert(data: Json, kind: type[Record]) -> Record:
    """A record of its JSON, in which each histogram stands beside its figures."""
    return msgspec.convert(data, kind, dec_hook=_Decoder())


@contextmanager
def checking() -> Iterator[None]:
    """Raises Unreadable for whatever is missing in a record, or of another kind."""
    try:
        yield
    except LookupError as error:
        raise Unreadable(f"not a whole record: no {error!s:.80}") from error
    except (TypeError, AttributeError) as error:
        raise Unreadable(f"not a whole record: a value of another kind ({error!s:.120})") from error
    except (ArithmeticError, ValueError) as error:
        raise Unreadable(f"not a whole record: {error!s:.200}") from error
