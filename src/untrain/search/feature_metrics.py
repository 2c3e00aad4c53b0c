"""The study's five feature metrics, for all pairs at once, in memory that does not grow with d.

Formulas: Aivalis et al. (2025), Stage 2, where d is 100,352.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

FEATURE_METRICS = ("cosine", "mse", "kl", "manhattan", "minkowski")
BLOCK = 1 << 15  # numbers held at a time: few enough to stay in the cache


def feature_metrics(generated: np.ndarray, candidates: np.ndarray) -> dict[str, np.ndarray]:
    """Compare the features e of every generated picture with f of every candidate.

    Parameters
    ----------
    generated : ndarray of float, shape (g, d)
    candidates : ndarray of float, shape (n, d)

    Returns
    -------
    dict of str to ndarray of float64, shape (g, n)
        ``cosine``, NaN where a row is all zero; ``mse`` mean (e−f)²; ``kl`` Σ e·log(e / max(f,
        1e-10)), NaN throughout if any feature is negative; ``manhattan`` Σ|e−f|; ``minkowski``
        ‖e−f‖₂.
    """
    if generated.shape[1] != candidates.shape[1]:
        raise ValueError(f"features differ in length: {generated.shape}, {candidates.shape}")
    shape = (len(generated), len(candidates))
    defined = min(generated.min(initial=0), candidates.min(initial=0)) >= 0
    product, manhattan, squared, kl = (np.zeros(shape) for _ in range(4))
    norm_e, norm_f = np.zeros(shape[0]), np.zeros(shape[1])
    dimensions = generated.shape[1]
    step = max(1, BLOCK // sum(shape))
    for start in range(0, dimensions, step):
        e = generated[:, start : start + step].astype(float)
        f = candidates[:, start : start + step].astype(float)
        product += e @ f.T
        norm_e += np.einsum("id,id->i", e, e)
        norm_f += np.einsum("id,id->i", f, f)
        if defined:
            kl += xlogy(e, e).sum(axis=1)[:, None] - e @ np.log(np.maximum(f, 1e-10)).T
        for row in range(shape[0]):
            # Not ‖e‖² + ‖f‖² − 2e·f, which loses the difference of near-identical pictures.
            difference = f - e[row]
            squared[row] += np.einsum("id,id->i", difference, difference)
            manhattan[row] += np.abs(difference, out=difference).sum(axis=1)
    with np.errstate(invalid="ignore"):
        cosine = product / (np.sqrt(norm_e)[:, None] * np.sqrt(norm_f)[None, :])
    return {
        "cosine": cosine,
        "mse": squared / dimensions,
        "kl": kl if defined else np.full(shape, np.nan),
        "manhattan": manhattan,
        "minkowski": np.sqrt(squared),
    }
