"""The nearest training image of each picture, and how near the next ones are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untrain.core.errors import InputError
from untrain.search.retrieve.vector_index import ExactIndex

NEIGHBOURS = 50  # as Carlini et al. (2023)
NOISE = 1e-6  # distances below are rounding


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of each query.

    Attributes
    ----------
    position : ndarray of int64, shape (q,)
        Of byte-identical images the first.
    distance, ratio : ndarray of float64, shape (q,)
        1 − cosine, and that over the mean distance of the `NEIGHBOURS` nearest training images
        that differ: 1 where all of them are at distance 0.
    """

    position: np.ndarray
    distance: np.ndarray
    ratio: np.ndarray

    @classmethod
    def of(cls, positions: np.ndarray, cosines: np.ndarray) -> Nearest:
        """Return that of neighbours (q, k), nearest first, byte-identical images once."""
        return cls.among(positions[:, 0], cosines[:, 0], cosines)

    @classmethod
    def among(cls, positions: np.ndarray, cosines: np.ndarray, neighbours: np.ndarray) -> Nearest:
        """Return that of any images (q,), given the cosines of the neighbours (q, k) or (1, k)."""
        distances = _distances(cosines)
        mean = np.broadcast_to(_distances(neighbours).mean(axis=1), distances.shape)
        ratio = np.divide(distances, mean, out=np.ones(len(distances)), where=mean > 0)
        return cls(positions, distances, ratio)

    @classmethod
    def together(cls, several: Sequence[Nearest]) -> Nearest:
        """Return those of several groups of queries, one after another."""
        columns = ("position", "distance", "ratio")
        return cls(*(np.concatenate([getattr(n, name) for n in several]) for name in columns))


def _distances(cosines: np.ndarray) -> np.ndarray:
    distances = 1 - np.asarray(cosines, dtype=float)
    distances[distances < NOISE] = 0
    return distances


def nearest(
    train: np.ndarray,
    queries: np.ndarray,
    rows: np.ndarray | None = None,
    own: np.ndarray | None = None,
) -> Nearest:
    """Find the nearest training image of each query, and how near its neighbourhood is.

    Memory does not grow with the number of training images.

    Parameters
    ----------
    train : ndarray of float, shape (r, d)
        Features; may be a float16 memory map.
    queries : ndarray of float, shape (q, d)
    rows : ndarray of int, shape (n,), optional
        Row in ``train`` of each training image, as `FeatureStore.index` gives; byte-identical
        images share a row and count once. Left out: row i is image i.
    own : ndarray of int, shape (q,), optional
        A training image to be left out for each query, with those that share its row.
    """
    rows = np.arange(len(train)) if rows is None else np.asarray(rows)
    different = len(np.unique(rows))
    k = min(NEIGHBOURS, different - (own is not None))
    if k < 1:
        raise InputError(
            f"the copy test found {different} different training images; expected more to compare"
        )
    found = ExactIndex().fit(train, rows).distinct(queries, k + (own is not None))
    if own is not None:
        others = rows[found[0]] != rows[own][:, None]
        others[others.all(axis=1), -1] = False  # so many are equally near that it is not among them
        found = found[0][others].reshape(-1, k), found[1][others].reshape(-1, k)
    return Nearest.of(*found)
