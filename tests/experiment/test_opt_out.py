"""Opt-out lists in a run: no model sees what is on them, and the record says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.helpers.folders import record
from untrain.experiment.pipeline import keys
from untrain.runs.run import Run
from untrain.settings.config import Config


def test_the_record_says_what_was_kept_out(config: Callable[..., Config], tmp_path: Path) -> None:
    whole = Run(config(name="whole"))
    out = tmp_path / "out.csv"
    named = whole.catalog.ids[3]
    out.write_text(f"id\n{named}\nnobody\n")
    run = Run(config(f"data.exclude={out}"))
    assert set(whole.catalog.ids) - set(run.catalog.ids) == {named}
    assert run.held_out.ids == whole.held_out.ids  # the split stays where it was
    assert keys(run)["fit"] != keys(whole)["fit"]
    run.describe()
    kept = record(run.folder)
    (told,) = kept["catalog"]["excluded"]
    assert (told["source"], told["images"], told["unmatched"]) == (str(out), 1, 1)
    assert {note["code"] for note in kept["warnings"]} == {"data-excluded", "exclude-unmatched"}
    before = keys(run)
    out.write_text(f"id\n{named}\n{whole.catalog.ids[4]}\n")  # the same file says something else
    assert keys(Run(run.config))["fit"] != before["fit"]
