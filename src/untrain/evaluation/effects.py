"""Effects: how much worse (or different) is a query in models trained without a forget set?

Outcomes are read from models B only; the queries were drawn from model A, under which they are
likelier than under any other model by construction. The naive figure, measured against A, is
computed beside it to show what that does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from untrain.counterfactual.design import Assignment
from untrain.evaluation.differences import compare_arms, compare_sizes
from untrain.evaluation.outcomes import (
    COLUMNS,
    DECISIVE,
    SAMPLER,
    complete,
    outcomes,
    over_prompts,
)
from untrain.evaluation.trial import Trial, contrasts
from untrain.evaluation.weighting import control_scales

FEWEST_OF_GROUP = 2


def trial_effects(
    measures: pd.DataFrame,
    units: pd.DataFrame,
    assignment: Assignment,
    draws: int = 2000,
    seed: int = 0,
    weighted: bool = False,
) -> pd.DataFrame:
    """Return the effects of a randomised removal trial, with exact inference.

    The effect of a unit on its query is the mean outcome in the models where it is out minus the
    mean where it is in, generations averaged; it is a main effect, averaged over the other units
    being half in and half out. Overall effects are means over prompts. For k beyond the smallest
    the effect is the sum of the main effects of all increments up to k, which is the effect of the
    whole nested set (see `untrain.counterfactual.forget_sets`). A unit without a prompt (a user's
    list) is held against every prompt, and overall against their mean. A unit that stands for
    several prompts together is held against each of them: their effects rest on its one assignment,
    and so does the test of their mean, whose precision comes from the models alone.

    The control arms are adjusted for the targeted (or family) set of the same prompt, which moves
    the query most and is out in a random half of the models too; it was drawn independently, so
    that the test stays exact (see `randomisation_test`).

    A single unit, on one query or on the mean of those it stands for, is tested against all
    balanced halves of the models where they are at most 20,000, everything else against ``draws``
    re-drawn assignments. Tests are exact whether models are paired or not: seeds are fixed before
    the assignment is drawn, and are part of the outcomes that the null hypothesis holds fixed.

    Parameters
    ----------
    measures : DataFrame
        model_id, prompt_id, generation, measure, value. Measures without a prompt are left out.
    units : DataFrame
        forget_set_id, arm, prompt_id, k, as `untrain.counterfactual.design.units_of` returns them.
    assignment : Assignment
        The randomised assignment that the models were trained by.
    draws : int
        Number of re-drawn assignments.
    seed : int
        Seed of the re-drawing.
    weighted : bool
        Whether models count by their noise in the effects of control arms
        (`untrain.evaluation.weighting`).

    Returns
    -------
    DataFrame
        design (``randomised``; ``randomised-difference`` and ``randomised-increment`` of
        `untrain.evaluation.differences`; or ``naive``: models without the unit, but with the
        query's targeted set where another is removed, minus model A; over prompts, where A was
        measured; its arm
        ``none`` is of models that have the query's targeted set), arm,
        prompt_id ("" = overall), measure, estimate (out − in),
        low, high (95 %; NaN where there is no finite limit), p_value (one-sided, for effects above
        zero: for similarities, where harm is negative, read two_sided_p), k, two_sided_p, null_sd,
        n_units (different ones). ``attrs["warnings"]`` lists queries that were left out.

    Raises
    ------
    InputError
        If models of the assignment were not measured, or nothing was.
    """
    tables = outcomes(measures)
    trial = Trial.of(units, assignment, draws, seed)
    records: list[dict[str, object]] = []
    warnings: list[str] = []
    for measure, table in tables.items():
        found = complete(table, assignment.model_ids, measure, warnings)
        outcomes_b = found[list(assignment.model_ids)]
        scales = control_scales(outcomes_b, trial.units, assignment) if weighted else None
        records += trial.effects(outcomes_b, measure, scales=scales)
        records += compare_arms(trial, outcomes_b, measure)
        records += compare_sizes(trial, outcomes_b, measure)
        if SAMPLER in found:
            by_sampler = found.dropna(subset=[SAMPLER])
            records += _naive(trial.units, by_sampler, measure, assignment, seed)
    effects = pd.DataFrame(records, columns=COLUMNS)
    effects.attrs["warnings"] = warnings
    return effects


def _naive(
    units: pd.DataFrame, table: pd.DataFrame, measure: str, assignment: Assignment, seed: int
) -> list[dict[str, object]]:
    """Return models without the whole set minus model A: what a naive study would report.

    Where a control is removed, only models that had the query's targeted set count: else the
    control would be credited with what the targeted set did. The arm ``none`` is of all models that
    had it: what another seed, and the removal of other prompts' images, do by themselves.
    """
    records: list[dict[str, object]] = []
    own = units["arm"].isin(DECISIVE) & (units["prompt_id"] != "")
    idle = {}
    for prompt_id, of_prompt in units[own].groupby("prompt_id", sort=False):
        query = str(prompt_id)
        had = ~assignment.out[of_prompt.index].any(axis=0)
        if had.any() and query in table.index:
            values = table.loc[query, list(assignment.model_ids)].to_numpy(np.float64)
            idle[query] = values[had].mean() - table.loc[query, SAMPLER]
    key: dict[str, object] = {"design": "naive", "arm": "none", "measure": measure, "k": 0}
    records += over_prompts(pd.Series(idle, dtype=np.float64), key, seed)
    for contrast in contrasts(units, list(table.index)):
        if contrast.prompt_id:
            continue
        rows, queries = np.array(contrast.rows), np.array(contrast.queries)
        changes = {}
        for query in dict.fromkeys(contrast.queries):
            without = assignment.out[rows[queries == query]].all(axis=0)
            without &= ~assignment.out[contrast.decisive(units, query)].any(axis=0)
            for prompt_id in [query] if query else list(table.index):
                values = table.loc[prompt_id, list(assignment.model_ids)].to_numpy(np.float64)
                if without.any():
                    changes[prompt_id] = values[without].mean() - table.loc[prompt_id, SAMPLER]
        key = {**key, "arm": contrast.arm, "k": contrast.k}
        records += over_prompts(pd.Series(changes, dtype=np.float64), key, seed)
    return records


def group_effects(
    estimate: Callable[[pd.DataFrame], pd.DataFrame],
    measures: pd.DataFrame,
    groups: Mapping[str, str],
    measure: str = "nll",
) -> pd.DataFrame:
    """Return the overall effects over each group of prompts, such as seen and new ones.

    Parameters
    ----------
    estimate : callable
        Effects of measures: `trial_effects` or `before_after_effects` with the rest filled in.
    measures : DataFrame
        As for `trial_effects`.
    groups : mapping
        prompt_id → group. Unless each group has at least two prompts there is nothing to compare.
    measure : str
        The measure of which effects are computed.

    Returns
    -------
    DataFrame
        The overall rows of ``estimate``, with a column ``group``; empty where there is one group
        alone, or a group too small.
    """
    sizes = pd.Series(groups, dtype=object).value_counts()
    if len(sizes) < 2 or sizes.min() < FEWEST_OF_GROUP:
        return pd.DataFrame(columns=[*COLUMNS, "group"])
    asked = measures[measures["measure"] == measure]
    parts = []
    for group in sorted(sizes.index):
        of_group = [prompt_id for prompt_id, other in groups.items() if other == group]
        effects = estimate(asked[asked["prompt_id"].isin(of_group)])
        parts.append(effects[effects["prompt_id"] == ""].assign(group=group))
    return pd.concat(parts, ignore_index=True)
