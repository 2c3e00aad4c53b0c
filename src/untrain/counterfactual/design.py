"""Designs: which model is trained without which forget sets.

In the randomised removal trial every forget set is left out of a random half of the models. One
group of models thus measures all sets at once, and re-drawing the assignment gives an exact test
(Fisher 1935, The Design of Experiments).

There are two tables of forget sets: the *images*, one row per image
(`untrain.core.tables.FORGET_SETS`), and the *sets*, one row per set and prompt
(`forget_set_table`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import rng
from untrain.core.tables import REMOVALS
from untrain.core.vocabulary import Arm, Baseline


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which forget sets each model is trained without.

    Attributes
    ----------
    forget_set_ids : tuple of str
        The forget sets, one per row of ``out``.
    model_ids : tuple of str
        The models, one per column of ``out``.
    out : ndarray of bool, shape (sets, models)
        True where the model is trained without the set.
    seed_offsets : tuple of int
        Added to the training seed, one per model; all different where models are not paired.
    is_random : bool
        Whether the halves were drawn at random, so that they can be re-drawn.
    """

    forget_set_ids: tuple[str, ...]
    model_ids: tuple[str, ...]
    out: np.ndarray
    seed_offsets: tuple[int, ...]
    is_random: bool = False


def forget_set_table(images: pd.DataFrame) -> pd.DataFrame:
    """Return which forget sets the sets of each arm, prompt and size are made of.

    One row per set; a set of several prompts together has one for each of them, and one that
    several rankings share has one for each arm and size that has images in it.

    Parameters
    ----------
    images : DataFrame
        One row per image, as `untrain.counterfactual.forget_sets.build_forget_sets` makes it.

    Returns
    -------
    DataFrame
        forget_set_id, arm, prompt_id, draw, k; ``size``, the images of the forget set; ``images``,
        how many of them are of this arm, prompt and size; ``share``, how many of it are of this arm
        and size, 0 to 1.
    """
    of_set = images.groupby("forget_set_id")["image_id"].nunique()
    columns = ["forget_set_id", "arm", "prompt_id", "draw", "k"]
    counts = images.groupby(columns, sort=False, dropna=False)["image_id"].nunique()
    sets = counts.rename("images").reset_index()
    size = sets["forget_set_id"].map(of_set).astype(int)
    of_arm = sets.groupby(["forget_set_id", "arm", "draw", "k"])["images"].transform("sum")
    return sets.assign(size=size, share=of_arm / size)


def aligned(sets: pd.DataFrame, assignment: Assignment) -> pd.DataFrame:
    """Return forget sets in the order of an assignment; the index is their row in it.

    A set of several prompts together has a row for each, under the same index.
    """
    ordered = sets.set_index("forget_set_id").loc[list(assignment.forget_set_ids)].reset_index()
    row = {set_id: number for number, set_id in enumerate(assignment.forget_set_ids)}
    return ordered.set_index(pd.Index(ordered["forget_set_id"].map(row)))


def randomised(sets: pd.DataFrame, n_models: int, seed: int, paired: bool = True) -> Assignment:
    """Draw the assignment of a randomised removal trial.

    Every set is left out of a uniformly random half of the models; halves are independent.

    Models are *not* balanced further, for example so that each is trained without half of an arm's
    sets. That would cancel what is common to a model from an arm's mean effect, but also what any
    removal costs, whichever images are removed: the random arm would be zero by construction, and
    a control that cannot fail is no control.

    Parameters
    ----------
    sets : DataFrame
        With their forget_set_id, as `forget_set_table` returns them.
    n_models : int
        M, even and at least 4. The smallest p of a single query is 1 / C(M, M/2).
    seed : int
        Seed of the assignment.
    paired : bool
        Whether models share a training seed. If not, each has its own. Seeds are given to models in
        order and the assignment is drawn independently of them, so the test is as exact as with
        pairs; the differences between seeds are noise that pairs would not have.

    Raises
    ------
    InputError
        If M is odd or below 4, or there are no sets.
    """
    if n_models < 4 or n_models % 2:
        raise InputError(
            f"a randomised trial over {n_models} models: the number must be even and at least 4, "
            "so that each forget set is left out of exactly half of them; 10 is a good start"
        )
    if sets.empty:
        raise InputError("a randomised trial needs forget sets, there are none; add an arm")
    ids = tuple(dict.fromkeys(sets["forget_set_id"]))
    return Assignment(
        forget_set_ids=ids,
        model_ids=tuple(f"B{m:02d}" for m in range(n_models)),
        out=balanced_halves((len(ids), n_models), rng("assignment", seed)),
        seed_offsets=(0,) * n_models if paired else tuple(range(n_models)),
        is_random=True,
    )


def refuse_repeated_models(assignment: Assignment) -> None:
    """Raise `InputError` if two models of one seed are trained without the same images.

    They would be the same model, and counting it twice adds no evidence. It happens where there
    are few sets.
    """
    n_models = len(assignment.model_ids)
    recipes = np.vstack([assignment.seed_offsets, assignment.out])
    different = np.unique(recipes, axis=1).shape[1]
    if different < n_models:
        raise InputError(
            f"with {len(assignment.forget_set_ids)} forget sets only {different} of {n_models} "
            "models would differ, and counting a model twice adds no evidence. "
            f"{enough_forget_sets(n_models)} sets are nearly always enough: raise removal.draws so "
            "that more random sets are removed, add prompts or arms, or give each model a seed "
            "of its own (design.paired: false), which costs power"
        )


