"""What each group of training images is worth to a model: Shapley and Banzhaf values.

A game (in the sense of cooperative games) has groups of images as its players. The worth v(S) of a
set S of groups is minus the measure of a query in a model trained on them, so that what a group
adds is positive. The values of a bank of models that whole groups have left at several shares:

- **Shapley**, by regression (KernelSHAP; Lundberg & Lee 2017, Covert & Lee 2021): weighted least
  squares under the constraint that all values sum to v(everything) − v(nothing).
- **Shapley**, by Owen's integral (1972) ∫₀¹ E[v(S_p ∪ i) − v(S_p)] dp: a second estimate of the
  same, in closed form over p, as ∫ binomial(s; n − 1, p) dp = 1/n for each size s of S_p.
- **Banzhaf**, by maximum sample reuse (Wang & Jia 2023, arXiv 2205.15466): the mean worth of the
  sets with a group minus that of those without, over sets in which each group is by chance ½.
  These values do not sum to anything; what is left over is the remainder.

Sets of one size are equally likely whatever the shares that they were drawn at, so models count by
size: the weight of a size in a value is divided among its models. That is importance weighting
after stratification by size, and each model serves every value.

What is learnt often grows ever more slowly with the number of groups, whichever they are. Such a
trend is no group's doing: functions of the size that are zero for nothing and for everything add
nothing to any Shapley value. So the regression has a curve over the size beside the groups, which
takes variance away and changes no expectation. Owen's and Banzhaf's means are of the residuals of
this regression (control variates), for the same reason; everything and nothing are known, and so
have residuals of zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
from scipy.stats import binom

from untrain.core.errors import InputError
from untrain.evaluation.lds import Estimate

LEAST_OF_A_SIZE = 4  # models; rarer sizes are pooled with their neighbours
PER_GROUP = 3  # models that a group takes, at least
NEARLY_FULL = 0.9  # by which chance each other group is there where almost all are


def least_models(groups: int) -> int:
    """Return how many models with some groups and without others the values of groups take.

    Three times as many as groups (models come in complementary pairs, of which there should be more
    than groups); all the 2ⁿ − 2 that there are, where those are fewer.
    """
    return min(PER_GROUP * groups, 2**groups - 2)


@dataclass(frozen=True, eq=False)
class Game:
    """Models that whole groups have left, and the worth of each to each query.

    Parameters
    ----------
    kept : ndarray of bool, shape (models, groups)
        True where the model was trained on the group. No row comes twice or is all or none.
    worth : ndarray of float, shape (models, queries)
        Higher is better.
    full, empty : ndarray of float, shape (queries,)
        Worth of the model trained on everything, and of nothing.

    Raises
    ------
    InputError
        There are fewer models than `least_models`, or they cannot tell the groups apart.
    """

    kept: np.ndarray
    worth: np.ndarray
    full: np.ndarray
    empty: np.ndarray

    def __post_init__(self) -> None:
        models, groups = self.kept.shape
        if self.kept.dtype != bool or self.worth.shape != (models, len(self.full)):
            raise ValueError(f"kept {self.kept.shape} and worth {self.worth.shape} do not fit")
        if groups < 2:
            raise InputError("there is only one group: all of what was learnt is its share")
        if models < least_models(groups):
            raise InputError(
                f"{models} models say too little about {groups} groups: at least "
                f"{least_models(groups)} are needed ({PER_GROUP} × groups, or all 2ⁿ − 2)"
            )
        if np.linalg.matrix_rank(self._contrasts) < groups - 1:
            raise InputError(
                f"the {models} models cannot tell all {groups} groups apart, because some of them "
                "always left together: train more models"
            )

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many groups each model has, int (models,)."""
        return self.kept.sum(axis=1)

    @cached_property
    def bins(self) -> np.ndarray:
        """Which sizes are pooled: a number a size, int (groups + 1,); −1 of none and of all.

        A size stands by itself where it has enough models, or all that there are of it.
        """
        groups = self.kept.shape[1]
        counts = np.bincount(self.sizes, minlength=groups + 1)
        bins, number, found, whole = np.full(groups + 1, -1), 0, 0, True
        for size in range(1, groups):
            bins[size] = number
            found += counts[size]
            whole &= bool(counts[size] == comb(groups, size))
            if found >= LEAST_OF_A_SIZE or whole:
                number, found, whole = number + 1, 0, True
        if found < LEAST_OF_A_SIZE and not whole and number:
            bins[bins == number] = number - 1  # too few remain for a bin of their own
        return bins

    @cached_property
    def units(self) -> list[np.ndarray]:
        """Rows that the jackknife leaves out together: a model and that of the other groups."""
        where = {row.tobytes(): i for i, row in enumerate(self.kept)}
        partner = [where.get((~row).tobytes(), i) for i, row in enumerate(self.kept)]
        return [np.unique([i, j]) for i, j in enumerate(partner) if i <= j]

    @cached_property
    def _contrasts(self) -> np.ndarray:
        """The groups less the last one, (models, groups − 1): the constraint put in."""
        x = self.kept.astype(np.float64)
        return x[:, :-1] - x[:, -1:]

    def weights(self, mass: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Return the weight of each model, (models,), given that of each size, (groups + 1,)."""
        of_model = self.bins[self.sizes]
        total = np.bincount(self.bins[1:-1], mass[1:-1], minlength=self.bins.max() + 1)
        counts = np.bincount(of_model[used], minlength=len(total))
        return np.where(used, total[of_model] / np.maximum(counts, 1)[of_model], 0.0)

    @cached_property
    def trends(self) -> np.ndarray:
        """Curves over the size, zero at both ends, (groups + 1, 2): how much, and where most."""
        part = np.linspace(0, 1, self.kept.shape[1] + 1)
        return (part * (1 - part))[:, None] * np.stack([np.ones_like(part), 1 - 2 * part], axis=1)

    def fit(self, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fit values and a trend by constrained weighted least squares.

        Returns
        -------
        ndarray of float, shape (groups, queries)
            Shapley values.
        ndarray of float, shape (groups + 1, queries)
            The trend over the number of groups.
        """
        groups = self.kept.shape[1]
        size = np.arange(1, groups)
        mass = np.zeros(groups + 1)
        mass[1:-1] = (groups - 1) / (size * (groups - size))  # Shapley's kernel, over a size
        root = np.sqrt(self.weights(mass, used))[:, None]
        gained = self.full - self.empty
        y = self.worth - self.empty - self.kept[:, -1:] * gained
        x = np.hstack([self._contrasts, self.trends[self.sizes]])
        found = np.linalg.lstsq(root * x, root * y, rcond=None)[0]
        first, curve = found[: groups - 1], self.trends @ found[groups - 1 :]
        return np.vstack([first, gained - first.sum(axis=0)]), curve

    def semivalue(
        self, mass: np.ndarray, fitted: tuple[np.ndarray, np.ndarray], used: np.ndarray
    ) -> np.ndarray:
        """Return the values that weigh what a group adds by how many others are there.

        Semivalues (Dubey, Neyman & Weber 1981): Σ over s of mass(s) times the mean of
        v(S ∪ i) − v(S) over the sets S of s other groups.

        Parameters
        ----------
        mass : ndarray of float, shape (groups,)
            Weights of 0 … groups − 1 other groups; they sum to 1.
        fitted : pair of ndarray
            Values and trend by `fit`, whose residuals are averaged.
        used : ndarray of bool, shape (models,)

        Returns
        -------
        ndarray of float, shape (groups, queries)
        """
        first, curve = fitted
        rest = self.worth - self.empty - self.kept @ first - curve[self.sizes]
        of_model, found = self.bins[self.sizes], first + mass @ np.diff(curve, axis=0)
        for number in range(self.bins.max() + 1):
            rows = used & (of_model == number)
            sizes = np.flatnonzero(self.bins == number)
            inside = self.kept[rows].astype(np.float64)
            found += mass[sizes - 1].sum() * _mean(inside, rest[rows])
            found -= mass[sizes].sum() * _mean(1 - inside, rest[rows])
        return found


def _mean(taken: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return the mean residual of the rows that each column takes; 0 where it takes none."""
    return (taken.T @ rest) / np.maximum(taken.sum(axis=0), 1)[:, None]


@dataclass(frozen=True, eq=False)
class Values:
    """The values of one kind of every group.

    Attributes
    ----------
    by_query : ndarray of float, shape (groups, queries)
    without : ndarray of float, shape (units, groups, queries)
        The same with a model, or a pair of complementary models, left out.
    """

    by_query: np.ndarray
    without: np.ndarray

    def of(self, group: int, queries: np.ndarray, fixed: bool = False) -> Estimate:
        """Return the value of a group to some queries, the mean over them.

        Its interval is over models and queries, or with ``fixed`` over models only: about these
        very queries, not about others of their kind.
        """
        found, without = self.by_query[group, queries], self.without[:, group][:, queries]
        if fixed:
            found, without = found.mean(keepdims=True), without.mean(axis=1, keepdims=True)
        return Estimate(found, without)


def group_values(game: Game) -> dict[str, Values]:
    """Return every value of every group.

    Returns
    -------
    dict of str to Values
        ``shapley`` (by regression), ``owen`` (Shapley by Owen's integral), ``banzhaf``, and
        ``last``: what a group adds where each other group is there by chance `NEARLY_FULL`, near
        to what is lost if it is the only one to leave.
    """
    groups = game.kept.shape[1]
    others = np.arange(groups)
    masses = {
        "owen": np.full(groups, 1 / groups),
        "banzhaf": binom.pmf(others, groups - 1, 0.5),
        "last": binom.pmf(others, groups - 1, NEARLY_FULL),
    }
    everything = np.ones(len(game.kept), bool)
    left_out = []
    for rows in game.units:
        used = everything.copy()
        used[rows] = False
        left_out.append(_all(game, masses, used))
    found = _all(game, masses, everything)
    return {
        name: Values(found[name], np.stack([each[name] for each in left_out])) for name in found
    }


def _all(game: Game, masses: dict[str, np.ndarray], used: np.ndarray) -> dict[str, np.ndarray]:
    fitted = game.fit(used)
    return {
        "shapley": fitted[0],
        **{name: game.semivalue(mass, fitted, used) for name, mass in masses.items()},
    }
