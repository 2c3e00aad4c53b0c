"""Differences inside a trial: between an arm and a control, and a larger set and a smaller one.

That one effect is significant and another is not does not make the two different (Gelman and Stern
2006, The difference between "significant" and "not significant" is not itself statistically
significant); these are the tests of the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from untrain.core.vocabulary import DECISIVE, Arm, Design
from untrain.evaluation.least_squares import Adjustment
from untrain.evaluation.randomisation import randomisation_test
from untrain.evaluation.trial import Contrast, Trial, numbered, record

ARM = Arm.TARGETED
"""The arm whose differences are estimated."""


def compare_arms(trial: Trial, table: pd.DataFrame, measure: str) -> list[dict[str, object]]:
    """Return how much larger the effect of the targeted sets is than each control arm's, by size.

    The sets of both arms that affect a query are fitted together. All are re-drawn at once, so the
    test is exact where neither arm has an effect. The interval is for the difference, by inversion
    as in `randomisation_test`.

    Parameters
    ----------
    trial : Trial
    table : DataFrame, shape (prompts, models of the assignment)
        Outcomes.
    measure : str
        What they are.

    Returns
    -------
    list of dict
        Rows of the table of effects, with the design ``randomised-difference``, over all prompts
        that have sets of both arms; ``control`` is the other arm. None where there are too few
        models to separate the sets of a prompt.
    """
    arms = trial.sets.loc[trial.sets["prompt_id"].notna(), "arm"].unique()
    controls = [str(arm) for arm in arms if arm not in DECISIVE]
    found = []
    for control in controls:
        for k in _sizes(trial, ARM):
            own = {p: rows for p, rows in _nested(trial, ARM, k).items() if p in table.index}
            others = _nested(trial, control, k)
            both = {p: (own[p], others[p]) for p in own if p in others}
            if both:
                found += list(_difference(trial, table, measure, control, k, both))
    return found


def _difference(
    trial: Trial,
    table: pd.DataFrame,
    measure: str,
    control: str,
    k: int,
    both: Mapping[str, tuple[list[int], list[int]]],
) -> Iterator[dict[str, object]]:
    out = trial.assignment.out
    rows: list[int] = []
    queries: list[str] = []
    weights: list[float] = []
    given: list[np.ndarray] = []
    for query, (own, others) in both.items():
        beyond = _beyond(trial, query, k)
        if 1 + len(own) + len(others) + len(beyond) >= out.shape[1]:
            return
        rows += own + others
        queries += [query] * (len(own) + len(others))
        weights += [share / len(both) for share in _shares(trial, own)]
        weights += [-share / len(both) for share in _shares(trial, others)]
        given += [out[beyond]] * (len(own) + len(others))
    n_increments = len(next(iter(both.values()))[0])
    shift = np.stack([out[both[query][0]].sum(axis=0) / n_increments for query in queries])
    result = randomisation_test(
        table.loc[queries].to_numpy(np.float64),
        out[rows],
        trial.null(rows),
        np.array(weights),
        shift,
        Adjustment(tuple(given), numbered(queries)),
    )
    contrast = Contrast(
        ARM, k, None, tuple(rows), tuple(queries), tuple(weights), n_increments, control
    )
    yield record(contrast, measure, result, Design.DIFFERENCE)


def compare_sizes(trial: Trial, table: pd.DataFrame, measure: str) -> list[dict[str, object]]:
    """Return how much larger the effect of each targeted set is than that of the next smaller one.

    The other increments of the prompt keep their assignment and are adjusted for: the null
    hypothesis is that this increment has no effect, whatever the others have.

    Parameters
    ----------
    trial, table, measure
        As for `compare_arms`.

    Returns
    -------
    list of dict
        Rows of the table of effects, with the design ``randomised-increment``; k is that of the
        larger set.
    """
    sets = trial.sets
    own = sets[(sets["arm"] == ARM) & sets["prompt_id"].isin(table.index)]
    found = []
    for k in _sizes(trial, ARM)[1:]:
        of_size = own[own["k"] == k]
        beside = [
            list(own.index[(own["prompt_id"] == query) & (own["k"] != k)])
            for query in of_size["prompt_id"]
        ]
        if not beside or 2 + max(map(len, beside)) >= len(trial.assignment.model_ids):
            continue
        result = randomisation_test(
            table.loc[of_size["prompt_id"]].to_numpy(np.float64),
            trial.assignment.out[of_size.index],
            trial.null(list(of_size.index)),
            adjustment=Adjustment(tuple(trial.assignment.out[rows] for rows in beside)),
        )
        rows, queries = tuple(map(int, of_size.index)), tuple(of_size["prompt_id"])
        contrast = Contrast(ARM, k, None, rows, queries, (1 / len(rows),) * len(rows), 1)
        found.append(record(contrast, measure, result, Design.INCREMENT))
    return found


def _sizes(trial: Trial, arm: str) -> list[int]:
    return sorted(int(k) for k in trial.sets.loc[trial.sets["arm"] == arm, "k"].unique())


def _nested(trial: Trial, arm: str, k: int) -> dict[str, list[int]]:
    """Return the rows of each prompt's increments up to k, of prompts that have them all."""
    sets = trial.sets
    of_arm = sets[(sets["arm"] == arm) & (sets["k"] <= k) & sets["prompt_id"].notna()]
    sizes = of_arm["k"].nunique()
    return {
        str(query): [int(row) for row in of_prompt.index]
        for query, of_prompt in of_arm.groupby("prompt_id", sort=False)
        if of_prompt["k"].nunique() == sizes and k in of_prompt["k"].to_numpy()
    }


def _shares(trial: Trial, rows: list[int]) -> list[float]:
    """Return what each of a prompt's sets counts: a mean over the draws of each increment."""
    sizes = trial.sets["k"][~trial.sets.index.duplicated()].loc[rows]
    return [1 / (sizes == size).sum() for size in sizes]


def _beyond(trial: Trial, query: str, k: int) -> list[int]:
    """Return the rows of the prompt's targeted increments beyond k."""
    sets = trial.sets
    same = (sets["prompt_id"] == query) & (sets["arm"] == ARM) & (sets["k"] > k)
    return list(sets.index[same])
