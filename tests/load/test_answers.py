"""What comes back, and whether it is what was expected."""

from __future__ import annotations

import tracemalloc

import pytest
import servers
from driving import BAD, both, holds, known
from servers import CHUNKED_HEAD, OK, Answer, Server, answer, in_turn

from lab.load.load import Load
from lab.load.run import run

GOOD = [
    ("/", "200"),
    ("/bare", "200"),
    ("/chunked", "200"),
    ("/chunked-pieces", "200"),
    ("/chunked-bytes", "200"),
    ("/bytes", "200"),
    ("/body-apart", "200"),
    ("/continue", "200"),
    ("/continue-at-once", "200"),
    ("/early-hints", "200"),
    ("/early-hints-twice", "200"),
    ("/long-head", "200"),
    ("/204", "204"),
    ("/304", "304"),
    ("/302", "302"),
]


@both
@pytest.mark.parametrize(("path", "status"), GOOD)
def test_a_good_answer_is_ok_and_keeps_the_connection(client: str, path: str, status: str) -> None:
    with Server() as server:
        result = run(Load(url=server.url + path, requests=13, connections=3, client=client))
    holds(result, 13)
    assert result.statuses == {status: 13}
    assert result.ok == len(server.requests) == 13
    assert server.connections == 3


@both
@pytest.mark.parametrize("path", ["/until-close", "/says-close", "/http-1.0"])
def test_an_answer_that_ends_its_connection_is_ok(client: str, path: str) -> None:
    with Server() as server:
        result = run(Load(url=server.url + path, requests=13, connections=3, client=client))
    holds(result, 13)
    assert result.ok == len(server.requests) == server.connections == 13


@both
def test_a_head_request_has_an_answer_without_a_body(client: str) -> None:
    with Server() as server:
        url = f"{server.url}/head"
        result = run(Load(url=url, method="HEAD", requests=13, connections=3, client=client))
    holds(result, 13)
    assert result.ok == len(server.requests) == 13
    assert server.connections == 3


EXCESS = "aiohttp loses the whole answer: ClientResponseError(400, 'Bad status line')"


@pytest.mark.parametrize(
    ("client", "path"),
    [
        ("wire", "/excess"),
        known("aiohttp", "/excess", reason=EXCESS),
        ("wire", "/two"),
        ("aiohttp", "/two"),
    ],
)
def test_what_follows_an_answer_is_no_answer_to_the_next_request(client: str, path: str) -> None:
    with Server() as server:
        result = run(Load(url=server.url + path, requests=13, connections=3, client=client))
    holds(result, 13)
    assert result.statuses == {"200": 13}
    assert result.ok == len(server.requests) == server.connections == 13


@pytest.mark.slow
def test_alternating_answers_are_each_counted_as_what_they_are() -> None:
    """Also those that `wire` recognises as the same as the one before."""
    kinds = [Answer((OK,)), Answer((answer(b"no", "404 Not Found"),)), *[Answer((OK,))] * 3]
    kinds += [Answer((answer(b"OK"),)), Answer((servers.CHUNKED,)), Answer((OK[:7], OK[7:]))]
    with Server(in_turn(*kinds)) as server:
        load = Load(url=server.url, requests=803, connections=1, expect="ok")
        result = run(load)
    holds(result, 803)
    assert len(server.requests) == 803
    assert result.statuses == {"200": 803 - 101, "404": 101}
    assert result.errors == {"status": 101, "body": 200}
    assert result.ok == 502


@pytest.mark.parametrize("expect", [None, "aa"])
@pytest.mark.parametrize("keepalive", [True, False])
def test_answers_that_differ_in_their_bodies_are_each_looked_at(
    expect: str | None, keepalive: bool
) -> None:
    """Also where the heads are the same, for which `wire` does not parse them again."""
    bodies = [b"aa", b"bb", b"aa", b"ccc", b"cc!"]
    kinds = [*(Answer((answer(body),)) for body in bodies), BAD, Answer((servers.CHUNKED,))]
    with Server(in_turn(*kinds)) as server:
        load = Load(url=server.url, requests=140, connections=1, expect=expect, keepalive=keepalive)
        result = run(load)
    holds(result, 140)
    assert result.statuses == {"200": 120, "500": 20}
    assert result.errors == ({"status": 20, "body": 80} if expect else {"status": 20})


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nX: ", *[b"x" * 2**16] * 40),
        (b"HTTP/1.1 200 OK\r\n", *[b"X: %s\r\n" % (b"x" * 1000) * 64] * 40),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,) * 50,
    ],
    ids=["one value", "many headers", "many 100s"],
)
@both
def test_a_head_without_end_is_a_fault_of_protocol(client: str, pieces: tuple[bytes, ...]) -> None:
    ends_as_protocol(client, pieces)


@pytest.mark.parametrize(
    "end", [b"2\r\nok\r\n0\r\nX: ", b"2;name="], ids=["trailer", "extension of a chunk"]
)
def test_what_follows_a_body_without_end_is_a_fault_of_protocol(end: bytes) -> None:
    """aiohttp takes it until the time-out, and keeps none of it."""
    ends_as_protocol("wire", (servers.CHUNKED_HEAD + end, *[b"x" * 2**16] * 40))


def ends_as_protocol(client: str, pieces: tuple[bytes, ...]) -> None:
    with Server(in_turn(Answer(pieces, "hang", gap_s=0.0))) as server:
        load = Load(url=server.url, requests=2, connections=1, timeout_s=5.0, client=client)
        result = run(load)
    holds(result, 2)
    assert result.errors == {"protocol": 2}
    assert result.elapsed_s < 5


