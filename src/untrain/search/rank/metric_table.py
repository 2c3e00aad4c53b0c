"""What all rankings share: metrics as z-scores, undefined ones left out, the table returned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.search.compare.comparison import of_prompts
from untrain.search.compare.metrics import METRICS

PAIR = ["prompt_id", "image_id"]
PICTURE = ["prompt_id", "generation"]
LEFT_OUT = "metrics-left-out"
"""Code of a note that is about metrics which a ranking goes without."""
CANDIDATES_LEFT_OUT = "candidates-left-out"
"""Code of a note that is about prompts of which a ranking leaves out candidates."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """What a ranking says.

    Attributes
    ----------
    table : DataFrame
        Columns ``method``, ``prompt_id``, ``image_id``, ``score`` (higher is more influential) and
        ``rank`` (from 1); by prompt, best first, equal scores by id.
    notes : tuple of Note
        What was left out because it is undefined: metrics (code ``metrics-left-out``, about
        them), or candidates (code ``candidates-left-out``, about prompts).
    """

    table: pd.DataFrame
    notes: tuple[Note, ...] = ()


def with_metrics(
    comparison: pd.DataFrame, retrieval: pd.DataFrame | None, metrics: Sequence[str]
) -> pd.DataFrame:
    """Return generation, prompt and image with only ``metrics``, NaN where one is undefined.

    Infinity counts as undefined, and so does a metric that was not measured. A comparison without
    ``text_tfidf`` takes the retrieval's score for it.
    """
    table = comparison
    if "text_tfidf" in metrics and "text_tfidf" not in table and retrieval is not None:
        scores = retrieval.set_index(PAIR)["score"].rename("text_tfidf")
        table = table.join(scores, on=PAIR)
    values = table.reindex(columns=list(metrics)).astype(float)
    values = values.where(np.isfinite(values))
    return pd.concat([table[[*PICTURE, "image_id"]], values], axis=1)


def by_candidate(table: pd.DataFrame, values: pd.DataFrame | pd.Series) -> pd.DataFrame:
    """Return the mean over generations of the values that are defined, by prompt and image."""
    return pd.DataFrame(values).groupby([table[key] for key in PAIR]).mean()


def nearness(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return metrics as z-scores among the candidates of each generated picture, higher nearer.

    Parameters
    ----------
    table : DataFrame
        As `with_metrics` returns it.
    metrics : sequence of str

    Returns
    -------
    DataFrame
        A row for each prompt and image, in order, means over generations; 0 where a metric has no
        spread, NaN where it is undefined in all generations.
    """
    values = table[list(metrics)]
    grouped = values.groupby([table[key] for key in PICTURE])
    mean, spread = grouped.transform("mean"), grouped.transform("std", ddof=0)
    # Rounding leaves a little spread in equal values; dividing by it would rank noise.
    flat = spread <= 1e-12 * mean.abs()
    standard = ((values - mean) / spread).mask(flat & values.notna(), 0.0)
    return by_candidate(table, standard * directions(metrics))


def directions(metrics: Iterable[str]) -> np.ndarray:
    """Return 1 for each metric that is higher the nearer, -1 for the others."""
    return np.array([METRICS[metric].direction for metric in metrics])


def complete(method: str, scores: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """Blank a metric for the prompts where a candidate has no value of it, and note which.

    Candidates of one prompt are then scored by the same metrics, all of them.

    Raises
    ------
    InputError
        If a prompt has no metric left.
    """
    if not scores.isna().to_numpy().any():
        return scores, ()
    incomplete = scores.isna().groupby(level="prompt_id").any()
    prompts: dict[tuple[str, ...], list[str]] = {}
    for prompt, row in incomplete[incomplete.any(axis=1)].iterrows():
        left_out = tuple(str(metric) for metric in row.index[row])
        if len(left_out) == scores.shape[1]:
            raise InputError(
                f"the ranking '{method}' is undefined for prompt '{prompt}': none of "
                f"{', '.join(left_out)} is defined for all its candidates"
            )
        prompts.setdefault(left_out, []).append(str(prompt))
    notes = tuple(
        Note(
            LEFT_OUT,
            f"Ranking {method} goes without {', '.join(metrics)}, undefined {of_prompts(those)}",
            metrics,
        )
        for metrics, those in prompts.items()
    )
    blank = incomplete.reindex(scores.index.get_level_values("prompt_id")).to_numpy()
    return scores.mask(blank), notes


def ranked(method: str, scores: pd.Series, notes: Iterable[Note] = ()) -> Ranked:
    """Order scores, indexed by prompt and image, into the table that every ranking returns."""
    table = scores.rename("score").reset_index()
    table.insert(0, "method", method)
    table = table.sort_values(
        ["prompt_id", "score", "image_id"], ascending=[True, False, True], ignore_index=True
    )
    table["rank"] = table.groupby("prompt_id").cumcount() + 1
    return Ranked(table, tuple(notes))


def where_defined(
    method: str, scores: pd.Series, remedy: str
) -> tuple[pd.Series, tuple[Note, ...]]:
    """Return the scores of the candidates that have one, and note the others.

    Raises
    ------
    InputError
        If no candidate of a prompt has a score; it ends with ``remedy``.
    """
    defined = scores.notna()
    without = (~defined).groupby(level="prompt_id").agg(["sum", "all"])
    for prompt, count in without.loc[without["all"], "sum"].items():
        raise InputError(
            f"the ranking '{method}' is undefined for prompt '{prompt}': every pair of its "
            f"{count} candidates has a NaN; {remedy}"
        )
    short = without.index[without["sum"] > 0].astype(str)
    if not len(short):
        return scores, ()
    count = int(without["sum"].sum())
    text = f"Ranking {method} leaves out {count} candidates, undefined {of_prompts(short)}"
    return scores[defined], (Note(CANDIDATES_LEFT_OUT, text, tuple(short)),)
