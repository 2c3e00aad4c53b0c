"""Parquet files with encoded images in a column: bytes, or ``{bytes, path}`` of Hugging Face."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from untrain.catalogs.base import Catalog
from untrain.catalogs.checked import stamp_of
from untrain.catalogs.choice import Choice
from untrain.catalogs.formats.arrow_rows import (
    columns_of,
    image_bytes,
    image_column,
    records,
    stamp_of_cell,
    stem_of,
)
from untrain.catalogs.formats.shards import expand
from untrain.catalogs.intake import BLOCK, Row, Source, take_in
from untrain.core.errors import InputError
from untrain.core.given import open_parquet

SUFFIXES = (".parquet",)
KEPT = 2**28  # bytes of row groups kept: Parquet gives a whole one for every image


class Cell(NamedTuple):
    """Where an image lies in Parquet files."""

    file: int
    group: int
    row: int


@dataclass(frozen=True, eq=False)
class ParquetReader:
    """``read(id) -> bytes`` over a column of Parquet files.

    The images of a row group are read together, and the last ones kept: one after the other is
    quick, here and there costs a row group each.
    """

    paths: tuple[Path, ...]
    column: str
    files: Mapping[str, Cell]
    _groups: OrderedDict[tuple[int, int], pa.ChunkedArray] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, image_id: str) -> bytes:
        cell = self.files[image_id]
        try:
            images = self._group(cell.file, cell.group)
            value = images[cell.row]
        except (OSError, IndexError) as error:
            fault = getattr(error, "strerror", None) or error
            raise InputError(f"image '{image_id}' cannot be read ({fault})") from None
        return image_bytes(value, self.paths[cell.file].parent, image_id)

    def _group(self, file: int, group: int) -> pa.ChunkedArray:
        with self._lock:
            if (file, group) not in self._groups:
                with open_parquet(self.paths[file]) as opened:
                    table = opened.read_row_group(group, columns=[self.column])
                self._groups[file, group] = table[self.column]
                while len(self._groups) > 1 and sum(g.nbytes for g in self._groups.values()) > KEPT:
                    self._groups.popitem(last=False)
            self._groups.move_to_end((file, group))
            return self._groups[file, group]


def from_parquet(
    path: Path | str,
    choice: Choice,
    strict: bool = False,
    image: str | None = None,
) -> Catalog:
    """Read Parquet files with encoded images; every image is decoded once to check it.

    An image's id is what the column ``id`` says, or else one called id, image_id or key, or the
    name of its file, where the data keep that, or the number of its row.

    Parameters
    ----------
    path : Path
        A file, a folder of them, or a pattern such as ``train-*.parquet``; all of one schema.
    choice : Choice
        Which rows and captions.
    strict : bool
        Refuse the data if any row cannot be used, instead of skipping it.
    image : str, optional
        Column of the images; default: the one that can be it.

    Raises
    ------
    InputError
        No such files, one that is no Parquet or of another schema, and as `take_in`.
    """
    paths = tuple(expand(path, SUFFIXES))
    where_ = str(path) if isinstance(path, Path | str) else str(paths[0].parent)
    schema, total = _schema(paths)
    column = image_column(schema, image, where_)
    source = Source(
        name=Path(where_).stem,
        where=where_,
        columns=columns_of(schema, column),
        fields=Cell._fields,
        kind=Cell,
        reader=lambda files: ParquetReader(paths, column, files),
        total=total,
    )
    return take_in(_rows(paths, column), source, choice, strict)


def _schema(paths: tuple[Path, ...]) -> tuple[pa.Schema, int]:
    """Return the schema of all files, and how many rows they have."""
    first, total = None, 0
    for path in paths:
        try:
            with open_parquet(path) as file:
                schema, rows = file.schema_arrow.remove_metadata(), file.metadata.num_rows
        except OSError as error:
            fault = error.strerror
            raise InputError(f"{path} is not a readable Parquet file ({fault})") from None
        first = first or schema
        if schema.names != first.names:
            raise InputError(
                f"{path} has the columns {', '.join(schema.names)}, and {paths[0].name} "
                f"{', '.join(first.names)}; expected files of one schema"
            )
        total += rows
    assert first is not None
    return first, total


def _rows(paths: tuple[Path, ...], image: str) -> Iterator[Row]:
    number = 0
    for place, path in enumerate(paths):
        for row in _cells(place, path, image, number):
            yield row
            number += 1


def _cells(place: int, path: Path, image: str, first: int) -> Iterator[Row]:
    """Yield the rows of a file; those without a name of their own are numbered from ``first``."""
    number, state = first, stamp_of(path)
    try:
        with open_parquet(path) as file:
            wanted = [image, *columns_of(file.schema_arrow, image)]
            for group in range(file.num_row_groups):
                batches = file.iter_batches(BLOCK, row_groups=[group], columns=wanted)
                for row, (values, cell) in enumerate(records(batches, image)):
                    read = partial(image_bytes, cell, path.parent)
                    name = stem_of(cell) or str(number)
                    at = f"{state}|{image}|{group}|{row}" if state else ""
                    stamp = stamp_of_cell(cell, path.parent, at)
                    yield Row(name, values, Cell(place, group, row), read, stamp=stamp)
                    number += 1
    except OSError as error:
        raise InputError(f"{path} cannot be read to its end ({error.strerror})") from None
