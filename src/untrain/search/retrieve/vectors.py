"""Arithmetic on many stored vectors: a pass over them in blocks, cosines, fewer dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from untrain.core.files import rng
from untrain.core.threads import cores, one_thread_a_product
from untrain.encoders.float16 import widen

BLOCK = 2**20  # numbers a block, 4 MiB: it stays in the processor's cache
SCORES = 2**26  # scores held at once, queries × vectors: 256 MiB
ROUNDING = 2.0**-16  # well above the float32 error of a cosine
SAMPLE = 8192  # vectors that a reduction is fitted on


def blocks(features: np.ndarray, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (start, float32 block) over ``features[rows]``; a block is gone at the next one.

    ``features`` may be a memory map in half precision: of it, one block at a time is read.
    """
    height = max(64, BLOCK // features.shape[1])
    buffer = np.empty((min(height, len(rows)), features.shape[1]), np.float32)
    for start in range(0, len(rows), height):
        wanted = rows[start : start + height]
        first, last = int(wanted[0]), int(wanted[-1])
        in_order = last - first == len(wanted) - 1 and bool((np.diff(wanted) == 1).all())
        block = buffer[: len(wanted)]
        widen(features[first : last + 1] if in_order else features[wanted], block)
        yield start, block


def inverse(norms: np.ndarray) -> np.ndarray:
    """Return 1/norm, and 0 for a zero vector, whose cosine with anything is thus 0."""
    return np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return rows of length one in their own precision; a zero row stays zero."""
    return vectors * inverse(np.linalg.norm(vectors, axis=1))[:, None]


def inverse_norms(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return 1/norm, float32, of ``features[rows]``."""
    norms = np.empty(len(rows), np.float32)
    for start, block in blocks(features, rows):
        norms[start : start + len(block)] = np.sqrt(np.einsum("nd,nd->n", block, block))
    return inverse(norms)


def nearly_best(
    features: np.ndarray, rows: np.ndarray, scale: np.ndarray, queries: np.ndarray, top: int
) -> list[np.ndarray]:
    """Return, for each query, where it could have one of its ``top`` best scores, in no order.

    Scores, float32, are scalar products of ``queries`` (q, d), unit vectors, with
    ``features[rows]``, times ``scale``; all within rounding of the best are returned.
    """
    found = []
    at_once = max(1, SCORES // len(rows))
    for first in range(0, len(queries), at_once):
        group = queries[first : first + at_once].astype(np.float32)
        scores = np.empty((len(group), len(rows)), np.float32)
        _score(features, rows, group, scores)
        scores *= scale
        found += [_highest(of_query, top) for of_query in scores]
    return found


def _score(features: np.ndarray, rows: np.ndarray, group: np.ndarray, scores: np.ndarray) -> None:
    """Fill in the scalar products (q, rows): a stretch of rows for each core."""

    def fill(stretch: np.ndarray) -> None:
        for start, block in blocks(features, rows[stretch]):
            at = stretch[0] + start
            np.matmul(group, block.T, out=scores[:, at : at + len(block)])

    stretches = np.array_split(np.arange(len(rows)), min(cores(), len(rows)))
    with one_thread_a_product(), ThreadPoolExecutor(len(stretches)) as pool:
        list(pool.map(fill, stretches))


def _highest(scores: np.ndarray, top: int) -> np.ndarray:
    if top >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - top)[len(scores) - top]
    return np.flatnonzero(scores >= threshold - ROUNDING)


def cosines(features: np.ndarray, rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the cosines, float64 (m,), of one vector (d,) with ``features[rows]``.

    Each row is computed by itself, so equal rows have equal cosines to the last bit.
    """
    of_query = unit(vector[None].astype(np.float64))[0]
    result = np.empty(len(rows))
    height = max(64, BLOCK // features.shape[1])
    for start in range(0, len(rows), height):
        block = features[rows[start : start + height]].astype(np.float64)
        dots = np.einsum("nd,d->n", block, of_query)
        norms = np.sqrt(np.einsum("nd,nd->n", block, block))
        result[start : start + height] = dots * inverse(norms)
    return result


def sampled(rows: np.ndarray, count: int, what: str) -> np.ndarray:
    """Return ``count`` of ``rows`` (or all), in order, drawn by a seed that ``what`` gives."""
    if count >= len(rows):
        return rows
    return rows[np.sort(rng(what, len(rows)).choice(len(rows), count, replace=False))]


def principal_axes(features: np.ndarray, rows: np.ndarray, dimensions: int) -> np.ndarray:
    """Return the axes, float32 (d, dimensions), that keep most of the cosines' spread.

    Principal components of the unit vectors, not centred, so that scalar products of projected
    vectors approximate cosines; from a seeded sample of `SAMPLE` vectors.
    """
    sample = features[sampled(rows, SAMPLE, "principal axes")].astype(np.float32)
    sample = unit(sample)
    _, axes = np.linalg.eigh(sample.T @ sample)  # rising eigenvalues
    return np.ascontiguousarray(axes[:, ::-1][:, :dimensions])


def projected(
    features: np.ndarray, rows: np.ndarray, scale: np.ndarray, axes: np.ndarray | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (start, float32 block) of unit vectors: ``features[rows]``, of norms 1/``scale``.

    With ``axes`` they are projected, and brought back to length one: that ranks better by far for
    queries that lie partly outside the axes.
    """
    for start, block in blocks(features, rows):
        if axes is None:
            block *= scale[start : start + len(block), None]
            yield start, block
        else:
            yield start, unit(block @ axes)
