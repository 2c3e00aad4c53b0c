"""Designs: which model is trained without which forget sets.

The randomised removal trial treats each forget set as a unit of an experiment. Every unit is out in
half of the models, drawn at random, so that one bank of models measures all units at once and
re-drawing the assignment gives an exact test (Fisher 1935, The Design of Experiments).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import rng

SAMPLER = "A"
"""The model that draws the queries; effects are measured between other models."""
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
        Added to the bank's training seed, one a model; all different where models are not paired.
    is_random : bool
        Whether the halves were drawn at random, so that they can be drawn again.
    """

    unit_ids: tuple[str, ...]
    model_ids: tuple[str, ...]
    out: np.ndarray
    seed_offsets: tuple[int, ...]
    is_random: bool = False


def units_of(forget_sets: pd.DataFrame) -> pd.DataFrame:
    """Return forget_set_id, arm, prompt_id, draw, k and size (images) of each forget set.

    One row a set; a set that stands for several prompts together has a row for each of them.

    Parameters
    ----------
    forget_sets : DataFrame
        One row an image, as `untrain.counterfactual.forget_sets.build_forget_sets` makes it.
    """
    sizes = forget_sets["forget_set_id"].value_counts()
    units = forget_sets[UNIT_COLUMNS].drop_duplicates(["forget_set_id", "prompt_id"])
    return units.assign(size=units["forget_set_id"].map(sizes).astype(int)).reset_index(drop=True)


def by_row(units: pd.DataFrame, assignment: Assignment) -> pd.DataFrame:
    """Return units in the order of an assignment, the index being their row of it.

    A unit that stands for several prompts together has a row of the table for each, under the
    same index.
    """
    ordered = units.set_index("forget_set_id").loc[list(assignment.unit_ids)].reset_index()
    row = {unit: number for number, unit in enumerate(assignment.unit_ids)}
    return ordered.set_index(pd.Index(ordered["forget_set_id"].map(row)))


def randomised(units: pd.DataFrame, n_models: int, seed: int, paired: bool = True) -> Assignment:
    """Draw the assignment of a randomised removal trial.

    Every unit is out in a uniformly random half of the models, each unit's half drawn on its own.

    Models are *not* balanced further, say so that each lacks half of an arm's units. That would
    cancel what is common to a model from an arm's mean effect, but also what a removal costs by
    itself, whichever images are removed: the random arm would read zero by construction, and a
    control that cannot fail is none.

    Parameters
    ----------
    units : DataFrame
        With their forget_set_id, as `units_of` returns them.
    n_models : int
        M, even and at least 4. The smallest p of a single query is 1 / C(M, M/2).
    seed : int
        Seed of the assignment.
    paired : bool
        Whether models share a training seed. If not, each has one of its own. Seeds are dealt to
        models in order and the assignment is drawn without regard to them, so that the test is as
        exact as with pairs; what the seeds do is noise that pairs would not have.

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
    ids = tuple(dict.fromkeys(units["forget_set_id"]))
    return Assignment(
        unit_ids=ids,
        model_ids=tuple(f"B{m:02d}" for m in range(n_models)),
        out=_halves((len(ids), n_models), rng("assignment", seed)),
        seed_offsets=(0,) * n_models if paired else tuple(range(n_models)),
        is_random=True,
    )


def refuse_repeated_models(assignment: Assignment) -> None:
    """Raise `InputError` if two models of one seed are trained without the same images.

    These would be one and the same model, and counting it twice would be no evidence. It happens
    where there are few units.
    """
    n_models = len(assignment.model_ids)
    recipes = np.vstack([assignment.seed_offsets, assignment.out])
    different = np.unique(recipes, axis=1).shape[1]
    if different < n_models:
        raise InputError(
            f"with {len(assignment.unit_ids)} forget sets only {different} of {n_models} models "
            "would differ, and one model counted twice is no evidence. "
            f"{enough_units(n_models)} sets are nearly always enough: raise removal.draws so that "
            "more random sets are taken out, add prompts or arms, or give each model a seed of "
            "its own (design.paired: false), which costs power"
        )


def enough_units(n_models: int, risk: float = 0.05) -> int:
    """Return with how many units all of M models differ but for a probability below ``risk``.

    Two models agree on a unit with probability (M/2 − 1) / (M − 1); Bonferroni over the pairs.
    """
    pairs, agree = math.comb(n_models, 2), (n_models / 2 - 1) / (n_models - 1)
    return math.ceil(math.log(risk / pairs) / math.log(agree))


def redraw(assignment: Assignment, generator: np.random.Generator, n: int) -> np.ndarray:
    """Draw n assignments afresh by the mechanism of `randomised`.

    Returns
    -------
    ndarray of bool, shape (n, units, models)
    """
    if not assignment.is_random:
        raise ValueError("only a randomised assignment can be drawn again")
    return _halves((n, *assignment.out.shape), generator)


def _halves(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return bool of ``shape`` with a uniformly random half of each last axis True."""
    order = np.argsort(generator.random(shape), axis=-1)
    out = np.zeros(shape, bool)
    np.put_along_axis(out, order[..., : shape[-1] // 2], True, axis=-1)
    return out


def before_after(units: pd.DataFrame, paired: bool = True) -> Assignment:
    """Return the study's own design: everything targeted out at once, with the controls it lacked.

    Models: ``full`` (nothing out), ``targeted`` (all targeted units out), ``random`` (the first
    draw of all random_uniform units out, so that as much is out as in ``targeted``) and ``reseed``
    (nothing out, another training seed). Where they are not ``paired`` all four have a seed of
    their own.

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
    units = units.drop_duplicates("forget_set_id")
    first = units["draw"] == 0 if "draw" in units else pd.Series(True, index=units.index)
    nothing = np.zeros(len(units), bool)
    targeted = (units["arm"] == "targeted").to_numpy()
    random = ((units["arm"] == "random_uniform") & first).to_numpy()
    return Assignment(
        unit_ids=tuple(units["forget_set_id"]),
        model_ids=("full", "targeted", "random", "reseed"),
        out=np.stack([nothing, targeted, random, nothing], axis=1),
        seed_offsets=(0, 0, 0, 1) if paired else (0, 1, 2, 3),
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
