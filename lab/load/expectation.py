"""What makes a whole answer right: its status, or a text somewhere in its body."""

from __future__ import annotations

import os
import re

from lab.facts.records import ErrorKind


class Expectation:
    """Judges one answer after the other, a piece at a time."""

    def __init__(self, expect: str | None) -> None:
        is_status = bool(re.fullmatch(r"\d{3}", expect or ""))
        self.statuses = (int(expect or 0),) if is_status else range(200, 400)
        self.text = b"" if is_status else os.fsencode(expect or "")
        self.begin()

    def begin(self) -> None:
        self.found, self.tail = not self.text, b""

    def take(self, piece: bytes) -> None:
        """Look for the text, which may lie across pieces, and keep no more than it takes."""
        if not self.found:
            window = self.tail + piece
            self.found = self.text in window
            self.tail = window[max(len(window) - len(self.text) + 1, 0) :]

    def find_error(self, status: int) -> ErrorKind | None:
        """The kind of error in an answer that is whole, or None."""
        if status not in self.statuses:
            return ErrorKind.STATUS
        return None if self.found else ErrorKind.BODY
