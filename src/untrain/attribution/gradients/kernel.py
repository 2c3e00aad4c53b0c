"""From rows of gradients to scores: products of gradients, plain, as cosines, or regularised.

All are about Φ, the rows of the catalogue (images, k), and Φ_q, those of the queries. With the
matrix ΦᵀΦ + λI in between (TRAK, Park et al. 2023; an empirical Fisher matrix where the output is
the loss), an image counts for what it has that others have not. λ is in units of the mean of
ΦΦᵀ's diagonal, so that it means the same for any model, output and number of dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import lapack

from untrain.core.errors import InputError
from untrain.encoders.float16 import widen

AT_ONCE = 1 << 26  # numbers taken at a time, as float32: 256 MiB
IN_CACHE = 1 << 20  # where each is used only once: what stays in a processor's cache is faster


class Rows:
    """Rows of gradients, each with a factor: half precision on disk has a narrow range.

    Parameters
    ----------
    stored : ndarray of float16 or float32, shape (m, k)
        May be a memory map.
    scales : ndarray of float32, shape (m,)
        A row's gradient is its stored row times its scale.
    layers : sequence of slice
        Which numbers of a row belong to each layer; all to one if left out.
    at : ndarray of int64, shape (n,), optional
        Which of the stored rows these are, in order; all of them if left out.
    """

    def __init__(
        self,
        stored: np.ndarray,
        scales: np.ndarray,
        layers: Sequence[slice] = (),
        at: np.ndarray | None = None,
    ) -> None:
        if at is not None and (np.diff(at) == 1).all():  # one after the other: nothing to gather
            first = int(at[0]) if len(at) else 0
            stored, scales, at = stored[first : first + len(at)], scales[first:][: len(at)], None
        self.stored, self.at = stored, at
        self.scales = scales if at is None else scales[at]
        self.layers = tuple(layers) or (slice(0, stored.shape[1]),)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of numbers in each."""
        return len(self.scales), self.stored.shape[1]

    def __len__(self) -> int:
        return len(self.scales)

    def of(self, layer: slice) -> Rows:
        """Return the part of the gradients that belongs to a layer."""
        part = Rows(self.stored[:, layer], self.scales)
        part.at = self.at
        return part

    @property
    def blocks(self) -> list[slice]:
        """Parts of the rows, each of which fits into memory."""
        step = max(1, AT_ONCE // self.shape[1])
        return [slice(start, start + step) for start in range(0, len(self), step)]

    def plain(self, part: slice, columns: slice = slice(None)) -> np.ndarray:
        """Return some of the rows, or some numbers of them, as they are stored but float32."""
        stored = self.stored[:, columns]
        return widen(stored[part] if self.at is None else stored[self.at[part]])

    def block(self, part: slice) -> np.ndarray:
        """Return some of the gradients, float32."""
        return self.plain(part) * self.scales[part, None]

    def squares(self) -> np.ndarray:
        """Return the squared length of each gradient, float64 (n,)."""
        return np.concatenate(
            [np.square(self.block(part), dtype=np.float64).sum(1) for part in self.blocks]
        )


def products(queries: np.ndarray, rows: Rows) -> np.ndarray:
    """Return Φ_q Φᵀ, float32 (queries, n)."""
    n, k = rows.shape
    found = np.empty((n, len(queries)), np.float32)
    step = max(1, min(IN_CACHE, AT_ONCE) // k)
    for start in range(0, n, step):
        found[start : start + step] = rows.plain(slice(start, start + step)) @ queries.T
    return np.ascontiguousarray((found * rows.scales[:, None]).T)


def cosines(queries: np.ndarray, rows: Rows) -> np.ndarray:
    """Return the cosines of gradients, float32 (queries, n); 0 where there is no gradient."""
    lengths = np.sqrt(rows.squares())
    own = np.linalg.norm(queries, axis=1, keepdims=True)
    found = products(np.divide(queries, own, out=np.zeros_like(queries), where=own > 0), rows)
    return np.divide(
        found, lengths, out=np.zeros_like(found), where=lengths > 0, casting="same_kind"
    )


def regularised(queries: np.ndarray, rows: Rows, damping: float) -> np.ndarray:
    """Return Φ_q (ΦᵀΦ + λI)⁻¹ Φᵀ, float32 (queries, n).

    Parameters
    ----------
    queries : ndarray of float32, shape (queries, k)
    rows : Rows
    damping : float
        λ in units of the mean squared length of a row; above 0.
    """
    return solved(queries, rows, inverse(rows, damping))


def inverse(rows: Rows, damping: float) -> np.ndarray:
    """Return what queries need of the catalogue, once for all: the smaller of two inverses.

    (ΦᵀΦ + λI)⁻¹, float32 (k, k), or, of fewer images than dimensions, (ΦΦᵀ + λI)⁻¹, (n, n):
    Φ_q Φᵀ (ΦΦᵀ + λI)⁻¹ is the same as Φ_q (ΦᵀΦ + λI)⁻¹ Φᵀ. Arguments as for `regularised`. Zeros
    where no row has a gradient, as of a layer that the output does not depend on.

    Raises
    ------
    InputError
        The damping is not above 0.
    """
    if not damping > 0:
        raise InputError(f"damping is {damping}; expected a number above 0, such as 1")
    n, k = rows.shape
    matrix = gram(rows) if n <= k else covariance(rows)
    if not (mean := float(np.trace(matrix)) / n):
        return np.zeros(matrix.shape, np.float32)  # no gradient at all, and so no score
    matrix[np.diag_indices_from(matrix)] += damping * mean
    factor, failed = lapack.dpotrf(matrix.T, lower=False, overwrite_a=True, clean=False)
    if not failed:
        factor, failed = lapack.dpotri(factor, lower=False, overwrite_c=True)
    if failed:
        raise InputError(
            f"the gradients of the catalogue cannot be inverted with a damping of {damping:g}: "
            "use a larger one"
        )
    half = factor.T.astype(np.float32)  # its lower triangle
    return np.tril(half) + np.tril(half, -1).T


def solved(queries: np.ndarray, rows: Rows, inverted: np.ndarray) -> np.ndarray:
    """Return the scores of queries by what `inverse` returned, float32 (queries, n)."""
    n, k = rows.shape
    if n <= k:
        return products(queries, rows) @ inverted
    return products(queries @ inverted, rows)


def remaining(rows: Rows, inverted: np.ndarray, damping: float) -> np.ndarray:
    """Return 1 − h_i of every row, float32 (n,): h_i = φ_iᵀ (ΦᵀΦ + λI)⁻¹ φ_i is its leverage.

    In (0, 1]: near 0 where no other row is like it. By what `inverse` returned of the same damping.
    """
    n, k = rows.shape
    if n <= k:
        return (damping * float(rows.squares().mean()) * np.diag(inverted)).astype(np.float32)
    own = [((block := rows.block(part)) @ inverted * block).sum(1) for part in rows.blocks]
    return 1 - np.concatenate(own)


def covariance(rows: Rows) -> np.ndarray:
    """Return ΦᵀΦ, float64 (k, k)."""
    found = np.zeros((rows.shape[1], rows.shape[1]))
    for part in rows.blocks:
        block = rows.block(part)
        found += block.T @ block
    return found


def gram(rows: Rows) -> np.ndarray:
    """Return ΦΦᵀ, float64 (n, n)."""
    n, k = rows.shape
    found = np.zeros((n, n))
    step = max(1, AT_ONCE // n)
    for start in range(0, k, step):  # each number is read once, however long the rows
        part = rows.plain(slice(None), slice(start, start + step))
        found += part @ part.T
    return found * np.outer(rows.scales, rows.scales)
