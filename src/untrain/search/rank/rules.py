"""Rankings: rules that turn the metrics of all pairs into one score per candidate.

`docs/rankings.md` says what each is good for. A new one is a `Ranking` here, and a line in
`untrain.search.rank.ranking.RANKINGS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from untrain.core.notes import Note
from untrain.search.compare.metrics import METRICS
from untrain.search.rank.metric_table import (
    PICTURE,
    Ranked,
    by_candidate,
    complete,
    directions,
    nearness,
    ranked,
    where_defined,
    with_metrics,
)

Score = Callable[[str, pd.DataFrame], tuple[pd.Series, tuple[Note, ...]]]

# Chosen among some twenty sets on rendered families of seed 0, real members made coarse and noisy
# in place of generated pictures, with the layout encoder and MobileNetV2. It beats the study's sum
# where prompts are specific; where the prompt names only the article, or the encoder cannot bear
# the noise, the sum can be as good or better.
FUSED = ("pixel_mse", "pixel_mae", "pixel_cosine", "feature_cosine", "text_tfidf")
STUDY_WEIGHTS = {
    name: weight for name in METRICS if (weight := METRICS[name].study_weight) is not None
}
RANK_CONSTANT = 60  # Cormack, Clarke & Büttcher (2009)


@dataclass(frozen=True)
class Ranking:
    """A rule that scores the candidates of a prompt; higher is more influential.

    Attributes
    ----------
    name : str
    metrics : tuple of str
        Those that the score is made of.
    score : callable
        The name, and a table of these metrics as
        `untrain.search.rank.metric_table.with_metrics` returns it → scores, indexed by
        ``prompt_id`` and ``image_id``, and notes.
    """

    name: str
    metrics: tuple[str, ...]
    score: Score

    def rank(self, comparison: pd.DataFrame, retrieval: pd.DataFrame | None = None) -> Ranked:
        """Rank the candidates of every prompt; see `untrain.search.rank.ranking.rank`."""
        table = with_metrics(comparison, retrieval, self.metrics)
        scores, notes = self.score(self.name, table)
        return ranked(self.name, scores, notes)


def study_score(comparison: pd.DataFrame) -> pd.Series:
    """Return the study's score of each candidate, the **lowest** the most similar.

    The weighted sum of nine metrics, averaged over generations; a pair with a NaN among the nine is
    skipped, and a candidate with no pair left is NaN. Source: Aivalis et al. (2025), Stage 2.

    Parameters
    ----------
    comparison : DataFrame
        As `untrain.search.compare.comparison.compare` returns it, for any number of prompts.

    Returns
    -------
    Series
        Indexed by ``prompt_id`` and ``image_id``, in order.
    """
    table = with_metrics(comparison, None, list(STUDY_WEIGHTS))
    pairs = (table[list(STUDY_WEIGHTS)] * pd.Series(STUDY_WEIGHTS)).sum(axis=1, skipna=False)
    return by_candidate(table, pairs).iloc[:, 0]


def one_metric(name: str, metric: str, remedy: str) -> Ranking:
    """Return the ranking by one metric, averaged over the generations that have a value.

    It fails with ``remedy`` where the metric is undefined for all candidates of a prompt.
    """

    def score(method: str, table: pd.DataFrame) -> tuple[pd.Series, tuple[Note, ...]]:
        scores = by_candidate(table, table[metric] * METRICS[metric].direction).iloc[:, 0]
        return where_defined(method, scores, remedy)

    return Ranking(name, (metric,), score)


def _study(method: str, table: pd.DataFrame) -> tuple[pd.Series, tuple[Note, ...]]:
    return where_defined(
        method,
        -study_score(table),
        "KL divergence needs features that cannot be negative, cosines a picture that is not "
        "black: use an encoder with non-negative features, such as `layout`, or the ranking "
        "`fusion`",
    )


def _fusion(method: str, table: pd.DataFrame) -> tuple[pd.Series, tuple[Note, ...]]:
    scores, notes = complete(method, nearness(table, FUSED))
    return scores.mean(axis=1), notes


def _zscore(method: str, table: pd.DataFrame) -> tuple[pd.Series, tuple[Note, ...]]:
    scores, notes = complete(method, nearness(table, list(STUDY_WEIGHTS)))
    return scores.sum(axis=1), notes


def _rrf(method: str, table: pd.DataFrame) -> tuple[pd.Series, tuple[Note, ...]]:
    values = table[list(FUSED)] * -directions(FUSED)
    ranks = values.groupby([table[key] for key in PICTURE]).rank()
    scores, notes = complete(method, by_candidate(table, 1 / (RANK_CONSTANT + ranks)))
    return scores.sum(axis=1), notes


FUSION = Ranking("fusion", FUSED, _fusion)
"""The mean z-score of pixel, feature and text metrics, so that no scale decides.

Each metric of `FUSED` is turned so that higher is nearer, standardised over the candidates of each
generated picture and averaged over generations; a metric without spread adds nothing. Where a
candidate has no value of a metric, the metric is left out for that prompt, and a note says so.
"""

STUDY = Ranking("study", tuple(STUDY_WEIGHTS), _study)
"""As the study did: minus `study_score`."""

ZSCORE = Ranking("zscore", tuple(STUDY_WEIGHTS), _zscore)
"""The sum of the z-scores of the study's nine metrics, made and left out as in fusion.

It is the study's choice of metrics without its hand-set scales.
"""

RRF = Ranking("rrf", FUSED, _rrf)
"""Reciprocal rank fusion of the metrics of `FUSED`: the sum of 1 / (60 + rank).

Ranks are taken among the candidates of each generated picture, equal values sharing their mean
rank, and the sums averaged over generations. A metric is left out as in fusion.
Source: Cormack, Clarke & Büttcher (2009).
"""

TEXT = one_metric("text", "text_tfidf", "it needs a prompt: use `fusion`")
"""The TF-IDF cosine of prompt and caption, whatever was generated."""

PIXEL_COSINE = one_metric(
    "pixel_cosine",
    "pixel_cosine",
    "the cosine needs pictures that are not black: use the ranking `text`",
)
"""The cosine of the pixels, averaged over generations."""
