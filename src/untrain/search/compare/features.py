"""The study's five feature metrics, for all pairs at once, in memory that does not grow with d.

Formulas: Aivalis et al. (2025), Stage 2, where d is 100,352.
"""

from __future__ import annotations

import cv2
import numpy as np

TINY = np.finfo(float).tiny
BLOCK = 1 << 17  # numbers held at a time: few enough to stay in the cache


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
        1e-10)), NaN where a feature e is negative (one below zero in f counts 1e-10, as the
        formula has it); ``manhattan`` Σ|e−f|; ``minkowski`` ‖e−f‖₂. Every metric of a pair is NaN
        where a feature of either is NaN or infinite.
    """
    if generated.shape[1] != candidates.shape[1]:
        raise ValueError(f"features differ in length: {generated.shape}, {candidates.shape}")
    kind = np.result_type(generated, candidates, np.float32)
    generated, candidates = (np.ascontiguousarray(x, kind) for x in (generated, candidates))
    # Not ‖e‖² + ‖f‖² − 2e·f, which loses the difference of near-identical pictures.
    manhattan, squared = _norms(generated, candidates)
    with np.errstate(invalid="ignore"):  # what is not finite is taken out below
        products, kl = _products_and_kl(generated, candidates)
        lengths_e = [cv2.norm(e, cv2.NORM_L2) for e in generated]
        lengths_f = [cv2.norm(f, cv2.NORM_L2) for f in candidates]
        cosines = products / np.outer(lengths_e, lengths_f)
    metrics = {
        "cosine": cosines,
        "mse": squared / generated.shape[1],
        "kl": kl,
        "manhattan": manhattan,
        "minkowski": np.sqrt(squared),
    }
    # A NaN or an infinity on either side makes the product of the two one as well.
    finite = np.isfinite(products)
    return {name: np.where(finite, values, np.nan) for name, values in metrics.items()}


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine of every row of ``a`` with every row of ``b``, float64 (g, n).

    NaN where a row is all zero or not finite.
    """
    x, y = a.astype(float), b.astype(float)
    with np.errstate(invalid="ignore", over="ignore"):
        values = x @ y.T / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    return np.where(np.isfinite(values), values, np.nan)


def _products_and_kl(
    generated: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return Σ e·f and Σ e·log(e / max(f, 1e-10)), in float64, both (g, n)."""
    defined = (generated >= 0).all(axis=1, keepdims=True)
    shape = (len(generated), len(candidates))
    products, kl = np.zeros(shape), np.zeros(shape)
    step = max(1, BLOCK // max(1, sum(shape)))
    for start in range(0, generated.shape[1], step):
        e = generated[:, start : start + step].astype(float)
        f = candidates[:, start : start + step].astype(float)
        products += e @ f.T
        if defined.any() and f.size:
            logs = cv2.log(np.maximum(f, 1e-10, out=f), f)  # NumPy's takes four times as long
            own = e * np.log(np.maximum(e, TINY))  # 0 where e is
            kl += own.sum(axis=1)[:, None] - e @ logs.T
    return products, np.where(defined, kl, np.nan)


def _norms(generated: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return Σ|e−f| and Σ(e−f)² of every pair, (2, g, n).

    OpenCV keeps no difference, and each candidate is read once, while it is in the cache.
    """
    norms = np.empty((2, len(generated), len(candidates)))
    for column, f in enumerate(candidates):
        for row, e in enumerate(generated):
            norms[:, row, column] = cv2.norm(e, f, cv2.NORM_L1), cv2.norm(e, f, cv2.NORM_L2SQR)
    return norms
