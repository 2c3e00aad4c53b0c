"""Tables as CSV: no cell is a formula, and what is read back is what was written."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from untrain.core.files import write_csv
from untrain.core.schema import Column, Kind, Table
from untrain.core.spreadsheet import csv_text, from_csv

TEXTS = ["=1+1", "'=1+1", "@SUM(A1)", "-2+3", "\t=1", "a\rb", "a\r\nb", "a\0b", 'q"uote', "'tis"]
TEXTS += ["\ufeff=1", "nan", "007", " =1", "\r", "a\nb", "é"]
THINGS = Table("things", "A thing", (Column("id", Kind.TEXT, "name"), Column("n", Kind.NUMBER, "")))


def table() -> pd.DataFrame:
    return pd.DataFrame({"id": TEXTS, "n": np.arange(len(TEXTS)) / -3})


def test_no_cell_is_a_formula() -> None:
    rows = list(csv.reader(io.StringIO(csv_text(table()), newline="")))
    assert {len(row) for row in rows} == {2}
    assert not [row for row in rows if row[0].strip().startswith(("=", "@", "+", "-"))]
    assert rows[2][1] == "-0.3333333333333333"  # a number is none


def test_a_table_of_a_run_comes_back(tmp_path: Path) -> None:
    THINGS.write(tmp_path, table())
    assert THINGS.read(tmp_path)["id"].tolist() == TEXTS


def test_what_holds_no_such_text_is_what_pandas_writes(tmp_path: Path) -> None:
    plain = pd.DataFrame(
        {"id": ["a", "b, c", None], "n": [1, 2, 3], "c": pd.Categorical(list("xyx"))}
    )
    write_csv(tmp_path / "a.csv", plain)
    assert (tmp_path / "a.csv").read_text() == plain.to_csv(index=False)


def test_data_for_programs_are_exact() -> None:
    rows = list(csv.reader(io.StringIO(csv_text(table(), exact=True), newline="")))
    assert [row[0] for row in rows[1:]] == TEXTS


@pytest.mark.parametrize("kind", [object, "string", "category"])
def test_heads_and_any_kind_of_text(kind: object) -> None:
    given = pd.DataFrame({"=head": pd.Series(["=1", "b"], dtype=kind)})
    told = csv_text(given)
    assert told == "'=head\n'=1\nb\n"
    assert from_csv(pd.read_csv(io.StringIO(told))).to_dict("list") == {"=head": ["=1", "b"]}
