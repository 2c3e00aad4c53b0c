"""The tables of results of unlearning: what they say of outcomes that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

import ladder_tables
import ladders
from tests.helpers.ladders import drawn_outcomes
from untrain.banks.ladder.asked import Asked
from untrain.evaluation.fidelity import fidelity_table


@pytest.fixture(scope="module")
def table():
    methods = {("good", 0.05): (1.0, 0.05), ("good", 0.01): (0.3, 0.0), ("bad", 0.05): (-1.0, 0.1)}
    return fidelity_table(drawn_outcomes(methods))


def test_the_curve_has_a_row_a_method_and_a_column_a_budget(table) -> None:
    lines = ladder_tables.curve(table)
    assert lines[0] == "| method | 1.0% | 5.0% |"
    assert lines[2].startswith("| `good` | 0.51 / 0.51 | 1.00 / 1.00 |")
    assert lines[3].startswith("| `bad` | – / – | -3.")


def test_what_harms_is_named_so_and_the_best_comes_first(table) -> None:
    lines = ladder_tables.at_goal(table, table[table["group"] == "query"], 0.05)
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == ["`good`", "`other seed`", "`bad`"]
    assert lines[-1].count("**harms**") == 3
    assert "harms" not in lines[2]


def test_kinds_stand_beside_each_other(table) -> None:
    lines = ladder_tables.by_kind(table, 0.05)
    assert lines[0] == "| method | random sets | targeted sets |"


def test_lines_replace_what_stood_between_the_marks_of_their_part() -> None:
    text = ladders._between_marks("# Page\n", "demo", "The demo", ["old"])
    text = ladders._between_marks(text, "shop", "Photos", ["other"])
    text = ladders._between_marks(f"{text}\nProse.\n", "demo", "The demo", ["new"])
    assert "old" not in text and "new" in text and "other" in text
    assert text.count("## The demo") == 1 and text.rstrip().endswith("Prose.")


def test_a_page_without_any_ladder_is_only_its_beginning(tmp_path: Path) -> None:
    parts = ladders.parts_of([0, 1], Asked())
    assert parts["demo"].names == ("ladder-demo-0", "ladder-demo-1")
    assert parts["shop"].asked.budgets == (0.01, 0.02, 0.05, 0.1)
    ladders.write_tables(parts, tmp_path, tmp_path / "page.md", timed=True)
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == ladders.INTRO
