"""TLS over one of asyncio's transports, without asyncio's own machinery for it.

That takes a large buffer for every read and makes a queue of every write, which together cost
as much as OpenSSL does.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

RECORD_BYTES = 1 << 14  # the most in a record: who reads as much at once leaves nothing of it
NOBODY = asyncio.Protocol()


class Secure(asyncio.Protocol):
    """The protocol of a transport that carries TLS, and the transport of what it carries.

    Whoever takes part in that is told nothing before `set_protocol`.
    """

    def __init__(self, context: ssl.SSLContext, host: str, writes_directly: bool) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.writes_directly = writes_directly  # what is written fits an empty send buffer
        self.shaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_shaken, self.fault = False, cast(OSError | None, None)
        self.owner = NOBODY
        self.transport: asyncio.Transport
        self.put: Callable[[bytes], object]

    async def shake_hands(self) -> None:
        """Wait until the handshake is done. Raises OSError where it fails."""
        try:
            await self.shaken
        finally:
            if not self.is_shaken:
                self.abort()
        if self.fault:
            raise self.fault
        if self.transport.is_closing():
            raise ConnectionResetError("closed after the handshake")

    # ---- As a transport ----------------------------------------------------------------
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.owner = cast(asyncio.Protocol, protocol)

    def get_extra_info(self, name: str) -> Any:
        return self.transport.get_extra_info(name)

    def abort(self) -> None:
        self.transport.abort()

    def write(self, data: bytes) -> None:
        self.tls.write(data)
        self.put(self.outgoing.read())

    # ---- As a protocol -----------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.put = self.transport.write
        if self.writes_directly:
            self.put = partial(os.write, transport.get_extra_info("socket").fileno())
        self._go_on_shaking()

    def data_received(self, data: bytes) -> None:
        self.incoming.write(data)
        if not self.is_shaken:
            self._go_on_shaking()
            return
        try:
            plain = self.tls.read(RECORD_BYTES)
        except ssl.SSLWantReadError:  # a part of a record, or one that is of TLS itself
            self._flush()
            return
        except ssl.SSLError as error:
            self._lose(error)
            return
        if self.incoming.pending:
            plain += self._read_rest()
        if plain:
            self.owner.data_received(plain)
        else:
            self._lose(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_shaken:
            self._end_shaking(ConnectionResetError("closed in the handshake"))
        self.owner.connection_lost(error)

    # ---- How ---------------------------------------------------------------------------
    def _go_on_shaking(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except OSError as error:
            self._flush()  # it says why
            self._end_shaking(error)
        else:
            self._flush()
            self.is_shaken = True
            self._end_shaking(None)

    def _end_shaking(self, fault: OSError | None) -> None:
        if not self.shaken.done():  # nor given up
            self.fault = fault
            self.shaken.set_result(None)

    def _flush(self) -> None:
        """Send what TLS itself has to say. If that fails, reading will say why."""
        with suppress(OSError):
            self.put(self.outgoing.read())

    def _read_rest(self) -> bytes:
        """What has come together with the first record; an end among it is told afterwards."""
        pieces = []
        with suppress(ssl.SSLWantReadError):
            while self.incoming.pending:
                piece = self.tls.read(RECORD_BYTES)
                if not piece:
                    asyncio.get_running_loop().call_soon(self._lose, None)
                    break
                pieces.append(piece)
        return b"".join(pieces)

    def _lose(self, error: Exception | None) -> None:
        owner, self.owner = self.owner, NOBODY
        self.transport.abort()
        owner.connection_lost(error)
