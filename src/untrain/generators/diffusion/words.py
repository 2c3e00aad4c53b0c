"""Captions as hashed words: a vocabulary that needs no training and knows nothing of the data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

WORD = re.compile(r"\w+|[^\w\s]")


def hashed_words(captions: Sequence[str], vocabulary: int, limit: int) -> np.ndarray:
    """Return each caption's first ``limit`` words, int64 (n, limit) in [0, vocabulary).

    Words are lower-cased and hashed (CRC-32), so that different ones may fall together, seldom if
    the vocabulary is some tens of times theirs; 0 is no word.

    Examples
    --------
    >>> hashed_words(["Red shoes", "red"], vocabulary=1000, limit=3)
    array([[785, 434,   0],
           [785,   0,   0]])
    """
    tokens = np.zeros((len(captions), limit), np.int64)
    for row, caption in enumerate(captions):
        words = WORD.findall(caption.casefold())[:limit]
        tokens[row, : len(words)] = [1 + crc32(w.encode()) % (vocabulary - 1) for w in words]
    return tokens
