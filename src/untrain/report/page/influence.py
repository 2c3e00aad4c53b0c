"""The training images of a card: the metrics that put them there, and whose family they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from untrain.report.ranking import metric_label
from untrain.report.words import number
from untrain.runs.results import RunResults, rows

MOST_BARS = 5


def bars(
    near: pd.DataFrame, metrics: Sequence[str], pairs: list[tuple[str, str]]
) -> dict[Any, Any]:
    """Return the small bars of candidates, on one scale for all.

    Parameters
    ----------
    near : DataFrame
        As `untrain.report.ranking.nearness_table` returns it.
    metrics : sequence of str
        Which to show; those not measured are left out.
    pairs : list of (str, str)
        prompt_id and image_id of the candidates.

    Returns
    -------
    dict
        For each pair a list of ``label, value, percent``: 0 % is the mean candidate or farther,
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
                "label": metric_label(name),
                "value": number(value, 1),
                "percent": round(100 * min(max(value / scale, 0), 1), 1),
            }
            for name, value in zip(shown, line, strict=True)
            if math.isfinite(value)
        ]
    return found


def own_images(run: RunResults, prompt_id: str, family: str, families: dict[str, str]) -> set[str]:
    """Return the training images known to be of a prompt's own family."""
    sets = run.forget_sets
    own = sets.loc[(sets["arm"] == "family") & (sets["prompt_id"] == prompt_id), "image_id"]
    same = {image_id for image_id, name in families.items() if family and name == family}
    return same | set(own)


def uses_of(ranking: pd.DataFrame) -> dict[str, list[Any]]:
    """Return, for each image, the rows of the ranking that name it, the best rank first."""
    found: dict[str, list[Any]] = {}
    for line in rows(ranking.sort_values("rank", kind="stable")):
        found.setdefault(line.image_id, []).append(line)
    return found
