"""What the removal of sets of images did, beside the sums of their scores: to calibrate scores on.

Either from the trial of a finished run, whose effects are those of its forget sets taken out of
all of the data; or from its bank of random halves, whose effects are main effects of the images
that the method itself ranks first, beside random ones, in a background of half of the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from untrain.attribution.attribute import check_evidence
from untrain.attribution.base import Evidence
from untrain.attribution.calibration import MeasuredSets, recipe_key
from untrain.attribution.fitting import removed_sets
from untrain.attribution.registry import make_attributor
from untrain.banks.bank import Bank, read_bank
from untrain.banks.leaderboard import half_outcomes
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.evaluation.lds import Estimate, fill, removal_effect
from untrain.evaluation.measurement import measure_of
from untrain.runs.evidence import fitted_model, run_evidence
from untrain.runs.examples import prompt_groups, single_effects
from untrain.runs.queries import queries_key, read_queries
from untrain.runs.run import Run
from untrain.runs.trial import is_finished_trial

TRIAL, BANK = "trial", "bank"
SOURCES = (TRIAL, BANK)
SIZES = (3, 10, 30)  # of the sets that a bank is asked about: of larger ones it says little
LARGEST = 0.25  # of the catalogue

COLUMNS = ["source", "arm", "prompt_id", "group", "k", "score", "effect", "noise"]


def measured_sets(run: Run, method: str, source: str | None = None) -> MeasuredSets:
    """Return the sets of a run whose removal was measured, with the sums of their scores.

    Parameters
    ----------
    run : Run
        Finished, or with a bank.
    method : str
        The attributor of the scores; those of the run's model A on the run's own queries.
    source : {'trial', 'bank'}, optional
        Left out, the trial, or the bank where there is no finished trial.

    Raises
    ------
    InputError
        There is neither a finished trial nor a bank, or the method lacks what it needs.
    """
    if source not in (None, *SOURCES):
        raise InputError(f"the source is '{source}'; expected {TRIAL} or {BANK}")
    if source is None:
        source = TRIAL if is_finished_trial(run.folder) else BANK
    bank = read_bank(run.folder) if source == BANK else None
    evidence, scores = run_scores(run, method)
    if bank is None:
        rows = list(_of_trial(run, evidence, scores))
    else:
        rows = list(_of_bank(run, bank, evidence, scores))
    if not rows:
        raise InputError(f"{run.folder}: no set of its {source} has both an effect and scores")
    return MeasuredSets(
        run.config.name,
        queries_key(run.folder),
        run.catalog.fingerprint,
        recipe_key(run.generator),
        method,
        measure_of(run.unit),
        run.unit,
        pd.DataFrame(rows, columns=COLUMNS),
    )


def run_scores(run: Run, method: str) -> tuple[Evidence, np.ndarray]:
    """Return the scores of a method for all queries of a run, float64 (prompts, images)."""
    attributor = make_attributor(method)
    needs = set(attributor.needs)
    model = fitted_model(run) if {"model", "gradients"} & needs else None
    again = "checkpoints" in needs
    evidence = run_evidence(run, read_queries(run.folder), model=model, checkpoints=again)
    check_evidence(attributor, evidence)
    return evidence, attributor.scores(evidence).values.astype(np.float64)


def _of_trial(run: Run, evidence: Evidence, scores: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Yield the forget sets of a prompt's own whose effect on it was measured."""
    _, sets, effects = single_effects(run.folder)
    groups = prompt_groups(run.folder)
    rows = {prompt_id: row for row, prompt_id in enumerate(evidence.prompt_ids)}
    for effect, members in removed_sets(sets, effects):
        at = [evidence.catalog.index[image_id] for image_id in members["image_id"]]
        total = scores[rows[effect.prompt_id]][at].sum() / members["draw"].nunique()
        if np.isfinite(total):  # without a score for one of them there is none of the set
            key = (TRIAL, effect.arm, effect.prompt_id, groups[effect.prompt_id], effect.k)
            yield (*key, total, effect.effect, effect.null_sd)


def _of_bank(
    run: Run, bank: Bank, evidence: Evidence, scores: np.ndarray
) -> Iterator[tuple[Any, ...]]:
    """Yield the first images by the scores, and random ones, with their effects in the bank.

    The halves have one size, so other images take the place of those removed: an effect is that
    beyond as many average images, and so is the sum of scores that it is compared with.
    """
    asked = set(run.prompts["prompt_id"][run.prompts["role"] == "query"])
    rows = [row for row, prompt_id in enumerate(evidence.prompt_ids) if prompt_id in asked]
    ids = [evidence.prompt_ids[row] for row in rows]
    kept, outcomes = half_outcomes(run, bank, ids)
    groups, copies = prompt_groups(run.folder), pd.factorize(pd.Series(run.catalog.hashes))[0]
    own = fill(scores[rows])[0]
    chance = rng("calibration", run.config.seed).random(own.shape)
    for arm, by in (("top", own), ("random", chance)):
        for k in SIZES:
            if k > LARGEST * len(run.catalog):
                continue
            found = removal_effect(by, kept, outcomes, k, copies)
            noise = _standard_errors(found)
            first = np.argsort(-by, axis=1, kind="stable")[:, :k]
            sums = np.take_along_axis(own, first, axis=1).sum(axis=1) - k * own.mean(axis=1)
            for row, prompt_id in enumerate(ids):
                if np.isfinite(found.by_query[row]):
                    key = (BANK, arm, prompt_id, groups[prompt_id], k)
                    yield (*key, sums[row], found.by_query[row], noise[row])


def _standard_errors(found: Estimate) -> np.ndarray:
    """Return the jackknife's standard error of each query's figure, over models."""
    models = len(found.without)
    spread = ((found.without - found.without.mean(axis=0)) ** 2).sum(axis=0)
    errors: np.ndarray = np.sqrt((models - 1) / models * spread)
    return errors
