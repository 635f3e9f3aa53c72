"""A request to make, over and over: the same bytes, or a head around bodies that take turns."""

from __future__ import annotations

import re
from itertools import cycle

from lab.load.load import Load
from lab.load.tally import Times

_LENGTH = re.compile(rb"(\r\ncontent-length: *)(\d+)(?=\r\n)", re.IGNORECASE)
_MOST_DIGITS = 16


class Template:
    """One request of a load, and what is known of its answers."""

    def __init__(self, load: Load, number: int) -> None:
        self.load, self.number = load, number
        self.alike = Times()  # where to count the answers that are the same
        self.forget()
        self.bodies = cycle(load.lines or (load.body,))
        head = load.to_bytes().removesuffix(load.body)
        self._head = re.split(rb"(?<=\r\nContent-Length: )\d+", head, maxsplit=1)
        self.url, self.headers = load.parsed.with_user(None), load.all_headers()

    @property
    def longest(self) -> int:
        """Bytes of its largest request."""
        bodies = self.load.lines or (self.load.body,)
        return len(self.make_request(b"")) + max(map(len, bodies))

    def forget(self) -> None:
        """Know no answer."""
        self.known: bytes | None = None  # the answer that was parsed last, whole
        self._head_known, self._size_known = b"", -1
        # that head, around the digits of its Content-Length, once an answer asks for it
        self._around: tuple[bytes, bytes] | None = None

    def learn(self, answer: bytes, body_bytes: int | None) -> None:
        """Know a whole answer, and its head, where that says the body's length and nothing in
        the body matters.
        """
        self.forget()
        self.known = answer
        if body_bytes is None:
            return
        self._size_known = len(answer)
        self._head_known = answer[: len(answer) - body_bytes]

    def is_alike(self, data: bytes) -> bool:
        """Whether this is the known answer but for its body, and how long that is."""
        if len(data) == self._size_known:
            return data.startswith(self._head_known)
        return self._size_known >= 0 and self._is_alike_but_for_length(data)

    def _is_alike_but_for_length(self, data: bytes) -> bool:
        if self._around is None:
            self._around = self._split_head()
        before, after = self._around
        if not (before and data.startswith(before)):
            return False
        end = data.find(b"\r", len(before), len(before) + _MOST_DIGITS)
        digits = data[len(before) : end]
        if end < 0 or not digits.isdigit() or not data.startswith(after, end):
            return False
        return len(data) == end + len(after) + int(digits)

    def _split_head(self) -> tuple[bytes, bytes]:
        """What stands before the body's length and after it; nothing where that is not said, or
        said twice, or not true.
        """
        before, *found = _LENGTH.split(self._head_known)
        if len(found) != 3 or int(found[1]) != self._size_known - len(self._head_known):
            return b"", b""
        return before + found[0], found[2]

    def make_request(self, body: bytes) -> bytes:
        """The request as it goes over the wire."""
        return (b"%d" % len(body)).join(self._head) + body
