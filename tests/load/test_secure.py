"""TLS over connections that are kept."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import servers
from driving import holds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import OK, Answer, Server, in_turn

from lab.load.engine import make_tls
from lab.load.load import Load
from lab.load.run import run
from lab.load.secure import Secure


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> ssl.SSLContext:
    context = servers.self_signed(tmp_path)
    context.maximum_version = request.param
    return context


def kept(server: Server, path: str = "/", **asked: Any) -> Load:
    return Load(url=server.url + path, insecure=True, **asked)


def test_a_good_answer_is_ok_and_keeps_the_connection(tls: ssl.SSLContext) -> None:
    paths = "/", "/bytes", "/body-apart", "/chunked-pieces", "/early-hints-twice", "/long-head"
    with Server(tls=tls) as server:
        for path in paths:
            result = run(kept(server, path, requests=23, connections=3))
            holds(result, 23)
            assert result.ok == 23, path
    assert server.connections == 3 * len(paths)


def test_an_answer_that_ends_its_connection_is_ok(tls: ssl.SSLContext) -> None:
    with Server(tls=tls) as server:
        for path in ("/until-close", "/says-close"):
            result = run(kept(server, path, requests=13, connections=3))
            holds(result, 13)
            assert result.ok == 13, path
    assert server.connections == 26


def test_what_is_larger_than_any_buffer_is_whole(tls: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 10_000
    with Server(tls=tls) as server:
        load = kept(server, "/large", method="POST", body=body, requests=3, connections=1)
        result = run(load)
    holds(result, 3)
    assert result.ok == 3
    assert all(request.endswith(body) for request in server.requests)


class Far:
    """The other end, and the transport to it: what is sent waits here until it is delivered."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.is_aborted = False
        self.near = Secure(make_tls(True), "127.0.0.1", writes_directly=False)
        self.near.connection_made(self)  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        self.incoming.write(data)

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted

    async def shake_hands(self) -> None:
        for _ in range(3):
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.deliver()
        await self.near.shake_hands()

    def deliver(self, garbage: bytes = b"", ends: Sequence[int] = ()) -> None:
        """Have the near end read what this one has written, in pieces that end there."""
        data = self.outgoing.read() + garbage
        marks = [0, *sorted(end % (len(data) + 1) for end in ends), len(data)]
        for start, end in pairwise(marks):
            if start < end:
                self.near.data_received(data[start:end])


class Reader(asyncio.Protocol):
    def __init__(self) -> None:
        self.data, self.lost = b"", list[Exception | None]()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append(error)


async def connect(context: ssl.SSLContext) -> tuple[Far, Reader]:
    far, reader = Far(context), Reader()
    await far.shake_hands()
    far.near.set_protocol(reader)
    return far, reader


@given(
    texts=st.lists(st.binary(min_size=1, max_size=40_000), min_size=1, max_size=4),
    ends=st.lists(st.integers(0, 200_000), max_size=6),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_read_does_not_depend_on_the_pieces_it_comes_in(
    tls: ssl.SSLContext, texts: list[bytes], ends: list[int]
) -> None:
    async def read() -> Reader:
        far, reader = await connect(tls)
        for text in texts:
            far.tls.write(text)
        far.deliver(ends=ends)
        return reader

    reader = asyncio.run(read())
    assert reader.data == b"".join(texts)
    assert not reader.lost


@pytest.mark.parametrize("text", [b"", b"ok"])
@pytest.mark.parametrize("garbage", [b"", b"no TLS at all", bytes(300)])
def test_an_end_is_told_once_and_after_what_came_before(
    tls: ssl.SSLContext, text: bytes, garbage: bytes
) -> None:
    async def read() -> tuple[Far, Reader]:
        far, reader = await connect(tls)
        if text:
            far.tls.write(text)
        with suppress(ssl.SSLWantReadError):
            far.tls.unwrap()
        far.deliver(garbage)
        await asyncio.sleep(0)
        far.near.connection_lost(None)
        return far, reader

    far, reader = asyncio.run(read())
    assert far.is_aborted
    assert reader.data == text
    assert reader.lost == [None]


def test_what_is_no_tls_ends_the_connection(tls: ssl.SSLContext) -> None:
    async def read() -> tuple[Far, Reader]:
        far, reader = await connect(tls)
        far.deliver(bytes(300))
        far.near.connection_lost(None)
        return far, reader

    far, reader = asyncio.run(read())
    assert far.is_aborted
    assert [type(error) for error in reader.lost] == [ssl.SSLError]


def test_nothing_is_left_of_a_connection_that_has_ended(tls: ssl.SSLContext) -> None:
    """Nothing that waits for the garbage collector either, which rests meanwhile."""
    left = []

    def watch(*_: object) -> None:
        left.append(sum(isinstance(one, Secure) for one in gc.get_objects()))

    ends = Answer((OK,)), Answer((), "close"), Answer((), "reset")
    with Server(in_turn(*ends), tls=tls) as server:
        result = run(kept(server, requests=60, connections=2), watch)
    assert result.errors == {"reset": 40}
    assert left[-1] <= 2
