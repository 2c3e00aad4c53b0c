"""Engines of vectors: untrain's indexes and usearch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from drawn import BLOCK, TOP, WIDER, Data
from untrain.search.retrieve.indexes import VECTOR_INDEXES
from untrain.search.retrieve.vectors import cosines


class Vectors:
    """An engine of vectors."""

    judged = "cosine"

    def asked(self, data: Data) -> Sequence[Any]:
        """Return what it is asked."""
        return data.queries

    def decided(self, data: Data, found: np.ndarray, query: np.ndarray) -> np.ndarray:
        """Return the best of those found, by exact cosines."""
        values = cosines(data.vectors, found, query)
        return found[np.argsort(-values, kind="stable")][:TOP]


class Ours(Vectors):
    """untrain's vector indexes."""

    kind: ClassVar[str]

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        features = data.vectors if after else data.vectors[: data.images]
        self.index = VECTOR_INDEXES[self.kind].load(folder, features)

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Fit and save."""
        VECTOR_INDEXES[cls.kind]().fit(data.vectors[: data.images]).save(folder)

    @classmethod
    def add(cls, data: Data, folder: Path) -> None:
        """Let it grow, or make it anew where that is nothing."""
        kind = VECTOR_INDEXES[cls.kind]
        (kind.grown(folder, data.vectors) or kind().fit(data.vectors)).save(folder)

    def query(self, query: np.ndarray) -> np.ndarray:
        """Return the best."""
        return self.index.query(query[None], TOP)[0][0]


class Exact(Ours):
    kind = "exact"


class Hnsw(Ours):
    kind = "hnsw"


class IvfPq(Ours):
    kind = "ivfpq"


class Usearch(Vectors):
    """usearch: HNSW, its file mapped."""

    dtype: ClassVar[str]

    def __init__(self, data: Data, folder: Path, after: bool) -> None:
        from usearch.index import Index

        self.data, self.index = data, Index.restore(str(folder / "index"), view=True)
        self.index.expansion_search = 128

    @classmethod
    def build(cls, data: Data, folder: Path) -> None:
        """Add everything to a new graph."""
        from usearch.index import Index

        folder.mkdir()
        index = Index(
            ndim=data.vectors.shape[1], metric="cos", dtype=cls.dtype, connectivity=16,
            expansion_add=80, expansion_search=128,
        )  # fmt: skip
        cls._put(index, data, data.some(False), folder)

    @classmethod
    def add(cls, data: Data, folder: Path) -> None:
        """Load, add, save."""
        from usearch.index import Index

        index = Index.restore(str(folder / "index"))
        cls._put(index, data, data.some(True), folder)

    @staticmethod
    def _put(index: Any, data: Data, rows: range, folder: Path) -> None:
        for start in range(rows.start, rows.stop, BLOCK):
            keys = np.arange(start, min(start + BLOCK, rows.stop))
            index.add(keys, data.vectors[keys].astype(np.float32), threads=1)
        index.save(str(folder / "index"))

    def query(self, query: np.ndarray) -> np.ndarray:
        """Find and decide."""
        found = self.index.search(query, WIDER, threads=1).keys.astype(np.int64)
        return self.decided(self.data, found, query)


class UsearchHalf(Usearch):
    dtype = "f16"


class UsearchByte(Usearch):
    dtype = "i8"
