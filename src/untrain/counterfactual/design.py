"""Designs: which model is trained without which forget sets.

The randomised removal trial treats each forget set as a unit of an experiment. Every unit is out in
half of the models, drawn at random, so that one bank of models measures all units at once and
re-drawing the assignment gives an exact test (Fisher 1935, The Design of Experiments).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.errors import InputError, did_you_mean
from untrain.files import rng

UNIT_COLUMNS = ["forget_set_id", "arm", "prompt_id", "draw", "k"]


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which forget sets each model of a bank is trained without.

    Attributes
    ----------
    unit_ids : tuple of str
        The forget sets, one a row of ``out``.
    model_ids : tuple of str
        The models, one a column of ``out``.
    out : ndarray of bool, shape (units, models)
        True where the model is trained without the unit.
    seed_offsets : tuple of int
        Added to the bank's training seed, one a model; 0 wherever models are paired.
    pairs : tuple of (str, str)
        Units that were paired, the second out exactly where the first is in; a unit that was left
        over stands with "". Empty where nothing was randomised.
    groups : tuple of tuple of int
        Rows within which units were paired; what `redraw` draws again.
    """

    unit_ids: tuple[str, ...]
    model_ids: tuple[str, ...]
    out: np.ndarray
    seed_offsets: tuple[int, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()


def units_of(forget_sets: pd.DataFrame) -> pd.DataFrame:
    """Return one row a forget set: forget_set_id, arm, prompt_id, draw, k and its size in images.

    Parameters
    ----------
    forget_sets : DataFrame
        One row an image, as `untrain.counterfactual.forget_sets.build_forget_sets` makes it.
    """
    sizes = forget_sets["forget_set_id"].value_counts()
    units = forget_sets[UNIT_COLUMNS].drop_duplicates("forget_set_id").reset_index(drop=True)
    return units.assign(size=units["forget_set_id"].map(sizes).astype(int))


def randomised(units: pd.DataFrame, n_models: int, seed: int) -> Assignment:
    """Draw the assignment of a randomised removal trial.

    Within each arm, size k and draw, units are paired at random. The first of a pair is out in a
    uniformly random half of the models, the second in the other half; a unit that is left over
    gets a random half of its own. So each unit is out in exactly M/2 models and, within an arm of
    an even number of units, each model lacks half of them: what is common to a model (its luck, how
    much data it lacks) cancels from the arm's mean effect.

    Two draws of one prompt are never paired: they answer for the same query, and the effects of
    complements on one query cancel identically. A paired unit's effect on its own query is measured
    against its partner's, which is harmless as long as the partner's removal does nothing to this
    query, and lowers the estimate if it hurts the query too.

    Parameters
    ----------
    units : DataFrame
        One row a unit: forget_set_id, arm, prompt_id, k and, where there are several, draw.
    n_models : int
        M, even and at least 4. The smallest p of a single query is 1 / C(M, M/2).
    seed : int
        Seed of the assignment.

    Raises
    ------
    InputError
        If M is odd or below 4, or there are no units.
    """
    if n_models < 4 or n_models % 2:
        raise InputError(
            f"a randomised trial over {n_models} models: the number must be even and at least 4, "
            "so that each forget set is out in exactly half of them; 10 is a good start"
        )
    if units.empty:
        raise InputError("a randomised trial needs forget sets, there are none; add an arm")
    ids = tuple(units["forget_set_id"])
    if len(set(ids)) < len(ids):
        raise InputError("units must have one row each: a forget_set_id occurs more than once")
    keys = ["arm", "k", "draw"] if "draw" in units else ["arm", "k"]
    positions = units.reset_index(drop=True).groupby(keys, sort=True).indices
    groups = tuple(tuple(int(row) for row in rows) for rows in positions.values())

    generator = rng("assignment", seed)
    out = np.empty((len(ids), n_models), bool)
    pairs: list[tuple[str, str]] = []
    for rows in groups:
        drawn, order = _draw_group(len(rows), n_models, generator, 1)
        out[list(rows)] = drawn[0]
        dealt = [ids[rows[i]] for i in order[0]] + [""]
        pairs += [(dealt[i], dealt[i + 1]) for i in range(0, len(rows), 2)]
    return Assignment(
        unit_ids=ids,
        model_ids=tuple(f"B{m:02d}" for m in range(n_models)),
        out=out,
        seed_offsets=(0,) * n_models,
        pairs=tuple(pairs),
        groups=groups,
    )


def redraw(assignment: Assignment, generator: np.random.Generator, n: int) -> np.ndarray:
    """Draw n assignments afresh by the mechanism of `randomised`, the pairing included.

    Returns
    -------
    ndarray of bool, shape (n, units, models)
    """
    if not assignment.groups:
        raise ValueError("only a randomised assignment can be drawn again")
    n_models = len(assignment.model_ids)
    out = np.empty((n, len(assignment.unit_ids), n_models), bool)
    for rows in assignment.groups:
        out[:, list(rows)] = _draw_group(len(rows), n_models, generator, n)[0]
    return out


def _draw_group(
    n_units: int, n_models: int, generator: np.random.Generator, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pair the units of a group and deal halves; (n, units, models) bool and the pairing order."""
    order = np.argsort(generator.random((n, n_units)), axis=1)
    halves = np.argsort(generator.random((n, (n_units + 1) // 2, n_models)), axis=2) < n_models // 2
    dealt = np.empty((n, n_units, n_models), bool)
    dealt[:, 0::2] = halves
    dealt[:, 1::2] = ~halves[:, : n_units // 2]
    out = np.empty_like(dealt)
    np.put_along_axis(out, order[:, :, None], dealt, axis=1)
    return out, order


def before_after(units: pd.DataFrame) -> Assignment:
    """Return the study's own design: everything targeted out at once, with the controls it lacked.

    Models: ``full`` (nothing out), ``targeted`` (all targeted units out), ``random`` (the first
    draw of all random_uniform units out, so that as much is out as in ``targeted``) and ``reseed``
    (nothing out, another training seed).

    Raises
    ------
    InputError
        If there are no targeted or no random_uniform units.
    """
    for arm in ("targeted", "random_uniform"):
        if not (units["arm"] == arm).any():
            raise InputError(
                f"the before-after design needs the arm {arm}, the forget sets have "
                f"{', '.join(sorted(units['arm'].unique())) or 'none'}; add {arm} to the arms"
            )
    first = units["draw"] == 0 if "draw" in units else pd.Series(True, index=units.index)
    nothing = np.zeros(len(units), bool)
    targeted = (units["arm"] == "targeted").to_numpy()
    random = ((units["arm"] == "random_uniform") & first).to_numpy()
    return Assignment(
        unit_ids=tuple(units["forget_set_id"]),
        model_ids=("full", "targeted", "random", "reseed"),
        out=np.stack([nothing, targeted, random, nothing], axis=1),
        seed_offsets=(0, 0, 0, 1),
    )


def removals(assignment: Assignment) -> pd.DataFrame:
    """Return the assignment as a table: one row (model_id, forget_set_id) for each removal."""
    models, units = np.nonzero(assignment.out.T)
    return pd.DataFrame(
        {
            "model_id": [assignment.model_ids[m] for m in models],
            "forget_set_id": [assignment.unit_ids[u] for u in units],
        },
        dtype=object,
    )


def removed_ids(assignment: Assignment, forget_sets: pd.DataFrame, model_id: str) -> list[str]:
    """Return the ids of all images that a model is trained without, sorted."""
    if model_id not in assignment.model_ids:
        raise InputError(
            f"unknown model '{model_id}'{did_you_mean(model_id, assignment.model_ids)}"
        )
    column = assignment.out[:, assignment.model_ids.index(model_id)]
    out = {unit for unit, is_out in zip(assignment.unit_ids, column, strict=True) if is_out}
    return sorted(set(forget_sets.loc[forget_sets["forget_set_id"].isin(out), "image_id"]))
