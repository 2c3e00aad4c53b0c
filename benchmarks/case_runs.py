"""Finished runs as `case_for_the_trial.py` needs them: outcomes, forget sets, who touches whom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

import untrain
from untrain.core.errors import InputError
from untrain.core.tables import FORGET_SETS
from untrain.counterfactual.design import Assignment

RANDOM = ("random_uniform", "random_candidate")


@dataclass(frozen=True, eq=False)
class Trial:
    """A finished run: outcomes of its queries, and which set was out of which model."""

    name: str
    y: np.ndarray
    """NLL, (prompts, models, pictures)."""
    a: np.ndarray
    """The same under model A, (prompts, pictures)."""
    sets: pd.DataFrame
    """forget_set_id, arm, prompt (its row in y)."""
    assignment: Assignment
    own: np.ndarray
    """Row of the targeted or family set of each prompt."""
    touching: np.ndarray
    """bool (prompts, sets): the prompt's own set, or one that holds images of its family."""

    @property
    def out(self) -> np.ndarray:
        """bool (sets, models)."""
        return self.assignment.out

    @property
    def mean(self) -> np.ndarray:
        """NLL of a prompt in a model, (prompts, models)."""
        return self.y.mean(axis=2)

    def rows(self, arm: str) -> np.ndarray:
        """Return the rows of an arm's sets; of random arms those that touch no prompt's family."""
        rows = np.flatnonzero(self.sets["arm"] == arm)
        if arm in RANDOM:
            rows = rows[~self.touching[self.sets["prompt"].to_numpy()[rows], rows]]
        return rows


@lru_cache
def families_of(families: int, size: int, seed: int) -> dict[str, str]:
    """Return the family of each image of a rendered catalogue."""
    catalog = untrain.load_catalog("rendered", families=families, size_of_family=size, seed=seed)
    return dict(zip(catalog.ids, catalog.attributes["family"], strict=True))


def read_trial(folder: Path) -> Trial:
    """Read a finished run of a rendered catalogue with one primary K."""
    config = untrain.load_config(folder / "config.yaml")
    if config.data.format != "rendered":
        raise InputError(f"{folder}: true families are known of the rendered catalogue alone")
    data = config.data
    family = families_of(data.families, data.family_size, data.seed)
    prompts = pd.read_csv(folder / "prompts.csv", keep_default_na=False)
    row_of = {p: i for i, p in enumerate(prompts["prompt_id"])}
    images = FORGET_SETS.read(folder)
    sets = images.drop_duplicates("forget_set_id")[["forget_set_id", "arm", "prompt_id", "k"]]
    sets = sets.reset_index(drop=True)
    if sets.groupby("arm")["k"].nunique().max() > 1:
        raise InputError(f"{folder}: more than one K; this comparison is of one size")
    sets["prompt"] = sets["prompt_id"].map(row_of)
    measures = pd.read_parquet(folder / "results" / "measures.parquet")
    nll = measures[measures["measure"] == "nll"]
    cube = nll.pivot_table(index=["model_id", "prompt_id"], columns="generation", values="value")
    models = sorted(set(nll["model_id"]) - {"A"})
    y = np.stack([cube.loc[m].loc[prompts["prompt_id"]].to_numpy() for m in models], axis=1)
    removals = pd.read_parquet(folder / "removals.parquet")
    at = pd.Series(range(len(sets)), index=sets["forget_set_id"])
    out = np.zeros((len(sets), len(models)), bool)
    places = [models.index(m) for m in removals["model_id"]]
    out[at.loc[removals["forget_set_id"]].to_numpy(), places] = True
    own = np.full(len(prompts), -1)
    decisive = sets["arm"].isin(["targeted", "family"])
    own[sets["prompt"][decisive].to_numpy()] = np.flatnonzero(decisive)
    held = images.assign(family=images["image_id"].map(family)).groupby("forget_set_id")["family"]
    holds = held.agg(set).loc[sets["forget_set_id"]]
    touching = np.array([[f in of_set for of_set in holds] for f in prompts["family"]])
    touching[np.arange(len(prompts)), own] = True
    ids = tuple(sets["forget_set_id"])
    offsets = (0,) * len(models)
    return Trial(
        name=folder.name,
        y=y,
        a=cube.loc["A"].loc[prompts["prompt_id"]].to_numpy(),
        sets=sets,
        assignment=Assignment(ids, tuple(models), out, offsets, is_random=True),
        own=own,
        touching=touching,
    )
