"""Content hashes as arrays, and which row of a file holds which: for millions, without a dict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

WORDS = 4  # of 64 bits a digest: 32 bytes, as SHA-256 has


def digests_of(hashes: Sequence[str]) -> np.ndarray:
    """Return content hashes as uint64 (n, 4).

    A SHA-256 in hexadecimal, as all of untrain's catalogues have, is taken as it is; any other
    text by its SHA-256.
    """
    try:
        if any(len(text) != 16 * WORDS for text in hashes):
            raise ValueError
        data = bytes.fromhex("".join(hashes))
    except ValueError:
        data = b"".join(_digest(text) for text in hashes)
    return np.frombuffer(data, np.uint64).reshape(-1, WORDS)


def digests_of_texts(texts: Iterable[str]) -> np.ndarray:
    """Return the SHA-256 of any texts as uint64 (n, 4)."""
    found = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts)
    return np.frombuffer(b"".join(found), np.uint64).reshape(-1, WORDS)


def _digest(text: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    return data if len(data) == 8 * WORDS else hashlib.sha256(text.encode()).digest()


class DigestTable:
    """Digest → row; rows are numbered as they were added.

    Kept sorted by the first 64 bits in parts, each more than twice as large as the next one, so
    that adding to millions costs little.
    """

    def __init__(self) -> None:
        self._room = np.zeros((0, WORDS), np.uint64)  # digests by row, and space for more
        self._count = 0
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []  # keys in order, and their rows

    def __len__(self) -> int:
        return self._count

    def extend(self, digests: np.ndarray) -> None:
        """Add digests, uint64 (n, 4), as the next n rows."""
        if not len(digests):
            return
        first, self._count = self._count, self._count + len(digests)
        if self._count > len(self._room):
            room = np.empty((max(self._count, 2 * first), WORDS), np.uint64)
            room[:first] = self._room[:first]
            self._room = room
        self._room[first : self._count] = digests
        keys, rows = digests[:, 0], np.arange(first, self._count)
        while self._parts and len(self._parts[-1][0]) <= 2 * len(keys):
            before = self._parts.pop()
            keys, rows = (np.concatenate(pair) for pair in zip(before, (keys, rows), strict=True))
        # Stable, so that of equal digests the first row is found; and quick on what is half sorted.
        order = np.argsort(keys, kind="stable")
        self._parts.append((keys[order], rows[order]))

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Return the first row of each digest, int64 (n,); −1 where there is none."""
        found = np.full(len(digests), -1, np.int64)
        # In order, neighbours in memory follow each other: twice as fast for a million rows.
        asked = np.argsort(digests[:, 0])
        for keys, rows in self._parts:
            self._find(digests, asked, keys, rows, found)
            asked = asked[found[asked] < 0]
        return found

    def _find(
        self,
        digests: np.ndarray,
        asked: np.ndarray,
        keys: np.ndarray,
        rows: np.ndarray,
        found: np.ndarray,
    ) -> None:
        """Enter into ``found`` what a part has of the digests at ``asked``."""
        places = np.searchsorted(keys, digests[asked, 0])
        while asked.size:
            inside = places < len(keys)
            asked, places = asked[inside], places[inside]
            near = keys[places] == digests[asked, 0]
            asked, places = asked[near], places[near]
            at = rows[places]
            same = (self._room[at] == digests[asked]).all(axis=1)
            found[asked[same]] = at[same]
            # Two digests that share 64 bits but not 256: look one place further.
            asked, places = asked[~same], places[~same] + 1
