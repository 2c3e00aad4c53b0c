"""Pairs of models, and any subset of a trial's models: what `case_for_the_trial.py` looks at.

In a trial sets are out of exactly half of the models; in a subset of them they are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from untrain.evaluation.variance import VarianceComponents, onto

_NOTHING = 1e-9


def model_pairs(out: np.ndarray) -> list[tuple[int, int]]:
    """Return all ordered pairs (without, with) of models, those that differ least first.

    Parameters
    ----------
    out : ndarray of bool, shape (sets, models)
    """
    n_models = out.shape[1]
    pairs = [(a, b) for a in range(n_models) for b in range(n_models) if a != b]
    return sorted(pairs, key=lambda pair: int((out[:, pair[0]] != out[:, pair[1]]).sum()))


def comparable(touching: np.ndarray, out: np.ndarray, without: int, having: int) -> np.ndarray:
    """Return which queries have the same images of their own in both models.

    Parameters
    ----------
    touching : ndarray of bool, shape (queries, sets)
        Whether a set holds images that the query is known to depend on.
    out : ndarray of bool, shape (sets, models)
    without, having : int
        The two models.

    Returns
    -------
    ndarray of bool, shape (queries,)
    """
    differs = out[:, without] != out[:, having]
    return ~(touching & differs).any(axis=1)


def adjusting(
    given: Sequence[np.ndarray], n_models: int, scale: np.ndarray | None = None
) -> np.ndarray:
    """Return the (models, models) matrix that takes the mean and ``given`` out of an outcome.

    Parameters
    ----------
    given : sequence of ndarray, each of shape (models,)
        Assignments that move the query; none takes out the mean only.
    scale : ndarray, shape (models,), optional
        One over each model's standard deviation, for weighted least squares: outcome and
        assignment are to be multiplied by it as well.
    """
    design = np.stack([np.ones(n_models), *given])
    return np.eye(n_models) - onto(design if scale is None else design * scale)


def slope(y: np.ndarray, out: np.ndarray, maker: np.ndarray) -> float:
    """Return the mean outcome where out minus where in, adjusted; NaN if nothing tells them apart.

    As `untrain.evaluation.least_squares.set_effects`, but for any number of models out.

    Parameters
    ----------
    y, out : ndarray, shape (models,)
    maker : ndarray, shape (models, models)
        From `adjusting`.
    """
    rest = maker @ out.astype(np.float64)
    size = float(rest @ rest)
    return float(rest @ y) / size if size > _NOTHING else math.nan


def trial_error(noise: VarianceComponents, n_models: int, n_prompts: int) -> float:
    """Standard error of an arm's mean effect in a randomised trial.

    Halves are drawn for each set on its own, so that the signs with which a model enters the
    effects of two prompts are independent: shared noise is divided by the number of prompts.
    """
    return math.sqrt(4 * noise.total / (n_models * n_prompts))


def pairs_error(noise: VarianceComponents, n_pairs: int, n_prompts: int) -> float:
    """Standard error of the mean over pairs (one model without all the sets, one with them)."""
    return math.sqrt(2 * (max(noise.shared, 0.0) + noise.own / n_prompts) / n_pairs)


def believed_error(noise: VarianceComponents, n_prompts: int) -> float:
    """What a test over the prompts of one pair takes its standard error to be."""
    return math.sqrt(2 * noise.own / n_prompts)
