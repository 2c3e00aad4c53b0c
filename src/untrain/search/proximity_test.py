"""Are generated pictures, all together, nearer to the training images than held-out ones are?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def proximity_test(
    generated: np.ndarray, held_out: np.ndarray, groups: Sequence[str] | None = None
) -> tuple[float, float, float]:
    """Test whether generated pictures are nearer to training images than held-out ones.

    The Mann–Whitney test of Meehan et al. (2020), with the sign turned: above 0 is nearer. Where
    pictures come in groups, the variance is inflated by the design effect of their placements
    (Obuchowski, 1997), at most the largest group's size.

    Parameters
    ----------
    generated, held_out : ndarray of float, shapes (q,) and (m,)
        Distance of each to its nearest training image.
    groups : sequence of str, length q, optional

    Returns
    -------
    auc, z, p : float
        Chance that a generated picture is nearer than a held-out one (ties half), its standard
        score and one-sided p-value; NaN if either side is empty.
    """
    from scipy.stats import norm, rankdata

    q, m = len(generated), len(held_out)
    if not q or not m:
        return math.nan, math.nan, math.nan
    # A picture's placement is the share of held-out ones that are farther.
    placements = 1 - (rankdata([*generated, *held_out])[:q] - rankdata(generated)) / m
    ties = np.unique([*generated, *held_out], return_counts=True)[1].astype(float)
    total = q + m
    tied = 1 - float((ties**3 - ties).sum()) / (total**3 - total)
    variance = tied / 12 * (_design_effect(placements, groups) / q + 1 / m + 1 / (q * m))
    auc = float(placements.mean())
    z = (auc - 0.5) / math.sqrt(variance) if variance > 0 else 0.0
    return auc, z, float(norm.sf(z))


def _design_effect(placements: np.ndarray, groups: Sequence[str] | None) -> float:
    """Return variance of the placements' mean by groups over that of independent pictures."""
    if groups is None:
        return 1.0
    off = placements - placements.mean()
    _, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    q, g = len(placements), len(sizes)
    spread = float((off**2).sum())
    if g < 2 or spread == 0:  # nothing tells how alike those of a group are
        return float(sizes.max())
    sums = np.bincount(group, weights=off)
    ratio = float((sums**2).sum()) * g / (g - 1) / (spread * q / (q - 1))
    return float(np.clip(ratio, 1, sizes.max()))
