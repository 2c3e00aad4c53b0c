"""Weights of the metrics, fitted on effects that finished runs have measured.

A run takes sets of images out and measures how much less likely the prompt's pictures become. The
ridge regression of that rise, an image, on the mean z-scores of the set's images gives weights by
which single images are ranked. It takes the effect of a set as the sum of its images' (as
datamodels do, Ilyas et al., 2022). Weights cannot be negative: metrics are so alike that free ones
would count some nearness against an image, to correct for another, and predict no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import untrain
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, write_json
from untrain.search.compare.comparison import METRIC_DIRECTION
from untrain.search.rank.metric_table import (
    complete,
    nearness,
    ranked,
    with_metrics,
)
from untrain.search.rank.ranking import rank_fusion

FORMAT = 1
MEASURE = "nll"
COVERED = 0.8  # share of a set's images that must be candidates: only those have metrics
FOLDS = 5
STRENGTHS = np.logspace(-1, 4, 21)
RULE = (
    "score = intercept + sum of weight * direction * z; z: the metric minus its mean, over its "
    "standard deviation, among the candidates of each generated picture, averaged over generations"
)
TABLES = ("comparison", "retrieval", "forget_sets", "results/effects")


@dataclass(frozen=True)
class Weights:
    """A linear rule from z-scores of metrics to the effect of an image's removal.

    Parameters
    ----------
    weights : dict of str to float
        By metric; what one standard deviation nearer adds to the score. Never negative; metrics
        that add nothing are not in it.
    intercept : float
    about : dict
        What it was fitted on and how well it does; see `fit_weights`.
    """

    weights: dict[str, float]
    intercept: float
    about: dict[str, Any]

    def rank(
        self,
        comparison: pd.DataFrame,
        retrieval: pd.DataFrame | None = None,
        method: str = "fitted",
    ) -> pd.DataFrame:
        """Rank by the predicted effect, in bits an image token that the image's removal costs.

        A metric that a candidate of a prompt lacks is left out for that prompt, and
        ``attrs["notes"]`` says so.

        Returns
        -------
        DataFrame
            As `untrain.search.rank.ranking.rank` returns it.
        """
        metrics = list(self.weights)
        scores = nearness(with_metrics(comparison, retrieval, metrics), metrics)
        scores, notes = complete(method, scores)
        weighted = scores * pd.Series(self.weights)
        return ranked(method, self.intercept + weighted.sum(axis=1), notes)

    def save(self, path: Path) -> None:
        """Write JSON that says what it is and where it comes from."""
        directions = {metric: METRIC_DIRECTION[metric] for metric in self.weights}
        write_json(path, {"format": FORMAT, "rule": RULE, "directions": directions, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Weights:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is absent, of another kind or format, or has a metric that is unknown.
        """
        try:
            found = read_json(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as fitted weights ({error})") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise InputError(
                f"{path}: not fitted weights of format {FORMAT}; make them with `untrain weights`"
            )
        weights, intercept = found.get("weights"), found.get("intercept")
        known = isinstance(weights, dict) and set(weights) <= set(METRIC_DIRECTION)
        if not known or not weights:
            raise InputError(f"{path}: 'weights' is not a mapping of known metrics to numbers")
        try:
            numbers = {metric: float(weight) for metric, weight in weights.items()}
            constant = float(intercept)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise InputError(f"{path}: a weight or the intercept is no number") from None
        if not np.isfinite([constant, *numbers.values()]).all():
            raise InputError(f"{path}: a weight or the intercept is not finite")
        return cls(numbers, constant, dict(found.get("about") or {}))


