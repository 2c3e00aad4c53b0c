"""Which sets were chosen for a prompt, and which models show what removing one does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from untrain.core.vocabulary import SAMPLER
from untrain.report.arms import arm_label, arm_order
from untrain.runs.results import RunResults, rows

CHOSEN = ("targeted", "family", "ids")  # arms whose images were chosen, not drawn


@dataclass(frozen=True)
class Side:
    """A forget set of a prompt with a model that was trained with it and one without."""

    label: str
    having: str
    lacking: str


def chosen_sets(run: RunResults) -> dict[str, list[str]]:
    """Return the images chosen for each prompt, of the smallest number if there are several."""
    sets = run.forget_sets[run.forget_sets["arm"].isin(CHOSEN)]
    sets = sets.assign(order=sets["arm"].map(arm_order))
    sets = sets.sort_values(["order", "k", "draw"], kind="stable")
    keys = ["arm", "k", "draw"]
    first = sets.groupby("prompt_id")[keys].transform("first")
    own = sets[(sets[keys] == first).all(axis=1)]
    return {str(p): list(ids) for p, ids in own.groupby("prompt_id")["image_id"]}


def sides(run: RunResults, prompt_id: str) -> list[Side]:
    """Return a pair of models for each removal of a prompt, arm by arm, the chosen images first."""
    sets = run.forget_sets[run.forget_sets["prompt_id"] == prompt_id]
    sets = sets[sets["draw"] == sets["draw"].min()]
    found = []
    smallest = sets.groupby("arm")["k"].min()
    for (arm, k), images in sorted(
        sets.groupby(["arm", "k"]), key=lambda s: (arm_order(s[0][0]), s[0][1])
    ):
        pair = _pair(run, prompt_id, images["forget_set_id"])
        # With several sizes, the larger set holds only what the smaller one does not.
        which = f"{len(images)}" if k == smallest[arm] else f"next {len(images)}"
        if pair:
            found.append(Side(f"{arm_label(arm)}, {which}", *pair))
    return found


def images_of_sets(run: RunResults) -> dict[tuple[str, str, float], int]:
    """Return how many images each set of a prompt holds, by prompt, arm and size.

    A set can be short of its size: a family may have fewer images in the training data than the
    largest one. A larger set of an arm holds those of the smaller ones.
    """
    sets = run.forget_sets.dropna(subset=["prompt_id"])
    if sets.empty:
        return {}
    keys = ["prompt_id", "arm", "draw"]
    held = sets.groupby([*keys, "k"])["image_id"].nunique().groupby(keys).cumsum()
    fewest = held.groupby(["prompt_id", "arm", "k"]).min().reset_index()
    return {(line.prompt_id, line.arm, float(line.k)): int(line.image_id) for line in rows(fewest)}


def with_and_without(run: RunResults, prompt_id: str) -> tuple[str, ...]:
    """Return a model that had the prompt's set and one that did not; nothing if there are none.

    Of the pairs of one seed, the one that differs least in what else was removed.
    """
    sets = run.forget_sets[run.forget_sets["prompt_id"] == prompt_id]
    if sets.empty:
        return ()
    sets = sets.assign(order=sets["arm"].map(arm_order)).sort_values(["order", "k", "draw"])
    first = sets.iloc[0]
    same = (sets["arm"] == first["arm"]) & (sets["k"] == first["k"])
    return _pair(run, prompt_id, sets.loc[same & (sets["draw"] == first["draw"]), "forget_set_id"])


def _pair(run: RunResults, prompt_id: str, images: pd.Series) -> tuple[str, ...]:
    """Return a model that was trained with a set and one without it.

    Parameters
    ----------
    images : Series
        The forget set of each of its images: several where rankings share some. If no model lacks
        them all, or none has them all, the one of most images stands for the set.
    """
    drew = _that_drew(run, prompt_id)
    counts = images.value_counts()
    lost = run.removals[run.removals["forget_set_id"].isin(counts.index)]
    lacking = drew["model_id"].map(lost.groupby("model_id")["forget_set_id"].nunique()).fillna(0)
    outs, ins = drew[lacking == len(counts)], drew[lacking == 0]
    if outs.empty or ins.empty:
        without = set(lost.loc[lost["forget_set_id"] == counts.index[0], "model_id"])
        gone = drew["model_id"].isin(without)
        outs, ins = drew[gone], drew[~gone]
    pairs = [(i, o) for i in rows(ins) for o in rows(outs) if i.seed == o.seed]
    pairs = pairs or list(zip(rows(ins), rows(outs), strict=False))
    removed: dict[Any, set[str]] = {
        model: set(sets) for model, sets in run.removals.groupby("model_id")["forget_set_id"]
    }
    pairs.sort(
        key=lambda p: len(removed.get(p[0].model_id, set()) ^ removed.get(p[1].model_id, set()))
    )
    return tuple(str(model.model_id) for model in pairs[0]) if pairs else ()


def _that_drew(run: RunResults, prompt_id: str) -> pd.DataFrame:
    """Models other than the sampler that have drawn this prompt again."""
    folder = run.folder / "generations"
    drew = run.models[run.models["model_id"] != SAMPLER]
    return drew.loc[[(folder / name / prompt_id).is_dir() for name in drew["model_id"]]]
