"""Vector indexes: the images whose features have the highest cosine with a query's.

Every index works in two steps: it *finds* candidates its own way, then the stored features
*decide*, by exact cosines. So an approximate index can miss an image, but never misjudges one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np

from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.search.retrieve.index_files import read_index, write_index
from untrain.search.retrieve.vectors import (
    cosines,
    inverse_norms,
    nearly_best,
    principal_axes,
    sampled,
    unit,
)

VERSION = 2  # of what is saved
PROBES = 100  # stored vectors that recall is measured with
CHECKED = 64  # rows that tell whether features are those that an index was made from


class VectorIndex(ABC):
    """Images by their features, found by cosine.

    Attributes
    ----------
    measured : dict
        For an approximate index, its ``recall_at_10`` on ``queries`` of its own vectors, measured
        when it was built; empty for an exact one.
    """

    kind: str

    def __init__(self) -> None:
        self.measured: dict[str, float] = {}
        self._axes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._members)

    def fit(self, features: np.ndarray, rows: np.ndarray | None = None) -> Self:
        """Index the images, once.

        Parameters
        ----------
        features : ndarray, (m, d)
            float16 or float32, finite; may be a memory map. It is kept, not copied.
        rows : ndarray of int64, (n,), optional
            The row of each image in ``features``; images may share one, and rows need not all be
            used. By default image i has row i.
        """
        self._attach(features, rows)
        self._scale = inverse_norms(features, self._rows)
        wide = features.shape[1]
        dimensions = self._dimensions(wide)
        if dimensions < wide:
            self._axes = principal_axes(features, self._rows, dimensions)
        self._build()
        if not self._is_exact():
            self.measured = {
                "recall_at_10": self.recall(10),
                "queries": min(PROBES, len(self._rows)),
            }
        return self

    def query(self, vectors: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the images of highest cosine with each query, best first, equals by position.

        Parameters
        ----------
        vectors : ndarray, (q, d)
        top : int

        Returns
        -------
        positions : ndarray of int64, (q, min(top, n))
            Which image: an index into ``rows``.
        cosines : ndarray of float64, the same shape
            Of all dimensions, also where finding used fewer. Zero vectors have cosine 0.
        """
        return self._answered(vectors, min(top, len(self)), self._counts)

    def distinct(self, vectors: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what `query` does, of images that share a row only the first.

        Shapes are (q, min(top, rows that are used)).
        """
        ones = np.broadcast_to(np.int64(1), len(self._rows))
        return self._answered(vectors, min(top, len(self._rows)), ones)

    def cosines(self, vectors: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the cosines, float64 (q, m), of each query with its images at ``positions``."""
        queries = self._checked(vectors)
        pairs = zip(self._members[positions], queries, strict=True)
        return np.stack([cosines(self._features, rows, query) for rows, query in pairs])

    def recall(self, top: int = 10, queries: np.ndarray | None = None) -> float:
        """Return the share of the true ``top`` nearest that are found, 0–1.

        By default the queries are a seeded sample of the indexed vectors, each of which is not
        asked to find itself. One of equal cosine with the last of the true ones counts as found.
        """
        of_itself = queries is None
        if queries is None:
            queries = self._features[sampled(self._rows, PROBES, "recall")].astype(np.float32)
        top += of_itself
        exact = self._scanned(unit(self._checked(queries)), top)
        _, found = self.query(queries, top)
        hits = 0
        for query, truly, values in zip(queries, exact, found, strict=True):
            _, true_values = self._decided(query, truly, found.shape[1], self._counts)
            hits += int((values >= true_values[-1] - 1e-12).sum()) - of_itself
        return max(0, hits) / (len(queries) * max(1, found.shape[1] - of_itself))

    def save(self, folder: Path) -> None:
        """Write the index as a folder that `load` reads; the features themselves are not in it."""
        meta = {
            "kind": self.kind,
            "version": VERSION,
            "description": f"{self.kind} index of {len(self):,} images",
            "images": len(self),
            "features": self._identity(),
            "measured": self.measured,
        }
        arrays = {"scale": self._scale, **self._arrays()}
        if self._axes is not None:
            arrays["axes"] = self._axes
        write_index(folder, meta, arrays, self._files())

    @classmethod
    def load(cls, folder: Path, features: np.ndarray, rows: np.ndarray | None = None) -> Self:
        """Return the index that `save` wrote, given the features and rows that it was fitted on.

        Raises
        ------
        InputError
            If the folder is absent, damaged, of another kind or version, or was made from other
            features or rows.
        """
        meta, arrays = read_index(folder, cls.kind, VERSION)
        loaded = cls()
        loaded._attach(features, rows)
        if (meta["images"], meta["features"]) != (len(loaded), loaded._identity()):
            raise InputError(
                f"the index in {folder} was made from other features than those given; "
                "delete it: it is made anew"
            )
        loaded.measured = meta["measured"]
        loaded._scale, loaded._axes = arrays["scale"], arrays.get("axes")
        loaded._restore(folder, arrays)
        return loaded

    @classmethod
    def grown(
        cls, folder: Path, features: np.ndarray, rows: np.ndarray | None = None
    ) -> Self | None:
        """Return the index of images by that of some of them, which `save` wrote into ``folder``.

        Only what is new is entered; what is gone is passed over. None if that is worth nothing:
        too much has changed, or making this kind of index costs no more than a look.

        Parameters
        ----------
        folder : Path
            Of an index over rows of the same features; others may have been added to these since.
        features, rows
            As of `fit`.

        Raises
        ------
        InputError
            As `load`, except that rows may differ.
        """
        return None

    # What kinds of index differ in.

    @abstractmethod
    def _build(self) -> None:
        """Prepare finding, from ``_features[_rows]``."""

    @abstractmethod
    def _find(self, queries: np.ndarray, top: int) -> list[np.ndarray]:
        """Return, for each unit query, candidates among ``_rows``: any number, in any order."""

    @abstractmethod
    def _is_exact(self) -> bool:
        """Tell whether `_find` cannot miss."""

    def _dimensions(self, wide: int) -> int:
        """Return how many principal dimensions to find in, of the ``wide`` that there are."""
        return wide

    def _arrays(self) -> dict[str, np.ndarray]:
        return {}

    def _files(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def _restore(self, folder: Path, arrays: dict[str, np.ndarray]) -> None:
        """Take back what `_arrays` and `_files` gave."""

    # What they share.

    def _answered(
        self, vectors: np.ndarray, top: int, counts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Answer queries, each of ``_rows`` standing for the first of its images, ``counts``."""
        queries = self._checked(vectors)
        if top < 1:
            raise InputError(f"{top} images were asked for; expected at least 1")
        positions = np.empty((len(queries), top), np.int64)
        values = np.empty((len(queries), top))
        for row, found in enumerate(self._find(unit(queries), top)):
            if counts[found].sum() < top:  # an approximate search may come back short
                found = self._scanned(unit(queries[row : row + 1]), top)[0]
            positions[row], values[row] = self._decided(queries[row], found, top, counts)
        return positions, values

    def _attach(self, features: np.ndarray, rows: np.ndarray | None) -> None:
        """Keep the features; search each row once, however many images share it."""
        members = np.arange(len(features)) if rows is None else np.asarray(rows, np.int64)
        if not len(members):
            raise InputError("there are no images to search; expected at least one")
        self._features, self._members = features, members
        if (np.diff(members) > 0).all():  # a row each, in order: nothing to be sorted
            self._rows, self._by_row = members, np.arange(len(members))
            self._counts = np.broadcast_to(np.int64(1), len(members))
            self._ends = self._by_row + 1
            return
        self._rows, self._counts = np.unique(members, return_counts=True)
        self._by_row = np.argsort(members, kind="stable")  # images, those of a row together
        self._ends = np.cumsum(self._counts)

    def _identity(self) -> str:
        """Return a fingerprint of the members and of some of their features."""
        checked = sampled(self._rows, CHECKED, "identity")
        return fingerprint(self._members, np.asarray(self._features[checked]))

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        vectors = np.asarray(vectors)
        wide = self._features.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != wide:
            raise InputError(
                f"the queries have shape {vectors.shape}; expected (queries, {wide}): features of "
                "the encoder that the index was made with"
            )
        if not np.isfinite(vectors).all():
            raise InputError("the features of a query are not finite; use another layer or pooling")
        return vectors.astype(np.float32)

    def _decided(
        self, query: np.ndarray, found: np.ndarray, top: int, counts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and exact cosines of the best images among the rows ``found``."""
        of_rows = cosines(self._features, self._rows[found], query)
        starts = self._ends[found] - self._counts[found]
        images = [self._by_row[s : s + n] for s, n in zip(starts, counts[found], strict=True)]
        positions = np.concatenate(images)
        values = np.repeat(of_rows, counts[found])
        order = np.lexsort((positions, -values))[:top]
        return positions[order], values[order]

    def _scanned(self, queries: np.ndarray, top: int) -> list[np.ndarray]:
        """Return, for each unit query, all of ``_rows`` that could be among its ``top`` best."""
        return nearly_best(self._features, self._rows, self._scale, queries, top)


class ExactIndex(VectorIndex):
    """Every vector is looked at, in blocks read from the store: nothing is ever missed.

    Examples
    --------
    >>> index = ExactIndex().fit(np.eye(3, dtype=np.float32))
    >>> index.query(np.array([[0.0, 3.0, 4.0]]), top=2)[0].tolist()
    [[2, 1]]
    """

    kind = "exact"

    def _build(self) -> None:
        """Nothing needs to be prepared."""

    def _find(self, queries: np.ndarray, top: int) -> list[np.ndarray]:
        return self._scanned(queries, top)

    def _is_exact(self) -> bool:
        return True

    def _restore(self, folder: Path, arrays: dict[str, np.ndarray]) -> None:
        """Nothing was kept."""
