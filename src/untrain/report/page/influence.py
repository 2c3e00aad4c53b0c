"""The training images that a run's ranking puts first, and the metrics that put them there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from untrain.report.words import number
from untrain.runs.results import Run, rows
from untrain.search.compare.metrics import METRICS, measured
from untrain.search.rank.ranking import metrics_of

MOST_BARS = 5


def metric_words(name: str) -> str:
    """Return a metric's name for a narrow label."""
    return METRICS[name].label if name in METRICS else name.replace("_", " ")


def main_ranking(run: Run) -> pd.DataFrame:
    """Return the rows of the ranking that the run's forget sets were made from, in order."""
    names = run.ranking["method"]
    method = ranking_name(run)
    if not (names == method).any():
        method = next(iter(names), "")
    return run.ranking[names == method].sort_values(["prompt_id", "rank"], kind="stable")


def ranking_name(run: Run) -> str:
    """Return the name of the run's ranking, or nothing."""
    return str((run.config.get("ranking") or {}).get("method") or "")


def ranking_metrics(run: Run) -> tuple[str, ...]:
    """Return the metrics that the run's ranking is made of; none if it is of another kind."""
    name = ranking_name(run)
    return metrics_of(name) if name else ()


def nearness_table(run: Run) -> pd.DataFrame:
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


def bars(
    near: pd.DataFrame, metrics: Sequence[str], pairs: list[tuple[str, str]]
) -> dict[Any, Any]:
    """Return the small bars of candidates, on one scale for all.

    Parameters
    ----------
    near : DataFrame
        As `nearness_table` returns it.
    metrics : sequence of str
        Which to show; those not measured are left out.
    pairs : list of (str, str)
        prompt_id and image_id of the candidates.

    Returns
    -------
    dict
        Of each pair a list of ``label, value, percent``: 0 % is the mean candidate or farther,
        100 % the nearest value that any of the pairs has.
    """
    shown = [name for name in metrics if name in near][:MOST_BARS]
    known = near.index.isin(pairs)
    values = near.loc[known, shown]
    scale = max([value for value in values.to_numpy(float).ravel() if value > 0], default=1.0)
    found: dict[Any, Any] = {}
    for pair, line in zip(values.index, values.to_numpy(float), strict=True):
        found[pair] = [
            {
                "label": metric_words(name),
                "value": number(value, 1),
                "percent": round(100 * min(max(value / scale, 0), 1), 1),
            }
            for name, value in zip(shown, line, strict=True)
            if math.isfinite(value)
        ]
    return found


def own_images(run: Run, prompt_id: str, family: str, families: dict[str, str]) -> set[str]:
    """Return the training images known to be of a prompt's own family."""
    sets = run.forget_sets
    own = sets.loc[(sets["arm"] == "family") & (sets["prompt_id"] == prompt_id), "image_id"]
    same = {image_id for image_id, name in families.items() if family and name == family}
    return same | set(own)


def uses_of(ranking: pd.DataFrame) -> dict[str, list[Any]]:
    """Return of each image the rows of the ranking that name it, the best rank first."""
    found: dict[str, list[Any]] = {}
    for line in rows(ranking.sort_values("rank", kind="stable")):
        found.setdefault(line.image_id, []).append(line)
    return found
