"""A file as records: our own, or what another load generator wrote, known by its content."""

from __future__ import annotations

import codecs
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeVar

import msgspec

import lab.readers
from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.records import Run
from lab.facts.results import Result
from lab.facts.text import harmless, size
from lab.readers.reader import FileReader, JsonReader, ListReader, Reader, TextReader
from lab.readers.samples import part_lines

HEAD = 1 << 16  # bytes in which a list of samples shows what it is
LARGEST = 32_000_000  # bytes of all that is no list of samples
MOST_VALUES = 2_000_000  # of JSON, so that it takes some hundred MB of memory at most
MOST_OUTPUTS = 1000  # that a page may quote
LONGEST_OUTPUT = 4_000_000  # characters of one of them
TITLE_WITHIN = 2000  # characters above it
EXPECTED = "expected a record of loadgen.py, or what a load generator writes"
_OWN = re.compile(rb'\s*\{\s*"format":\s*"loadgen-')
Record = Run | Result | Foreign
OfKind = TypeVar("OfKind", bound=Reader)


def read(path: Path | None) -> Record:
    """The one record in a file, or in standard input. Raises Unreadable with one line."""
    records = read_all(path)
    if len(records) > 1:
        raise Unreadable(f"{_label(path)}: {len(records)} outputs, expected one")
    return records[0]


def read_all(path: Path | None) -> list[Record]:
    """Every record in a file, or in standard input: more than one where a page quotes several
    outputs. Raises Unreadable with one line.
    """
    label = _label(path)
    try:
        if path:
            with path.open("rb") as stream:
                return _read_stream(stream, path.stem)
        if not sys.stdin:
            raise Unreadable("it is closed")
        return _read_stream(sys.stdin.buffer, label)
    except OSError as error:
        raise Unreadable(f"{label}: {error.strerror}") from error
    except Unreadable as error:
        raise Unreadable(f"{label}: {_in_one_line(str(error))}") from error


def _label(path: Path | None) -> str:
    return _in_one_line(str(path)) if path else "standard input"


def _in_one_line(text: str) -> str:
    return harmless(text).replace("\n", "\\n")


@cache
def find_readers() -> tuple[Reader, ...]:
    """Those of each module in this folder that has some."""
    names = [module.name for module in pkgutil.iter_modules(lab.readers.__path__)]
    modules = [importlib.import_module(f"lab.readers.{name}") for name in names]
    return tuple(reader for module in modules for reader in getattr(module, "READERS", ()))


def _readers_of(kind: type[OfKind]) -> list[OfKind]:
    return [reader for reader in find_readers() if isinstance(reader, kind)]


def _read_stream(stream: BinaryIO, name: str) -> list[Record]:
    head = stream.read(HEAD).removeprefix(codecs.BOM_UTF8)
    if not _OWN.match(head):
        beginning = head.decode("utf-8", "replace")
        for reader in _readers_of(ListReader):
            if re.match(reader.looks, beginning):
                return [_apply(reader, partial(reader.read, part_lines(stream, head)), name)]
    content = head + stream.read(LARGEST + 1 - len(head))
    if len(content) > LARGEST:
        raise Unreadable(f"over {size(LARGEST)}, and no list of samples that is known")
    return _read_whole(content.lstrip(), name)


def _read_whole(content: bytes, name: str) -> list[Record]:
    if not content:
        raise Unreadable(f"nothing in it; {EXPECTED}")
    start = re.search(rb"^\{", content, re.M)  # some tools talk before they write JSON
    json = content[start.start() :] if start else b""
    fields = _part_object(json)
    if fields is None:
        return _read_text(content, name)
    return [_read_object(json, fields, name)]


