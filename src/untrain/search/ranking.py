"""Ranking: from the metrics of all pairs to one score a candidate; higher is more influential."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from untrain.errors import InputError
from untrain.registry import Registry

STUDY_WEIGHTS = {  # Aivalis et al. (2025): set by hand, never fitted; the lowest sum is the nearest
    "pixel_mse": 0.0001,
    "pixel_mae": 0.01,
    "pixel_cosine": -1.0,
    "pixel_ssim": -1.0,
    "feature_cosine": -1.0,
    "feature_mse": 1.0,
    "feature_kl": 0.00001,
    "feature_manhattan": 0.00001,
    "feature_minkowski": 0.001,
}
# What fusion adds up, and which way is nearer. Chosen among some twenty sets on rendered families
# of seed 0, real members made coarse and noisy in place of generated pictures, with the layout
# encoder and MobileNetV2. It beats the study's sum where prompts are specific; where the prompt
# names the article alone, or the encoder cannot bear the noise, the sum can be as good or better.
FUSED = {
    "pixel_mse": -1,
    "pixel_mae": -1,
    "pixel_cosine": 1,
    "feature_cosine": 1,
    "text": 1,
}
PAIR = ["prompt_id", "image_id"]


def study_score(comparison: pd.DataFrame) -> pd.Series:
    """Return the study's score of each candidate, the **lowest** the most similar.

    The weighted sum of nine metrics, averaged over generations; a pair with a NaN among the nine is
    skipped, and a candidate with no pair left is NaN.

    Parameters
    ----------
    comparison : DataFrame
        As `untrain.search.comparison.compare` returns it, for any number of prompts.

    Returns
    -------
    Series
        Indexed by ``prompt_id`` and ``image_id``, in order.
    """
    table = comparison[list(STUDY_WEIGHTS)]
    pairs = (table * pd.Series(STUDY_WEIGHTS)).sum(axis=1, skipna=False)
    return _by_candidate(comparison, pairs)


def rank_study(comparison: pd.DataFrame, retrieval: pd.DataFrame) -> pd.DataFrame:
    """Rank as the study did: the score is minus `study_score`.

    Raises
    ------
    InputError
        If no candidate of a prompt has a score, as with features that can be negative.
    """
    return _rank_defined(
        "study",
        -study_score(comparison),
        "KL divergence needs features that cannot be negative, cosines a picture that is not "
        "black: use an encoder with non-negative features, such as `layout`, or the ranking "
        "`fusion`",
    )


def rank_fusion(comparison: pd.DataFrame, retrieval: pd.DataFrame) -> pd.DataFrame:
    """Rank by the mean z-score of pixel, feature and text metrics, so that no scale decides.

    Each metric of `FUSED` is turned so that higher is nearer, standardised over the candidates
    of each generated picture and averaged over generations; a metric without spread adds nothing.
    Where a candidate has no value of a metric, the metric is left out for that prompt, and
    ``attrs["notes"]`` says so.
    """
    text = retrieval.set_index(PAIR)["score"].rename("text")
    table = comparison.join(text, on=PAIR)
    groups = [table["prompt_id"], table["generation"]]
    scores = {}
    for metric, direction in FUSED.items():
        values = table[metric] * direction
        grouped = values.groupby(groups)
        mean, spread = grouped.transform("mean"), grouped.transform("std", ddof=0)
        # Rounding leaves a little spread in equal values; dividing by it would rank noise.
        flat = spread <= 1e-12 * mean.abs()
        standard = ((values - mean) / spread).mask(flat & values.notna(), 0.0)
        scores[metric] = _by_candidate(table, standard)
    metrics = pd.DataFrame(scores)
    incomplete = metrics.isna().groupby(level="prompt_id").any()
    notes = []
    for prompt, row in incomplete.iterrows():
        left_out = list(row.index[row])
        if len(left_out) == len(FUSED):
            raise InputError(f"no metric of prompt '{prompt}' is defined for all its candidates")
        if left_out:
            notes.append(f"fusion, prompt {prompt}: left out {', '.join(left_out)}, undefined")
            metrics.loc[[prompt], left_out] = np.nan
    return _ranked("fusion", metrics.mean(axis=1), notes)


def rank_text(comparison: pd.DataFrame, retrieval: pd.DataFrame) -> pd.DataFrame:
    """Rank by the retrieval score alone: what the captions say, whatever was generated."""
    return _ranked("text", retrieval.set_index(PAIR)["score"], [])


def rank_pixel_cosine(comparison: pd.DataFrame, retrieval: pd.DataFrame) -> pd.DataFrame:
    """Rank by the cosine of the pixels, averaged over generations.

    Raises
    ------
    InputError
        If it is undefined for all candidates of a prompt.
    """
    return _rank_defined(
        "pixel_cosine",
        _by_candidate(comparison, comparison["pixel_cosine"]),
        "the cosine needs pictures that are not black: use the ranking `text`",
    )


Ranking = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]

RANKINGS: Registry[Ranking] = Registry(
    "ranking",
    {
        "study": rank_study,
        "fusion": rank_fusion,
        "text": rank_text,
        "pixel_cosine": rank_pixel_cosine,
    },
)


def rank(method: str, comparison: pd.DataFrame, retrieval: pd.DataFrame) -> pd.DataFrame:
    """Rank the candidates of every prompt by a method in `RANKINGS`.

    Parameters
    ----------
    method : str
    comparison : DataFrame
        As `untrain.search.comparison.compare` returns it, for any number of prompts.
    retrieval : DataFrame
        As `untrain.search.retrieval.retrieve` returns it.

    Returns
    -------
    DataFrame
        Columns ``method``, ``prompt_id``, ``image_id``, ``score`` (higher is more influential) and
        ``rank`` (from 1); by prompt, best first, equal scores by id. ``attrs["notes"]`` lists
        what was left out for want of a value.
    """
    return RANKINGS[method](comparison, retrieval)


def _by_candidate(table: pd.DataFrame, values: pd.Series) -> pd.Series:
    """Mean over generations of the values that are defined, by prompt and image."""
    return values.groupby([table["prompt_id"], table["image_id"]]).mean()


def _rank_defined(method: str, scores: pd.Series, remedy: str) -> pd.DataFrame:
    """Rank the candidates that have a score and note the others; a prompt needs at least one."""
    defined = scores.notna()
    without = (~defined).groupby(level="prompt_id").agg(["sum", "all"])
    notes = []
    for prompt, (count, every) in without.iterrows():
        if every:
            raise InputError(
                f"the ranking '{method}' is undefined for prompt '{prompt}': every pair of its "
                f"{count} candidates has a NaN; {remedy}"
            )
        if count:
            notes.append(f"{method}, prompt {prompt}: left out {count} candidates, undefined")
    return _ranked(method, scores[defined], notes)


def _ranked(method: str, scores: pd.Series, notes: list[str]) -> pd.DataFrame:
    """Order scores, indexed by prompt and image, into the table that every ranking returns."""
    table = scores.rename("score").reset_index()
    table.insert(0, "method", method)
    table = table.sort_values(
        ["prompt_id", "score", "image_id"], ascending=[True, False, True], ignore_index=True
    )
    table["rank"] = table.groupby("prompt_id").cumcount() + 1
    table.attrs["notes"] = notes
    return table
