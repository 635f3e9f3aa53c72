"""A request to make, over and over: the same bytes, or a head around bodies that take turns."""

from __future__ import annotations

import re
from itertools import cycle

from lab.load.load import Load
from lab.load.shape import describe_head
from lab.load.tally import Times

MOST_SHAPES = 4  # of one template's answers: each costs something where none of them fits


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
        self.known: bytes | None = None  # an answer whose times belong to `alike`, whole
        self._head_known, self._size_known = b"", -1
        self._shapes: list[tuple[re.Pattern[bytes], Times]] = []

    def learn(self, answer: bytes, body_bytes: int | None, alike: Times) -> None:
        """Know a whole answer that was parsed, and where the times go of those like it. With the
        size of its body, where its head says that and nothing in the body matters.
        """
        self.known, self.alike = answer, alike
        self._head_known, self._size_known = b"", -1
        if body_bytes is None:
            return
        self._size_known = len(answer)
        self._head_known = answer[: len(answer) - body_bytes]
        if len(self._shapes) < MOST_SHAPES:
            shape = describe_head(self._head_known, body_bytes)
            if shape:
                self._shapes.append((shape, alike))

    def is_alike(self, data: bytes) -> bool:
        """Whether this is a known answer but for its body and for headers that do not matter.
        If so, its time belongs to `alike`.
        """
        if len(data) == self._size_known and data.startswith(self._head_known):
            return True
        for shape, alike in self._shapes:
            head = shape.match(data)
            if head and head.end() + int(head[1]) == len(data):
                self.known, self.alike = data, alike
                self._head_known, self._size_known = head[0], len(data)
                return True
        return False

    def make_request(self, body: bytes) -> bytes:
        """The request as it goes over the wire."""
        return (b"%d" % len(body)).join(self._head) + body
