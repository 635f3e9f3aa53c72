"""A request to make, over and over: the same bytes, or a head around bodies that take turns."""

from __future__ import annotations

import re
from itertools import cycle

from lab.load.load import Load
from lab.load.tally import Times


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

    def learn(self, answer: bytes, body_bytes: int | None) -> None:
        """Know a whole answer, and its head, where that says the body's length and nothing in
        the body matters.
        """
        self.known = answer
        if body_bytes is None:
            self._size_known = -1
        else:
            self._size_known = len(answer)
            self._head_known = answer[: len(answer) - body_bytes]

    def is_alike(self, data: bytes) -> bool:
        """Whether this is the known answer but for its body."""
        return len(data) == self._size_known and data.startswith(self._head_known)

    def make_request(self, body: bytes) -> bytes:
        """The request as it goes over the wire."""
        return (b"%d" % len(body)).join(self._head) + body
