"""Which answers are recognised as one like those that were parsed."""

from __future__ import annotations

import httptools
import pytest
from driving import URL
from hypothesis import example, given
from hypothesis import strategies as st
from servers import answer

from lab.load.load import Load
from lab.load.tally import Times
from lab.load.template import MOST_SHAPES, Template
from lab.load.wire import AS_CLIENTS_READ

KNOWN = answer(b"hello", X_A="1")
KEPT = answer(b"hello", Connection="keep-alive", X_A="1", Upgrade="h2c")
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"


def learned(known: bytes, body_bytes: int | None, template: Template | None = None) -> Template:
    template = template or Template(Load(url=URL), 0)
    template.learn(known, body_bytes, Times())
    return template


@pytest.mark.parametrize("body", [b"", b"HELLO", b"x", b"a longer one" * 1000, b"\r\n\r\n"])
@pytest.mark.parametrize("value", ["1", "2", "", "a longer one, too", "\xe9\t:"])
def test_an_answer_with_another_body_and_another_header_is_alike(body: bytes, value: str) -> None:
    head, _ = answer(body, X_A="VALUE").split(b"\r\n\r\n", 1)
    other = head.replace(b"VALUE", value.encode("latin-1")) + b"\r\n\r\n" + body
    assert learned(KNOWN, 5).is_alike(other)


@pytest.mark.parametrize(
    "other",
    [
        b"",
        KNOWN[:-1],
        KNOWN + b"x",
        answer(b"hello"),
        answer(b"hello", X_B="1"),
        answer(b"hello", X_A="\x01"),
        answer(b"hello", X_A="1\r\n 2"),
        answer(b"hello", X_A="1\n2"),
        answer(b"hello", X_A="1\r2"),
        answer(b"hello", X_A="1\0"),
        answer(b"hello", X_A="1", Connection="close"),
        answer(b"hello", X_A="1", Content_Length="5"),
        answer(b"hello", "404 Not Found", X_A="1"),
        KNOWN.replace(b": 5", b": 4"),
        KNOWN.replace(b": 5", b": 6"),
        KNOWN.replace(b": 5", b": -5"),
        KNOWN.replace(b": 5", b": 0x5"),
        KNOWN.replace(b": 5", b": 5 "),
        KNOWN.replace(b": 5", b": "),
        KNOWN.replace(b": 5", b": " + b"0" * 40 + b"5"),
        KNOWN.replace(b"\r\n\r\n", b"\n\n"),
        KNOWN + KNOWN,
    ],
)
def test_any_other_answer_is_not(other: bytes) -> None:
    assert not learned(KNOWN, 5).is_alike(other)


def test_headers_that_frame_an_answer_matter() -> None:
    template = learned(KEPT, 5)
    assert template.is_alike(KEPT.replace(b"A: 1", b"A: 2"))
    assert not template.is_alike(KEPT.replace(b"keep-alive", b"close"))
    assert not template.is_alike(KEPT.replace(b"h2c", b"h2"))


def test_where_the_length_is_not_that_of_the_body_no_other_is_alike() -> None:
    assert not learned(KNOWN, None).is_alike(answer(b"longer", X_A="1"))
    assert not learned(NOT_MODIFIED, 0).is_alike(NOT_MODIFIED + b"hello")
    none = NOT_MODIFIED.replace(b": 5", b": 0")
    assert not learned(none, 0).is_alike(NOT_MODIFIED + b"hello")
    two = KNOWN.replace(b"X-A: 1", b"Content-Length: 5")
    assert not learned(two, 5).is_alike(two.replace(b": 5", b": 6") + b"!")


def test_each_kind_of_answer_has_times_of_its_own() -> None:
    missing = answer(b"no", "404 Not Found", X_A="1")
    template = learned(missing, 2, learned(KNOWN, 5))
    of_missing = template.alike
    assert template.is_alike(KNOWN.replace(b"A: 1", b"A: 2"))
    of_known = template.alike
    assert of_known is not of_missing
    assert template.known is not None
    assert template.known.startswith(b"HTTP/1.1 200 OK")
    assert template.is_alike(answer(b"HELLO", X_A="2"))
    assert template.alike is of_known
    assert template.is_alike(missing)
    assert template.alike is of_missing


def test_few_kinds_are_known_at_once() -> None:
    template = None
    for number in range(MOST_SHAPES + 1):
        template = learned(answer(b"hello", **{f"X_{number}": "1"}), 5, template)
    assert template
    assert template.is_alike(answer(b"hello", X_0="2"))
    assert not template.is_alike(answer(b"hello", **{f"X_{MOST_SHAPES}": "2"}))
    template.forget()
    assert not template.is_alike(answer(b"hello", X_0="2"))


class Reading:
    """What httptools finds in an answer."""

    def __init__(self, data: bytes) -> None:
        self.whole, self.body = 0, b""
        self.parser = httptools.HttpResponseParser(self)
        self.parser.set_dangerous_leniencies(**AS_CLIENTS_READ)
        self.parser.feed_data(data)
        self.says = self.parser.get_status_code(), self.parser.should_keep_alive(), self.whole

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.whole += 1


TEXTS = b"\r\n", b"\n", b"\r", b"\0", b"\x7f", b":", b" ", b"\t", b"5", b"0", b"x", b"200", b"close"
LINES = b"Connection: close", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"


@given(
    known=st.sampled_from([KNOWN, KEPT]),
    changes=st.lists(
        st.tuples(st.integers(0, 120), st.integers(0, 9), st.sampled_from([*TEXTS, *LINES])),
        max_size=3,
    ),
)
@example(known=KNOWN, changes=[(42, 1, b"2")])
def test_an_answer_that_is_alike_says_the_same(
    known: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    other = known
    for at, length, piece in changes:
        other = other[:at] + piece + other[at + length :]
    if learned(known, 5).is_alike(other):
        reading = Reading(other)
        assert reading.says == Reading(known).says
        assert other.endswith(b"\r\n\r\n" + reading.body)
