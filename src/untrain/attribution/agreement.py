"""Where two ways of scoring agree: what both rank first, what only one does, how alike they order.

Likeness and influence answer different questions, so a disagreement is a finding, not a fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """How far two scores of the same images agree, for one query.

    Attributes
    ----------
    k : int
        How many of the first images are compared.
    both : int
        Images that are among the first k of both.
    rank_correlation : float
        Spearman's, over the ``images`` that both score; NaN for fewer than three, or where one
        scores all of them alike.
    images : int
    """

    k: int
    both: int
    rank_correlation: float
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; what is undefined is None."""
        known = np.isfinite(self.rank_correlation)
        return {**vars(self), "rank_correlation": self.rank_correlation if known else None}

    def __str__(self) -> str:
        known = np.isfinite(self.rank_correlation)
        order = f"{self.rank_correlation:.2f}" if known else "undefined"
        return (
            f"{self.both} of the first {self.k} are the same; rank correlation {order} over "
            f"{self.images:,} images"
        )


def agreement(first: np.ndarray, second: np.ndarray, k: int) -> Agreement:
    """Compare two scores of the same images.

    Parameters
    ----------
    first, second : ndarray of float, shape (images,)
        Higher is more influential; NaN where there is no score.
    k : int
        At least 1; fewer where there are not as many scores.
    """
    from scipy.stats import spearmanr

    leaders = [set(order(scores)[:k].tolist()) for scores in (first, second)]
    known = np.isfinite(first) & np.isfinite(second)
    a, b = first[known], second[known]
    defined = len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0
    correlation = float(spearmanr(a, b).statistic) if defined else float("nan")
    return Agreement(min(map(len, leaders)), len(leaders[0] & leaders[1]), correlation, len(a))


def order(scores: np.ndarray) -> np.ndarray:
    """Return the positions of the images that have a score, best first, int64.

    Equal scores are taken by position.
    """
    best = np.argsort(-scores, kind="stable")  # NaN last
    return best[: int(np.isfinite(scores).sum())]


def places(scores: np.ndarray) -> np.ndarray:
    """Return each image's place, from 1; 0 where it has no score, int64 (images,)."""
    best = order(scores)
    found = np.zeros(len(scores), np.int64)
    found[best] = np.arange(1, len(best) + 1)
    return found
