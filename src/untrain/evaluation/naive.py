"""What simpler experiments would have said of the same models, and how noisy each of them is.

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
from scipy import stats

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
    if scale is not None:
        design = design * scale
    _, size, rows = np.linalg.svd(design, full_matrices=False)
    kept = rows[size > _NOTHING * size[0]]
    return np.eye(n_models) - kept.T @ kept


def centring(chosen: np.ndarray) -> np.ndarray:
    """Return the matrix that keeps the chosen models alone and takes out their mean.

    Parameters
    ----------
    chosen : ndarray of bool, shape (models,)
    """
    mask = chosen.astype(np.float64)
    return np.diag(mask) - np.outer(mask, mask) / max(mask.sum(), 1.0)


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


def clustered_share(
    hits: Sequence[int] | np.ndarray,
    trials: Sequence[int] | np.ndarray,
    confidence: float = 0.95,
) -> tuple[float, float, float]:
    """Return a share with an interval that respects clusters, here runs.

    Clopper and Pearson's interval for the effective number of trials n* = p(1 − p) / v, v being the
    variance of the share between clusters, at most n and corrected for the degrees of freedom of
    v: Korn and Graubard (1998), Survey Methodology 24. Where all trials agree v cannot be
    estimated, and every cluster counts once.

    Returns
    -------
    share, low, high
    """
    x, n = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    x, n = x[n > 0], n[n > 0]
    clusters, total = len(n), float(n.sum())
    if not clusters:
        return math.nan, math.nan, math.nan
    share = float(x.sum() / total)
    variance = float(np.square(x - share * n).sum()) / total**2
    if share in (0.0, 1.0) or clusters < 2:
        effective = float(clusters)
    else:
        variance *= clusters / (clusters - 1)
        level = (1 + confidence) / 2
        few = stats.t.ppf(level, total - 1) / stats.t.ppf(level, clusters - 1)
        effective = total if variance == 0 else min(total, share * (1 - share) / variance)
        effective *= float(few) ** 2
    a, b = share * effective, (1 - share) * effective
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, a, b + 1)) if a > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, a + 1, b)) if b > 0 else 1.0
    return share, low, high


@dataclass(frozen=True)
class Spread:
    """Estimates of several runs, taken apart.

    Attributes
    ----------
    mean, error : float
        Over runs, with its standard error.
    between : float
        Standard deviation of the true values between runs; 0 if what is seen is less than noise.
    p_value : float
        Of the hypothesis that all runs have one true value (Cochran's Q, χ²).
    """

    mean: float
    error: float
    between: float
    p_value: float


def between_runs(
    estimates: Sequence[float] | np.ndarray, errors: Sequence[float] | np.ndarray
) -> Spread:
    """Take the spread of estimates over runs apart into their own errors and the rest.

    Parameters
    ----------
    estimates, errors : sequence of float
        Of at least two runs: the estimate and its standard error.
    """
    values, squares = np.asarray(estimates, np.float64), np.square(errors)
    n = len(values)
    weights = 1 / squares
    centre = float((weights * values).sum() / weights.sum())
    q = float((weights * np.square(values - centre)).sum())
    seen = float(values.var(ddof=1))
    return Spread(
        mean=float(values.mean()),
        error=math.sqrt(seen / n),
        between=math.sqrt(max(0.0, seen - float(squares.mean()))),
        p_value=float(stats.chi2.sf(q, n - 1)),
    )
