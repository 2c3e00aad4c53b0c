"""Exact inference for the randomised removal trial: re-draw the assignment, compare.

The only randomness that the inference uses is that of the assignment, which we drew ourselves.
Prompts may share models, luck and training data: under the sharp null (the outcome of a query is
the same whichever sets of the arm are removed) the outcomes are fixed numbers, and the statistic's
null distribution is known exactly.

Sources: R. A. Fisher, The Design of Experiments (1935): the test. P. R. Rosenbaum, Observational
Studies (2002), section 2.6: intervals by inversion. B. Phipson and G. K. Smyth (2010),
Permutation p-values should never be zero: the + 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from untrain.evaluation.least_squares import NOTHING_GIVEN, TIE, Adjustment, set_effects

ENUMERATION_LIMIT = 20_000
TAIL = 0.025  # what each end of an interval leaves out


@dataclass(frozen=True)
class Inference:
    """The result of a randomisation test of one effect.

    Attributes
    ----------
    effect : float
        Mean outcome without minus mean with; NaN where the given assignments determine it.
    low, high : float
        95 % interval; infinite where so few assignments exist that no value can be rejected.
    p_value : float
        One-sided, against effects above zero; NaN, as the next two, where the effect is.
    two_sided_p : float
        The share of assignments whose statistic is as large in absolute value.
    null_sd : float
        Standard deviation of the statistic over assignments under the sharp null.
    """

    effect: float
    low: float
    high: float
    p_value: float
    two_sided_p: float
    null_sd: float


@lru_cache(maxsize=8)
def every_half(n_models: int) -> np.ndarray:
    """Return all C(M, M/2) balanced halves as bool, shape (halves, 1, models)."""
    chosen = np.array(list(combinations(range(n_models), n_models // 2)))
    halves = np.zeros((len(chosen), 1, n_models), bool)
    np.put_along_axis(halves[:, 0], chosen, True, axis=1)
    halves.flags.writeable = False
    return halves


def can_enumerate(n_models: int) -> bool:
    """Say whether all balanced halves of M models are few enough to be enumerated (M ≤ 16)."""
    return math.comb(n_models, n_models // 2) <= ENUMERATION_LIMIT


def with_observed(out: np.ndarray, redrawn: np.ndarray) -> np.ndarray:
    """Put the observed assignment before the re-drawn ones: the + 1 of Phipson and Smyth."""
    return np.concatenate([out[None], redrawn])


def randomisation_test(
    y: np.ndarray,
    out: np.ndarray,
    null: np.ndarray,
    weights: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    adjustment: Adjustment = NOTHING_GIVEN,
) -> Inference:
    """Test a weighted sum of effects of forget sets by re-drawing the assignment.

    The statistic is T = Σᵤ wᵤ (mean of yᵤ without − mean of yᵤ with) and
    p = #{T* ≥ T} / #{T*} over the assignments in ``null``, the observed one among them: exact where
    ``null`` holds all assignments, and equal to (1 + #{T* ≥ T}) / (1 + draws) where it holds the
    observed one and re-drawn ones.

    The interval is for θ in the model of a constant additive effect, y = y₀ + θ · shift. For each θ
    the statistic of y − θ · shift is tested; it is linear in θ, a_d − θ b_d for draw d, so draw d
    joins the tail at one value of θ and the limits are order statistics of these values: the
    inversion needs no search. Each tail gets 2.5 %.

    Parameters
    ----------
    y : ndarray, shape (sets, models)
        Outcome of each set's query in each model.
    out : ndarray of bool, shape (sets, models)
        The assignment that was used, each set left out of half of the models.
    null : ndarray of bool, shape (draws, sets, models)
        Assignments by the same mechanism, **including the observed one**.
    weights : ndarray, shape (sets,), optional
        wᵤ; the mean if left out.
    shift : ndarray, shape (sets, models), optional
        What one unit of θ adds to ``y``; ``out`` if left out.
    adjustment : Adjustment
        Assignments of other sets that affect the same query, drawn independently of ``out``. Every
        statistic, drawn or observed, is adjusted for them in the same way, so the test stays
        exact and becomes less noisy (Rosenbaum 2002, Covariance adjustment in randomized
        experiments and observational studies).

    Returns
    -------
    Inference
    """
    if weights is None:
        weights = np.full(len(y), 1 / len(y))
    moved = (out if shift is None else shift).astype(np.float64)
    estimate = set_effects(y, out, adjustment) @ weights
    drawn = set_effects(y, null, adjustment) @ weights
    of_shift = set_effects(moved, out, adjustment)
    if adjustment.together is None:
        known = _known_share(out, weights, adjustment)
    else:
        known = float(of_shift @ weights)
    if known <= TIE:
        return Inference(math.nan, -math.inf, math.inf, math.nan, math.nan, math.nan)
    slope = (of_shift - set_effects(moved, null, adjustment)) @ weights
    return _inverted(float(estimate), drawn, slope, known)


def _known_share(out: np.ndarray, weights: np.ndarray, adjustment: Adjustment) -> float:
    """Return the weight of the sets whose effect can be separated from that of the given ones.

    With few models, a control's half is sometimes that of its prompt's own set, or the other half
    (2 of 70 with 8 models). The test is still exact, because such a set is zero in every statistic;
    an average that counted the zero as an effect would be too small.
    """
    if adjustment.is_empty:
        return 1.0
    told = set_effects(out.astype(np.float64), out, adjustment)
    return float(told @ weights / weights.sum())


def slope_test(y: np.ndarray, x: np.ndarray, null: np.ndarray) -> Inference:
    """Test the slope of an outcome on an amount that the assignment determines.

    The statistic is the correlation, up to y's own spread, Σ xₘ yₘ / |x| with x centred, so
    no assignment counts for more because its amounts vary more. The interval inverts it under
    y = y₀ + θ · x: for draw d it is linear in θ with the slope |x| − x·x_d / |x_d|, never negative.

    Parameters
    ----------
    y : ndarray, shape (models,)
        Outcome.
    x : ndarray, shape (models,)
        Amount, such as the number of sets that a model lacks; not equal in all models.
    null : ndarray, shape (draws, models)
        Amounts under assignments by the same mechanism, **including the observed one**.

    Returns
    -------
    Inference
        Of the least-squares slope, in units of y per unit of x.
    """
    length = float(np.linalg.norm(x - x.mean()))
    drawn_x = null - null.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(drawn_x, axis=1, keepdims=True)
    unit = np.divide(drawn_x, lengths, out=np.zeros_like(drawn_x), where=lengths > TIE)
    centred = (x - x.mean()) / length
    return _inverted(
        effect=float(centred @ (y - y.mean())),
        drawn=unit @ (y - y.mean()),
        slope=length * (1 - unit @ centred),
        scale=length,
    )


def _inverted(effect: float, drawn: np.ndarray, slope: np.ndarray, scale: float) -> Inference:
    """Compare a statistic with its drawn values; ``slope`` is how each gap to it moves with θ.

    ``scale`` divides the statistic to give θ.
    """
    gap = drawn - effect
    tie = TIE * max(np.abs(drawn).max(), abs(effect))
    gap[np.abs(gap) <= tie] = 0.0
    slope[np.abs(slope) <= TIE] = 0.0
    return Inference(
        effect=effect / scale,
        low=_lower_limit(gap, slope),
        high=-_lower_limit(-gap, slope),
        p_value=float(np.mean(gap >= 0)),
        two_sided_p=float(np.mean(np.abs(drawn) >= abs(effect) - tie)),
        null_sd=float(drawn.std()) / scale,
    )


def _lower_limit(gap: np.ndarray, slope: np.ndarray) -> float:
    """Return the smallest θ at which the share of draws with gap + θ · slope ≥ 0 exceeds 2.5 %."""
    fixed, moving = slope == 0, slope != 0
    always = np.count_nonzero(gap[fixed] >= 0)
    # As θ → −∞, draws of negative slope (which exist only where several sets share a query) are
    # in the tail, and the others are not.
    count = always + np.count_nonzero(slope < 0)
    needed = math.floor(TAIL * len(gap) + 1e-9) + 1
    if count >= needed:
        return -math.inf
    joins = -gap[moving] / slope[moving]
    order = np.argsort(joins, kind="stable")
    counts = count + np.cumsum(np.sign(slope[moving][order]))
    reached = np.flatnonzero(counts >= needed)
    return float(joins[order][reached[0]]) if len(reached) else math.inf
