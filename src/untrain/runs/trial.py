"""The trial of a finished run, read from its folder: measures, forget sets and assignment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from untrain.core.errors import InputError
from untrain.core.tables import FORGET_SETS, MEASURES, MODELS, REMOVALS
from untrain.core.vocabulary import SAMPLER, Baseline
from untrain.counterfactual import design

FILES = ("run.json", "models.parquet", "forget_sets.parquet", "removals.parquet")


@dataclass(frozen=True)
class FinishedTrial:
    """What `untrain.evaluation.effects.trial_effects` takes."""

    measures: pd.DataFrame
    sets: pd.DataFrame
    assignment: design.Assignment


def is_finished_trial(folder: Path) -> bool:
    """Tell whether a folder is a run whose randomised trial was measured."""
    if not all((folder / name).is_file() for name in FILES):
        return False
    return MEASURES.path(folder).is_file() and _is_random(MODELS.read(folder))


def read_trial(folder: Path) -> FinishedTrial:
    """Read the trial of a finished run.

    Raises
    ------
    InputError
        It is no run folder, its design is not randomised, or it has not been measured yet.
    """
    if not is_finished_trial(folder):
        raise InputError(
            f"{folder} holds no finished randomised trial; expected the folder of a run with "
            "design.kind randomised whose stage 'evaluate' is done: `untrain run FILE`"
        )
    sets = design.forget_set_table(FORGET_SETS.read(folder))
    return FinishedTrial(MEASURES.read(folder), sets, read_assignment(folder))


def read_assignment(folder: Path) -> design.Assignment:
    """Read the assignment of a run: which model was trained without which forget sets.

    Parameters
    ----------
    folder : Path
        A run folder whose stage ``retrain`` is done.
    """
    sets = design.forget_set_table(FORGET_SETS.read(folder))
    models = MODELS.read(folder)
    compared = models[models["model_id"] != SAMPLER]
    return design.assignment_from(sets, compared, REMOVALS.read(folder), _is_random(models))


def _is_random(models: pd.DataFrame) -> bool:
    """Tell it from the models: the settings may have changed since they were trained."""
    return Baseline.FULL not in set(models["model_id"])
