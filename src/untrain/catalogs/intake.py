"""From rows to a catalogue: choose, check every image once, write down, put in order.

Formats yield rows; everything else is the same for all of them and happens here, block by block.
What is written goes to a nameless file on disk, so that memory does not grow with the rows: what is
sorted, if the ids do not come in order, is some bytes an id.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from untrain.catalogs.base import Catalog, ReadBytes, Skipped
from untrain.catalogs.choice import Choice, Values, as_text, numbered
from untrain.catalogs.columns import Ids, Lookup, Places, Texts
from untrain.catalogs.reading import (
    bombs_refused,
    check_each,
    natural_bytes,
    natural_key,
    refuse_if_unusable,
)
from untrain.core.errors import InputError
from untrain.core.progress import bar, console
from untrain.core.text import is_text

Kind = Callable[..., Any]
Reader = Callable[[Mapping[str, Any]], ReadBytes]

BLOCK = 256  # rows in hand: their images may all be in memory
BATCH = 16384  # rows written at a time
BROKEN = (OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError)
"""What the readers of formats raise where data are not what their heading says."""
PLACE, ATTRIBUTE = "place.", "attribute."  # before the names of columns
TEXT = pa.large_string()


def refuse(fault: str, image_id: str) -> bytes:
    """Say of an image that it cannot be read: what `Row.read` is of a row that lacks something."""
    raise InputError(fault)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a format.

    Attributes
    ----------
    id : str
        What the format knows the image by, for when no column is the id.
    values : mapping
        Its columns: text, numbers, None, lists of text; whatever else is no attribute.
    place : tuple
        Where the image lies, as the format's reader wants to know it.
    read : callable
        Returns the image's bytes, or raises `InputError`; given the id, for its message.
    weight : int
        By how much it advances the progress bar.
    stamp : str
        Tells whether the image is the one it was, see `untrain.catalogs.checked`; empty: nothing
        does.
    """

    id: str
    values: Values
    place: tuple[Any, ...]
    read: Callable[[str], bytes]
    weight: int = 1
    stamp: str = ""


@dataclass(frozen=True)
class Source:
    """What the rows come from.

    Attributes
    ----------
    name, where : str
        Of the catalogue, and what messages call the data.
    columns : collection of str or None
        Columns of every row; None if rows differ: the first `BLOCK` then say which there are.
    fields, kind
        Names of what `Row.place` holds, and what makes one of the place: a type with these fields.
    reader : callable
        Makes ``read(id) -> bytes`` of a map from id to place.
    label, total
        Of the progress bar.
    """

    name: str
    where: str
    columns: Collection[str] | None
    fields: tuple[str, ...]
    kind: Kind
    reader: Reader
    label: str = "reading images"
    total: int = 0


def take_in(rows: Iterable[Row], source: Source, choice: Choice, strict: bool) -> Catalog:
    """Return the catalogue of the rows that are chosen and whose images decode.

    Returns
    -------
    Catalog
        In natural order of the ids; ``attributes`` are the columns that are text or numbers, as
        text, without those of the id and of the caption.

    Raises
    ------
    InputError
        A column is missing, an id is empty or occurs twice, nothing is left, or (strict) anything
        was skipped.
    """
    if source.columns is not None:
        choice = choice.settled(source.columns, source.where)
    skipped: list[Skipped] = []
    spill = Spill(source.fields)
    known: set[str] = set()
    remaining = _read(rows, source.where)
    with bar(source.label, source.total) as advance, bombs_refused():
        while block := list(islice(remaining, BLOCK)):
            if not spill.started:
                found = list(dict.fromkeys(name for row in block for name in row.values))
                if source.columns is None:
                    choice = choice.settled(found, source.where, "field")
                spill.start(_attributes(block, found, choice.used))
                known = set(found)
            for name in sorted({name for row in block for name in row.values} - known):
                known.add(name)
                console.print(
                    f"{source.where}: '{name}' is not in the first {BLOCK} rows: no attribute",
                    markup=False,
                )
            for row, ids, captions, result in _checked(block, choice, skipped):
                if isinstance(result, Skipped):
                    skipped.append(result)
                    continue
                for image_id, caption in zip(ids, captions, strict=True):
                    spill.add(image_id, caption, result, row.place, row.values)
            advance(sum(row.weight for row in block))
    if not len(spill) and choice.filter.tests and choice.filter.asked and not skipped:
        raise InputError(f"{source.where}: {choice.filter.explain()}")
    skipped.sort(key=lambda item: natural_key(item.name))
    refuse_if_unusable(source.where, len(spill), skipped, strict)
    table = spill.finish()
    places, twice = Places.of(Texts(table["id"]))
    if twice is not None:
        raise InputError(
            f"{source.where}: image id '{twice}' occurs more than once; expected unique ids: "
            "name a column that has them (id)"
        )
    return catalog_of(table, places, source.name, source.reader, source.kind, tuple(skipped))


def _read(rows: Iterable[Row], where: str) -> Iterator[Row]:
    """Yield rows; what a library raises of data that are broken inside becomes a message here."""
    try:
        yield from rows
    except InputError:
        raise
    except (*BROKEN, pa.ArrowException) as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{where} cannot be read to its end ({words[0][:300]}); it is damaged, or of a kind "
            "that untrain does not read"
        ) from None


