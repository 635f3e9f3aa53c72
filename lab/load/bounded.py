"""aiohttp's end of a connection, held to what can have been asked for."""

from __future__ import annotations

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_WAITING = 1000  # answers, among them those with a status of 1xx, that nobody has taken yet


class BoundedHandler(ResponseHandler):
    """It ends an answer that begins with 1xx answers without end: aiohttp takes them all."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > MOST_WAITING:
            self._buffer.clear()
            self.set_exception(aiohttp.ClientError("answers that nobody asked for"))
