"""Likelihood-ratio attacks: was this model trained on that example, judged by a bank of models.

Each example has two normal distributions of its value: over models that were trained on it (or
unlearned it) and over models that never saw it. Which of the two explains a value better says
whether the example was in. Sources: Carlini et al. 2022, Membership inference attacks from first
principles (LiRA, arXiv 2112.03570: shared spreads where models are few); Hayes et al. 2024, Inexact
unlearning needs more careful evaluations (U-LiRA, arXiv 2403.01218).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from untrain.core.errors import InputError

OWN_SPREAD = 64  # models of each kind from which every example has spreads of its own
LEAST = 2  # models of each kind of an example, for a mean and a spread


def log_ratio(values: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return log N(value; in) − log N(value; out) of each example; above 0: looks trained on.

    Parameters
    ----------
    values : ndarray of float, shape (examples,)
        What was measured in the model under attack.
    inside, outside : ndarray of float, shape (models, examples)
        The same in models that had the example, and in models that did not; NaN where a model is
        not of this kind for the example. With fewer than 64 of a kind for some example, all
        examples share the kind's spread.

    Returns
    -------
    ndarray of float, shape (examples,)
        NaN where fewer than 2 models are of a kind.
    """
    found = [_fit(each) for each in (inside, outside)]
    (mean_in, sd_in), (mean_out, sd_out) = found
    counts = [(~np.isnan(each)).sum(axis=0) for each in (inside, outside)]
    known = np.minimum(*counts) >= LEAST
    values = np.where(known, values, np.nan)
    return norm.logpdf(values, mean_in, sd_in) - norm.logpdf(values, mean_out, sd_out)


def bank_log_ratios(values: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Return the evidence of every model of a bank, each judged by all the others.

    Parameters
    ----------
    values : ndarray of float, shape (models, examples)
    trained : ndarray of bool, shape (models, examples)
        Random masks: True where the model was trained on the example. A model never counts in the
        distributions that it is judged by.

    Returns
    -------
    ndarray of float, shape (models, examples)

    Raises
    ------
    InputError
        Fewer than 6 models.
    """
    if len(values) < 3 * LEAST:
        raise InputError(
            f"a bank of {len(values)} models says nothing about membership; train at least "
            f"{3 * LEAST}, better 16 or more"
        )
    inside, outside = (np.where(mask, values, np.nan) for mask in (trained, ~trained))
    rows = np.arange(len(values))
    return np.stack(
        [log_ratio(values[row], inside[rows != row], outside[rows != row]) for row in rows.tolist()]
    )


def told_apart(unlearned: np.ndarray, twins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the evidence that unlearned models and their twins are unlearned ones (U-LiRA).

    Parameters
    ----------
    unlearned, twins : ndarray of float, shape (models, examples)
        Row i of both is of one pair, which is left out of the distributions that judge it.

    Returns
    -------
    unlearned, twins : ndarray of float, shape (models, examples)
        Log-likelihood ratios. Where the two overlap, nobody can tell the unlearned model from one
        that never saw the examples. NaN with fewer than 3 models.
    """
    rows = np.arange(len(unlearned))
    found = []
    for asked in (unlearned, twins):
        each = [
            log_ratio(asked[row], unlearned[rows != row], twins[rows != row])
            for row in rows.tolist()
        ]
        found.append(np.stack(each))
    return found[0], found[1]


def _fit(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, NaN left out."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(known, values - mean, 0.0) ** 2).sum(axis=0)
    if count.min(initial=OWN_SPREAD) < OWN_SPREAD:
        variance = np.full(len(mean), squares.sum() / max(1, int(np.maximum(count - 1, 0).sum())))
    else:
        variance = squares / (count - 1)
    return mean, np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
