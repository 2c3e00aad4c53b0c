"""A trial of the request's own: what models without the requested images are worse at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from untrain.core.tables import EFFECTS, MEASURES
from untrain.core.vocabulary import SAMPLER, Arm, Design
from untrain.evaluation import measures as ms
from untrain.evaluation.effects import trial_effects
from untrain.evaluation.measurement import measure_of, primary
from untrain.evaluation.model_measures import Pairs
from untrain.evaluation.power import POWER, simulate
from untrain.evaluation.verdicts import verdicts
from untrain.experiment.pipeline import run_stages
from untrain.experiment.stages.evaluate import pairs_of
from untrain.generators.base import Generator, has_likelihood
from untrain.runs.run import Run
from untrain.runs.trial import read_trial
from untrain.settings.config import Config
from untrain.takedowns.request import as_folder

ITSELF = "request"
"""Stands for the requested images where a prompt is expected."""


def trial_config(config: Config, reference: str, ids: Path, models: int | None = None) -> Config:
    """Return the settings of a run's trial that has the request's list as one more forget set.

    Parameters
    ----------
    config : Config
        Of the run: data, model and prompts stay as they are, so that its model A, its frozen parts
        and its pictures are used again.
    reference : str
    ids : Path
        The file with the list.
    models : int, optional
        Of the trial; the run's own number if left out.
    """
    values = config.to_dict()
    arms = list(values["removal"]["arms"])
    values["removal"]["ids"] = str(ids.resolve())
    values["removal"]["arms"] = list(dict.fromkeys([*arms, "targeted", "random_uniform"]))
    values["design"] |= {"kind": "randomised", "models": models or config.design.models}
    values["name"] = as_folder(f"{config.name}-{reference}")
    return Config.model_validate(values)


def own_trial(config: Config, ids: Sequence[str]) -> dict[str, Any]:
    """Run the trial, or go on with it, and return what it says of the request's list.

    Returns
    -------
    dict
        ``run``, ``folder``, ``models``, ``images`` (of the list, with copies), ``unit``, ``alpha``,
        ``margin``; ``itself``: the verdict on the requested images themselves, with ``effect``,
        ``low``, ``high``, ``p_value`` and ``detectable``, the smallest effect that was to be found
        with a power of 80 %, or None where the generator gives no losses; ``overall``, the effect
        on the pictures of all prompts together; ``prompts``, one by one.
    """
    run = Run(config)
    run_stages(run)
    found = read_trial(run.folder)
    sets, assignment = found.sets, found.assignment
    listed = run.table("forget_sets")
    images = sorted(set(listed[listed["arm"] == Arm.IDS]["image_id"]))
    effects = EFFECTS.read(run.folder)
    of_list = effects[
        (effects["design"] == Design.RANDOMISED)
        & (effects["arm"] == Arm.IDS)
        & (effects["measure"] == primary(effects))
    ]
    asked, margin = run.config.evaluation, run.margin
    count = len(assignment.model_ids)
    itself = None
    if has_likelihood(run.generator):
        own = sets.assign(prompt_id=sets["prompt_id"].where(sets["arm"] != Arm.IDS, ITSELF))
        measured = _losses(run, list(assignment.model_ids), [i for i in ids if i in set(images)])
        table = trial_effects(measured, own, assignment, asked.draws, run.config.seed).table
        table = table[(table["arm"] == Arm.IDS) & (table["prompt_id"] == ITSELF)]
        itself = _judged(table, asked.alpha, margin, primary(table), count)[0]
    single = of_list[of_list["prompt_id"].notna()]
    overall = of_list[of_list["prompt_id"].isna()]
    texts = run.texts
    return {
        "run": run.config.name,
        "folder": str(run.folder),
        "models": count,
        "images": len(images),
        "unit": run.unit,
        "alpha": asked.alpha,
        "margin": margin,
        "power": POWER,
        "itself": itself,
        "overall": _effect(overall.iloc[0], count, asked.alpha) if len(overall) else None,
        "prompts": [
            {"prompt": texts[row["prompt_id"]], **row}
            for row in sorted(
                _judged(single, asked.alpha, margin, primary(of_list), count),
                key=lambda row: list(texts).index(row["prompt_id"]),
            )
        ],
    }


def losses(model: Generator, pairs: Pairs) -> np.ndarray:
    """Return how surprised a model is by each pair, in its unit; larger is worse, (n,)."""
    surprise = ms.Surprise(model.log_likelihood, model.unit)  # type: ignore[attr-defined]
    return surprise(pairs.samples, pairs.captions)


def _losses(run: Run, models: list[str], ids: list[str]) -> pd.DataFrame:
    """Return the loss of each requested image in each model of the trial."""
    run.trainer.prepare()
    pairs = pairs_of(run.generator, run.catalog, ids)
    table = run.table("models")
    paths = dict(zip(table["model_id"], table["path"], strict=True))
    measure = measure_of(run.unit)
    rows: list[ms.Row] = []
    for model_id in models:
        assert model_id != SAMPLER
        values = losses(run.trainer.load(paths[model_id]), pairs)
        rows += [(model_id, ITSELF, i, measure, float(value)) for i, value in enumerate(values)]
    return MEASURES.of(rows)


def _judged(
    effects: pd.DataFrame, alpha: float, margin: float | None, measure: str, models: int
) -> list[dict[str, Any]]:
    """Return effects with their verdicts, as JSON holds them."""
    told = verdicts(effects, alpha, margin, arm=Arm.IDS, measure=measure)
    of = {row["prompt_id"]: row for row in effects.to_dict("records")}
    return [
        {
            "prompt_id": row["prompt_id"],
            "verdict": str(row["verdict"]),
            **_effect(of[row["prompt_id"]], models, alpha),
            "p_holm": _plain(row["p_holm"]),
        }
        for row in told.to_dict("records")
    ]


def _effect(row: Any, models: int, alpha: float) -> dict[str, Any]:
    """Return an effect, and the smallest that would have been found.

    The null distribution's standard deviation is that of a difference of two means of half of the
    models each: 2 · sd / √models, with sd that of one model.
    """
    sd = float(row["null_sd"]) * math.sqrt(models) / 2
    least = simulate(models, 1, alpha).detectable(sd) if math.isfinite(sd) else math.inf
    numbers = {name: _plain(row[name]) for name in ("effect", "low", "high", "p_value")}
    return {**numbers, "detectable": least if math.isfinite(least) else None}


def _plain(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