@pytest.mark.parametrize(("client", "limit_bytes"), [("wire", 4e6), ("aiohttp", 7e6)])
def test_megabytes_are_not_kept(client: str, limit_bytes: float) -> None:
    """Five bodies of 8 MB. The record itself takes 2.7 MB, the server in this process some."""
    with Server() as server:
        load = Load(url=f"{server.url}/large", requests=5, connections=1, client=client)
        run(load)  # imports, caches
        tracemalloc.start()
        result = run(load)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert result.ok == 5
    assert peak_bytes < limit_bytes


@both
@pytest.mark.parametrize(
    ("path", "expect", "errors"),
    [
        ("/204", "204", {}),
        ("/", "204", {"status": 5}),
        ("/404", "404", {}),
        ("/", "ok", {}),
        ("/", "no", {"body": 5}),
        ("/404", "no", {"status": 5}),
        ("/needle", "needle", {}),
        ("/needle-apart", "needle", {}),
        ("/needle-bytes", "needle", {}),
        ("/needle-late", "needle", {}),
        ("/needle-late", "needles", {"body": 5}),
        ("/chunked-bytes", "hello, world", {}),
        ("/chunked", "hello\r", {"body": 5}),
        ("/until-close", "hello world", {}),
        ("/204", "needle", {"body": 5}),
        ("/needle", "", {}),
    ],
)
def test_expect(client: str, path: str, expect: str, errors: dict[str, int]) -> None:
    with Server() as server:
        load = Load(url=server.url + path, requests=5, connections=2, expect=expect, client=client)
        result = run(load)
    holds(result, 5)
    assert result.errors == errors
    assert len(server.requests) == 5
    assert sum(result.statuses.values()) == 5


@pytest.mark.parametrize(
    ("path", "follow", "status", "asked"),
    [
        ("/302", 0, "302", 1),
        ("/302", 1, "200", 2),
        ("/302-twice", 1, "302", 2),
        ("/302-twice", 2, "200", 3),
        ("/302-twice", 9, "200", 3),
        ("/302-again", 3, "302", 4),
        ("/", 3, "200", 1),
    ],
)
def test_a_redirect_is_counted_as_its_final_answer(
    path: str, follow: int, status: str, asked: int
) -> None:
    with Server() as server:
        result = run(Load(url=server.url + path, requests=5, connections=2, follow=follow))
    holds(result, 5)
    assert len(server.requests) == 5 * asked
    assert result.statuses == {status: 5}
    too_many = follow and status == "302"
    assert result.errors == ({"status": 5} if too_many else {})


HEAD = b"HTTP/1.1 200 OK\r\n"
TWO = b"Content-Length: 2\r\n"
ODD = {  # what is sent; what comes of it by the wire client, and by aiohttp
    "304 with a body": (b"HTTP/1.1 304 Not Modified\r\n" + TWO + b"\r\nok", "ok", "protocol"),
    "204 with a body": (b"HTTP/1.1 204 No Content\r\n" + TWO + b"\r\nok", "ok", "protocol"),
    "more than the body": (HEAD + TWO + b"\r\nok and more", "ok", "protocol"),
    "an empty line more": (HEAD + TWO + b"\r\nok\r\n", "ok", "ok"),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok", "ok"),
    "a folded header": (HEAD + b"X: a\r\n b\r\n" + TWO + b"\r\nok", "ok", "ok"),
    "a control character": (HEAD + b"X: \x1b[2J\r\n" + TWO + b"\r\nok", "ok", "ok"),
    "a space in a chunk's size": (CHUNKED_HEAD + b"2 \r\nok\r\n0\r\n\r\n", "ok", "ok"),
    "101": (b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "status", "status"),
    "101 to nothing": (b"HTTP/1.1 101 X\r\n\r\n", "status", "status"),
    "two lengths": (HEAD + TWO + b"Content-Length: 3\r\n\r\nok", "protocol", "protocol"),
    "a space in a name": (HEAD + b"X : a\r\n" + TWO + b"\r\nok", "protocol", "protocol"),
    "a status of 1000": (b"HTTP/1.1 1000 X\r\n" + TWO + b"\r\nok", "protocol", "protocol"),
}


@both
@pytest.mark.parametrize("case", ODD)
def test_odd_answers_end_as_it_is_documented(client: str, case: str) -> None:
    sent, by_wire, by_aiohttp = ODD[case]
    expected = by_wire if client == "wire" else by_aiohttp
    with Server(in_turn(Answer((sent,)))) as server:
        result = run(Load(url=server.url, requests=6, connections=2, timeout_s=2, client=client))
    holds(result, 6)
    assert result.errors == ({} if expected == "ok" else {expected: 6})


@both
def test_a_body_that_follows_a_304_late_spoils_the_next_answer(client: str) -> None:
    """Of both clients alike: the next request is out when it comes."""
    with Server() as server:
        load = Load(url=f"{server.url}/304-body-apart", requests=20, connections=2, client=client)
        result = run(load)
    holds(result, 20)
    assert result.ok >= 8
    assert set(result.errors) <= {"protocol", "reset"}


@both
def test_an_answer_nobody_asked_for_counts_for_the_request_that_is_out(client: str) -> None:
    """Nothing in HTTP/1.1 tells it from that request's own."""
    with Server() as server:
        load = Load(url=f"{server.url}/unasked", requests=20, connections=2, client=client)
        result = run(load)
    holds(result, 20)
    assert result.ok == 20
    assert len(server.requests) <= 20
