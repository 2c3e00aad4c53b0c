"""What several runs say together: shares and means with intervals that count runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


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
