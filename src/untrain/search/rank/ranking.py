"""Ranking: from the metrics of all pairs to one score a candidate; higher is more influential.

`docs/rankings.md` says what each is good for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from untrain.core.errors import InputError, did_you_mean
from untrain.core.registry import Registry
from untrain.search.compare.comparison import METRIC_DIRECTION
from untrain.search.rank.metric_table import (
    PICTURE,
    by_candidate,
    complete,
    directions,
    nearness,
    ranked,
    ranked_where_defined,
    with_metrics,
)

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
# Chosen among some twenty sets on rendered families of seed 0, real members made coarse and noisy
# in place of generated pictures, with the layout encoder and MobileNetV2. It beats the study's sum
# where prompts are specific; where the prompt names the article alone, or the encoder cannot bear
# the noise, the sum can be as good or better.
FUSED = ["pixel_mse", "pixel_mae", "pixel_cosine", "feature_cosine", "text_tfidf"]
RANK_CONSTANT = 60  # Cormack, Clarke & Büttcher (2009)


def study_score(comparison: pd.DataFrame) -> pd.Series:
    """Return the study's score of each candidate, the **lowest** the most similar.

    The weighted sum of nine metrics, averaged over generations; a pair with a NaN among the nine is
    skipped, and a candidate with no pair left is NaN.

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


def rank_study(comparison: pd.DataFrame, retrieval: pd.DataFrame | None) -> pd.DataFrame:
    """Rank as the study did: the score is minus `study_score`.

    Raises
    ------
    InputError
        If no candidate of a prompt has a score, as with features that can be negative.
    """
    return ranked_where_defined(
        "study",
        -study_score(comparison),
        "KL divergence needs features that cannot be negative, cosines a picture that is not "
        "black: use an encoder with non-negative features, such as `layout`, or the ranking "
        "`fusion`",
    )


def rank_fusion(comparison: pd.DataFrame, retrieval: pd.DataFrame | None) -> pd.DataFrame:
    """Rank by the mean z-score of pixel, feature and text metrics, so that no scale decides.

    Each metric of `FUSED` is turned so that higher is nearer, standardised over the candidates
    of each generated picture and averaged over generations; a metric without spread adds nothing.
    Where a candidate has no value of a metric, the metric is left out for that prompt, and
    ``attrs["notes"]`` says so.
    """
    scores, notes = _nearness("fusion", comparison, retrieval, FUSED)
    return ranked("fusion", scores.mean(axis=1), notes)


def rank_zscore(comparison: pd.DataFrame, retrieval: pd.DataFrame | None) -> pd.DataFrame:
    """Rank by the sum of the z-scores of the study's nine metrics, made and left out as in fusion.

    It is the study's choice of metrics without its hand-set scales.
    """
    scores, notes = _nearness("zscore", comparison, retrieval, list(STUDY_WEIGHTS))
    return ranked("zscore", scores.sum(axis=1), notes)


def rank_rrf(comparison: pd.DataFrame, retrieval: pd.DataFrame | None) -> pd.DataFrame:
    """Rank by reciprocal rank fusion of the metrics of `FUSED`: the sum of 1 / (60 + rank).

    Ranks are taken among the candidates of each generated picture, equal values sharing their mean
    rank, and the sums averaged over generations. A metric is left out as in fusion.
    Source: Cormack, Clarke & Büttcher (2009).
    """
    table = with_metrics(comparison, retrieval, FUSED)
    values = table[FUSED] * -directions(FUSED)
    ranks = values.groupby([table[key] for key in PICTURE]).rank()
    scores, notes = complete("rrf", by_candidate(table, 1 / (RANK_CONSTANT + ranks)))
    return ranked("rrf", scores.sum(axis=1), notes)


def rank_text(comparison: pd.DataFrame, retrieval: pd.DataFrame | None) -> pd.DataFrame:
    """Rank by the TF-IDF cosine of prompt and caption alone, whatever was generated.

    Raises
    ------
    InputError
        If the comparison has no ``text_tfidf`` and there is no retrieval, as without a prompt.
    """
    return _rank_metric(
        "text", "text_tfidf", comparison, retrieval, "it needs a prompt: use `fusion`"
    )


def rank_pixel_cosine(comparison: pd.DataFrame, retrieval: pd.DataFrame | None) -> pd.DataFrame:
    """Rank by the cosine of the pixels, averaged over generations.

    Raises
    ------
    InputError
        If it is undefined for all candidates of a prompt.
    """
    return _rank_metric(
        "pixel_cosine",
        "pixel_cosine",
        comparison,
        retrieval,
        "the cosine needs pictures that are not black: use the ranking `text`",
    )


Ranking = Callable[[pd.DataFrame, pd.DataFrame | None], pd.DataFrame]

