"""Weights for control arms: a model counts by the noise that it has.

A model that lacks a prompt's own (targeted or family) images is far noisier on that prompt than one
that has them: an sd of 0.50 against 0.17 bits a token on the demo (docs/case.md). In a control arm
half of the models lack them. By weighted least squares a control's effect is the mean of that among
models that have the own images and that among models that lack them, each counted by its precision.
If a control does as much in both, this is what it is without weights, only less noisy; if not, it
is mostly the effect in models that have the own images.

Weights depend on the outcomes and on the assignment of the *own* units. If no unit of a control arm
does anything, drawing the arm again would have changed neither: the randomisation test stays exact.
The interval takes the weights as given: it is exact if they are, and near it if they are estimated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from untrain.counterfactual.design import Assignment
from untrain.evaluation.outcomes import DECISIVE
from untrain.evaluation.variance import centring

_ROUNDING = 1e-10  # relative; outcomes that differ by less are equal


def control_scales(
    table: pd.DataFrame, units: pd.DataFrame, assignment: Assignment
) -> pd.DataFrame:
    """Return the scale of every outcome for effects of control arms (`stratum_scales`).

    Parameters
    ----------
    table : DataFrame, shape (prompts, models)
        Outcomes in the models of the assignment.
    units : DataFrame
        arm and prompt_id; the index gives the rows of the assignment
        (`untrain.counterfactual.design.by_row`).
    assignment : Assignment

    Returns
    -------
    DataFrame, shape (prompts, models)
    """
    decisive = units[units["arm"].isin(DECISIVE)]
    own = [assignment.out[decisive.index[decisive["prompt_id"] == p]] for p in table.index]
    scales = stratum_scales(table.to_numpy(np.float64), own)
    return pd.DataFrame(scales, table.index, table.columns)


def stratum_scales(y: np.ndarray, own: Sequence[np.ndarray]) -> np.ndarray:
    """Return one over the noise of each outcome, relative to models that have the own images.

    The two strata of a query are the models that have all of its own units and those that lack any.
    Their variances are those of the *other* queries, pooled: a stratum of one query is a handful of
    models, and weights that follow a query's own noise would pull its effects towards zero. Where a
    variance cannot be estimated, or is zero, all models count alike.

    Parameters
    ----------
    y : ndarray, shape (queries, models)
    own : sequence of ndarray of bool, each of shape (units, models)
        For each query which of its own units is out of which model; without rows it has no strata.

    Returns
    -------
    ndarray of float64, shape (queries, models)
        1 where the own images are in, sd (in) / sd (out) where any is out; above 0.
    """
    if not len(y):
        return np.ones(y.shape)
    lacking = np.array([rows.any(axis=0) for rows in own])
    having = ~lacking & np.array([[len(rows) > 0] for rows in own])
    others = 1 - np.eye(len(y))
    with_own, without_own = (
        np.divide(others @ squares, others @ left, out=np.zeros(len(y)), where=others @ left > 0.5)
        for squares, left in (_spread(y, stratum, own) for stratum in (having, lacking))
    )
    known = np.minimum(with_own, without_own) > _ROUNDING**2 * np.square(y).mean()
    ratio = np.divide(with_own, without_own, out=np.ones(len(y)), where=known)
    return np.where(lacking, np.sqrt(ratio)[:, None], 1.0)


def _spread(
    y: np.ndarray, stratum: np.ndarray, own: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return each query's sum of squares within a stratum, and its degrees of freedom."""
    pairs = zip(stratum, own, strict=True)
    makers = np.stack([centring(chosen, list(rows)) for chosen, rows in pairs])
    residuals = np.einsum("qmn,qn->qm", makers, y)
    return np.square(residuals).sum(axis=1), np.trace(makers, axis1=1, axis2=2)