def fit_weights(runs: Sequence[Path]) -> Weights:
    """Fit weights on the effects of the forget sets of finished runs.

    Ridge regression with weights that are not negative; its strength is chosen, and its quality
    measured, by cross-validation that leaves out whole prompts (all of a family, where families
    are known, in all runs).

    Parameters
    ----------
    runs : sequence of Path
        Folders of finished runs with the randomised design.

    Returns
    -------
    Weights
        ``about`` holds: untrain's version and date; ``measure``; ``runs`` (name, fingerprints of
        catalogue and examples, numbers of sets and prompts); ``sets``, ``prompts`` and ``images``;
        ``without_weight``, metrics that add nothing, and ``left_out``, those not defined in all
        runs; ``ridge``, the strength on columns of unit variance;
        ``cross_validation``: R² and Spearman's correlation of predicted and measured effects of
        sets, the latter also within each arm, and that of the default ranking's mean score with
        the same effects.

    Raises
    ------
    InputError
        If a folder is not a finished run with effects to learn from, is given twice, or there are
        fewer than ten prompts or no metric that all have.
    """
    if not runs:
        raise InputError("no run was given; name the folders of finished runs")
    if len({run.resolve() for run in runs}) < len(runs):
        raise InputError("a run was given twice; name each once, or its sets count double")
    parts = {run: examples(run) for run in runs}
    table = pd.concat(parts.values(), ignore_index=True)
    metrics = [m for m in METRIC_DIRECTION if m in table and table[m].notna().all()]
    if not metrics or table["group"].nunique() < 2 * FOLDS:
        raise InputError(
            f"found {table['group'].nunique()} prompts with {len(table)} sets and "
            f"{len(metrics)} metrics that all of them have; expected at least {2 * FOLDS} prompts "
            "and one metric: add runs"
        )
    x, y, groups = table[metrics].to_numpy(), table["effect"].to_numpy(), table["group"].to_numpy()
    strength = _strength(x, y, groups)
    weights, intercept = ridge(x, y, strength)
    named = {m: float(weight) for m, weight in zip(metrics, weights, strict=True) if weight > 0}
    about = {
        "untrain": untrain.__version__,
        "date": date.today().isoformat(),
        "measure": f"rise of {MEASURE}, bits an image token, for each image removed",
        "runs": [described(run, part) for run, part in parts.items()],
        "sets": len(table),
        "prompts": int(table["group"].nunique()),
        "images": int(table["images"].sum()),
        "without_weight": [m for m in metrics if m not in named],
        "left_out": [m for m in METRIC_DIRECTION if m not in metrics],
        "ridge": strength,
        "cross_validation": _cross_validated(table, x, y, groups),
    }
    if not named:
        raise InputError(
            "no metric says anything about the effects of these runs, so there are no weights to "
            "rank by: add runs, with more models or sets that differ more"
        )
    return Weights(named, intercept, about)


def examples(run: Path) -> pd.DataFrame:
    """Return the sets of a finished run whose effect was measured and whose images were compared.

    Returns
    -------
    DataFrame
        ``arm``, ``prompt_id``, ``k``; ``group``, the prompt's family or else its text; ``images``,
        how many; ``effect`` of the set for each of them; ``fusion``, the mean score by default;
        and the mean of the z-scores of each metric, higher nearer, NaN where it is undefined.

    Raises
    ------
    InputError
        If the folder lacks a table, there is no such set, or those of all prompts left together.
    """
    tables = {name: _table(run, name) for name in TABLES}
    comparison, retrieval, sets, effects = tables.values()
    if (sets.groupby("forget_set_id")["prompt_id"].nunique() > 1).any():
        raise InputError(
            f"{run}: the sets of all prompts left together (removal.together), so that no effect "
            "is that of one prompt's images; expected a run with a set for each prompt"
        )
    metrics = [m for m in METRIC_DIRECTION if m in comparison or m == "text_tfidf"]
    scores = nearness(with_metrics(comparison, retrieval, metrics), metrics)
    fusion = rank_fusion(comparison, retrieval).set_index(["prompt_id", "image_id"])["score"]
    scores = scores.join(fusion.rename("fusion"))
    groups = _groups(run)
    measured = effects[
        (effects["design"] == "randomised")
        & (effects["measure"] == MEASURE)
        & (effects["prompt_id"] != "")
        & effects["estimate"].notna()
    ]
    found = []
    columns = ["arm", "prompt_id", "k", "estimate"]
    for arm, prompt_id, k, estimate in measured[columns].to_numpy(object):
        # The effect at k is that of all increments up to k, with several draws their mean.
        same = (sets["arm"] == arm) & (sets["prompt_id"] == prompt_id)
        members = sets[same & (sets["k"] <= k)]
        pairs = pd.MultiIndex.from_frame(members[["prompt_id", "image_id"]])
        known = pairs[pairs.isin(scores.index)]
        if len(members) and len(known) >= COVERED * len(members):
            images = len(members) / members["draw"].nunique()
            key = {"arm": arm, "prompt_id": prompt_id, "k": k, "group": groups[prompt_id]}
            key |= {"images": images, "effect": estimate / images}
            found.append({**key, **scores.loc[known].mean(skipna=False)})
    if not found:
        raise InputError(
            f"{run}: no effect of a set of candidates; expected a run with the randomised design "
            "and an arm such as targeted or random_candidate"
        )
    return pd.DataFrame(found)


