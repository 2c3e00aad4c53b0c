"""Outcomes that effects are computed from: prompts × models, over the same pictures in each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.core.notes import Note
from untrain.core.vocabulary import SAMPLER

NOT_MEASURED = "prompt-not-measured"
"""Code of the note on a prompt that is left out."""


def outcomes(measures: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return, for each measure of prompts, prompts × models, averaged over generations."""
    kept = measures[measures["prompt_id"].notna()]
    if kept.empty:
        raise InputError("no measure of any prompt was found; measure the models of the bank first")
    tables = {}
    for measure, of_measure in kept.groupby("measure"):
        cells = of_measure.groupby(["prompt_id", "model_id"])["value"].agg(["mean", "count"])
        mean, count = cells["mean"].unstack("model_id"), cells["count"].unstack("model_id")
        # Means must be over the same pictures: a model that lacks some of them counts as missing.
        every = count.drop(columns=SAMPLER, errors="ignore").max(axis=1)
        tables[str(measure)] = mean.where(count.eq(every, axis=0))
    return tables


def complete(
    table: pd.DataFrame, models: Sequence[str], measure: str
) -> tuple[pd.DataFrame, list[Note]]:
    """Return the prompts measured in all models, and a note on each of the others.

    An effect over fewer models would be unbalanced.

    Raises
    ------
    InputError
        A model was not measured at all.
    """
    absent = [model for model in models if model not in table]
    if absent:
        raise InputError(
            f"measure {measure}: model {absent[0]} was not measured ({len(absent)} of "
            f"{len(models)} models missing); finish the bank and measure it again"
        )
    kept = table.dropna(subset=list(models))
    notes = [
        Note(
            NOT_MEASURED,
            f"{measure}: prompt {prompt_id} left out, not measured in every model",
            (str(prompt_id),),
        )
        for prompt_id in table.index.difference(kept.index)
    ]
    return kept, notes


def over_prompts(
    changes: pd.Series, key: Mapping[str, object], seed: int, draws: int = 2000
) -> list[dict[str, object]]:
    """Return the overall row (Wilcoxon, bootstrap over prompts) and a bare row for each prompt."""
    if changes.empty:
        return []
    values = changes.to_numpy(np.float64)
    generator = rng("bootstrap", seed)
    means = values[generator.integers(len(values), size=(draws, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5]) if len(values) > 1 else (math.nan, math.nan)
    overall: dict[str, object] = {
        "prompt_id": None,
        "effect": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "p_value": _wilcoxon(values, "greater"),
        "two_sided_p": _wilcoxon(values, "two-sided"),
    }
    single: list[dict[str, object]] = [
        {"prompt_id": prompt_id, "effect": float(value)} for prompt_id, value in changes.items()
    ]
    return [{**key, **row} for row in [overall, *single]]


def _wilcoxon(values: np.ndarray, alternative: str) -> float:
    """Wilcoxon signed-rank p over prompts (1945); 1 where nothing changed at all."""
    if not np.any(values):
        return 1.0
    return float(wilcoxon(values, alternative=alternative).pvalue)
