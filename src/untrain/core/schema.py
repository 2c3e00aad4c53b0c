"""What a table is: columns with a type and a meaning, of which some values may be missing.

`Table.conform` gives a table its columns and types, and refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.errors import InputError
from untrain.core.files import read_csv, read_parquet, write_csv, write_parquet
from untrain.core.text import is_part

if TYPE_CHECKING:  # commands that read no table need not import it
    import pandas as pd

FILE, BELOW = "file", "below"


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
    kind : Kind
        Text is the pandas type ``str``, an integer int64 (``Int64`` where it may be missing), a
        number float64, a flag bool.
    meaning : str
        What it is, with unit and range.
    nullable : bool
        Whether values may be missing; ``meaning`` says what that means.
    optional : bool
        Whether a table may lack the column.
    values : tuple of str
        All that a text may be; any if empty.
    was : str
        The name that files written before had for it: `Table.read` takes them, nothing else does.
    names : str
        What its values name in the run folder: `FILE`, a file or folder by one part of a path, or
        `BELOW`, one by a whole path. `Table.read` takes no others: the folder may be anybody's.
    """

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False
    optional: bool = False
    values: tuple[str, ...] = ()
    was: str = ""
    names: str = ""

    @property
    def dtype(self) -> Any:
        """The pandas type."""
        import numpy as np
        import pandas as pd

        if self.kind == Kind.TEXT:
            return pd.StringDtype(na_value=np.nan)
        if self.kind == Kind.INTEGER:
            return pd.Int64Dtype() if self.nullable else np.dtype(np.int64)
        return np.dtype(np.float64 if self.kind == Kind.NUMBER else np.bool_)

    def conform(self, values: pd.Series, where: str) -> pd.Series:
        """Return values as this column holds them.

        Raises
        ------
        InputError
            Values are missing that must not be, or are of another kind.
        """
        missing = values.isna()
        if missing.any() and not self.nullable:
            row = int(missing.to_numpy().argmax())
            raise InputError(f"{where}: {self.name} is missing in row {row}; expected a value")
        wanted = self.dtype
        try:
            if values.dtype == wanted:  # as files of untrain's own have it: the rest takes longer
                found = values
                if self.kind == Kind.TEXT:  # that it is UTF-8 was not looked at yet
                    import pyarrow as pa

                    pa.array(found.array).validate(full=True)
            elif self.kind == Kind.TEXT:
                # Through str, so that members of an enum and numbers become plain text.
                words = values.astype(object).where(missing, values.astype(object).map(str))
                found = words.where(~missing, None).astype(wanted)
            elif self.kind == Kind.INTEGER and missing.all():
                found = values.astype(object).where(~missing, None).astype(wanted)
            else:
                found = values.astype(wanted)
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: {self.name} holds no {self.kind} ({error})") from None
        if self.values and not found[~missing].isin(self.values).all():
            other = found[~missing & ~found.isin(self.values)].iloc[0]
            raise InputError(
                f"{where}: {self.name} is '{other}'; expected {' or '.join(self.values)}"
            )
        return found

    def check_names(self, values: pd.Series, where: str) -> None:
        """Raise `InputError` for a value that leads out of the folder of a run."""
        if not self.names:
            return
        for value in values.dropna().unique():
            parts = str(value).split("/") if self.names == BELOW else [str(value)]
            if not all(map(is_part, parts)):
                raise InputError(
                    f"{where}: {self.name} is '{value}', which leads out of the folder it should "
                    "be in; expected a plain name"
                )


@dataclass(frozen=True)
class Table:
    """A table of a run folder.

    Attributes
    ----------
    name : str
        Where it is in the folder, without the suffix, such as ``results/effects``.
    meaning : str
        What one row is.
    columns : tuple of Column
    others : str
        What further columns hold, all of them numbers; empty if there are none.
    suffix : str
        ``.parquet`` or ``.csv``.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    others: str = ""
    suffix: str = ".parquet"

    @property
    def names(self) -> list[str]:
        """The names of the columns that it always has."""
        return [column.name for column in self.columns if not column.optional]

    def path(self, folder: Path) -> Path:
        """Return its file in a run folder."""
        return folder / f"{self.name}{self.suffix}"

    def empty(self) -> pd.DataFrame:
        """Return the table without rows."""
        import pandas as pd

        return self.conform(pd.DataFrame(columns=self.names))

    def of(self, records: Iterable[Any]) -> pd.DataFrame:
        """Return a table of records: mappings, or tuples in the order of the columns."""
        import pandas as pd

        rows = list(records)
        if rows and isinstance(rows[0], dict):
            return self.conform(pd.DataFrame(rows))
        return self.conform(pd.DataFrame(rows, columns=self.names))

    def conform(self, table: pd.DataFrame, where: str = "") -> pd.DataFrame:
        """Return a table with these columns, in order, each of its type.

        Parameters
        ----------
        table : DataFrame
            A nullable column that it lacks is missing throughout.
        where : str
            Names the table in messages; its own name if left out.

        Raises
        ------
        InputError
            A column is absent or unknown, or values do not fit it.
        """
        where = where or f"the table {self.name}"
        known = {column.name: column for column in self.columns}
        strange = [name for name in table.columns if name not in known]
        if strange and not self.others:
            raise InputError(f"{where}: unknown column {strange[0]}; expected {', '.join(known)}")
        found: dict[str, Any] = {}
        for column in self.columns:
            if column.name in table:
                found[column.name] = column.conform(table[column.name], where)
            elif column.nullable and not column.optional:
                blank = table.index.to_series().astype(object).map(lambda _: None)
                found[column.name] = column.conform(blank, where)
            elif not column.optional:
                raise InputError(f"{where} has no column {column.name}")
        import pandas as pd

        for name in strange:
            number = Column(str(name), Kind.NUMBER, self.others, nullable=True)
            found[str(name)] = number.conform(table[name], where)
        return pd.DataFrame(found, index=table.index)

    def write(self, folder: Path, table: pd.DataFrame) -> None:
        """Write the table into a run folder, whole or not at all."""
        table = self.conform(table)
        write = write_csv if self.suffix == ".csv" else write_parquet
        write(self.path(folder), table)

    def read(self, folder: Path) -> pd.DataFrame:
        """Read the table from a run folder; columns under former names get those of today.

        Raises
        ------
        InputError
            It does not fit, as somebody else's table of this name may not.
        FileNotFoundError
            It is not there.
        """
        path = self.path(folder)
        # An id such as 007 stays one, and a prompt such as "nan" too.
        text = {column.name: str for column in self.columns if column.kind == Kind.TEXT}
        if self.suffix == ".csv":
            table = read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
        else:
            table = read_parquet(path)
        found = self.conform(self._renamed(table), str(path))
        for column in self.columns:
            if column.names and column.name in found:
                column.check_names(found[column.name], str(path))
        return found

    def _renamed(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table whose columns have their present names."""
        former = {column.was: column.name for column in self.columns if column.was}
        known = {old: new for old, new in former.items() if new not in table}
        return table.rename(columns=known)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON holds them; what is missing is None."""
    columns = [_plain(column) for _, column in table.items()]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    """Return a column as Python's own values: by itself, which takes a fraction of the time."""
    if column.dtype in ("int64", "bool"):  # of which none are missing
        return list(column.tolist())
    missing = column.isna().tolist()
    values = column.astype(object).tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]
