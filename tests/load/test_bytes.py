"""What is sent: both clients send the same bytes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from driving import URL, both, complains, holds, known
from servers import OK, Answer, Server, in_turn

from lab.load.load import Load
from lab.load.run import run

LOADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no path": {"url": "http://HOST"},
    "query": {"url": "http://HOST/a//b/?x=1&y=a+b&x=2&z="},
    "no value": {"url": "http://HOST/?"},
    "fragment": {"url": "http://HOST/a#b"},
    "percent": {"url": "http://HOST/caf%C3%A9/%2F%20?q=%26%3d%C3%BC"},
    "to be encoded": {"url": "http://HOST/café/a b/{}|?q=ü b&c=[1]"},
    "user in URL": {"url": "http://user:p%3Ass%40@HOST/"},
    "user without password": {"url": "http://user@HOST/"},
    "authorization": {"headers": (("Authorization", "Bearer x.y"),)},
    "post": {"method": "POST", "body": b"a=1&b=2"},
    "binary": {"method": "PUT", "body": bytes(range(256)) * 40},
    "large": {"method": "POST", "body": bytes(500_000)},
    "empty post": {"method": "POST"},
    "json": {
        "method": "POST",
        "body": b'{"X": [[1, 2]]}',
        "headers": (("Content-Type", "application/json"),),
    },
    "get with body": {"body": b"x"},
    "delete": {"method": "DELETE"},
    "options": {"method": "OPTIONS"},
    "own method": {"method": "PURGE"},
    "lower case": {"method": "get"},
    "twice": {"headers": (("X-A", "1"), ("X-B", "2"), ("X-A", "3"))},
    "in two spellings": {"headers": (("X-A", "1"), ("X-B", "2"), ("x-a", "3"))},
    "user agent": {"headers": (("User-Agent", "mine"),)},
    "accept": {"headers": (("accept", "text/html"), ("Accept-Encoding", "br"))},
    "host": {"headers": (("Host", "example.org"),)},
    "host between": {"headers": (("X-A", "1"), ("host", "example.org"), ("X-B", "2"))},
    "cookie": {"headers": (("Cookie", "a=b; c=d"),)},
    "empty value": {"headers": (("X-A", ""),)},
    "beyond ASCII": {"headers": (("X-A", "café \u0416"),)},
    "length": {"method": "POST", "headers": (("Content-Length", "0"),)},
    "connection": {"headers": (("Connection", "keep-alive"),)},
    "closing": {"headers": (("Connection", "close"),)},
    "without keepalive": {"keepalive": False, "method": "POST", "body": b"x"},
}


DIFFERENT = {"in two spellings": "aiohttp sends only the last of them"}


def sent(client: str, asked: dict[str, Any]) -> list[bytes]:
    """What the server got, with its port written as HOST."""
    with Server(in_turn(Answer((OK,)))) as server:
        host = f"127.0.0.1:{server.port}"
        url = asked.get("url", "http://HOST/").replace("HOST", host)
        result = run(
            Load(**asked | {"url": url}, requests=3, connections=1, timeout_s=1, client=client)
        )
    assert result.ok == 3
    return [request.replace(host.encode(), b"HOST") for request in server.requests]


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [known(case, reason=DIFFERENT[case]) if case in DIFFERENT else case for case in LOADS]
)
def test_both_clients_send_the_same_bytes(case: str) -> None:
    wire, aiohttp = sent("wire", LOADS[case]), sent("aiohttp", LOADS[case])
    assert wire == aiohttp
    assert len(set(wire)) == 1


@both
def test_what_is_sent(client: str) -> None:
    headers = (("X-A", "1"), ("User-Agent", "mine"), ("X-A", "2"))
    asked = {"url": "http://u:p@HOST/a%20b?c=d", "method": "POST", "headers": headers}
    expected = [
        b"POST /a%20b?c=d HTTP/1.1",
        b"Host: HOST",
        b"Accept: */*",
        b"Authorization: Basic " + base64.b64encode(b"u:p"),
        b"X-A: 1",
        b"User-Agent: mine",
        b"X-A: 2",
        b"Content-Length: 4",
        b"",
        b"body",
    ]
    for request in sent(client, asked | {"body": b"body"}):
        assert request.split(b"\r\n") == expected


@both
@pytest.mark.parametrize("how", [{}, {"rate": 300.0}, {"keepalive": False}], ids=str)
def test_a_unix_socket(client: str, how: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Server(unix_socket=path) as server:
        load = Load(
            url="http://shop/chunked", unix_socket=str(path), requests=30, connections=3,
            client=client, **how,
        )  # fmt: skip
        result = run(load)
    holds(result, 30)
    assert result.ok == len(server.requests) == 30
    assert server.connections == result.connections.opened
    assert server.connections == 30 if how == {"keepalive": False} else server.connections <= 3
    assert server.requests[0].startswith(b"GET /chunked HTTP/1.1\r\nHost: shop\r\n")


@both
def test_a_unix_socket_that_is_not_there(
    client: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = complains(capsys, 1, "--unix-socket", tmp_path / "none", "--client", client, URL)
    assert "refused" in line
