"""What models without random halves of the data say of an attributor's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from untrain.attribution.base import Scores
from untrain.evaluation.lds import Estimate, average, best, fill, lds, removal_effect


@dataclass(frozen=True, eq=False)
class Truth:
    """What attributors are compared with.

    Attributes
    ----------
    kept : ndarray of bool, shape (models, images)
        True where the model was trained on the image.
    outcomes : ndarray of float, shape (models, queries)
        Of the query in the model, higher is worse.
    groups : ndarray of int, shape (images,)
        Equal for images that are removed together.
    members : ndarray of bool, shape (queries, images), or None
        Which images are of the query's family, where families are known.
    k : int
        How many of the first images count for effect and family precision.
    """

    kept: np.ndarray
    outcomes: np.ndarray
    groups: np.ndarray
    members: np.ndarray | None
    k: int


def judge(
    name: str, kind: str, draws: Sequence[Scores], truth: Truth
) -> tuple[Estimate, dict[str, Any]]:
    """Return an attributor's LDS and its row of the leaderboard; the lead is left to add.

    Parameters
    ----------
    name, kind : str
    draws : sequence of Scores
        One, or several of a random attributor, whose figures are averaged.
    truth : Truth
    """
    values = [draw.values.astype(np.float64) for draw in draws]
    correlation = average([lds(scores, truth.kept, truth.outcomes) for scores in values])
    effects = [
        removal_effect(scores, truth.kept, truth.outcomes, truth.k, truth.groups)
        for scores in values
    ]
    record: dict[str, Any] = {"name": name, "kind": kind}
    record |= limits("lds", correlation, 1.0)
    record |= limits("effect", average(effects), np.inf)
    record["family_precision"] = np.mean([_precision(scores, truth) for scores in values])
    record["seconds_per_query"], record["seconds_once"] = draws[0].seconds, draws[0].once
    record["filled"] = correlation.filled
    return correlation, record


def limits(name: str, estimate: Estimate, bound: float) -> dict[str, float]:
    """Return an estimate and its 95 % limits, within ± ``bound``, as columns of a table."""
    low, high = np.clip(estimate.interval(), -bound, bound)
    return {name: estimate.mean, f"{name}_low": float(low), f"{name}_high": float(high)}


def _precision(scores: np.ndarray, truth: Truth) -> float:
    """Return the share of the top k that is of the prompt's family."""
    if truth.members is None:
        return float("nan")
    top = best(fill(scores)[0], truth.k)
    return float(np.take_along_axis(truth.members, top, axis=1).mean())
