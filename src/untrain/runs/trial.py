"""The trial of a finished run, read from its folder: measures, units and assignment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.counterfactual import design

FILES = ("run.json", "models.parquet", "forget_sets.parquet", "removals.parquet")
MEASURES = ("results", "measures.parquet")


@dataclass(frozen=True)
class FinishedTrial:
    """What `untrain.evaluation.effects.trial_effects` takes."""

    measures: pd.DataFrame
    units: pd.DataFrame
    assignment: design.Assignment


def is_finished_trial(folder: Path) -> bool:
    """Tell whether a folder is a run whose randomised trial was measured."""
    if not all((folder / name).is_file() for name in FILES):
        return False
    randomised = read_json(folder / "run.json").get("design") == "randomised"
    return randomised and folder.joinpath(*MEASURES).is_file()


def read_trial(folder: Path) -> FinishedTrial:
    """Read the trial of a finished run.

    Raises
    ------
    InputError
        It is no run folder, its design is not randomised, or it was not measured yet.
    """
    if not is_finished_trial(folder):
        raise InputError(
            f"{folder} holds no finished randomised trial; expected the folder of a run with "
            "design.kind randomised whose stage 'evaluate' is done: `untrain run FILE`"
        )
    units = design.units_of(pd.read_parquet(folder / "forget_sets.parquet"))
    measures = pd.read_parquet(folder.joinpath(*MEASURES))
    return FinishedTrial(measures, units, read_assignment(folder))


def read_assignment(folder: Path) -> design.Assignment:
    """Read which model of a run was trained without which forget sets, as it was drawn.

    Parameters
    ----------
    folder : Path
        A run folder whose stage ``retrain`` is done.
    """
    units = design.units_of(pd.read_parquet(folder / "forget_sets.parquet"))
    models = pd.read_parquet(folder / "models.parquet")
    models = models[models["model_id"] != design.SAMPLER]
    removals = pd.read_parquet(folder / "removals.parquet")
    unit_ids, model_ids = pd.Index(units["forget_set_id"].unique()), pd.Index(models["model_id"])
    out = np.zeros((len(unit_ids), len(model_ids)), bool)
    rows = unit_ids.get_indexer(pd.Index(removals["forget_set_id"]))
    columns = model_ids.get_indexer(pd.Index(removals["model_id"]))
    out[rows, columns] = True
    is_random = read_json(folder / "run.json")["design"] == "randomised"
    offsets = tuple(models["seed"] - models["seed"].min())
    return design.Assignment(tuple(unit_ids), tuple(model_ids), out, offsets, is_random)
