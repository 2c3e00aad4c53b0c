"""Tables as CSV: no cell is a formula where a person opens it, and all come back as they were.

Spreadsheets calculate what begins with ``= + - @``, though it is a caption of a stranger's. In
tables of results, and in those of a run folder, an apostrophe stands before such text
(`untrain.core.text.cell`); what reads them here takes it off. Tables that are data for programs,
such as a catalogue that is exported, keep every text exactly.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import pandas as pd

from untrain.core.text import cell, from_cell


def csv_text(table: pd.DataFrame, exact: bool = False, **options: Any) -> str:
    """Return a table as CSV without its index.

    Parameters
    ----------
    table : DataFrame
    exact : bool
        Keep text that spreadsheets take for formulas as it is.
    **options
        Of ``pandas.DataFrame.to_csv``.
    """
    shown = table if exact else _each_text(table, cell)
    # Who reads it takes a carriage return for the end of a row, unless quotes stand around it.
    breaks = any("\r" in text for column in _of_text(shown).values() for text in map(str, column))
    more: dict[str, Any] = {"quoting": csv.QUOTE_NONNUMERIC} if breaks else {}
    return str(shown.to_csv(index=False, **{"lineterminator": "\n", **more, **options}))


def from_csv(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that `csv_text` made and pandas read, with the texts that it was made of."""
    return _each_text(table, from_cell)


def _each_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    found = table.copy(deep=False)
    for at, column in _of_text(table).items():
        texts = [change(value) if isinstance(value, str) else value for value in column]
        if any(new is not old for new, old in zip(texts, column, strict=True)):
            kind: Any = object if column.dtype == "category" else column.dtype
            found.isetitem(at, pd.array(texts, dtype=kind))
    return found.rename(columns=lambda name: change(name) if isinstance(name, str) else name)


def _of_text(table: pd.DataFrame) -> dict[int, pd.Series]:
    """Return the columns that may hold text, by their places."""
    columns = {at: table.iloc[:, at] for at in range(table.shape[1])}
    return {at: column for at, column in columns.items() if column.dtype.kind not in "biufcmM"}
