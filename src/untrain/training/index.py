"""``catalog.parquet``: a run's training catalogue without its pictures, for workers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import read_columns, write_columns

FILE = "catalog.parquet"
RESIZE = b"untrain.resize"  # in the file's own metadata: the catalogue's fingerprint depends on it


def write_index(folder: Path, catalog: Catalog) -> None:
    """Write image_id, caption and content (the hash of the picture) of every pair."""
    columns = {"image_id": catalog.ids, "caption": catalog.captions, "content": catalog.hashes}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    write_columns(folder / FILE, table.replace_schema_metadata({RESIZE: catalog.resize}))


def read_index(folder: Path) -> Catalog:
    """Return what `write_index` wrote: a catalogue with ids, captions and hashes, no pictures.

    Its fingerprint is that of the catalogue itself; reading a picture raises `InputError`.
    """
    table = read_columns(folder / FILE)

    def no_pictures(image_id: str) -> bytes:
        raise InputError(f"the index of a run holds no pictures (asked for '{image_id}')")

    return Catalog(
        name=folder.name,
        ids=tuple(table["image_id"].to_pylist()),
        captions=tuple(table["caption"].to_pylist()),
        hashes=tuple(table["content"].to_pylist()),
        read=no_pictures,
        attributes=pd.DataFrame(index=range(len(table))),
        resize=table.schema.metadata[RESIZE].decode(),
    )
