"""The ranking that chose what was removed, and the metrics that it combines."""

from __future__ import annotations

import pandas as pd

from untrain.core.errors import InputError
from untrain.runs.results import RunResults
from untrain.search.compare.metrics import METRICS, measured
from untrain.search.rank.ranking import metrics_of


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
    return run.ranking[names == method].sort_values(["prompt_id", "rank"], kind="stable")


def ranking_metrics(run: RunResults) -> tuple[str, ...]:
    """Return the metrics that the ranking uses.

    None where scores came from a file, or weights from one that cannot be read any more.
    """
    name = ranking_name(run)
    try:
        return metrics_of(name) if name else ()
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
