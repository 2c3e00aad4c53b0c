"""Intervals over clusters that are crossed: pairs of a model and a forget set.

A set is forgotten by several models and a model forgets several sets, so clusters that share
either are alike, and to take them as independent makes intervals far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import t as student

Statistic = Callable[[np.ndarray], np.ndarray]
"""Sums (…, parts) over clusters → the statistic (…)."""


def mean_of(sums: np.ndarray) -> np.ndarray:
    """Return sum / count, the parts of a mean."""
    return sums[..., 0] / sums[..., 1]


def log_ratio(sums: np.ndarray) -> np.ndarray:
    """Return log(numerator / denominator), NaN unless both are above 0."""
    good = sums.min(axis=-1) > 0
    safe = np.where(np.expand_dims(good, -1), sums, 1.0)
    return np.where(good, np.log(safe[..., 0] / safe[..., 1]), math.nan)


def crossed_interval(
    sums: np.ndarray,
    models: Sequence[object],
    sets: Sequence[object],
    statistic: Statistic,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the limits of a statistic of sums, over models *and* sets; NaN twice if it has none.

    The statistic is jackknifed over models, over sets, and over clusters. Its variance is V_models
    + V_sets − V_clusters, at least either of the first two (Cameron, Gelbach & Miller 2011), and
    Student's t has the degrees of freedom of V_models + V_sets (Satterthwaite 1946). With a single
    model, or a single set, the limits are conditional on it; a single cluster has none, and neither
    has a statistic that one group of clusters alone determines.

    Parameters
    ----------
    sums : ndarray of float, shape (clusters, parts)
        What each cluster adds to the sums that the statistic is of.
    models, sets : sequence
        Of each cluster.
    statistic : callable
    confidence : float
        Above 0 and below 1.
    """
    centre = float(statistic(sums.sum(axis=0)))
    if len(sums) < 2 or not math.isfinite(centre):
        return math.nan, math.nan
    pairs = list(zip(models, sets, strict=True))
    of_models, of_sets, of_both = (_jackknife(sums, by, statistic) for by in (models, sets, pairs))
    variance = max(of_models[0] + of_sets[0] - of_both[0], of_models[0], of_sets[0])
    if math.isnan(of_models[0] + of_sets[0] + of_both[0]):
        return math.nan, math.nan
    if variance == 0:
        return centre, centre
    parts = [(v, freedom) for v, freedom in (of_models, of_sets) if freedom]
    freedom = sum(v for v, _ in parts) ** 2 / sum(v**2 / each for v, each in parts)
    reach = math.sqrt(variance) * float(student.ppf((1 + confidence) / 2, freedom))
    return centre - reach, centre + reach


def _jackknife(sums: np.ndarray, by: Sequence[object], statistic: Statistic) -> tuple[float, int]:
    """Return the jackknife variance over groups of clusters and its degrees of freedom.

    The variance is 0 of a single group, NaN where the statistic does not exist without one.
    """
    names = {name: place for place, name in enumerate(dict.fromkeys(by))}
    count = len(names)
    if count < 2:
        return 0.0, 0
    totals = np.zeros((count, sums.shape[1]))
    np.add.at(totals, [names[name] for name in by], sums)
    every = np.arange(count)
    left = np.stack([totals[every != place].sum(axis=0) for place in range(count)])
    found = statistic(left)
    if not np.isfinite(found).all():
        return math.nan, count - 1
    if np.ptp(found) < 1e-12 * max(1.0, float(np.abs(found).max())):  # equal up to rounding
        return 0.0, count - 1
    return (count - 1) / count * float(((found - found.mean()) ** 2).sum()), count - 1
