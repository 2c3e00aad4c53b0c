"""Effects of forget sets by least squares, for balanced assignments, many of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TIE = 1e-9  # relative; the order of summation must not turn a tie into a difference


@dataclass(frozen=True, eq=False)
class Adjustment:
    """What is adjusted for in outcomes and assignments before an effect is estimated.

    Attributes
    ----------
    given : tuple of ndarray of bool, each of shape (others, models)
        For each tested set the assignments of other sets that affect the same query; may have no
        rows. Empty: there is no adjustment.
    together : ndarray of int, shape (sets,), optional
        Tested sets with the same number affect the same query and are fitted together, each
        adjusted for the others; they share the outcome and the given assignments.
    """

    given: tuple[np.ndarray, ...] = ()
    together: np.ndarray | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is adjusted for."""
        return self.together is None and not any(len(others) for others in self.given)

    def basis(self, n_sets: int, n_models: int) -> np.ndarray:
        """Return orthonormal rows spanning each set's mean and given assignments.

        Returns
        -------
        ndarray of float64, shape (sets, rows, models)
            Rows that are not needed are zero.
        """
        given = self.given or (np.zeros((0, n_models)),) * n_sets
        basis = np.zeros((n_sets, 1 + max(map(len, given)), n_models))
        for row, others in enumerate(given):
            _, size, axes = np.linalg.svd(
                np.vstack([np.ones(n_models), others]), full_matrices=False
            )
            kept = axes[size > TIE * size[0]]
            basis[row, : len(kept)] = kept
        return basis


NOTHING_GIVEN = Adjustment()


def set_effects(
    y: np.ndarray, out: np.ndarray, adjustment: Adjustment = NOTHING_GIVEN
) -> np.ndarray:
    """Return mean outcome without minus mean outcome with, for balanced assignments.

    With an adjustment it is the coefficient of ``out`` in the least-squares fit on ``out`` and the
    given ones: what else is known to affect a query is projected out of both (Frisch and Waugh
    1933). An assignment that the given ones determine cannot be separated from them: it gets zero.

    Parameters
    ----------
    y : ndarray, shape (sets, models)
        Outcome of each set's query in each model.
    out : ndarray of bool, shape (..., sets, models)
        True in exactly half of the models.
    adjustment : Adjustment

    Returns
    -------
    ndarray of float64, shape (..., sets)
    """
    centred = y - y.mean(axis=1, keepdims=True)  # changes only the rounding
    if adjustment.is_empty:
        sums = np.einsum("...um,um->...u", out.astype(np.float64), centred)
        return sums * (4 / y.shape[1])  # the sum with is minus the sum without
    known = adjustment.basis(*y.shape)
    if adjustment.together is not None:
        return _fitted_together(centred, out, known, adjustment.together)
    rest = centred - np.einsum("uc,ucm->um", np.einsum("um,ucm->uc", centred, known), known)
    whole = out.astype(np.float64)
    sums = np.einsum("...um,um->...u", whole, rest)
    explained = np.einsum("...um,ucm->...uc", whole, known)
    own = whole.sum(-1) - np.square(explained).sum(-1)
    return np.divide(sums, own, out=np.zeros_like(sums), where=own > TIE)


def _fitted_together(
    y: np.ndarray, out: np.ndarray, basis: np.ndarray, together: np.ndarray
) -> np.ndarray:
    """Return the coefficients of the fits of `set_effects`, one fit for each number.

    An effect that the assignments of one fit cannot separate is split evenly among them.
    """
    effects = np.zeros(out.shape[:-1])
    for number in np.unique(together):
        rows = np.flatnonzero(together == number)
        known = basis[rows[0]]
        rest = y[rows[0]] - y[rows[0]] @ known.T @ known
        own = out[..., rows, :].astype(np.float64)
        own -= own @ known.T @ known
        sizes, axes = np.linalg.eigh(own @ own.swapaxes(-1, -2))
        # Not relative to the largest: where the known rows explain everything, only rounding is
        # left.
        told = sizes > TIE * y.shape[1]
        inverse = np.divide(1, sizes, out=np.zeros_like(sizes), where=told)
        along = np.einsum("...ji,...j->...i", axes, own @ rest) * inverse
        effects[..., rows] = np.einsum("...ij,...j->...i", axes, along)
    return effects
