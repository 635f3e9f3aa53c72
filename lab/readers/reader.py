"""How a reader is declared: what it knows its tool's output by, and what that cannot know.

Each module here that reads a tool lists its readers as READERS, and is found by being here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from lab.facts.foreign import Foreign

Shape = TypeVar("Shape")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What all have in common.

    The function `read` of each returns a Foreign, in which it may leave the name, the source
    and what that cannot know to this declaration. It raises Unreadable for what is missing or
    cut off; a ValueError, LookupError or ArithmeticError of its own means the same.
    """

    source: str  # the tool, and the form of its output
    cannot_know: str  # what the source leaves out or gets wrong, in a line
    begins: str = ""  # a pattern of how a file begins that may be cut off before it is known


@dataclass(frozen=True, kw_only=True)
class ListReader(Reader):
    """Reads samples, a line for each, however many there are."""

    looks: str  # a pattern that such a file begins with
    read: Callable[[Iterator[bytes]], Foreign]  # is given some megabytes of whole lines each time


@dataclass(frozen=True, kw_only=True)
class FileReader(Reader):
    """Reads a file of text as a whole."""

    looks: str  # a pattern that such a file begins with
    read: Callable[[str], Foreign]


@dataclass(frozen=True, kw_only=True)
class TextReader(Reader):
    """Reads what a tool prints, wherever in a page it is quoted."""

    looks: str  # a pattern of the first lines of the output
    read: Callable[[str], Foreign]  # is given all from there to the next output


@dataclass(frozen=True, kw_only=True)
class JsonReader(Reader, Generic[Shape]):
    """Reads one object of JSON."""

    keys: frozenset[str]  # that it has
    shape: type[Shape]  # what is needed of it; the rest is skipped
    read: Callable[[Shape], Foreign]

    def read_bytes(self, content: bytes) -> Foreign:
        return self.read(msgspec.json.decode(content, type=self.shape))
