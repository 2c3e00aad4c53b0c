"""Checksums of the rows of files that grow: a row that is not as it was written is no row.

The checksum is multilinear hashing (Lemire & Kaser, Strongly universal string hashing is fast,
2014): the sum of a row's 32-bit words, each times a fixed random odd number of 64 bits, modulo
2⁶⁴. One flipped bit always changes it. It reads several gigabytes a second, which counts, because
rows are checked whenever a process first uses them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

FILE = "sums.bin"
BYTES = 8
"""Of the checksum of a row."""
_KEY = 20260117  # of the random numbers; other ones would make all rows unknown
_PART = 1 << 20  # bytes looked at in one go: what fits the caches of a processor


def sums_of(*columns: np.ndarray) -> np.ndarray:
    """Return the checksum of each row, uint64 (n,), over columns, (n, …) each, in their order."""
    total = np.full(len(columns[0]), 1, np.uint64)
    done = 0
    for column in columns:
        words = _words(column)
        weights = _weights(done + words.shape[1])[done:]
        total += np.einsum("ij,j->i", words, weights)
        done += words.shape[1]
    return total


def _words(column: np.ndarray) -> np.ndarray:
    """Return the bytes of rows as uint32 (n, words), the last one filled up with zeros."""
    rows = np.ascontiguousarray(column)
    width = math.prod(column.shape[1:]) * column.dtype.itemsize
    data = np.frombuffer(rows.data, np.uint8) if rows.size else np.zeros(0, np.uint8)
    data = data.reshape(len(rows), width)
    if over := data.shape[1] % 4:
        data = np.pad(data, ((0, 0), (0, 4 - over)))
    return data.view(np.uint32)


def _weights(count: int) -> np.ndarray:
    while len(_known[0]) < count:
        drawn: np.ndarray = np.random.Philox(key=_KEY).random_raw(max(count, 1024))
        _known[0] = drawn | np.uint64(1)
    return _known[0][:count]


_known: list[np.ndarray] = [np.zeros(0, np.uint64)]


class Looked:
    """Which rows of growing files this process has found to be whole."""

    def __init__(self) -> None:
        self._whole = np.zeros(0, bool)

    def bad(self, rows: np.ndarray, columns: Sequence[np.ndarray], sums: np.ndarray) -> np.ndarray:
        """Return those of ``rows``, int64, that are not as they were written; each once.

        Parameters
        ----------
        rows : ndarray of int64
            Negative ones are passed over.
        columns : sequence of ndarray, (all rows, …)
            In the order in which `sums_of` was given them.
        sums : ndarray of uint64, (all rows,)
        """
        if len(sums) > len(self._whole):
            self._whole = np.concatenate(
                [self._whole, np.zeros(len(sums) - len(self._whole), bool)]
            )
        new = np.unique(rows[rows >= 0])
        new = new[~self._whole[new]]
        size = sum(column[:1].nbytes for column in columns) or 1
        step = max(1, _PART // size)
        found = [new[:0]]
        for start in range(0, len(new), step):
            part = new[start : start + step]
            same = sums_of(*(column[part] for column in columns)) == sums[part]
            self._whole[part[same]] = True
            found.append(part[~same])
        return np.concatenate(found)
