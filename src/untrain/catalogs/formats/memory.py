"""Data that are in memory already: pandas and Arrow tables, and data sets of `datasets`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.catalogs.choice import Choice, require
from untrain.catalogs.formats.arrow_rows import (
    IMAGES,
    columns_of,
    image_bytes,
    image_column,
    records,
    stem_of,
)
from untrain.catalogs.intake import BLOCK, Row, Source, take_in
from untrain.catalogs.pictures import local_path, pixels_of
from untrain.core.errors import InputError
from untrain.core.outside import read_bytes

if TYPE_CHECKING:
    import datasets

    Table: TypeAlias = pd.DataFrame | pa.Table | datasets.Dataset


def is_table(given: Any) -> TypeGuard[Table]:
    """Tell whether something is a table that `from_memory` takes."""
    return isinstance(given, (pd.DataFrame, pa.Table)) or _is_dataset(given)


def from_memory(
    table: Table,
    choice: Choice,
    strict: bool = False,
    image: str | None = None,
    name: str = "table",
) -> Catalog:
    """Make a catalogue of a table with a column of images; every image is decoded once.

    Parameters
    ----------
    table : pandas.DataFrame, pyarrow.Table or datasets.Dataset
        Images of a data frame may be Pillow images, arrays, encoded bytes or paths; of the others
        encoded bytes, or structs of ``bytes`` and ``path``. A class label counts as its name.
    choice : Choice
        Which rows and captions, and what is the id: left out, a column called id, image_id or key,
        or the index of the data frame, or the number of the row.
    strict : bool
        Refuse the data if any row cannot be used, instead of skipping it.
    image : str, optional
        Column of the images; default: the one that can be it.
    name : str
        Of the catalogue.

    Raises
    ------
    InputError
        There is no column of images, or several; no column of captions; and as
        `untrain.catalogs.intake.take_in`.
    """
    if isinstance(table, pd.DataFrame):
        return _of_frame(table, choice, strict, image, name)
    data: Any = table
    schema = data.schema if isinstance(table, pa.Table) else data.features.arrow_schema
    column = image_column(schema, image, name)
    rows: Any = _ArrowRows(data) if isinstance(table, pa.Table) else data.with_format("arrow")
    return take_in(
        _arrow_rows(rows, column),
        Source(
            name=name,
            where=name,
            columns=columns_of(schema, column),
            fields=("row",),
            kind=int,
            reader=lambda files: partial(_arrow_image, rows, column, files),
            total=len(data),
        ),
        choice,
        strict,
    )


def _is_dataset(given: Any) -> bool:
    kind = type(given)  # without importing a library that may not be installed
    return kind.__name__ == "Dataset" and kind.__module__.split(".")[0] == "datasets"


class _ArrowRows:
    """An Arrow table, read as a data set of `datasets` in Arrow's format is."""

    features: Mapping[str, Any] = {}

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()

    def iter(self, size: int) -> Iterator[pa.Table]:
        return (self.table.slice(start, size) for start in range(0, len(self.table), size))

    def __getitem__(self, rows: slice) -> pa.Table:
        return self.table.slice(rows.start, rows.stop - rows.start)


def _arrow_image(rows: Any, column: str, files: Mapping[str, int], image_id: str) -> bytes:
    row = files[image_id]
    return image_bytes(rows[row : row + 1][column][0], Path(), image_id)


def _arrow_rows(rows: Any, image: str) -> Iterator[Row]:
    features = rows.features.items()
    labels = {n: f.names for n, f in features if type(f).__name__ == "ClassLabel"}
    batches = (b for part in rows.iter(BLOCK) for b in part.combine_chunks().to_batches())
    for number, (values, cell) in enumerate(records(batches, image)):
        for name, words in labels.items():
            label = values.get(name)
            values[name] = words[label] if label is not None and label >= 0 else None
        read = partial(image_bytes, cell, Path())
        yield Row(Path(stem_of(cell)).name or str(number), values, (number,), read)


def _of_frame(
    frame: pd.DataFrame, choice: Choice, strict: bool, image: str | None, name: str
) -> Catalog:
    if not frame.columns.is_unique:
        raise InputError(f"{name}: two columns have one name; expected a name for each")
    frame = frame.rename(columns=str)
    column = _column_of(frame, image, name)
    cells = frame[column].tolist()
    others = [each for each in frame.columns if each != column]
    plain = frame[others].astype(object).where(frame[others].notna(), None)
    index = [str(each) for each in frame.index]
    rows = (
        Row(index[number], _plain(dict(zip(others, values, strict=True))), (number,), read)
        for number, (values, read) in enumerate(
            zip(plain.itertuples(index=False, name=None), map(_reading, cells), strict=True)
        )
    )
    source = Source(
        name=name,
        where=name,
        columns=others,
        fields=("row",),
        kind=int,
        reader=lambda files: partial(_frame_image, cells, files),
        total=len(frame),
    )
    return take_in(rows, source, choice, strict)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values without NumPy's types, which are no attributes."""
    return {n: v.item() if isinstance(v, np.generic) else v for n, v in values.items()}


def _column_of(frame: pd.DataFrame, wanted: str | None, where: str) -> str:
    """Return the column of the images: the one wanted, or the only one it can be."""
    if wanted is not None:
        require(wanted, list(frame.columns), f"{where}: image")
        return wanted
    possible = [str(n) for n, column in frame.items() if _holds_images(column)]
    usual = [name for name in possible if name in IMAGES] or possible
    if len(usual) != 1:
        found = ", ".join(possible) or "none"
        raise InputError(
            f"{where}: columns that hold images: {found}; name the one that is meant (image=…). "
            f"There are {', '.join(frame.columns)}; images may be Pillow images, arrays, encoded "
            "bytes or paths"
        )
    return usual[0]


def _holds_images(column: pd.Series) -> bool:
    given = column.dropna()
    if given.empty:
        return False
    first = given.iloc[0]
    if isinstance(first, (str, Path)):
        return Path(first).suffix.lower() in Image.registered_extensions()
    array = isinstance(first, np.ndarray) and first.ndim in (2, 3)
    return array or isinstance(first, (Image.Image, bytes, bytearray, dict))


def _reading(cell: Any) -> Any:
    return partial(_encoded, cell)


def _frame_image(cells: Sequence[Any], files: Mapping[str, int], image_id: str) -> bytes:
    return _encoded(cells[files[image_id]], image_id)


def _encoded(cell: Any, image_id: str) -> bytes:
    """Return a picture's bytes: as they are, of its file, or as PNG of its pixels."""
    if isinstance(cell, (bytes, bytearray, dict)):
        return image_bytes(bytes(cell) if isinstance(cell, bytearray) else cell, Path(), image_id)
    if isinstance(cell, (str, Path)):
        path = local_path(cell).expanduser()
        try:
            return read_bytes(path)
        except OSError as error:
            raise InputError(f"image '{image_id}': {path} cannot be read ({error})") from None
    if cell is None or (isinstance(cell, float) and cell != cell):
        raise InputError(f"image '{image_id}' is missing")
    buffer = io.BytesIO()
    Image.fromarray(pixels_of(cell)).save(buffer, "PNG")
    return buffer.getvalue()