def _needed(run: Path, name: str) -> Path:
    path = run / name
    if not path.is_file():
        raise InputError(
            f"{run}: found no {name}; expected the folder of a finished run. Run the experiment "
            "to its end (it resumes where it stopped)"
        )
    return path


def _table(run: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(_needed(run, f"{name}.parquet")).fillna({"prompt_id": ""})


def _groups(run: Path) -> dict[str, str]:
    """Return, by prompt, the family or else the text: what cross-validation leaves out whole."""
    prompts = pd.read_csv(_needed(run, "prompts.csv"), dtype=str, keep_default_na=False)
    groups = prompts["family"].where(prompts["family"] != "", prompts["prompt"])
    return dict(zip(prompts["prompt_id"], groups, strict=True))


def described(run: Path, part: pd.DataFrame) -> dict[str, Any]:
    """Return what is kept of a run that weights are fitted on: its name and fingerprints."""
    record = read_json(_needed(run, "run.json"))
    return {
        "name": record.get("name", run.name),
        "catalog": record.get("fingerprints", {}).get("catalog", ""),
        "examples": fingerprint(part.to_json(double_precision=10)),
        "sets": len(part),
        "prompts": int(part["prompt_id"].nunique()),
    }


def _splits(x: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import GroupKFold

    return list(GroupKFold(min(FOLDS, len(set(groups)))).split(x, groups=groups))


def ridge(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    """Fit y ≈ x·w + b, w ≥ 0, with a penalty on w as if columns had unit variance.

    Minimises Σ(y − x·w − b)² + strength·Σ(s·w)², s the standard deviations of the columns, as least
    squares with one more row for each column.

    Parameters
    ----------
    x : ndarray of float, shape (n, d)
    y : ndarray of float, shape (n,)
    strength : float

    Returns
    -------
    tuple of ndarray of float, shape (d,), and float
        w and b.
    """
    from scipy.optimize import nnls

    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread == 0] = 1.0
    rows = np.vstack([(x - mean) / spread, np.sqrt(strength) * np.eye(x.shape[1])])
    weights = nnls(rows, np.append(y - y.mean(), np.zeros(x.shape[1])))[0] / spread
    return weights, float(y.mean() - mean @ weights)


def _strength(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """Return the strength that predicts prompts left out with the least squared error."""
    errors = np.zeros(len(STRENGTHS))
    for train, test in _splits(x, groups):
        for i, strength in enumerate(STRENGTHS):
            weights, intercept = ridge(x[train], y[train], strength)
            errors[i] += ((y[test] - x[test] @ weights - intercept) ** 2).sum()
    return float(STRENGTHS[errors.argmin()])


def _cross_validated(
    table: pd.DataFrame, x: np.ndarray, y: np.ndarray, groups: np.ndarray
) -> dict[str, Any]:
    """Predict each prompt's sets from the other prompts, the strength chosen without it too."""
    predicted = np.empty(len(y))
    for train, test in _splits(x, groups):
        strength = _strength(x[train], y[train], groups[train])
        weights, intercept = ridge(x[train], y[train], strength)
        predicted[test] = x[test] @ weights + intercept
    return {
        "folds": FOLDS,
        "r2": 1 - float(((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum()),
        "spearman": spearman(predicted, y),
        "spearman_by_arm": {
            str(arm): spearman(predicted[rows], y[rows])
            for arm, rows in table.groupby("arm").indices.items()
        },
        "spearman_of_fusion": spearman(table["fusion"].to_numpy(), y),
    }


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return Spearman's rank correlation; None where one of the two is constant."""
    from scipy.stats import spearmanr

    if len(a) < 3 or not np.ptp(a) or not np.ptp(b):
        return None
    return float(spearmanr(a, b).statistic)