def enough_forget_sets(n_models: int, risk: float = 0.05) -> int:
    """Return how many sets make all of M models differ, except with a probability below ``risk``.

    Two models agree on a set with probability (M/2 − 1) / (M − 1); Bonferroni over the pairs.
    """
    pairs, agree = math.comb(n_models, 2), (n_models / 2 - 1) / (n_models - 1)
    return math.ceil(math.log(risk / pairs) / math.log(agree))


def redraw(assignment: Assignment, generator: np.random.Generator, n: int) -> np.ndarray:
    """Re-draw the assignment n times by the mechanism of `randomised`.

    Returns
    -------
    ndarray of bool, shape (n, sets, models)
    """
    if not assignment.is_random:
        raise ValueError("only a randomised assignment can be re-drawn")
    return balanced_halves((n, *assignment.out.shape), generator)


def balanced_halves(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return a bool array of ``shape``, a uniformly random half of each last axis True."""
    order = np.argsort(generator.random(shape), axis=-1)
    out = np.zeros(shape, bool)
    np.put_along_axis(out, order[..., : shape[-1] // 2], True, axis=-1)
    return out


def before_after(sets: pd.DataFrame, paired: bool = True) -> Assignment:
    """Return the study's design: all targeted sets removed at once, with the controls it lacked.

    Models: ``full`` (nothing removed), ``targeted`` (all targeted sets removed), ``random`` (the
    first draw of all random_uniform sets removed, as many images as for ``targeted``) and
    ``reseed`` (nothing removed, another training seed). If not ``paired``, all four have their own
    seeds.

    Raises
    ------
    InputError
        If there are no targeted or no random_uniform sets.
    """
    for arm in (Arm.TARGETED, Arm.RANDOM_UNIFORM):
        if not (sets["arm"] == arm).any():
            raise InputError(
                f"the before-after design needs the arm {arm}, the forget sets have "
                f"{', '.join(sorted(sets['arm'].unique())) or 'none'}; add {arm} to the arms"
            )
    sets = sets.drop_duplicates("forget_set_id")
    nothing = np.zeros(len(sets), bool)
    targeted = (sets["arm"] == Arm.TARGETED).to_numpy()
    random = ((sets["arm"] == Arm.RANDOM_UNIFORM) & (sets["draw"] == 0)).to_numpy()
    return Assignment(
        forget_set_ids=tuple(sets["forget_set_id"]),
        model_ids=(Baseline.FULL.value, "targeted", "random", Baseline.RESEED.value),
        out=np.stack([nothing, targeted, random, nothing], axis=1),
        seed_offsets=(0, 0, 0, 1) if paired else (0, 1, 2, 3),
    )


def removals(assignment: Assignment) -> pd.DataFrame:
    """Return the assignment as a table: one row (model_id, forget_set_id) for each removal."""
    models, sets = np.nonzero(assignment.out.T)
    return REMOVALS.of(
        (assignment.model_ids[m], assignment.forget_set_ids[s])
        for m, s in zip(models, sets, strict=True)
    )


def assignment_from(
    sets: pd.DataFrame, models: pd.DataFrame, removed: pd.DataFrame, is_random: bool
) -> Assignment:
    """Return the assignment that models were trained under, from the tables of a run.

    Parameters
    ----------
    sets : DataFrame
        As `forget_set_table` returns them.
    models : DataFrame
        model_id and seed of the models compared, without the one that generated the pictures.
    removed : DataFrame
        As `removals` returns it.
    is_random : bool
        Whether the design is a randomised one.

    Raises
    ------
    InputError
        A model or a forget set of ``removed`` is unknown.
    """
    ids = pd.Index(sets["forget_set_id"].unique())
    model_ids = pd.Index(models["model_id"])
    rows = ids.get_indexer(pd.Index(removed["forget_set_id"]))
    columns = model_ids.get_indexer(pd.Index(removed["model_id"]))
    if (strange := (rows < 0) | (columns < 0)).any():
        name, model_id = removed.iloc[int(strange.argmax())][["forget_set_id", "model_id"]]
        raise InputError(
            f"the table of removals names forget set '{name}' and model '{model_id}', of which the "
            "tables of forget sets and models know one at most: train the models again"
        )
    out = np.zeros((len(ids), len(model_ids)), bool)
    out[rows, columns] = True
    offsets = tuple(int(seed) for seed in models["seed"] - models["seed"].min())
    return Assignment(tuple(ids), tuple(model_ids), out, offsets, is_random)


def removed_ids(assignment: Assignment, images: pd.DataFrame, model_id: str) -> list[str]:
    """Return the ids of all images that a model is trained without, sorted."""
    if model_id not in assignment.model_ids:
        raise InputError(
            f"unknown model '{model_id}'{did_you_mean(model_id, assignment.model_ids)}"
        )
    column = assignment.out[:, assignment.model_ids.index(model_id)]
    out = {name for name, is_out in zip(assignment.forget_set_ids, column, strict=True) if is_out}
    return sorted(set(images.loc[images["forget_set_id"].isin(out), "image_id"]))
