"""Side effects: what a removal does to other prompts' pictures and to pairs that no model saw.

Specificity: the effect of a prompt's own set on the pictures of the *other* prompts. Utility: the
effect of a set, whichever it is, on the likelihood of held-out pairs. Both are tested by
re-drawing the assignment, as the effects themselves are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from untrain.core.tables import EFFECTS
from untrain.core.vocabulary import (
    PRIMARY,
    Baseline,
    held_out,
    is_decisive,
    nearest_prompt,
    other_prompts,
)
from untrain.counterfactual.design import Assignment
from untrain.evaluation.measurement import primary
from untrain.evaluation.outcomes import complete, outcomes
from untrain.evaluation.randomisation import slope_test
from untrain.evaluation.trial import Contrast, Trial, record

_NOTHING = 1e-9  # of a set


def specificity_effects(
    measures: pd.DataFrame,
    sets: pd.DataFrame,
    assignment: Assignment,
    nearest: Mapping[str, str],
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the effects of the targeted (and family) sets on the pictures of other prompts.

    The outcome of prompt p in a model is the mean of the other prompts' NLL, after the effect of
    *their* own sets was fitted and subtracted (`without_own`); p's set is then tested on it as on
    p's own pictures. Prompts whose sets are removed together do not count as others to each other.

    The test of one prompt is exact, because the others' sets were drawn independently of its own.
    Overall, each assignment is tested, and for other pairs of prompts subtracted as observed: the
    null distribution then has the right mean and spread, though not by construction.

    Parameters
    ----------
    measures, sets, assignment, draws, seed
        As for `trial_effects`; the primary measure is read.
    nearest : mapping
        prompt_id → the prompt most similar to it (`nearest_prompts`), which gets its own rows.

    Returns
    -------
    DataFrame
        As `trial_effects`, with the measures ``nll_other_prompts`` and ``nll_nearest_prompt``,
        where the primary one is ``nll``. Above zero: the removal harms others too. Empty if there
        are no others.
    """
    trial = Trial.of(sets, assignment, draws, seed)
    chosen = trial.sets["arm"].map(is_decisive).astype(bool)
    decisive = trial.sets[chosen & trial.sets["prompt_id"].notna()]
    asked = primary(measures)
    table = outcomes(measures[measures["measure"] == asked])[asked]
    table, _ = complete(table, assignment.model_ids, asked)
    rest = without_own(table[list(assignment.model_ids)], decisive, assignment)
    if len(rest) < 2 or decisive.empty:
        return EFFECTS.empty()
    own = {p: set(decisive.index[decisive["prompt_id"] == p]) for p in rest.index}
    # A prompt whose images are removed with those of p is not another prompt.
    others = np.array([[p != q and not own[p] & own[q] for q in rest.index] for p in rest.index])
    likest = np.array([[nearest.get(p) == q for q in rest.index] for p in rest.index])
    count = np.maximum(others.sum(axis=1, keepdims=True), 1)
    weights = {
        other_prompts(asked): others / count,
        nearest_prompt(asked): (likest & others).astype(float),
    }
    records = []
    for measure, weight in weights.items():
        known = weight.any(axis=1)
        mixed = pd.DataFrame(
            (weight @ rest.to_numpy())[known], rest.index.to_numpy()[known], rest.columns
        )
        records += trial.effects(mixed, measure, decisive, adjust=False)
    return EFFECTS.of(records)


def without_own(
    table: pd.DataFrame, decisive: pd.DataFrame, assignment: Assignment
) -> pd.DataFrame:
    """Return outcomes minus the effect of each prompt's own decisive sets.

    They are the residuals of the least-squares fit on the prompt's own assignments, c of them,
    times (M − 1) / (M − 1 − c): on average the fit absorbs c of the M − 1 parts of any other
    assignment, so with this factor the effect of another prompt's set is unbiased over the draws.

    Parameters
    ----------
    table : DataFrame, shape (prompts, models)
    decisive : DataFrame
        prompt_id of forget sets; its index gives the rows of the assignment.
    assignment : Assignment

    Returns
    -------
    DataFrame, shape (prompts, models)
        Without prompts whose own assignments leave no residual.
    """
    rest = {}
    for prompt_id, values in zip(table.index, table.to_numpy(np.float64), strict=True):
        own = assignment.out[decisive.index[decisive["prompt_id"] == prompt_id]].astype(float)
        basis = np.vstack([np.ones(len(values)), own])
        fitted, _, rank, _ = np.linalg.lstsq(basis.T, values, rcond=None)
        left = len(values) - rank
        if left > 0:
            rest[prompt_id] = (values - fitted @ basis) * (len(values) - 1) / left
    return pd.DataFrame.from_dict(rest, orient="index", columns=table.columns)


def nearest_prompts(texts: Mapping[str, str]) -> dict[str, str]:
    """Return, for each prompt, the other prompt with which it shares most of its words.

    The share is of the words that occur in either (Jaccard); prompts that share none are left out.
    """
    words = {prompt_id: set(text.casefold().split()) for prompt_id, text in texts.items()}
    nearest = {}
    for prompt_id, own in words.items():
        shares = {q: len(own & w) / len(own | w) for q, w in words.items() if q != prompt_id}
        best = max(shares, key=lambda q: shares[q], default="")
        if best and shares[best] > 0:
            nearest[prompt_id] = best
    return nearest


def utility_effects(
    measures: pd.DataFrame,
    sets: pd.DataFrame,
    assignment: Assignment,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the effect of removing a set on the likelihood of held-out pairs, mean over the sets.

    For the arm ``any_set`` it is the slope of the held-out NLL on how many images a model lacks,
    for another arm on how many of that arm's, both in sets of their mean size, tested by re-drawing
    the assignment (`slope_test`). It compares models that each lack about half of the sets.

    Returns
    -------
    DataFrame
        As `trial_effects`, with the measure ``heldout_nll`` or ``heldout_loss``, for one set: a row
        for ``any_set`` and one for each arm at its smallest size, unless all models lack equally
        many. Empty where nothing is held out.
    """
    known = set(measures["measure"])
    measure = next((m for m in map(held_out, PRIMARY) if m in known), None)
    held = measures[measures["measure"] == measure].set_index("model_id")["value"]
    if measure is None or not set(assignment.model_ids) <= set(held.index):
        return EFFECTS.empty()
    trial = Trial.of(sets, assignment, draws, seed)
    placed = trial.sets[~trial.sets.index.duplicated()]
    size = placed["size"] if "size" in placed else pd.Series(1.0, index=placed.index)
    y = held.loc[list(assignment.model_ids)].to_numpy(np.float64)
    asked: list[tuple[str, int | None, list[int]]] = [(Baseline.ANY_SET, None, list(placed.index))]
    for arm, of_arm in trial.sets.groupby("arm", sort=False):
        k = of_arm["k"].min()
        rows = of_arm.index[of_arm["k"] == k]
        asked.append((str(arm), int(k), list(dict.fromkeys(rows))))
    records = []
    for arm, k, rows in asked:
        out, n = assignment.out[rows], len(rows)
        weight = (size[rows] / size[rows].mean()).to_numpy(np.float64)
        lacking = weight @ out
        if np.ptp(lacking) > _NOTHING:
            drawn = np.einsum("u,dum->dm", weight, trial.null(rows))
            contrast = Contrast(arm, k, None, tuple(rows), (None,) * n, (1 / n,) * n, 1)
            records.append(record(contrast, measure, slope_test(y, lacking, drawn)))
    return EFFECTS.of(records)
