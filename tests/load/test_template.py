"""Which answers are recognised as the known one but for their bodies."""

from __future__ import annotations

import pytest
from driving import URL
from servers import answer

from lab.load.load import Load
from lab.load.template import Template

KNOWN = answer(b"hello", X_A="1")
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"


def learned(known: bytes, body_bytes: int | None) -> Template:
    template = Template(Load(url=URL), 0)
    template.learn(known, body_bytes)
    return template


@pytest.mark.parametrize("body", [b"", b"HELLO", b"x", b"a longer one" * 1000, b"\r\n\r\n"])
def test_an_answer_with_another_body_is_alike(body: bytes) -> None:
    assert learned(KNOWN, 5).is_alike(answer(body, X_A="1"))


@pytest.mark.parametrize(
    "other",
    [
        b"",
        KNOWN[:-1],
        KNOWN + b"x",
        answer(b"hello", X_A="2"),
        answer(b"hello"),
        answer(b"hello", "404 Not Found", X_A="1"),
        KNOWN.replace(b": 5", b": 4"),
        KNOWN.replace(b": 5", b": 6"),
        KNOWN.replace(b": 5", b": -5"),
        KNOWN.replace(b": 5", b": 0x5"),
        KNOWN.replace(b": 5", b": "),
        KNOWN.replace(b": 5", b": " + b"0" * 40 + b"5"),
        KNOWN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        KNOWN + KNOWN,
    ],
)
def test_any_other_answer_is_not(other: bytes) -> None:
    assert not learned(KNOWN, 5).is_alike(other)


def test_where_the_length_is_not_that_of_the_body_no_other_is_alike() -> None:
    assert not learned(KNOWN, None).is_alike(answer(b"longer", X_A="1"))
    assert not learned(NOT_MODIFIED, 0).is_alike(NOT_MODIFIED + b"hello")
    two = KNOWN.replace(b"X-A: 1", b"Content-Length: 5")
    assert not learned(two, 5).is_alike(two.replace(b": 5", b": 6") + b"!")
