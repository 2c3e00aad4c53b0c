"""How well one set of numbers predicts another: correlations, slope and error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

LEAST = 3  # pairs, with fewer of which a correlation means nothing


def agreement(predicted: pd.Series, measured: pd.Series) -> dict[str, Any]:
    """Return how far measured numbers are from predicted ones.

    Parameters
    ----------
    predicted, measured : Series of float, shape (n,)
        Pairs of which either is missing do not count.

    Returns
    -------
    dict
        ``n``; ``pearson`` and ``spearman``, None for fewer than three pairs or where all are alike;
        ``slope`` of measured on predicted through zero (1: the scale is right), None without any;
        ``rmse``, the root of the mean squared difference.

    Examples
    --------
    >>> agreement(pd.Series([1.0, 2.0, 3.0]), pd.Series([2.0, 4.0, 6.0]))["slope"]
    2.0
    """
    both = predicted.notna() & measured.notna()
    x, y = (part[both].to_numpy(np.float64) for part in (predicted, measured))
    told = len(x) >= LEAST and np.ptp(x) > 0 and np.ptp(y) > 0
    square = float(x @ x)
    return {
        "n": len(x),
        "pearson": float(pearsonr(x, y).statistic) if told else None,
        "spearman": float(spearmanr(x, y).statistic) if told else None,
        "slope": float(x @ y) / square if square > 0 else None,
        "rmse": float(np.sqrt(np.mean((x - y) ** 2))) if len(x) else None,
    }
