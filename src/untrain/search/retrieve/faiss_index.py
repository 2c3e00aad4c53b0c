"""Approximate vector indexes by faiss, for catalogues too large to be looked at in full."""

from __future__ import annotations

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np

from untrain.core import disk
from untrain.core.progress import bar
from untrain.search.retrieve.index_files import damaged, read_index
from untrain.search.retrieve.vector_index import CHECKED, VERSION, VectorIndex
from untrain.search.retrieve.vectors import inverse_norms, projected, sampled, unit

WORTHWHILE = 10_000  # below, a full scan takes milliseconds, and training has too little to go by
FILE = "index.faiss"
OVERSAMPLED = 4  # candidates found for each one wanted
MOST_DIMENSIONS = 256  # that vectors are cut into codes in


def _library() -> Any:
    import faiss  # when it is needed: it is slow to import, and its types are incomplete

    return faiss


def _read(folder: Path, mapped: bool = False) -> Any:
    """Return the faiss index of a saved one; ``mapped``, where its kind can be, but not to grow."""
    faiss = _library()
    try:
        flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY if mapped else 0
        return faiss.read_index(str(folder / FILE), flags)
    except RuntimeError as error:
        raise damaged(folder, str(error).splitlines()[0]) from None


def _sample(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some of the features at ``rows``: whether they are still what they were."""
    return np.asarray(features[sampled(rows, CHECKED, "identity")])


class _FaissIndex(VectorIndex):
    """Finding by a faiss index over unit vectors; below `WORTHWHILE` vectors, by a scan."""

    def __init__(self) -> None:
        super().__init__()
        self._faiss: Any = None
        self._mapped: Path | None = None  # the file that it is mapped from
        self._entered = np.zeros(0, np.int64)  # the row that each vector in it is, in their order
        self._built = 0  # vectors that it was trained for

    def _build(self) -> None:
        count = len(self._rows)
        if count < WORTHWHILE:
            return
        wide = self._features.shape[1] if self._axes is None else self._axes.shape[1]
        self._faiss, needed = self._made(wide, count)
        self._faiss.train(self._training(needed))
        self._built = count
        self._enter(self._rows, self._scale)

    def _enter(self, rows: np.ndarray, scale: np.ndarray) -> None:
        """Add vectors: rows of the features, and their inverse norms."""
        with bar(f"index ({self.kind})", len(rows)) as advance:
            for _, block in projected(self._features, rows, scale, self._axes):
                self._faiss.add(block)
                advance(len(block))
        self._entered = np.concatenate([self._entered, rows])

    @classmethod
    def grown(
        cls, folder: Path, features: np.ndarray, rows: np.ndarray | None = None
    ) -> Self | None:
        """Return the index by one of some of the images, see `VectorIndex.grown`.

        Clusters and codes stay those of the vectors that it was first made of, which are at least
        half of those in it; so does the recall that was measured then.
        """
        meta, arrays = read_index(folder, cls.kind, VERSION)
        if "entered" not in arrays:  # there were too few to be worth it
            return None
        index, entered = cls(), np.array(arrays["entered"])
        index._attach(features, rows)
        if int(entered.max()) >= len(features) or not np.array_equal(
            _sample(features, entered), arrays["sample"]
        ):
            return None  # the features were computed anew since
        new = np.setdiff1d(index._rows, entered, assume_unique=True)
        known, built = len(index._rows) - len(new), int(arrays["built"][0])
        if len(entered) + len(new) > 2 * min(built, known):
            return None
        index.measured, index._axes = meta["measured"], arrays.get("axes")
        index._scale = np.zeros(len(index._rows), np.float32)
        there = np.isin(index._rows, new, invert=True, assume_unique=True)
        if len(arrays["scale"]) == len(entered):  # of its rows in rising order
            at = np.searchsorted(np.sort(entered), index._rows[there])
            index._scale[there] = arrays["scale"][at]
        else:
            index._scale[there] = inverse_norms(features, index._rows[there])
        index._faiss, index._entered, index._built = _read(folder), entered, built
        if len(new):
            index._scale[~there] = inverse_norms(features, new)
            index._enter(new, index._scale[~there])
        return index

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
        share = self._faiss.ntotal / len(self._rows)  # above 1 if some are gone
        wanted = min(self._faiss.ntotal, math.ceil(self._oversampled(top) * share))
        _, found = self._faiss.search(
            np.ascontiguousarray(queries), wanted, params=self._effort(wanted)
        )
        return [self._places(row[row >= 0]) for row in found]

    def _places(self, found: np.ndarray) -> np.ndarray:
        """Return which of ``_rows`` vectors are; those that are gone are left out."""
        rows = self._entered[found]
        places = np.searchsorted(self._rows, rows).clip(max=len(self._rows) - 1)
        return places[self._rows[places] == rows]

    def _is_exact(self) -> bool:
        return self._faiss is None

    def _arrays(self) -> dict[str, np.ndarray]:
        if self._faiss is None:
            return {}
        sample = _sample(self._features, self._entered)
        return {"entered": self._entered, "built": np.array([self._built]), "sample": sample}

    def _files(self) -> dict[str, Any]:
        return {} if self._faiss is None else {FILE: self._write}

    def _write(self, path: Path) -> None:
        if self._mapped:  # faiss would write where it is mapped from, instead of what it holds
            disk.copy_file(Path(self._mapped), path)
            return
        try:
            _library().write_index(self._faiss, str(path))
        except RuntimeError as error:  # what faiss makes of a full disk
            raise OSError(f"cannot write {path}: {str(error).splitlines()[0]}") from None

    def _restore(self, folder: Path, arrays: dict[str, np.ndarray]) -> None:
        if len(self._rows) < WORTHWHILE:
            return
        self._faiss, self._entered = _read(folder, mapped=True), arrays["entered"]
        self._mapped = folder / FILE
        self._built = int(arrays["built"][0])
        if self._faiss.ntotal != len(self._entered):
            raise damaged(folder, f"{self._faiss.ntotal} vectors of {len(self._entered)}")

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
