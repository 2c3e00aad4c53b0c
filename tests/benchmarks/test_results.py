"""Pages say what is stored: tables made again from the repository's data are those of the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

import results
import stored_pages
import stored_tables

STORED = [page for page in stored_pages.PAGES if page.tables]


@pytest.mark.parametrize("page", STORED, ids=lambda page: page.name)
def test_a_page_is_in_step_with_its_data(page: stored_tables.Page) -> None:
    assert results.faults(page) == []


def test_every_page_is_there_and_names_what_measures_it() -> None:
    for page in stored_pages.PAGES:
        assert (stored_tables.ROOT / page.page).is_file(), page.page
        assert page.commands or page.note, page.name
        for command in page.commands:
            script = next((w for w in command.split() if w.startswith("{here}/")), "")
            place = stored_tables.ROOT / "benchmarks" / script.removeprefix("{here}/")
            assert not script or place.exists(), command
    listed = results.listing(list(stored_pages.PAGES))
    assert all(page.name in listed for page in stored_pages.PAGES)


def test_a_wrong_figure_is_named_and_written_anew() -> None:
    table = stored_tables.Written(lambda: "| a | b |\n|---|---|\n| x | 1 |")
    text = "Prose.\n\n| a | b |\n|---|---|\n| x | 2 |\n\nMore."
    assert list(table.faults(text)) == ["is out of step, first: | x | 1 |"]
    assert list(table.faults(table.put(text))) == []
    assert table.put(text).startswith("Prose.") and table.put(text).endswith("More.")
    assert next(table.faults("nothing")).startswith("has no table")


def test_numbers_by_hand_must_be_those_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_tables, "DATA", tmp_path)
    (tmp_path / "d.csv").write_text("name,value\nfoo,0.1249\nbar,0.5\n")
    checked = stored_tables.Checked(
        "| name |", "d.csv", {"value": stored_pages.number("value", ".2f")}, key=lambda r: r["name"]
    )
    page = "| name | value |\n|---|---|\n| `foo` | **{}** |"
    assert list(checked.faults(page.format("0.12"))) == []
    assert list(checked.faults(page.format("0.13"))) == []  # rounded twice
    assert len(list(checked.faults(page.format("0.14")))) == 1
    assert len(list(checked.faults(page.format("0.50")))) == 1  # of another row
