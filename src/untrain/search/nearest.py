"""The nearest training image of each picture, and how near the next ones are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untrain.errors import InputError

NEIGHBOURS = 50  # as Carlini et al. (2023)
NOISE = 1e-6  # distances below are rounding
BLOCK = 1 << 24  # numbers held at a time


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of each query.

    Attributes
    ----------
    position : ndarray of int64, shape (q,)
        Of byte-identical images the first.
    distance, ratio : ndarray of float64, shape (q,)
        1 − cosine, and that over the mean distance of the `NEIGHBOURS` nearest training images:
        1 where all of them are at distance 0.
    """

    position: np.ndarray
    distance: np.ndarray
    ratio: np.ndarray

    @classmethod
    def of(cls, positions: np.ndarray, cosines: np.ndarray) -> Nearest:
        """Return that of neighbours (q, k), nearest first, byte-identical images once."""
        distances = 1 - np.asarray(cosines, dtype=float)
        distances[distances < NOISE] = 0
        mean = distances.mean(axis=1)
        ratio = np.divide(distances[:, 0], mean, out=np.ones(len(mean)), where=mean > 0)
        return cls(np.asarray(positions)[:, 0], distances[:, 0], ratio)


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
    used, first = np.unique(rows, return_index=True)
    skipped = None if own is None else np.searchsorted(used, rows[own])
    k = min(NEIGHBOURS, len(used) - (own is not None))
    if k < 1:
        raise InputError(
            f"the copy test found {len(used)} different training images; expected more to compare"
        )
    q = _unit(queries)
    best = np.full((len(q), k), -np.inf, np.float32)
    which = np.full((len(q), k), -1)
    step = max(1, BLOCK // max(train.shape[1], len(q)))
    for start in range(0, len(used), step):
        block = used[start : start + step]
        cosines = q @ _unit(train[block]).T
        if skipped is not None:
            inside = np.flatnonzero((skipped >= start) & (skipped < start + len(block)))
            cosines[inside, skipped[inside] - start] = -np.inf
        _keep_best(best, which, cosines, first[start : start + step])
    order = np.lexsort((which, -best), axis=1)
    return Nearest.of(np.take_along_axis(which, order, 1), np.take_along_axis(best, order, 1))


def _unit(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, dtype=np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _keep_best(
    best: np.ndarray, which: np.ndarray, cosines: np.ndarray, positions: np.ndarray
) -> None:
    """Merge a block's cosines (q, b) into the k best so far (q, k), in place and in no order."""
    k = best.shape[1]
    every = np.concatenate([best, cosines], axis=1)
    chosen = np.argpartition(-every, k - 1, axis=1)[:, :k]
    names = np.concatenate([which, np.broadcast_to(positions, cosines.shape)], axis=1)
    best[:] = np.take_along_axis(every, chosen, 1)
    which[:] = np.take_along_axis(names, chosen, 1)
