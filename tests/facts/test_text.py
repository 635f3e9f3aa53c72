"""Numbers in words, and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.facts.text import (
    NoDuration,
    count_of,
    duration,
    harmless,
    parse_duration,
    percent,
    size,
    three_digits,
    unit_of,
    wrapped,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9.999, "10.0"),
        (0.0123, "0.0123"),
        (0.001, "0.00100"),
        (9.91, "9.91"),
        (99.96, "100"),
        (196, "196"),
        (999.6, "1000"),
        (7890, "7890"),
        (1234567, "1230000"),
        (-9.999, "-10.0"),
        (1e-7, "0.000000100"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_three_digits(value, text):
    assert three_digits(value) == text


@given(st.floats(1e-12, 1e15))
def test_three_digits_are_three(value):
    text = three_digits(value)
    assert float(text) == pytest.approx(value, rel=0.0051)
    assert set(text) <= set("0123456789.")
    digits = text.replace(".", "").lstrip("0")
    assert len(digits) == 3 if "." in text else set(digits[4:]) <= {"0"}


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (75, "75.0 s"),
        (1, "1.00 s"),
        (0.102, "102 ms"),
        (0.001, "1.00 ms"),
        (0.0000123, "12.3 µs"),
        (1e-9, "1.00 ns"),
    ],
)
def test_duration(value_s, text):
    assert duration(value_s) == text


@pytest.mark.parametrize(
    ("text", "value_s"),
    [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("0.5", 0.5), ("1h", 3600), ("250us", 0.00025)],
)
def test_a_duration_is_read(text, value_s):
    assert parse_duration(text) == pytest.approx(value_s)


@pytest.mark.parametrize("text", ["", "s", "10 s", "-1s", "10x", "1.s", "ms", "1e3", "ten"])
def test_what_is_not_a_duration_is_said_with_a_remedy(text):
    with pytest.raises(NoDuration, match="write 10s, 1m30s or 500ms"):
        parse_duration(text)


@given(st.integers(0, 48), st.integers(0, 59), st.integers(1, 999))
def test_the_parts_of_a_duration_add_up(hours, minutes, milliseconds):
    text = f"{hours}h{minutes}m{milliseconds}ms"
    assert parse_duration(text) == pytest.approx(hours * 3600 + minutes * 60 + milliseconds / 1e3)


@pytest.mark.parametrize(
    ("value_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (48_200_000, "48.2 MB"),
        (1.5e9, "1.50 GB"),
        (2.5e12, "2500 GB"),
    ],
)
def test_size(value_bytes, text):
    assert size(value_bytes) == text


@pytest.mark.parametrize(
    ("values_s", "unit"),
    [
        ([2.0, 0.1], (1e-3, "ms")),
        ([2.0, 1.0], (1.0, "s")),
        ([0.0004, 0.6], (1e-3, "ms")),
        ([0.0004, 0.002], (1e-6, "µs")),
        ([0.0, None, 3e-6], (1e-6, "µs")),
        ([5e-9, math.inf], (1e-9, "ns")),
        ([1e-10], (1e-9, "ns")),
        ([None], (1.0, "s")),
        ([], (1.0, "s")),
    ],
)
def test_a_column_has_the_unit_of_its_middle(values_s, unit):
    assert unit_of(values_s) == unit


@given(st.sampled_from([1.0, 1e-3, 1e-6]))
def test_a_whole_unit_is_said_in_that_unit(value_s):
    assert unit_of([value_s])[0] == value_s


@pytest.mark.parametrize(
    ("count", "thing", "text"),
    [
        (0, "round", "0 rounds"),
        (1, "round", "1 round"),
        (2, "process", "2 processes"),
        (1, "process", "1 process"),
        (3, "launch", "3 launches"),
    ],
)
def test_counts_have_their_plural(count, thing, text):
    assert count_of(count, thing) == text


def test_shares_are_whole_percentages():
    assert [percent(share) for share in (0, 0.004, 0.126, 1)] == ["0 %", "0 %", "13 %", "100 %"]


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x00", "\r", "\x9b1m", "\u202egnp.exe", "\u2028", "\x7f"]
)
def test_what_steers_a_terminal_is_spelled_out(text):
    shown = harmless(text)
    assert shown.isprintable()
    assert shown.startswith("\\")


@pytest.mark.parametrize("text", ["", "plain", "µs × ■ é 中", "two\nlines", "a\ttab"])
def test_other_text_is_left_as_it_is(text):
    assert harmless(text) == text


def test_a_text_keeps_to_its_column():
    lines = wrapped("label", "word " * 30, 9, 40).split("\n")
    assert lines[0].startswith("label    word")
    assert all(line.startswith(" " * 9 + "word") for line in lines[1:])
    assert max(map(len, lines)) <= 40


def test_a_label_as_wide_as_its_column_has_a_line_of_its_own():
    assert wrapped("a long label", "text", 4) == "a long label\n    text"