def _checked(
    block: list[Row], choice: Choice, skipped: list[Skipped]
) -> Iterator[tuple[Row, list[str], list[str], str | Skipped]]:
    """Yield the rows that are chosen, their ids and captions, and what their images' check says."""
    chosen = []
    for row in (row for row in block if choice.filter(row.values)):
        given = row.values.get(choice.id) if choice.id else row.id
        image_id = "" if given is None else str(given)
        captions = choice.texts(row.values)
        if not image_id:
            skipped.append(Skipped(row.id, "empty id"))
        elif fault := _fault(image_id, row.place):
            skipped.append(Skipped(image_id, fault))
        elif not captions:
            skipped.append(Skipped(image_id, "empty caption"))
        else:
            chosen.append((row, image_id, captions))
    names = [image_id for _, image_id, _ in chosen]
    reads = [partial(row.read, image_id) for row, image_id, _ in chosen]
    results = check_each(names, reads, [row.stamp for row, _, _ in chosen])
    for (row, image_id, captions), result in zip(chosen, results, strict=True):
        yield row, numbered(image_id, captions, choice.captions), captions, result


def _fault(image_id: str, place: tuple[Any, ...]) -> str:
    """Return why an image cannot be listed by its id and place; empty if it can."""
    if not is_text(image_id):
        return "id is not text (UTF-8)"
    if len(image_id.splitlines()) > 1 or "\0" in image_id:
        return "id is not one line of text"
    if not all(is_text(part) for part in place if isinstance(part, str)):
        return "path is not text (UTF-8)"
    return ""


def _attributes(block: list[Row], columns: list[str], used: set[str]) -> list[str]:
    """Return the columns that are text or numbers wherever they are given."""
    plain = (str, int, float, type(None))
    return [
        name
        for name in columns
        if name not in used
        and is_text(name)
        and all(isinstance(row.values.get(name), plain) for row in block)
    ]


class Spill:
    """A table of texts and places that is written to a nameless file as it grows."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._fields = fields
        self._names: list[str] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - the map keeps it
        self._writer: pa.RecordBatchFileWriter | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._last = b""
        self._in_order = True
        self._count = 0
        self.started = False

    def __len__(self) -> int:
        return self._count

    def start(self, attributes: list[str]) -> None:
        """Fix the attributes."""
        self._names, self.started = attributes, True

    def add(
        self, image_id: str, caption: str, content: str, place: tuple[Any, ...], values: Values
    ) -> None:
        """Add a row."""
        key = natural_bytes(image_id)
        self._in_order &= key > self._last
        self._last = key
        attributes = [as_text(values.get(name)) for name in self._names]
        self._rows.append((image_id, caption, content, *place, *attributes))
        self._count += 1
        if len(self._rows) == BATCH:
            self._write()

    def finish(self) -> pa.Table:
        """Return the table in natural order of the ids, mapped from disk."""
        self._write()
        table = self._mapped()
        if self._in_order:
            return table
        keys = [natural_bytes(text) for text in Texts(table["id"])]
        order = pc.array_sort_indices(pa.array(keys, pa.large_binary()))
        del keys
        self._file, self._writer = tempfile.TemporaryFile(), None  # noqa: SIM115
        for start in range(0, len(table), BATCH):
            batch = table.take(order.slice(start, BATCH)).combine_chunks()
            self._append(batch.to_batches()[0])
        return self._mapped()

    def _write(self) -> None:
        if not self._rows:
            return
        columns = list(zip(*self._rows, strict=True))
        names = [
            *("id", "caption", "hash"),
            *(f"{PLACE}{name}" for name in self._fields),
            *(f"{ATTRIBUTE}{name}" for name in self._names),
        ]
        arrays = [pa.array(c, TEXT if isinstance(c[0], str) else pa.int64()) for c in columns]
        self._append(pa.RecordBatch.from_arrays(arrays, names))
        self._rows.clear()

    def _append(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), batch.schema)
        self._writer.write_batch(batch)

    def _mapped(self) -> pa.Table:
        assert self._writer is not None
        self._writer.close()
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()


def catalog_of(
    table: pa.Table,
    places: Places,
    name: str,
    reader: Reader,
    kind: Kind,
    skipped: tuple[Skipped, ...],
) -> Catalog:
    """Return the catalogue of a table as `Spill` writes it."""
    ids = Ids(table["id"], places)
    lies = [column for column in table.column_names if column.startswith(PLACE)]
    return Catalog(
        name=name,
        ids=ids,
        captions=Texts(table["caption"]),
        hashes=Texts(table["hash"]),
        read=reader(Lookup(ids, table, lies, kind)),
        attributes=_frame(table),
        skipped=skipped,
    )


def _frame(table: pa.Table) -> pd.DataFrame:
    columns = [name for name in table.column_names if name.startswith(ATTRIBUTE)]
    if not columns:
        return pd.DataFrame(index=range(len(table)))
    chosen = table.select(columns)
    return chosen.rename_columns([c.removeprefix(ATTRIBUTE) for c in columns]).to_pandas()
