"""The trials on servers of known truth: which are run first, and where their table goes."""

from __future__ import annotations

import pytest
from evidence import BEGIN, CONDITIONS, END, KINDS, list_wanted, write_page


def test_kinds_take_turns_in_proportion_to_their_trials():
    wanted = list_wanted(list(KINDS), None)
    assert len(wanted) == len(set(wanted))
    for name, kind in KINDS.items():
        whole = [key for key in wanted if key[0] == name]
        assert len(whole) == kind.trials * len(kind.conditions)
        half = [key for key in wanted[: len(wanted) // 2] if key[0] == name]
        assert len(half) == pytest.approx(len(whole) / 2, abs=len(CONDITIONS))


def test_the_table_goes_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_page(page, "| new |")
    assert page.read_text() == f"before\n{BEGIN}\n| new |\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="no place for the table"):
        write_page(page, "| new |")