RANKINGS: Registry[Ranking] = Registry(
    "ranking",
    {
        "fusion": rank_fusion,
        "study": rank_study,
        "zscore": rank_zscore,
        "rrf": rank_rrf,
        "text": rank_text,
        "pixel_cosine": rank_pixel_cosine,
    },
)
OPEN = {
    "metric": "a metric, such as metric:feature_cosine",
    "fitted": "weights of `untrain weights`, such as fitted:weights.json",
    "scores": "scores of your own, such as scores:file.parquet",
}


class Method(NamedTuple):
    """A ranking's name taken apart: ``kind`` is a key of `OPEN`, or "" for one of `RANKINGS`."""

    kind: str
    argument: str

    @property
    def file(self) -> Path | None:
        """The file that the ranking is read from, if any."""
        return Path(self.argument) if self.kind in ("fitted", "scores") else None

    def beside(self, folder: Path) -> str:
        """Return the name again, a relative file as seen from ``folder``."""
        argument = self.argument if self.file is None else str(folder / self.file.expanduser())
        return f"{self.kind}:{argument}" if self.kind else argument


def parse_method(name: str) -> Method:
    """Take a ranking's name apart: ``fusion``, ``metric:…``, ``fitted:FILE`` or ``scores:FILE``.

    Raises
    ------
    InputError
        If the name, or the metric, is none that is known, or nothing follows the colon.
    """
    kind, colon, argument = name.partition(":")
    if not colon:
        RANKINGS.check(name)
        return Method("", name)
    if kind not in OPEN or not argument:
        raise InputError(
            f"unknown ranking '{name}'; expected one of {', '.join(RANKINGS)}, or "
            + ", or ".join(OPEN.values())
        )
    if kind == "metric" and argument not in METRIC_DIRECTION:
        raise InputError(f"unknown metric '{argument}'{did_you_mean(argument, METRIC_DIRECTION)}")
    return Method(kind, argument)


def check_method(name: str) -> None:
    """Raise what can be known to be wrong with a ranking before anything is compared.

    Raises
    ------
    InputError
        As `parse_method`; or if the file is absent or, for fitted weights, not to be read.
    """
    method = parse_method(name)
    if method.file is not None and not method.file.is_file():
        raise InputError(f"the ranking '{name}' needs {method.file}, which is no file")
    if method.kind == "fitted":
        from untrain.search.rank.fitted import Weights

        Weights.load(Path(method.argument))


def rank(
    method: str,
    comparison: pd.DataFrame,
    retrieval: pd.DataFrame | None = None,
    prompts: pd.DataFrame | None = None,
    ids: Sequence[str] = (),
) -> pd.DataFrame:
    """Rank the candidates of every prompt by a method.

    Parameters
    ----------
    method : str
        One of `RANKINGS`, ``metric:<column>``, ``fitted:<file>`` (`untrain.search.rank.fitted`) or
        ``scores:<file>`` (`untrain.search.rank.scores`).
    comparison : DataFrame
        As `untrain.search.compare.comparison.compare` returns it, for any number of prompts.
    retrieval : DataFrame, optional
        As `untrain.search.retrieve.candidates.retrieve` returns it; its score stands in where
        the comparison has no ``text_tfidf``.
    prompts : DataFrame, optional
        Columns prompt_id and prompt, and
    ids : sequence of str
        all images of the catalogue; both are for ``scores:`` alone.

    Returns
    -------
    DataFrame
        Columns ``method``, ``prompt_id``, ``image_id``, ``score`` (higher is more influential) and
        ``rank`` (from 1); by prompt, best first, equal scores by id. ``attrs["notes"]`` lists
        what was left out for want of a value.
    """
    kind, argument = parse_method(method)
    if kind == "metric":
        remedy = "it is undefined for these pictures or was not measured: use another"
        return _rank_metric(method, argument, comparison, retrieval, remedy)
    if kind == "fitted":
        from untrain.search.rank.fitted import Weights

        return Weights.load(Path(argument)).rank(comparison, retrieval, method)
    if kind == "scores":
        from untrain.search.rank.scores import read_scores

        known = prompts if prompts is not None else comparison[["prompt_id"]].drop_duplicates()
        return read_scores(Path(argument), known, ids, method)
    return RANKINGS[method](comparison, retrieval)


def _rank_metric(
    method: str,
    metric: str,
    comparison: pd.DataFrame,
    retrieval: pd.DataFrame | None,
    remedy: str,
) -> pd.DataFrame:
    table = with_metrics(comparison, retrieval, [metric])
    scores = by_candidate(table, table[metric] * METRIC_DIRECTION[metric]).iloc[:, 0]
    return ranked_where_defined(method, scores, remedy)


def _nearness(
    method: str, comparison: pd.DataFrame, retrieval: pd.DataFrame | None, metrics: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    table = with_metrics(comparison, retrieval, metrics)
    return complete(method, nearness(table, metrics))
