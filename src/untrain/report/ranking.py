"""The ranking that chose what was removed, and the metrics that it combines."""

from __future__ import annotations

import pandas as pd

from untrain.attribution.registry import is_search_ranking
from untrain.core.errors import InputError
from untrain.runs.results import RunResults
from untrain.search.compare.metrics import METRICS, measured
from untrain.search.rank.ranking import metrics_of

LISTED = 100
"""Images of a prompt that the page lists, where a ranking covers more than its candidates."""


def metric_label(name: str) -> str:
    """Return a metric's name for a narrow label."""
    return METRICS[name].label if name in METRICS else name.replace("_", " ")


def ranking_name(run: RunResults) -> str:
    """Return the name of the ranking that the forget sets were made from; "" if none is known."""
    return str((run.config.get("ranking") or {}).get("method") or "")


def main_ranking(run: RunResults) -> pd.DataFrame:
    """Return the rows of that ranking, by prompt and rank; of the first one where it is absent."""
    names = run.ranking["method"]
    method = ranking_name(run)
    if not (names == method).any():
        method = next(iter(names), "")
    return rows_of(run, method)


def rows_of(run: RunResults, method: str) -> pd.DataFrame:
    """Return the rows of a ranking, by prompt and rank."""
    own = run.ranking[run.ranking["method"] == method]
    return own.sort_values(["prompt_id", "rank"], kind="stable")


def rankings_beside(run: RunResults) -> list[str]:
    """Return the rankings that are shown beside the one that the forget sets were made from.

    They are the further ones whose first images were removed, or else, of an attributor and a
    ranking of metrics, the other.
    """
    first, known = ranking_name(run), set(run.ranking["method"])
    if not first:
        return []
    others = [str(name) for name in (run.config.get("removal") or {}).get("rankings") or ()]
    if not others:
        also = [str(name) for name in (run.config.get("ranking") or {}).get("also") or ()]
        others = [n for n in also if is_search_ranking(n) != is_search_ranking(first)][:1]
    return [name for name in dict.fromkeys(others) if name != first and name in known]


def near_the_top(run: RunResults, ranking: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of rankings that a prompt's page is about: as many as it has candidates."""
    top = (run.config.get("retrieval") or {}).get("top") or 0
    return ranking[ranking["rank"] <= max(LISTED, int(top))]


def ranking_metrics(run: RunResults) -> tuple[str, ...]:
    """Return the metrics that the ranking uses; of an attributor, those of one shown beside it.

    None where an attributor or a file gave the scores, or where weights cannot be read any more.
    """
    name = ranking_name(run)
    if not name:
        return ()
    known = [each for each in (name, *rankings_beside(run)) if is_search_ranking(each)]
    try:
        return metrics_of(known[0]) if known else ()
    except InputError:
        return ()


def nearness_table(run: RunResults) -> pd.DataFrame:
    """Return how much nearer a candidate is than the mean one, in standard deviations.

    Returns
    -------
    DataFrame
        Indexed by ``prompt_id`` and ``image_id``, a column for each metric that was measured, means
        over generations; empty where the run has no comparison.
    """
    from untrain.search.rank.metric_table import nearness, with_metrics

    if run.comparison.empty:
        return pd.DataFrame(index=pd.MultiIndex.from_tuples([], names=["prompt_id", "image_id"]))
    metrics = measured(run.comparison)
    if "text_tfidf" not in metrics and len(run.retrieval):
        metrics.append("text_tfidf")
    return nearness(with_metrics(run.comparison, run.retrieval, metrics), metrics)


def first_images(run: RunResults, prompt_id: str, count: int) -> list[str]:
    """Return the ids of the training images that the ranking puts first for a prompt."""
    ranking = main_ranking(run)
    return [str(i) for i in ranking.loc[ranking["prompt_id"] == prompt_id, "image_id"][:count]]
