"""Columns of a catalogue that may lie in a memory map: they read like tuples and cost no memory."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar, overload

import numpy as np
import pyarrow as pa

V = TypeVar("V")

BLOCK = 8192  # texts made at a time where many are asked for


class Texts(Sequence[str]):
    """Texts over Arrow: a tuple of str for those who use it, but made when asked for.

    Parameters
    ----------
    data : ChunkedArray of string
        May be a memory map.
    rows : ndarray of int, shape (n,), optional
        Which of them, in which order; all of them if left out.
    """

    def __init__(self, data: pa.ChunkedArray, rows: np.ndarray | None = None) -> None:
        self.data = data
        self.rows = rows

    def __len__(self) -> int:
        return len(self.data) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        if isinstance(at, slice):
            first, last, step = at.indices(len(self))
            if step == 1:
                return tuple(self._between(first, max(first, last)))
            return tuple(self[i] for i in range(first, last, step))
        place = operator.index(at)
        place += len(self) * (place < 0)
        if not 0 <= place < len(self):
            raise IndexError(f"text {at} of {len(self)}")
        row = place if self.rows is None else int(self.rows[place])
        return self.data[row].as_py()

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) or not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # a tuple of all texts would be needed

    def __repr__(self) -> str:
        few = ", ".join(map(repr, self[:3]))
        return f"({few}, … {len(self):,} texts)" if len(self) > 3 else f"({few})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = np.empty(len(self), object)
        start = 0
        for block in self.blocks():
            array[start : start + len(block)] = block
            start += len(block)
        return array if dtype is None else array.astype(dtype, copy=False)

    def blocks(self) -> Iterator[list[str]]:
        """Yield all texts, as lists of some thousands."""
        for start in range(0, len(self), BLOCK):
            yield self._between(start, min(start + BLOCK, len(self)))

    def take(self, rows: np.ndarray) -> Texts:
        """Return the texts at ``rows``, which are not copied: 8 bytes each."""
        return type(self)(self.data, _among(self.rows, rows))

    def _between(self, first: int, last: int) -> list[str]:
        if self.rows is None:
            return self.data.slice(first, last - first).to_pylist()
        return self.data.take(pa.array(self.rows[first:last])).to_pylist()


class Ids(Texts):
    """Unique texts with the map from each to its place.

    Parameters
    ----------
    data, rows
        As of `Texts`; ``rows`` rise.
    places : Places
        Where each text of ``data`` is.
    """

    def __init__(
        self, data: pa.ChunkedArray, places: Places, rows: np.ndarray | None = None
    ) -> None:
        super().__init__(data, rows)
        self.places = places

    def take(self, rows: np.ndarray) -> Ids:
        """Return the ids at ``rows``, which rise."""
        return Ids(self.data, self.places, _among(self.rows, rows))

    @cached_property
    def index_of(self) -> Index:
        """Map from id to index."""
        return Index(self)


class Places:
    """Where each of many different texts is: their 64-bit digests in order, 16 bytes a text.

    Parameters
    ----------
    table : ndarray of uint64, shape (2, n)
        Digests in rising order, and the place of each; may be a memory map.
    """

    def __init__(self, table: np.ndarray) -> None:
        self.table = table
        self._digests = np.asarray(table[0])  # scalars of a memory map are slow

    @classmethod
    def of(cls, texts: Texts) -> tuple[Places, str | None]:
        """Return the places of texts, and one that occurs more than once if any does."""
        digests = np.empty(len(texts), np.uint64)
        start = 0
        for block in texts.blocks():
            digests[start : start + len(block)] = [_digest(text) for text in block]
            start += len(block)
        order = np.argsort(digests, kind="stable")
        digests = digests[order]
        same = np.flatnonzero(digests[1:] == digests[:-1])
        twice = (texts[int(order[i])] for i in same if texts[order[i]] == texts[order[i + 1]])
        return cls(np.stack([digests, order.astype(np.uint64)])), next(twice, None)

    def find(self, text: str, data: pa.ChunkedArray) -> int:
        """Return the place of a text among ``data``, −1 if it is not there."""
        digest = np.uint64(_digest(text))
        at = int(np.searchsorted(self._digests, digest))
        while at < len(self._digests) and self._digests[at] == digest:
            place = int(self.table[1, at])
            if data[place].as_py() == text:
                return place
            at += 1
        return -1


class Index(Mapping[str, int]):
    """Map from id to index, without a dictionary of them."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, image_id: object) -> bool:
        return isinstance(image_id, str) and self._find(image_id) >= 0

    def __getitem__(self, image_id: str) -> int:
        place = self._find(image_id)
        if place < 0:
            raise KeyError(image_id)
        return place

    def _find(self, image_id: str) -> int:
        row, rows = self._ids.places.find(image_id, self._ids.data), self._ids.rows
        if row < 0 or rows is None:
            return row
        place = int(np.searchsorted(rows, row))
        return place if place < len(rows) and rows[place] == row else -1


class Lookup(Mapping[str, V], Generic[V]):
    """Map from id to what columns say of it, such as the file its image lies in.

    Parameters
    ----------
    ids : Ids
    table : Table
        In the order of ``ids``; may be a memory map.
    columns : sequence of str
        Columns of it.
    kind : callable
        Makes a value from one entry of each column.
    """

    def __init__(
        self, ids: Ids, table: pa.Table, columns: Sequence[str], kind: Callable[..., V]
    ) -> None:
        self.ids, self.table, self.kind = ids, table, kind
        self._columns = [table[name] for name in columns]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __getitem__(self, image_id: str) -> V:
        row = self.ids.index_of[image_id]
        return self.kind(*(column[row].as_py() for column in self._columns))

    def to_dict(self) -> dict[str, V]:
        """Return the same as a dictionary: for few, which it makes quicker."""
        columns = (column.to_pylist() for column in self._columns)
        return dict(zip(self.ids, map(self.kind, *columns), strict=True))


def fingerprint_of(*columns: Sequence[str]) -> str:
    """Return ``files.fingerprint(list(a), list(b), …)`` of columns, block by block."""
    digest = hashlib.sha256()
    for column in columns:
        # The length of a part comes before it, so it is written twice and held never.
        digest.update(sum(map(len, _written(column))).to_bytes(8, "little"))
        for piece in _written(column):
            digest.update(piece)
    return digest.hexdigest()[:16]


def first_of_equals(texts: Sequence[str]) -> np.ndarray:
    """Return the first place of the text at each place, int64 (n,): its own if it is new there."""
    if isinstance(texts, Texts):
        data = texts.data if texts.rows is None else texts.data.take(pa.array(texts.rows))
    else:
        data = pa.chunked_array([pa.array(list(texts), pa.large_string())])
    chunks = [chunk.indices.to_numpy() for chunk in data.dictionary_encode().chunks]
    codes = np.concatenate([np.zeros(0, np.int32), *chunks])
    return np.unique(codes, return_index=True)[1][codes].astype(np.int64)  # codes are 0, 1, 2, …


def _written(column: Sequence[str]) -> Iterator[bytes]:
    """Yield the JSON of a column in pieces."""
    yield b"["
    for start in range(0, len(column), BLOCK):
        text = json.dumps(list(column[start : start + BLOCK]), ensure_ascii=False)
        yield (", " if start else "").encode() + text[1:-1].encode()
    yield b"]"


def _among(rows: np.ndarray | None, chosen: np.ndarray) -> np.ndarray:
    chosen = np.asarray(chosen, np.int64)
    return chosen if rows is None else rows[chosen]


def _digest(text: str) -> int:
    data = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(data, "little")
