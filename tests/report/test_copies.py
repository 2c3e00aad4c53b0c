"""What the report says of the copy test, and which pictures it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from untrain.report.copies import copied_from, copy_warnings, copy_words
from untrain.runs.results import RunResults, read_results

FOUND = {
    "queries": 20,
    "near_copies": 3,
    "alpha": 0.01,
    "false_positive_rate": 0.025,
    "false_positive_low": 0.005,
    "false_positive_high": 0.071,
    "auc": 0.731,
    "p_value": 0.0021,
}


def of(folder: Path, copies: object) -> RunResults:
    run = read_results(folder)
    run.meta["copies"] = copies
    return run


def test_words_give_flags_errors_and_all_together(run: Path) -> None:
    assert copy_words(of(run, FOUND)) == (
        "3 of 20 generated pictures flagged; of the held-out ones 2.5 % are (95 % interval "
        "0.5–7.1); together they are nearer to training images than held-out ones (AUC 0.73, "
        "p = 0.002)"
    )
    assert "together they are no nearer" in copy_words(of(run, {**FOUND, "p_value": 0.3}))


def test_without_held_out_pictures_words_are_of_flags_alone(run: Path) -> None:
    nothing = dict.fromkeys(("auc", "p_value", "false_positive_rate"))
    assert copy_words(of(run, FOUND | nothing)) == "3 of 20 generated pictures flagged"


@pytest.mark.parametrize("found", [None, {}, {"queries": 0}, "broken"])
def test_without_a_test_there_are_no_words(run: Path, found: object) -> None:
    assert copy_words(of(run, found)) == ""


def test_older_runs_called_the_p_value_p(run: Path) -> None:
    path = run / "run.json"
    record = json.loads(path.read_text())
    old = {name: value for name, value in FOUND.items() if name != "p_value"} | {"p": 0.0021}
    path.write_text(json.dumps(record | {"copies": old}))
    assert read_results(run).meta["copies"] == FOUND


def with_test(folder: Path, flagged: set[tuple[str, int]], **found: Any) -> RunResults:
    """The invented run with a copy test of five pictures a prompt."""
    keys = [(p, g) for p in ("p00", "p01", "p02") for g in range(5)]
    rows = [(p, g, f"{p}-000{g}", 0.1, (p, g) in flagged) for p, g in keys]
    columns = ["prompt_id", "generation", "image_id", "distance", "near_copy"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "copies.parquet", index=False)
    meta = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**meta, "copies": FOUND | found}))
    return read_results(folder)


def test_flagged_pictures_are_named(run: Path) -> None:
    read = with_test(run, {("p00", 1), ("p00", 4), ("p02", 0)})
    (note,) = copy_warnings(read)
    assert (note.code, note.about) == ("near-copies", ("p00/1", "p00/4", "p02/0"))
    assert note.text == (
        "3 of 15 generated pictures look like copies of a training image (p00/1, p00/4, p02/0): "
        "compare the two side by side before you call one a copy."
    )
    assert copied_from(read) == {
        ("p00", "1"): "p00-0001",
        ("p00", "4"): "p00-0004",
        ("p02", "0"): "p02-0000",
    }


def test_many_flagged_pictures_are_not_all_named(run: Path) -> None:
    (warning,) = copy_warnings(with_test(run, {("p01", g) for g in range(5)} | {("p02", 2)}))
    assert "(p01/0, p01/1, p01/2, p01/3, p01/4 …)" in warning.text


def test_no_flag_and_no_test_are_no_warning(run: Path) -> None:
    assert copy_warnings(read_results(run)) == copy_warnings(with_test(run, set())) == []


def test_flags_that_held_out_pictures_have_too_are_called_worth_little(run: Path) -> None:
    rate = {"false_positive_rate": 0.9, "false_positive_low": 0.8, "false_positive_high": 0.95}
    (warning,) = copy_warnings(with_test(run, {("p00", 1)}, **rate))
    assert "90 % are flagged too, where 1 % are expected" in warning.text
    (warning,) = copy_warnings(with_test(run, {("p00", 1)}, false_positive_rate=None))
    assert warning.text.endswith("before you call one a copy.")
