"""Rows of Arrow tables that hold encoded images: what Parquet and Hugging Face data sets share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from untrain.catalogs.checked import stamp_of
from untrain.catalogs.choice import require, there_are
from untrain.catalogs.reading import FolderReader
from untrain.core.errors import InputError

IMAGES = ("image", "img", "jpg", "jpeg", "png", "picture", "image_bytes", "bytes")


def image_column(schema: pa.Schema, wanted: str | None, where: str) -> str:
    """Return the column of the encoded images: the one wanted, or the only one it can be.

    Raises
    ------
    InputError
        It is not there, holds no bytes, or there are several.
    """
    possible = [field.name for field in schema if _holds_bytes(field.type)]
    if wanted is not None:
        require(wanted, schema.names, f"{where}: image")
        if wanted not in possible:
            raise InputError(
                f"{where}: the column '{wanted}' holds {schema.field(wanted).type}, not encoded "
                f"images (bytes, or a struct of bytes and path); {there_are(possible)} of that kind"
            )
        return wanted
    usual = [name for name in IMAGES if name in possible] or possible
    if not possible or (len(possible) > 1 and usual == possible):
        raise InputError(
            f"{where}: {len(possible)} columns hold bytes, which may be images "
            f"({', '.join(possible) or 'none does'}); name one (image); {there_are(schema.names)}"
        )
    return usual[0]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        names = {kind.field(i).name for i in range(kind.num_fields)}
        return "bytes" in names and "path" in names
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def image_bytes(cell: Any, base: Path, image_id: str) -> bytes:
    """Return the bytes in a cell: as they are, of a ``{bytes, path}``, or of the file at its path.

    A path that is not absolute is that of a file beside the data.
    """
    if isinstance(cell, pa.StructScalar) and cell.is_valid:
        cell = {"bytes": cell["bytes"].as_py(), "path": _path(cell)}
    cell = cell.as_py() if isinstance(cell, pa.Scalar) else cell
    if isinstance(cell, dict):
        if cell.get("bytes") is None and cell.get("path"):
            return FolderReader(base, {image_id: str(cell["path"])})(image_id)
        cell = cell.get("bytes")
    if not cell:
        raise InputError(f"image '{image_id}' is empty")
    return bytes(cell)


def stamp_of_cell(cell: pa.Scalar, base: Path, at: str) -> str:
    """Return the stamp of an image: of the file, where the cell holds a path; else ``at``."""
    if isinstance(cell, pa.StructScalar) and cell.is_valid and not cell["bytes"].is_valid:
        path = _path(cell)
        return stamp_of(os.path.realpath(base / path)) if path and "\0" not in path else ""
    return at


def stem_of(cell: pa.Scalar) -> str:
    """Return the path in a ``{bytes, path}`` cell without its suffix; empty if it has none."""
    path = _path(cell) if isinstance(cell, pa.StructScalar) and cell.is_valid else ""
    named = PurePosixPath(path or "")
    return str(named.with_suffix("")) if named.name else ""


def records(
    batches: Iterable[pa.RecordBatch], image: str
) -> Iterator[tuple[dict[str, Any], pa.Scalar]]:
    """Yield the columns of each row but the image's, and the image, which is not copied yet."""
    for batch in batches:
        others = [name for name in batch.schema.names if name != image]
        plain = [n for n in others if not _heavy(batch.schema.field(n).type)]
        images = batch.column(image)
        for number, values in enumerate(_plain(batch.select(plain))):
            yield values, images[number]


def sound(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches whose offsets lead to places inside them: Arrow follows any without a look.

    Text need not be UTF-8, see `_plain`. Parquet is decoded, and needs none of this.

    Raises
    ------
    pyarrow.ArrowInvalid
        Those of a batch do not.
    """
    for batch in batches:
        for column in batch.columns:
            column.cast(_as_bytes(column.type)).validate(full=True)
        yield batch


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """Return a type with bytes in place of text, wherever it is."""
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_list(kind):
        return pa.list_(_as_bytes(kind.value_type))
    if pa.types.is_struct(kind):
        fields = (kind.field(number) for number in range(kind.num_fields))
        return pa.struct([field.with_type(_as_bytes(field.type)) for field in fields])
    return kind


def _plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of a batch; bytes that are no text become surrogates, as in file names."""
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        columns = [_decoded(column) for column in batch.columns]
        return [
            dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)
        ]


def _decoded(column: pa.Array) -> list[Any]:
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    kind = column.type.value_type if is_list else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return column.to_pylist()
    values = column.cast(pa.large_list(pa.large_binary()) if is_list else pa.large_binary())
    if is_list:
        return [each and [_text(text) for text in each] for each in values.to_pylist()]
    return [_text(text) for text in values.to_pylist()]


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "surrogateescape")


def _path(cell: pa.StructScalar) -> str | None:
    path = cell["path"]
    return _text(path.cast(pa.large_binary()).as_py())


def _heavy(kind: pa.DataType) -> bool:
    """Tell whether a column can be no text, number or list of text."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return not (
            pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
        )
    return pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def columns_of(schema: pa.Schema, image: str) -> list[str]:
    """Return the columns that can be id, caption or attribute."""
    return [field.name for field in schema if field.name != image and not _heavy(field.type)]
