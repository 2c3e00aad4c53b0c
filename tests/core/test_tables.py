"""Tables of a run: their columns and types, and values that are missing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from untrain.core.errors import InputError
from untrain.core.schema import Kind
from untrain.core.tables import (
    EFFECTS,
    FORGET_SETS,
    MEASURES,
    MODELS,
    PROMPTS,
    TABLES,
    VERDICTS,
)
from untrain.core.vocabulary import Arm, Baseline, Design, Verdict

ROWS = [
    {"design": Design.RANDOMISED, "arm": Arm.TARGETED, "measure": "nll", "effect": 0.3, "k": 10},
    {"design": Design.NAIVE, "arm": Baseline.NONE, "prompt_id": "p00", "measure": "nll"},
]


def test_missing_values_survive_the_file(tmp_path: Path) -> None:
    table = EFFECTS.of(ROWS)
    EFFECTS.write(tmp_path, table)
    read = EFFECTS.read(tmp_path)
    pd.testing.assert_frame_equal(read, table)
    assert read["prompt_id"].isna().tolist() == [True, False]
    assert read["k"].isna().tolist() == [False, True] and read["k"].iloc[0] == 10
    assert read["control"].isna().all() and read["n_sets"].isna().all()
    assert list(read["arm"]) == ["targeted", "none"]


def test_a_column_under_its_former_name_is_read(tmp_path: Path) -> None:
    table = EFFECTS.of(ROWS)
    EFFECTS.path(tmp_path).parent.mkdir()
    table.rename(columns={"effect": "estimate"}).to_parquet(EFFECTS.path(tmp_path))
    pd.testing.assert_frame_equal(EFFECTS.read(tmp_path), table)
    with pytest.raises(InputError, match="unknown column estimate"):  # none is written any more
        EFFECTS.conform(table.rename(columns={"effect": "estimate"}))


def test_a_csv_keeps_ids_that_look_like_numbers_and_words_that_look_missing(
    tmp_path: Path,
) -> None:
    rows = [{"prompt_id": "007", "prompt": "nan", "family": None, "role": "query", "seen": True}]
    PROMPTS.write(tmp_path, pd.DataFrame(rows))
    read = PROMPTS.read(tmp_path)
    assert read.iloc[0][["prompt_id", "prompt", "role", "seen"]].tolist() == [
        *("007", "nan", "query", True),
    ]
    assert read["family"].isna().all() and (tmp_path / "prompts.csv").read_text().count(",,") == 1


def test_every_table_can_be_empty_and_has_types() -> None:
    for name, table in TABLES.items():
        empty = table.empty()
        assert name == table.name and list(empty) == table.names and empty.empty
        assert all(column.meaning for column in table.columns)
        for column in table.columns:
            if column.name in empty:
                assert empty[column.name].dtype == column.dtype
    kinds = {column.name: column.kind for column in FORGET_SETS.columns}
    assert kinds["k"] == Kind.INTEGER and kinds["reason"] == Kind.TEXT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": None}, "value is missing in row 0; expected a value"),
        ({"value": "much"}, "value holds no number"),
        ({"generation": 0.5}, "generation holds no integer"),
        ({"kind": "x"}, "unknown column kind; expected model_id"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    row = {"model_id": "B00", "prompt_id": None, "generation": None, "measure": "nll", "value": 1.0}
    assert len(MEASURES.conform(pd.DataFrame([row]))) == 1
    with pytest.raises(InputError, match=message):
        MEASURES.conform(pd.DataFrame([row | change]))


@pytest.mark.parametrize("name", ["../../secret", "/etc", "..", "a/b", "a\\\\b"])
def test_an_id_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "prompts.csv").write_text(f"prompt_id,prompt,family,role\n{name},a,,query\n")
    with pytest.raises(InputError, match="leads out of the folder"):
        PROMPTS.read(tmp_path)


@pytest.mark.parametrize("path", ["../other/models/m", "/models/m", "models/../../m"])
def test_a_model_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    row = {"model_id": "B00", "seed": 1, "fingerprint": "f"}
    MODELS.write(tmp_path, MODELS.of([{**row, "path": "models/m"}]))
    assert MODELS.read(tmp_path)["path"].tolist() == ["models/m"]
    MODELS.write(tmp_path, MODELS.of([{**row, "path": path}]))
    with pytest.raises(InputError, match="leads out of the folder"):
        MODELS.read(tmp_path)


def test_a_word_that_is_none_of_the_known_ones_is_refused() -> None:
    row = {"prompt_id": "p00", "verdict": Verdict.UNDECIDED, "reason": "few models"}
    assert VERDICTS.conform(pd.DataFrame([row]))["verdict"].tolist() == ["undecided"]
    with pytest.raises(InputError, match="verdict is 'perhaps'; expected attributable or"):
        VERDICTS.conform(pd.DataFrame([row | {"verdict": "perhaps"}]))
    with pytest.raises(InputError, match="has no column reason"):
        VERDICTS.conform(pd.DataFrame([row]).drop(columns="reason"))
