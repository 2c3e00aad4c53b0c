"""How much outcomes differ between paired models, apart from what was removed on purpose.

The outcome of a query q in model m is decomposed as

    Y(m, q) = what was removed on purpose + shared(m) + own(m, q)

A comparison of one pair of models contains all of shared(m) − shared(m'), however many prompts it
has; a test over prompts cannot see it. In a randomised trial, sets are left out of different
models, so it is averaged like the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_NOTHING = 1e-9


@dataclass(frozen=True)
class VarianceComponents:
    """Variances of an outcome between paired models, in squared units of the measure.

    Attributes
    ----------
    shared : float
        Of what all queries of a model share; an estimate may be negative.
    own : float
        Of the rest.
    """

    shared: float
    own: float

    @property
    def total(self) -> float:
        """The variance of one query's outcome."""
        return self.shared + self.own

    @property
    def correlation(self) -> float:
        """Of two queries over models."""
        return self.shared / self.total


def centring(chosen: np.ndarray, given: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Return the matrix that keeps the chosen models and projects out their mean and ``given``.

    Parameters
    ----------
    chosen : ndarray of bool, shape (models,)
    given : sequence of ndarray, each of shape (models,)
        Assignments that affect the query.

    Returns
    -------
    ndarray of float64, shape (models, models)
    """
    kept = chosen.astype(np.float64)
    return np.diag(kept) - onto(np.stack([kept, *given]) * kept)


def onto(design: np.ndarray) -> np.ndarray:
    """Return the projection onto the span of a matrix's rows."""
    _, size, rows = np.linalg.svd(design, full_matrices=False)
    kept = rows[size > _NOTHING * size[0]]
    return kept.T @ kept


def variance_components(y: np.ndarray, makers: np.ndarray) -> VarianceComponents:
    """Estimate shared and own variance from residuals, by moments.

    The residual of a query is r = P y with a projection P. With outcomes that vary by σ² and covary
    between queries by σₛ², E[r·r] = σ² tr P and E[r·r'] = σₛ² tr(P P'): sums over queries, and over
    pairs of queries, give both without bias, whatever P projects out of each.

    Parameters
    ----------
    y : ndarray, shape (queries, models)
    makers : ndarray, shape (queries, models, models)
        P of each query, such as from `centring`.
    """
    residuals = np.einsum("qmn,qn->qm", makers, y)
    products = residuals @ residuals.T
    traces = np.einsum("amn,bmn->ab", makers, makers)
    total = float(np.trace(products) / np.trace(traces))
    shared = (products.sum() - np.trace(products)) / (traces.sum() - np.trace(traces))
    return VarianceComponents(float(shared), total - float(shared))
