"""The study's result table, column by column, so that our numbers can be compared with it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from untrain.core.errors import InputError
from untrain.core.tables import SIMILARITY
from untrain.counterfactual.design import Assignment


def folder_name(prompt: str) -> str:
    """Return the study's name of a prompt: ``_`` for spaces, cut at 100 characters."""
    return prompt.replace(" ", "_")[:100]


def study_table(
    before: pd.DataFrame, after: pd.DataFrame, prompts: Mapping[str, str]
) -> pd.DataFrame:
    """Return mean, minimum and maximum reference cosine of each prompt before and after removal.

    Rows are identified by prompt_id: prompts with the same folder name keep a row each (the study
    paired folders by name and mixed them up).

    Parameters
    ----------
    before, after : DataFrame
        prompt_id, generation, cosine of the picture with the prompt's reference picture, −1 to 1,
        and model_id if there are several models: minimum and maximum are then means over models.
    prompts : mapping from prompt_id to its text
        The rows, in this order.

    Returns
    -------
    DataFrame
        Folder, Mean_1, Min_1, Max_1 (before), Mean_2, Min_2, Max_2 (after); the last row, without
        a Folder, holds the means of the columns.

    Raises
    ------
    InputError
        If a prompt has no pictures before or after.
    """
    ids = list(prompts)
    table = pd.DataFrame({"Folder": [folder_name(prompts[prompt_id]) for prompt_id in ids]})
    for suffix, cosines in (("1", before), ("2", after)):
        missing = set(ids) - set(cosines["prompt_id"])
        if missing:
            when = "before" if suffix == "1" else "after"
            raise InputError(
                f"prompt '{min(missing)}' has no pictures {when} the removal; "
                "measure it, or leave the prompt out of the table"
            )
        # Minimum and maximum within each model: over more pictures they would be further apart.
        models = cosines["model_id"] if "model_id" in cosines else pd.Series("", cosines.index)
        by_model = cosines.groupby(["prompt_id", models])["cosine"].agg(["mean", "min", "max"])
        by_prompt = by_model.groupby(level=0).mean().loc[ids]
        for name in ("mean", "min", "max"):
            table[f"{name.capitalize()}_{suffix}"] = by_prompt[name].to_numpy()
    summary = pd.DataFrame([column_means(table)])
    return SIMILARITY.conform(pd.concat([table, summary], ignore_index=True))


def column_means(rows: pd.DataFrame) -> dict[str, float]:
    """Return the means over prompts of the table's numbers: the study's summary row."""
    prompts_only = rows[rows["Folder"].notna()]
    return {name: float(prompts_only[name].mean()) for name in SIMILARITY.names[1:]}


def before_after_cosines(
    cosines: pd.DataFrame, sets: pd.DataFrame, assignment: Assignment
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the reference cosines before and after removal, as a randomised trial has them.

    "Before" are the pictures of models that had the prompt's primary set, "after" those of models
    that did not. Prompts without such a set are in neither.

    Parameters
    ----------
    cosines : DataFrame
        model_id, prompt_id, generation, cosine.
    sets : DataFrame
        The primary forget set of each prompt: forget_set_id and prompt_id.
    assignment : Assignment
    """
    rows = {set_id: row for row, set_id in enumerate(assignment.forget_set_ids)}
    row = dict(zip(sets["prompt_id"], sets["forget_set_id"].map(rows), strict=True))
    column = {model_id: i for i, model_id in enumerate(assignment.model_ids)}
    measured = cosines[cosines["prompt_id"].isin(row) & cosines["model_id"].isin(column)]
    removed = assignment.out[measured["prompt_id"].map(row), measured["model_id"].map(column)]
    return measured[~removed], measured[removed]