def _apply(reader: Reader, read: Callable[[], Foreign], name: str) -> Foreign:
    """What a reader makes of its content, with what it leaves to its declaration."""
    try:
        found = read()
    except Unreadable as error:
        raise Unreadable(f"{reader.source}: {error}") from error
    except LookupError as error:
        raise Unreadable(f"{reader.source}: cut off or damaged: no {error!s:.80}") from error
    except (ValueError, ArithmeticError) as error:
        raise Unreadable(f"{reader.source}: cut off or damaged ({error!s:.120})") from error
    return replace(
        found,
        name=found.name or name,
        source=found.source or reader.source,
        cannot_know=found.cannot_know or reader.cannot_know,
    )


# ---- JSON ------------------------------------------------------------------------------
def _part_object(content: bytes) -> dict[str, msgspec.Raw] | None:
    """The values of an object by their keys, unread; None where this is not JSON."""
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise Unreadable(f"JSON of over {MOST_VALUES:,} values")
    try:
        return msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except RecursionError as error:
        raise Unreadable("JSON that is nested too deeply") from error
    except ValueError:
        return None


def _read_object(content: bytes, fields: dict[str, msgspec.Raw], name: str) -> Record:
    form = bytes(fields.get("format", b""))
    for kind in (Run, Result):
        if form == f'"{kind.FORMAT}"'.encode():
            return _read_own(content, kind)
    for reader in _readers_of(JsonReader):
        if fields.keys() >= reader.keys:
            return _apply(reader, partial(reader.read_bytes, content), name)
    raise Unreadable("JSON, but no record of loadgen.py (no known `format`), nor of a known tool")


def _read_own(content: bytes, kind: type[Run] | type[Result]) -> Run | Result:
    try:
        return kind.from_json(msgspec.json.decode(content))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not a whole record: {error}") from error


# ---- Text ------------------------------------------------------------------------------
def _read_text(content: bytes, name: str) -> list[Record]:
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    for reader in _readers_of(FileReader):
        if re.match(reader.looks, text):
            return [_apply(reader, partial(reader.read, text), name)]
    return list(_read_page(text, name)) or _explain(content, text)


def _read_page(text: str, name: str) -> Iterator[Foreign]:
    """Each output of a known tool that a page quotes, named by the line above it."""
    found = [
        (match.start(), reader)
        for reader in _readers_of(TextReader)
        for match in islice(re.finditer(reader.looks, text), MOST_OUTPUTS + 1)
    ]
    found.sort(key=lambda each: each[0])
    if len(found) > MOST_OUTPUTS:
        raise Unreadable(f"a page of more than {MOST_OUTPUTS} outputs")
    ends = [start for start, _ in found[1:]] + [len(text)]
    for (start, reader), end in zip(found, ends, strict=False):
        content = text[start : min(end, start + LONGEST_OUTPUT)]
        output = _apply(reader, partial(reader.read, content), name)
        title = _find_title(text[max(start - TITLE_WITHIN, 0) : start]) if len(found) > 1 else ""
        yield replace(output, name=title or output.name)


def _find_title(above: str) -> str:
    """The last line of words, bare of what makes it a heading."""
    lines = re.sub(r"^\W*(```|~~~).*", "", above, flags=re.M).splitlines()
    titles = [line.strip("#*>$`: \t") for line in lines]
    return next(filter(None, reversed(titles)), "")


def _explain(content: bytes, text: str) -> NoReturn:
    """Raises Unreadable: says of which tool this is the beginning, or what would be read."""
    if _OWN.match(content):
        raise Unreadable("a record of loadgen.py that was cut off or damaged: measure again")
    for reader in find_readers():
        if reader.begins and re.search(rf"^[ \t]*(?:{reader.begins})", text[:HEAD], re.M):
            raise Unreadable(
                f"{reader.source}: cut off, damaged, or of a run that failed: look into it, and "
                "save all that the tool writes"
            )
    if content.startswith(b"{"):
        try:
            msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        except ValueError as error:
            raise Unreadable(f"not JSON ({error}); {EXPECTED}") from error
    tools = ", ".join(sorted({reader.source for reader in find_readers()}, key=str.lower))
    raise Unreadable(f"no output of a tool that is known; {EXPECTED} ({tools})")
