"""How much outcomes differ between paired models, and what simpler experiments make of that.

The outcome of a query q in model m is taken apart as

    Y(m, q) = what was removed on purpose + shared(m) + own(m, q)

A comparison of one pair of models carries shared(m) − shared(m') whole, however many prompts it
has; a test over prompts cannot see it. In a randomised trial units are out of different models, so
that it is averaged like the rest. `Noise` holds the two variances, and what follows from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_NOTHING = 1e-9


@dataclass(frozen=True)
class Noise:
    """Variances of an outcome between paired models, in squared units of the measure.

    Attributes
    ----------
    shared : float
        Of what all queries of a model have in common; an estimate may be negative.
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

    def trial_error(self, n_models: int, n_prompts: int) -> float:
        """Standard error of an arm's mean effect in a randomised trial.

        Halves are drawn for each unit on its own, so that the signs with which a model enters the
        effects of two prompts are independent: shared noise is divided by the number of prompts.
        """
        return math.sqrt(4 * self.total / (n_models * n_prompts))

    def pairs_error(self, n_pairs: int, n_prompts: int) -> float:
        """Standard error of the mean over pairs (one model without all the sets, one with them)."""
        return math.sqrt(2 * (max(self.shared, 0.0) + self.own / n_prompts) / n_pairs)

    def believed_error(self, n_prompts: int) -> float:
        """What a test over the prompts of one pair takes its standard error to be."""
        return math.sqrt(2 * self.own / n_prompts)


def adjusting(
    given: Sequence[np.ndarray], n_models: int, scale: np.ndarray | None = None
) -> np.ndarray:
    """Return the (models, models) matrix that takes the mean and ``given`` out of an outcome.

    Parameters
    ----------
    given : sequence of ndarray, each of shape (models,)
        Assignments that move the query; none leaves the mean alone.
    scale : ndarray, shape (models,), optional
        One over each model's standard deviation, for weighted least squares: outcome and
        assignment are to be multiplied by it as well.
    """
    design = np.stack([np.ones(n_models), *given])
    return np.eye(n_models) - _onto(design if scale is None else design * scale)


def centring(chosen: np.ndarray, given: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Return the matrix that keeps the chosen models alone, and takes out their mean and ``given``.

    Parameters
    ----------
    chosen : ndarray of bool, shape (models,)
    given : sequence of ndarray, each of shape (models,)
        As for `adjusting`.
    """
    kept = chosen.astype(np.float64)
    return np.diag(kept) - _onto(np.stack([kept, *given]) * kept)


def _onto(design: np.ndarray) -> np.ndarray:
    """Return the projection onto what the rows of a matrix span."""
    _, size, rows = np.linalg.svd(design, full_matrices=False)
    kept = rows[size > _NOTHING * size[0]]
    return kept.T @ kept


def noise(y: np.ndarray, makers: np.ndarray) -> Noise:
    """Estimate shared and own variance from residuals, by moments.

    The residual of a query is r = P y with a projection P. With outcomes that vary by σ² and covary
    between queries by σₛ², E[r·r] = σ² tr P and E[r·r'] = σₛ² tr(P P'): sums over queries, and over
    pairs of queries, give both without bias, whatever P takes out of each.

    Parameters
    ----------
    y : ndarray, shape (queries, models)
    makers : ndarray, shape (queries, models, models)
        P of each query, from `adjusting` or `centring`.
    """
    residuals = np.einsum("qmn,qn->qm", makers, y)
    products = residuals @ residuals.T
    traces = np.einsum("amn,bmn->ab", makers, makers)
    total = float(np.trace(products) / np.trace(traces))
    shared = (products.sum() - np.trace(products)) / (traces.sum() - np.trace(traces))
    return Noise(float(shared), total - float(shared))


def slope(y: np.ndarray, out: np.ndarray, maker: np.ndarray) -> float:
    """Return the mean outcome where out minus where in, adjusted; NaN if nothing tells them apart.

    As `untrain.evaluation.randomisation.unit_effects`, but for any number of models out: it serves
    subsets of a bank, in which halves are no halves any more.

    Parameters
    ----------
    y, out : ndarray, shape (models,)
    maker : ndarray, shape (models, models)
        From `adjusting`.
    """
    rest = maker @ out.astype(np.float64)
    size = float(rest @ rest)
    return float(rest @ y) / size if size > _NOTHING else math.nan


def model_pairs(out: np.ndarray) -> list[tuple[int, int]]:
    """Return all ordered pairs (without, with) of models, those that differ least first.

    Parameters
    ----------
    out : ndarray of bool, shape (units, models)
    """
    n_models = out.shape[1]
    pairs = [(a, b) for a in range(n_models) for b in range(n_models) if a != b]
    return sorted(pairs, key=lambda pair: int((out[:, pair[0]] != out[:, pair[1]]).sum()))


def comparable(touching: np.ndarray, out: np.ndarray, without: int, having: int) -> np.ndarray:
    """Return which queries have the same images of their own in both models.

    Parameters
    ----------
    touching : ndarray of bool, shape (queries, units)
        Whether a unit holds images that the query is known to depend on.
    out : ndarray of bool, shape (units, models)
    without, having : int
        The two models.

    Returns
    -------
    ndarray of bool, shape (queries,)
    """
    differs = out[:, without] != out[:, having]
    return ~(touching & differs).any(axis=1)
