"""Exact inference for the randomised removal trial: re-draw the assignment, compare.

The only randomness that the inference uses is that of the assignment, which we made ourselves.
Prompts may share models, luck and training data as they please: under the sharp null (the outcome
of a query is the same whichever units of the arm are out) the outcomes are fixed numbers and the
statistic's null distribution is known exactly.

Sources: R. A. Fisher, The Design of Experiments (1935): the test. P. R. Rosenbaum, Observational
Studies (2002), section 2.6: intervals by inversion. B. Phipson and G. K. Smyth (2010),
Permutation p-values should never be zero: the + 1. S. Holm (1979), A simple sequentially rejective
multiple test procedure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

ENUMERATION_LIMIT = 20_000
_TIE = 1e-9  # relative; sums in another order must not turn a tie into a difference


@dataclass(frozen=True)
class Inference:
    """What a randomisation test says of one effect.

    Attributes
    ----------
    estimate : float
        Mean outcome where out minus mean where in; NaN where the given assignments determine it.
    low, high : float
        95 % interval; infinite where so few assignments exist that no value can be rejected.
    p_value : float
        One-sided, against effects above zero; NaN, as the next two, where the estimate is.
    two_sided_p : float
        The share of assignments whose statistic is as large or larger in size.
    null_sd : float
        Standard deviation of the statistic over assignments under the sharp null.
    """

    estimate: float
    low: float
    high: float
    p_value: float
    two_sided_p: float
    null_sd: float

    @property
    def standardised(self) -> float:
        """The estimate in standard deviations of its null distribution; NaN if that has none."""
        return self.estimate / self.null_sd if self.null_sd > 0 else math.nan


def unit_effects(
    y: np.ndarray,
    out: np.ndarray,
    given: Sequence[np.ndarray] | None = None,
    scale: np.ndarray | None = None,
    joint: np.ndarray | None = None,
) -> np.ndarray:
    """Return mean outcome out minus mean outcome in, for balanced assignments.

    With ``given`` it is the coefficient of ``out`` in the least-squares fit on ``out`` and those:
    what else is known to move a query is taken out of both (Frisch and Waugh 1933). An assignment
    that the given ones determine tells nothing apart: it gets a zero.

    Parameters
    ----------
    y : ndarray, shape (units, models)
        Outcome of each unit's query in each model.
    out : ndarray of bool, shape (..., units, models)
        True in exactly half of the models.
    given : sequence of ndarray of bool, each of shape (others, models), optional
        For each unit the assignments of others that move the same query; may have no rows.
    scale : ndarray, shape (units, models), optional
        One over the standard deviation of each outcome, above 0: the fit is weighted by its square.
    joint : ndarray of int, shape (units,), optional
        Units of one number move the same query and are fitted together, each adjusted for the
        others; they have outcome, given ones and scale in common.

    Returns
    -------
    ndarray of float64, shape (..., units)
    """
    centred = y - y.mean(axis=1, keepdims=True)  # changes nothing but the rounding
    given = [np.zeros((0, y.shape[1]))] * len(y) if given is None else given
    if joint is not None:
        scale = np.ones(y.shape) if scale is None else scale
        return _fitted_together(centred, out, given, scale, joint)
    if scale is None and not any(len(others) for others in given):
        sums = np.einsum("...um,um->...u", out.astype(np.float64), centred)
        return sums * (4 / y.shape[1])  # the sum where in is minus the sum where out
    scale = np.ones(y.shape) if scale is None else scale
    known = _basis(given, scale)
    rest = centred * scale
    rest -= np.einsum("uc,ucm->um", np.einsum("um,ucm->uc", rest, known), known)
    whole = out.astype(np.float64)
    sums = np.einsum("...um,um->...u", whole, rest * scale)
    explained = np.einsum("...um,ucm->...uc", whole, known * scale[:, None])
    own = np.einsum("...um,um->...u", whole, scale**2) - np.square(explained).sum(-1)
    return np.divide(sums, own, out=np.zeros_like(sums), where=own > _TIE)


def _fitted_together(
    y: np.ndarray,
    out: np.ndarray,
    given: Sequence[np.ndarray],
    scale: np.ndarray,
    joint: np.ndarray,
) -> np.ndarray:
    """Return the coefficients of the fits of `unit_effects`, one fit for each number in ``joint``.

    What the assignments of one fit cannot tell apart is split evenly among them.
    """
    effects = np.zeros(out.shape[:-1])
    basis = _basis(given, scale)
    for number in np.unique(joint):
        rows = np.flatnonzero(joint == number)
        known, weight = basis[rows[0]], scale[rows[0]]
        rest = y[rows[0]] * weight
        rest -= rest @ known.T @ known
        own = out[..., rows, :] * weight
        own -= own @ known.T @ known
        sizes, axes = np.linalg.eigh(own @ own.swapaxes(-1, -2))
        # Not relative to the largest: where the known rows explain all there is rounding alone.
        told = sizes > _TIE * np.square(weight).sum()
        inverse = np.divide(1, sizes, out=np.zeros_like(sizes), where=told)
        along = np.einsum("...ji,...j->...i", axes, own @ rest) * inverse
        effects[..., rows] = np.einsum("...ij,...j->...i", axes, along)
    return effects


def _basis(given: Sequence[np.ndarray], scale: np.ndarray) -> np.ndarray:
    """Return orthonormal rows that span each unit's mean and given assignments, scaled.

    Rows that are not needed are zero.
    """
    n_models = scale.shape[1]
    basis = np.zeros((len(given), 1 + max(map(len, given)), n_models))
    for unit, others in enumerate(given):
        design = np.vstack([np.ones(n_models), others]) * scale[unit]
        _, size, rows = np.linalg.svd(design, full_matrices=False)
        kept = rows[size > _TIE * size[0]]
        basis[unit, : len(kept)] = kept
    return basis


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


def exact_test(y: np.ndarray, out: np.ndarray, confidence: float = 0.95) -> Inference:
    """Test one unit on one query against all balanced halves of the models.

    Parameters
    ----------
    y, out : ndarray, shape (models,)
        Outcome, and whether the unit was out. The smallest p is 1 / C(M, M/2): 1/252 with 10
        models, 1/6 with 4.
    """
    return randomisation_test(y[None], out[None], every_half(len(y)), confidence=confidence)


def with_observed(out: np.ndarray, redrawn: np.ndarray) -> np.ndarray:
    """Put the observed assignment before the re-drawn ones: the + 1 of Phipson and Smyth."""
    return np.concatenate([out[None], redrawn])


def randomisation_test(
    y: np.ndarray,
    out: np.ndarray,
    null: np.ndarray,
    weights: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    given: Sequence[np.ndarray] | None = None,
    scale: np.ndarray | None = None,
    joint: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Inference:
    """Test a weighted sum of unit effects by re-drawing the assignment.

    The statistic is T = Σᵤ wᵤ (mean of yᵤ out − mean of yᵤ in) and
    p = #{T* ≥ T} / #{T*} over the assignments in ``null``, the observed one among them: exact where
    ``null`` holds all assignments, and equal to (1 + #{T* ≥ T}) / (1 + draws) where it holds the
    observed one and re-drawn ones.

    The interval is of θ in the model of a constant additive effect, y = y₀ + θ · shift. For each θ
    the statistic of y − θ · shift is tested; it is linear in θ, a_d − θ b_d for draw d, so draw d
    joins the tail at one value of θ and the limits are order statistics of these values: the
    inversion needs no search. Both tails get half of 1 − confidence.

    Parameters
    ----------
    y : ndarray, shape (units, models)
        Outcome of each unit's query in each model.
    out : ndarray of bool, shape (units, models)
        The assignment that was used, each unit out in half of the models.
    null : ndarray of bool, shape (draws, units, models)
        Assignments by the same mechanism, **including the observed one**.
    weights : ndarray, shape (units,), optional
        wᵤ; the mean if left out.
    shift : ndarray, shape (units, models), optional
        What one unit of θ adds to ``y``; ``out`` if left out.
    given : sequence of ndarray of bool, each of shape (others, models), optional
        Assignments of other units that move the same query, drawn independently of ``out``. Every
        statistic, drawn or observed, is adjusted for them in the same way, so that the test stays
        exact; it only loses noise (Rosenbaum 2002, Covariance adjustment in randomized
        experiments and observational studies).
    scale : ndarray, shape (units, models), optional
        As for `unit_effects`. The test stays exact as long as re-drawing ``out`` would not have
        changed it; the interval takes it as given.
    joint : ndarray of int, shape (units,), optional
        As for `unit_effects`.

    Returns
    -------
    Inference
    """
    if weights is None:
        weights = np.full(len(y), 1 / len(y))
    shift = out if shift is None else shift
    estimate = unit_effects(y, out, given, scale, joint) @ weights
    drawn = unit_effects(y, null, given, scale, joint) @ weights
    moved = shift.astype(np.float64)
    of_shift = unit_effects(moved, out, given, scale, joint)
    known = float(of_shift @ weights)
    if joint is None:
        known = _known_share(out, weights, given, scale)
    if known <= _TIE:
        return Inference(math.nan, -math.inf, math.inf, math.nan, math.nan, math.nan)
    slope = (of_shift - unit_effects(moved, null, given, scale, joint)) @ weights
    return _inverted(float(estimate), drawn, slope, known, (1 - confidence) / 2)


def _known_share(
    out: np.ndarray,
    weights: np.ndarray,
    given: Sequence[np.ndarray] | None,
    scale: np.ndarray | None,
) -> float:
    """Return the weight of the units whose effect can be told from those of the given ones.

    With few models a control's half is now and then that of its prompt's own set, or the other
    half (2 of 70 with 8 models). The test is exact all the same, such a unit being a zero in every
    statistic; an average that counted the zero as an effect would be too small.
    """
    if given is None or not any(map(len, given)):
        return 1.0
    told = unit_effects(out.astype(np.float64), out, given, scale)
    return float(told @ weights / weights.sum())


def slope_test(
    y: np.ndarray, x: np.ndarray, null: np.ndarray, confidence: float = 0.95
) -> Inference:
    """Test the slope of an outcome on an amount that the assignment decides.

    The statistic is the correlation but for y's own spread, Σ xₘ yₘ / |x| with x centred, so that
    no assignment counts for more because its amounts spread more. The interval inverts it under
    y = y₀ + θ · x: for draw d it is linear in θ with the slope |x| − x·x_d / |x_d|, never negative.

    Parameters
    ----------
    y : ndarray, shape (models,)
        Outcome.
    x : ndarray, shape (models,)
        Amount, such as the number of sets that a model lacks; not the same in all models.
    null : ndarray, shape (draws, models)
        Amounts under assignments by the same mechanism, **including the observed one**.

    Returns
    -------
    Inference
        Of the least-squares slope, in units of y for one of x.
    """
    length = float(np.linalg.norm(x - x.mean()))
    drawn_x = null - null.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(drawn_x, axis=1, keepdims=True)
    unit = np.divide(drawn_x, lengths, out=np.zeros_like(drawn_x), where=lengths > _TIE)
    centred = (x - x.mean()) / length
    return _inverted(
        estimate=float(centred @ (y - y.mean())),
        drawn=unit @ (y - y.mean()),
        slope=length * (1 - unit @ centred),
        scale=length,
        tail=(1 - confidence) / 2,
    )


def _inverted(
    estimate: float, drawn: np.ndarray, slope: np.ndarray, scale: float, tail: float
) -> Inference:
    """Compare a statistic with its drawn values; ``slope`` is how each gap to it moves with θ.

    ``scale`` divides the statistic to give θ.
    """
    gap = drawn - estimate
    tie = _TIE * max(np.abs(drawn).max(), abs(estimate))
    gap[np.abs(gap) <= tie] = 0.0
    slope[np.abs(slope) <= _TIE] = 0.0
    return Inference(
        estimate=estimate / scale,
        low=_lower_limit(gap, slope, tail),
        high=-_lower_limit(-gap, slope, tail),
        p_value=float(np.mean(gap >= 0)),
        two_sided_p=float(np.mean(np.abs(drawn) >= abs(estimate) - tie)),
        null_sd=float(drawn.std()) / scale,
    )


def _lower_limit(gap: np.ndarray, slope: np.ndarray, tail: float) -> float:
    """Return the smallest θ at which the share of draws with gap + θ · slope ≥ 0 exceeds tail."""
    fixed, moving = slope == 0, slope != 0
    always = np.count_nonzero(gap[fixed] >= 0)
    # As θ falls without end the draws of negative slope (there are some only where several units
    # share a query) are in the tail, and the others are not.
    count = always + np.count_nonzero(slope < 0)
    needed = math.floor(tail * len(gap) + 1e-9) + 1
    if count >= needed:
        return -math.inf
    joins = -gap[moving] / slope[moving]
    order = np.argsort(joins, kind="stable")
    counts = count + np.cumsum(np.sign(slope[moving][order]))
    reached = np.flatnonzero(counts >= needed)
    return float(joins[order][reached[0]]) if len(reached) else math.inf


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values adjusted for testing several hypotheses at once (Holm 1979).

    Parameters
    ----------
    p_values : array-like, shape (n,)
        NaN stays NaN and is not counted.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted
