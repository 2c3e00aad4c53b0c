"""Rows on disk that are only ever added: each is known by a digest, and written once.

What is kept row by row, such as features, gradients and checks of images, grows with the data: of
a catalogue that grew by a hundredth, a hundredth is made, and of one that shrank or is in another
order nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from untrain.core import disk
from untrain.core.cache import mark_used
from untrain.core.digests import WORDS, DigestTable
from untrain.core.files import read_json, write_json
from untrain.core.locks import locked
from untrain.core.marks import is_marked, mark
from untrain.core.row_sums import BYTES, Looked, sums_of
from untrain.core.row_sums import FILE as SUMS
from untrain.core.tensors import map_numbers, read_numbers

HASHES, META, LOCK = "hashes.bin", "meta.json", "lock"


class GrowingTable:
    """Columns of rows under a folder, by the 32-byte digest of what each row is about.

    In the folder lie ``hashes.bin``, a file ``<column>.bin`` for each column, ``sums.bin``, a
    checksum of each row, and ``meta.json``. A row that is not as it was written when a process
    first asks for it is struck out, and made again like any other that is missing.
    Rows are added under a lock, columns before digests: a row counts if all files hold all of it,
    and what a kill or a full disk left of another is cut off before the next is written. Processes
    share the files; of rows that two of them add, the first stays.

    Parameters
    ----------
    folder : Path
        Made when the first row is added.
    columns : mapping of str to (str, int)
        The type of a column's numbers, as NumPy calls it, and how many a row has.
    about : mapping
        What the rows must agree in, such as a version; rows of another kind are made anew.
    describe : callable
        Returns what else ``meta.json`` says: ``description``, for people.
    """

    def __init__(
        self,
        folder: Path,
        columns: Mapping[str, tuple[str, int]],
        about: Mapping[str, Any],
        describe: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.folder = folder
        self.about = {**about, "columns": {n: list(each) for n, each in columns.items()}}
        self._columns, self._describe = dict(columns), describe
        self._meta: dict[str, Any] | None = None  # of the files that the digests are of
        self._digests: DigestTable = DigestTable()
        self._looked = Looked()

    def __len__(self) -> int:
        """Return how many rows were there at the last look."""
        return len(self._digests)

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Return the row of each digest, uint64 (n, 4) → int64 (n,); −1 where there is none."""
        self._refresh()
        rows = self._digests.find(digests)
        if self._is_summed and self._strike(self._bad(rows)):
            rows = self._digests.find(digests)
        return rows

    @property
    def _is_summed(self) -> bool:
        """Whether rows have checksums, which those of earlier versions have not."""
        return self._meta is not None and self._meta.get("sums") == SUMS

    def _bad(self, rows: np.ndarray) -> np.ndarray:
        """Return those of some rows that are not as they were written."""
        if not len(self) or not (rows >= 0).any():
            return rows[:0]
        columns = [map_numbers(self.folder / HASHES, "uint64", (len(self), WORDS))]
        columns += [
            map_numbers(self._file(n), k, (len(self), c)) for n, (k, c) in self._columns.items()
        ]
        return self._looked.bad(
            rows, columns, map_numbers(self.folder / SUMS, "uint64", (len(self),))
        )

    def _strike(self, rows: np.ndarray) -> bool:
        """Let nobody find some rows any more; tell whether there are any."""
        for row in rows:
            disk.write_at(self.folder / HASHES, int(row) * 8 * WORDS, bytes(8 * WORDS))
        if len(rows):
            self._meta = None  # so that the digests are read again
            self._refresh()
        return len(rows) > 0

    def column(self, name: str) -> np.ndarray:
        """Return a column, (rows, numbers), memory-mapped."""
        kind, numbers = self._columns[name]
        if not len(self):
            return np.empty((0, numbers), kind)
        mark_used(self.folder)
        return map_numbers(self._file(name), kind, (len(self), numbers))

    def add(self, digests: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        """Add rows, those whose digest is not there yet; all are on the disk when it returns.

        Parameters
        ----------
        digests : ndarray of uint64, (n, 4)
        columns : mapping of str to ndarray, (n, numbers)
        """
        disk.make_folder(self.folder)
        with locked(self.folder / LOCK):
            self._refresh()
            if self._meta is None:
                self._begin()
            new = np.sort(np.unique(digests, axis=0, return_index=True)[1])
            new = new[self._digests.find(digests[new]) < 0]  # others may have been quicker
            written = [digests[new]]
            for name in self._columns:
                kind, numbers = self._columns[name]
                rows = np.asarray(columns[name], kind).reshape(len(digests), numbers)
                append_at(self._file(name), len(self) * self._bytes(name), rows[new])
                written.append(rows[new])
            if self._is_summed:
                append_at(self.folder / SUMS, len(self) * BYTES, sums_of(*written))
            append_at(self.folder / HASHES, len(self) * 8 * WORDS, digests[new])
            self._refresh()

    def _begin(self) -> None:
        """Make an empty table, in place of one that cannot be read if there is one."""
        if not is_marked(self.folder, SUMS):
            mark(
                self.folder, [*(f"{name}.bin" for name in self._columns), HASHES, SUMS, META, LOCK]
            )
        for path in (self.folder / HASHES, self.folder / SUMS, *map(self._file, self._columns)):
            disk.delete_file(path)
        created = datetime.now(UTC).isoformat()
        about = {**self.about, **self._describe(), "created": created, "sums": SUMS}
        write_json(self.folder / META, about)
        self._refresh()

    def _refresh(self) -> None:
        """Take notice of rows that were added since, by this process or another."""
        meta = self._read_meta()
        if meta != self._meta:
            self._meta, self._digests, self._looked = meta, DigestTable(), Looked()
        if meta is None:
            return
        counts = [bytes_in(self._file(name)) // self._bytes(name) for name in self._columns]
        counts += [bytes_in(self.folder / SUMS) // BYTES] if self._is_summed else []
        rows = min([bytes_in(self.folder / HASHES) // (8 * WORDS), *counts])
        if rows > (known := len(self)):
            added = read_numbers(
                self.folder / HASHES, np.uint64, (rows - known) * WORDS, known * 8 * WORDS
            )
            self._digests.extend(added.reshape(-1, WORDS))

    def _read_meta(self) -> dict[str, Any] | None:
        """Return what ``meta.json`` says; None if there are no such rows."""
        try:
            meta = read_json(self.folder / META)
            matches = all(meta[name] == value for name, value in self.about.items())
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return meta if matches else None

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.bin"

    def _bytes(self, name: str) -> int:
        """Return the size of a row of a column."""
        kind, numbers = self._columns[name]
        return np.dtype(kind).itemsize * numbers


def append_at(path: Path, start: int, array: np.ndarray) -> None:
    """Write ``array`` at byte ``start``, in place of whatever is there, and see it on the disk."""
    disk.append_at(path, start, np.ascontiguousarray(array).data)


def bytes_in(path: Path) -> int:
    """Return the size of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
