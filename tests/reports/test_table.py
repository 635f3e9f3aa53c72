"""Tables keep to the width without losing a word, and to their cells in Markdown."""

import pytest
from builders import find_too_wide
from hypothesis import given
from hypothesis import strategies as st

from lab.reports.table import Table, escape, keep_together, make_table, render

LONG = "an arm with quite a long name, then"


def test_columns_are_aligned_under_their_titles():
    table = make_table([["arm", "a", "bb"], ["requests/s", "9", "1000"]])
    assert table.to_lines() == ["arm  requests/s", "a             9", "bb         1000"]


def test_a_long_name_is_wrapped_and_not_cut():
    lines = make_table([["arm", LONG], ["requests/s", "1000"]], width=30).to_lines()
    assert max(map(len, lines)) <= 30
    assert " ".join(line[:18].strip() for line in lines[1:]) == LONG
    assert lines[1].endswith("1000")


def test_the_widest_column_of_words_gives_way_first():
    columns = [["arm", "short"], ["expected", "1 / (5 + 1) ms = 167/s, or some more"], ["n", "1"]]
    lines = make_table(columns, width=30, words=2).to_lines()
    assert lines[1].startswith("short")
    assert len(lines) > 2


def test_a_number_and_its_unit_stay_in_one_line():
    lines = make_table([["x", "waits for 100 ms"], ["n", "1"]], width=17).to_lines()
    assert "100 ms" in "\n".join(lines)


def test_an_interval_stays_in_one_line():
    text = "a is 2.00× faster than b (95 % CI 1.90–2.10)"
    assert "(95\u00a0%\u00a0CI\u00a01.90–2.10)" in keep_together(text)
    assert render([[keep_together(text)]]) == text


@given(st.lists(st.text("ab cd", max_size=80), min_size=1, max_size=5), st.integers(30, 79))
def test_any_names_keep_to_the_width(names, width):
    table = make_table([["arm", *names], ["figure", *["1000"] * len(names)]], width=width)
    assert max(map(len, table.to_lines())) <= width


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("x | y", r"x \| y"),
        ("a*b_c`d`", r"a\*b\_c\`d\`"),
        ("<img src=x>", r"\<img src=x>"),
        ("[a](b)", r"\[a\](b)"),
        ("back\\slash", r"back\\slash"),
        ("plain × text", "plain × text"),
    ],
)
def test_what_markdown_would_take_for_its_marks_is_escaped(text, escaped):
    assert escape(text) == escaped


def test_a_cell_may_hold_a_bar():
    rows = Table([["a", "b"], ["x | y", "z"]], "<<").to_markdown()
    assert {row.replace("\\|", "").count("|") for row in rows} == {3}


def test_a_fence_in_a_text_does_not_end_its_fence():
    text = render([["```", "inside"]], markdown=True)
    assert text.startswith("````text\n")
    assert text.endswith("\n````")


def test_texts_between_two_tables_share_a_fence():
    table = make_table([["a", "1"], ["b", "2"]])
    text = render([["one"], [], ["two"], table, ["three"]], markdown=True)
    assert text.count("```text") == 2
    assert "one\n\ntwo" in text


def test_empty_blocks_leave_no_gap():
    assert render([["one"], [], ["two"]]) == "one\n\ntwo"


def test_a_table_in_a_report_is_moved_in_with_the_rest():
    table = make_table([["a", "1"], ["b", "2"]])
    lines = render([table], indent=4).split("\n")
    assert all(line.startswith("    ") for line in lines)
    assert find_too_wide("\n".join(lines)) == []
