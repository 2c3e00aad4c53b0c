"""Effects: how much worse (or different) is a query in models trained without a forget set?

Outcomes are read from models B only; the queries were drawn from model A, under which they are
likelier than under any other model by construction. The naive figure, measured against A, is
computed beside it to show what that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.core.notes import Note
from untrain.core.tables import EFFECTS, GROUPS
from untrain.core.vocabulary import DECISIVE, SAMPLER, Baseline, Design, Measure
from untrain.counterfactual.design import Assignment
from untrain.evaluation.differences import compare_arms, compare_sizes
from untrain.evaluation.outcomes import complete, outcomes, over_prompts
from untrain.evaluation.trial import Contrast, Trial, contrasts

FEWEST_OF_GROUP = 2


@dataclass(frozen=True)
class Effects:
    """Effects, and which queries they leave out.

    Attributes
    ----------
    table : DataFrame
        `untrain.core.tables.EFFECTS`.
    notes : tuple of Note
        ``prompt-not-measured``, each about a prompt_id.
    """

    table: pd.DataFrame
    notes: tuple[Note, ...] = ()


def trial_effects(
    measures: pd.DataFrame,
    sets: pd.DataFrame,
    assignment: Assignment,
    draws: int = 2000,
    seed: int = 0,
) -> Effects:
    """Return the effects of a randomised removal trial, with exact inference.

    The effect of a forget set on its query is the mean outcome in the models where it is out minus
    the mean where it is in, generations averaged; it is a main effect, averaged over the other sets
    being half in and half out. Overall effects are means over prompts. For k beyond the smallest
    the effect is the sum of the main effects of all increments up to k, which is the effect of the
    whole nested set (see `untrain.counterfactual.forget_sets`). A set without a prompt (a user's
    list) is read on every prompt, and overall on their mean. A set that stands for several prompts
    together is read on each of them: their effects rest on its one assignment, and so does the test
    of their mean, whose precision comes only from the models.

    The control arms are adjusted for the targeted (or family) set of the same prompt, which moves
    the query most and is out in a random half of the models too; it was drawn independently, so
    that the test stays exact (see `untrain.evaluation.randomisation.randomisation_test`).

    A single set, on one query or on the mean of those it stands for, is tested against all balanced
    halves of the models where they are at most 20,000, everything else against ``draws`` re-drawn
    assignments. Tests are exact whether models are paired or not: seeds are fixed before the
    assignment is drawn, and are part of the outcomes that the null hypothesis holds fixed.

    Parameters
    ----------
    measures : DataFrame
        `untrain.core.tables.MEASURES`. Measures without a prompt are left out.
    sets : DataFrame
        forget_set_id, arm, prompt_id, k, as
        `untrain.counterfactual.design.forget_set_table` returns them.
    assignment : Assignment
        The randomised assignment that the models were trained by.
    draws : int
        Number of re-drawn assignments.
    seed : int
        Seed of the re-drawing.

    Returns
    -------
    Effects
        Of the designs ``randomised``; ``randomised-difference`` and ``randomised-increment``
        (`untrain.evaluation.differences`); and, where A was measured, ``naive``: models without the
        set, but with the query's targeted set where another is removed, minus model A, over
        prompts; its arm ``none`` is of models that have the query's targeted set. The one-sided
        p-value is for effects above zero: for similarities, where harm is negative, read
        two_sided_p.

    Raises
    ------
    InputError
        If models of the assignment were not measured, or nothing was.
    """
    trial = Trial.of(sets, assignment, draws, seed)
    records: list[dict[str, object]] = []
    notes: list[Note] = []
    for measure, table in outcomes(measures).items():
        found, left_out = complete(table, assignment.model_ids, measure)
        notes += left_out
        compared = found[list(assignment.model_ids)]
        records += trial.effects(compared, measure)
        records += compare_arms(trial, compared, measure)
        records += compare_sizes(trial, compared, measure)
        if SAMPLER in found:
            by_sampler = found.dropna(subset=[SAMPLER])
            key: dict[str, object] = {"design": Design.NAIVE, "measure": measure}
            for arm, k, changes in _naive(trial.sets, by_sampler, assignment):
                records += over_prompts(changes, {**key, "arm": arm, "k": k}, seed)
    return Effects(EFFECTS.of(records), tuple(notes))


def _naive(
    sets: pd.DataFrame, table: pd.DataFrame, assignment: Assignment
) -> Iterator[tuple[str, int | None, pd.Series]]:
    """Yield arm, k and, by prompt, models without the whole set minus model A: a naive study.

    Where a control is removed, only models that had the query's targeted set count: else the
    control would be credited with what the targeted set did. The arm ``none`` is of all models that
    had it: what another seed, and the removal of other prompts' images, do by themselves.
    """
    values = table[list(assignment.model_ids)].to_numpy(np.float64)
    of_query = dict(zip(table.index, values, strict=True))
    drew = dict(zip(table.index, table[SAMPLER].to_numpy(np.float64), strict=True))

    def changes(chosen: Mapping[str, np.ndarray]) -> pd.Series:
        known = {q: models for q, models in chosen.items() if q in of_query and models.any()}
        found = {q: of_query[q][models].mean() - drew[q] for q, models in known.items()}
        return pd.Series(found, dtype=np.float64)

    own = sets[sets["arm"].isin(DECISIVE)].groupby("prompt_id", sort=False)
    had = {str(query): np.asarray(~assignment.out[rows.index].any(axis=0)) for query, rows in own}
    yield Baseline.NONE, None, changes(had)
    for contrast in contrasts(sets, list(table.index)):
        if contrast.prompt_id is None:
            yield contrast.arm, contrast.k, changes(_lacking(contrast, sets, assignment, of_query))


def _lacking(
    contrast: Contrast, sets: pd.DataFrame, assignment: Assignment, prompts: Mapping[str, object]
) -> dict[str, np.ndarray]:
    """Return, by prompt, which models lack the whole set and have the prompt's decisive ones."""
    chosen: dict[str, np.ndarray] = {}
    for query in dict.fromkeys(contrast.queries):
        rows = [
            r for r, other in zip(contrast.rows, contrast.queries, strict=True) if other == query
        ]
        lacking: np.ndarray = np.asarray(assignment.out[rows].all(axis=0))
        lacking = lacking & ~assignment.out[contrast.decisive(sets, query)].any(axis=0)
        chosen |= dict.fromkeys(prompts if query is None else [query], lacking)
    return chosen


def group_effects(
    estimate: Callable[[pd.DataFrame], Effects],
    measures: pd.DataFrame,
    groups: Mapping[str, str],
    measure: str = Measure.NLL,
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
        The overall rows of ``estimate`` with a column ``group``
        (`untrain.core.tables.GROUPS`); empty where there is only one group, or one is too small.
    """
    sizes = pd.Series(groups, dtype=object).value_counts()
    if len(sizes) < 2 or sizes.min() < FEWEST_OF_GROUP:
        return GROUPS.empty()
    asked = measures[measures["measure"] == measure]
    parts = []
    for group in sorted(sizes.index):
        of_group = [prompt_id for prompt_id, other in groups.items() if other == group]
        effects = estimate(asked[asked["prompt_id"].isin(of_group)]).table
        parts.append(effects[effects["prompt_id"].isna()].assign(group=group))
    return GROUPS.conform(pd.concat(parts, ignore_index=True))
