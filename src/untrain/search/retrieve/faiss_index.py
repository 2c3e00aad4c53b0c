"""Approximate vector indexes by faiss, for catalogues too large to be looked at in full."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from untrain.core.progress import bar
from untrain.search.retrieve.index_files import damaged
from untrain.search.retrieve.vector_index import VectorIndex
from untrain.search.retrieve.vectors import projected, sampled, unit

WORTHWHILE = 10_000  # below, a full scan takes milliseconds, and training has too little to go by
FILE = "index.faiss"
OVERSAMPLED = 4  # candidates found for each one wanted
MOST_DIMENSIONS = 256  # that vectors are cut into codes in


def _library() -> Any:
    import faiss  # when it is needed: it is slow to import, and its types are incomplete

    return faiss


class _FaissIndex(VectorIndex):
    """Finding by a faiss index over unit vectors; below `WORTHWHILE` vectors, by a scan."""

    def __init__(self) -> None:
        super().__init__()
        self._faiss: Any = None

    def _build(self) -> None:
        count = len(self._rows)
        if count < WORTHWHILE:
            return
        wide = self._features.shape[1] if self._axes is None else self._axes.shape[1]
        index, needed = self._made(wide, count)
        index.train(self._training(needed))
        with bar(f"index ({self.kind})", count) as advance:
            for _, block in projected(self._features, self._rows, self._scale, self._axes):
                index.add(block)
                advance(len(block))
        self._faiss = index

    def _training(self, count: int) -> np.ndarray:
        """Return a seeded sample of unit vectors to train on."""
        among = sampled(np.arange(len(self._rows)), count, "training")
        parts = projected(self._features, self._rows[among], self._scale[among], self._axes)
        return np.concatenate([block.copy() for _, block in parts])

    def _find(self, queries: np.ndarray, top: int) -> list[np.ndarray]:
        if self._faiss is None:
            return self._scanned(queries, top)
        if self._axes is not None:
            queries = unit(queries @ self._axes)
        wanted = min(len(self._rows), self._oversampled(top))
        _, found = self._faiss.search(
            np.ascontiguousarray(queries), wanted, params=self._effort(wanted)
        )
        return [row[row >= 0] for row in found]

    def _is_exact(self) -> bool:
        return self._faiss is None

    def _files(self) -> dict[str, Any]:
        if self._faiss is None:
            return {}
        return {FILE: self._write}

    def _write(self, path: Path) -> None:
        try:
            _library().write_index(self._faiss, str(path))
        except RuntimeError as error:  # what faiss makes of a full disk
            raise OSError(f"cannot write {path}: {str(error).splitlines()[0]}") from None

    def _restore(self, folder: Path, arrays: dict[str, np.ndarray]) -> None:
        if len(self._rows) < WORTHWHILE:
            return
        faiss = _library()
        try:
            self._faiss = faiss.read_index(str(folder / FILE))
        except RuntimeError as error:
            raise damaged(folder, str(error).splitlines()[0]) from None
        if self._faiss.ntotal != len(self._rows):
            raise damaged(folder, f"{self._faiss.ntotal} vectors of {len(self._rows)}")

    @abstractmethod
    def _made(self, wide: int, count: int) -> tuple[Any, int]:
        """Return an empty faiss index for ``count`` vectors, and how many to train it on."""

    @abstractmethod
    def _effort(self, wanted: int) -> Any:
        """Return faiss's search parameters."""

    def _oversampled(self, top: int) -> int:
        return max(OVERSAMPLED * top, 100)


class HnswIndex(_FaissIndex):
    """A graph of neighbours that is walked towards the query (Malkov & Yashunin, 2018).

    The fastest to ask and the slowest to build; it holds the vectors in half precision. With
    several threads the graph, and so what is missed, differs from one build to the next.
    """

    kind = "hnsw"

    def _made(self, wide: int, count: int) -> tuple[Any, int]:
        faiss = _library()
        links = 16 if count < 10**6 else 24
        index = faiss.IndexHNSWSQ(wide, faiss.ScalarQuantizer.QT_fp16, links)
        index.hnsw.efConstruction = 80
        return index, 1  # half precision has nothing to learn

    def _effort(self, wanted: int) -> Any:
        faiss = _library()
        return faiss.SearchParametersHNSW(efSearch=max(128, wanted))


class IvfPqIndex(_FaissIndex):
    """Vectors in clusters, each cut into 8-bit codes (Jégou, Douze & Schmid, 2011).

    The smallest: at most 64 bytes a vector. Of the clusters, about √n, those nearest to the query
    are looked at. Finding uses at most 256 principal dimensions.
    """

    kind = "ivfpq"

    def _dimensions(self, wide: int) -> int:
        """Return a multiple of 8 where there is one: vectors are cut into equal parts."""
        dimensions = min(MOST_DIMENSIONS, wide)
        return dimensions - dimensions % 8 if dimensions > 8 else dimensions

    def _made(self, wide: int, count: int) -> tuple[Any, int]:
        faiss = _library()
        parts = max(m for m in range(1, min(64, wide) + 1) if wide % m == 0)
        clusters = 2 ** round(np.log2(count) / 2)
        index = faiss.index_factory(wide, f"IVF{clusters},PQ{parts}")
        index.do_polysemous_training = False  # minutes, for a search that is not used here
        index.pq.cp.niter = 10  # faiss's 25 take twice as long and find no more
        return index, max(2**16, 64 * clusters)

    def _effort(self, wanted: int) -> Any:
        faiss = _library()
        return faiss.SearchParametersIVF(nprobe=max(16, self._faiss.nlist // 32))

    def _oversampled(self, top: int) -> int:
        return max(10 * top, 400)  # codes are coarse: more must be judged
