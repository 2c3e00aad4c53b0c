"""Content hashes as arrays, and which row of a file holds which: for millions, without a dict."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

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


def _digest(text: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    return data if len(data) == 8 * WORDS else hashlib.sha256(text.encode()).digest()


class DigestTable:
    """Digest → row, kept sorted by the first 64 bits; rows are numbered as they were added."""

    def __init__(self) -> None:
        self._digests = np.zeros((0, WORDS), np.uint64)
        self._keys = np.zeros(0, np.uint64)
        self._rows = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._digests)

    def extend(self, digests: np.ndarray) -> None:
        """Add digests, uint64 (n, 4), as the next n rows."""
        order = np.argsort(digests[:, 0], kind="stable")
        keys = digests[order, 0]
        # After its equals, so that of equal digests the first row is found.
        places = np.searchsorted(self._keys, keys, side="right")
        self._rows = np.insert(self._rows, places, order + len(self))
        self._keys = np.insert(self._keys, places, keys)
        self._digests = np.concatenate([self._digests, digests])

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Return the first row of each digest, int64 (n,); −1 where there is none."""
        found = np.full(len(digests), -1, np.int64)
        # In order, neighbours in memory follow each other: twice as fast for a million rows.
        asked = np.argsort(digests[:, 0])
        places = np.searchsorted(self._keys, digests[asked, 0])
        while asked.size:
            inside = places < len(self._keys)
            asked, places = asked[inside], places[inside]
            near = self._keys[places] == digests[asked, 0]
            asked, places = asked[near], places[near]
            rows = self._rows[places]
            same = (self._digests[rows] == digests[asked]).all(axis=1)
            found[asked[same]] = rows[same]
            # Two digests that share 64 bits but not 256: look one place further.
            asked, places = asked[~same], places[~same] + 1
        return found
