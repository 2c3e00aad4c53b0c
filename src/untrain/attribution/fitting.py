"""Weights of the metrics, fitted on effects that finished runs have measured.

A run takes sets of images out and measures how much worse the models become at the prompt's
pictures. The ridge regression of that rise, an image, on the mean z-scores of the set's images
gives weights by which single images are ranked. It takes the effect of a set as the sum of its
images' (as datamodels do, Ilyas et al., 2022). Weights cannot be negative: metrics are so alike
that free ones would count some nearness against an image, to correct for another, and predict no
better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

import untrain
from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.notes import Note
from untrain.search.compare.metrics import METRICS, measured
from untrain.search.rank.metric_table import nearness, with_metrics
from untrain.search.rank.rules import FUSION
from untrain.search.rank.weights import Weights

COVERED = 0.8  # share of a set's images that must be candidates: only those have metrics
FOLDS = 5
STRENGTHS = np.logspace(-1, 4, 21)


@dataclass(frozen=True, eq=False)
class Examples:
    """What weights can be fitted on: sets of images whose removal from training was measured.

    Attributes
    ----------
    run, catalog : str
        The run's name, and the fingerprint of its catalogue.
    measure, unit : str
        What the effects are about: ``nll`` in ``bits/token``, ``loss``, ``dissimilarity``.
    sets : DataFrame
        A row for each set: ``arm``, ``prompt_id``, ``k``; ``group``, what cross-validation leaves
        out whole; ``images``, how many; ``effect`` of the set for each of them; ``fusion``, the
        mean score by default; and the mean of the z-scores of each metric, higher nearer, NaN where
        it is undefined.
    """

    run: str
    catalog: str
    measure: str
    unit: str
    sets: pd.DataFrame

    def describe(self) -> dict[str, Any]:
        """Return what weights keep of the run that they are fitted on, as JSON holds it."""
        return {
            "name": self.run,
            "catalog": self.catalog,
            "examples": fingerprint(self.sets.to_json(double_precision=10)),
            "sets": len(self.sets),
            "prompts": int(self.sets["prompt_id"].nunique()),
        }


def example_sets(
    comparison: pd.DataFrame,
    retrieval: pd.DataFrame,
    forget_sets: pd.DataFrame,
    effects: pd.DataFrame,
    groups: dict[str, str],
) -> pd.DataFrame:
    """Return the sets whose effect was measured and whose images were compared.

    Parameters
    ----------
    comparison, retrieval, forget_sets : DataFrame
        Tables of a run.
    effects : DataFrame
        Columns ``arm``, ``prompt_id``, ``k`` and ``effect``: those of single prompts, in one
        measure, by the randomised design.
    groups : dict of str to str
        The group of each prompt.

    Returns
    -------
    DataFrame
        As in `Examples`; empty if there is no such set.
    """
    metrics = [m for m in METRICS if m in comparison or m == "text_tfidf"]
    scores = nearness(with_metrics(comparison, retrieval, metrics), metrics)
    fusion = FUSION.rank(comparison, retrieval).table.set_index(["prompt_id", "image_id"])["score"]
    scores = scores.join(fusion.rename("fusion"))
    found = []
    for effect, members in removed_sets(forget_sets, effects):
        pairs = pd.MultiIndex.from_frame(members[["prompt_id", "image_id"]])
        known = pairs[pairs.isin(scores.index)]
        if len(known) >= COVERED * len(members):
            images = len(members) / members["draw"].nunique()
            key = {"arm": effect.arm, "prompt_id": effect.prompt_id, "k": effect.k}
            key |= {"group": groups[effect.prompt_id], "images": images}
            key |= {"effect": effect.effect / images}
            found.append({**key, **scores.loc[known].mean(skipna=False)})
    return pd.DataFrame(found)


def removed_sets(
    forget_sets: pd.DataFrame, effects: pd.DataFrame
) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield each effect, a row as a named tuple, with the images whose removal it is of.

    With several draws the effect is their mean. An effect of no set of the prompt's own is left
    out.
    """
    effect: Any
    for effect in effects.itertuples():
        # The effect at k is that of all increments up to k, with several draws their mean.
        same = forget_sets["arm"].eq(effect.arm) & forget_sets["prompt_id"].eq(effect.prompt_id)
        members = forget_sets[same & (forget_sets["k"] <= effect.k)]
        if len(members):
            yield effect, members


def fit_weights(runs: Sequence[Examples]) -> Weights:
    """Fit weights on the effects of the forget sets of finished runs.

    Ridge regression with weights that are not negative; its strength is chosen, and its quality
    measured, by cross-validation that leaves out whole prompts (all of a family, where families
    are known, in all runs).

    Parameters
    ----------
    runs : sequence of Examples
        Of finished runs with the randomised design.

    Returns
    -------
    Weights
        ``about`` holds: untrain's version and date; ``measure`` and ``unit``; ``runs`` (name,
        fingerprints of catalogue and examples, numbers of sets and prompts); ``sets``, ``prompts``
        and ``images``; ``without_weight``, metrics that add nothing, and ``left_out``, those not
        defined in all runs; ``ridge``, the strength on columns of unit variance;
        ``cross_validation``: R² and Spearman's correlation of predicted and measured effects of
        sets, the latter also within each arm, and that of the default ranking's mean score with
        the same effects.

    Raises
    ------
    InputError
        If runs differ in what they measured, or there are fewer than ten prompts or no metric that
        all have.
    """
    if not runs:
        raise InputError("no run was given; name the folders of finished runs")
    told = [run.describe() for run in runs]
    if len({about["examples"] for about in told}) < len(runs):
        raise InputError("a run was given twice; name each once, or its sets count double")
    measures = {(run.measure, run.unit): run.run for run in runs}
    if len(measures) > 1:
        said = ", ".join(f"{m} ({unit}) in {name}" for (m, unit), name in measures.items())
        raise InputError(
            f"the runs differ in what they measured: {said}; fit weights on runs of one kind of "
            "generator"
        )
    table = pd.concat([run.sets for run in runs], ignore_index=True)
    metrics = [m for m in measured(table) if table[m].notna().all()]
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
        "measure": runs[0].measure,
        "unit": runs[0].unit,
        "runs": told,
        "sets": len(table),
        "prompts": int(table["group"].nunique()),
        "images": int(table["images"].sum()),
        "without_weight": [m for m in metrics if m not in named],
        "left_out": [m for m in METRICS if m not in metrics],
        "ridge": strength,
        "cross_validation": _cross_validated(table, x, y, groups),
    }
    if not named:
        raise InputError(
            "no metric says anything about the effects of these runs, so there are no weights to "
            "rank by: add runs, with more models or sets that differ more"
        )
    return Weights(named, intercept, about)


def check_unseen(
    name: str, weights: Weights, run: str, catalog: str, examples: str | None
) -> tuple[Note, ...]:
    """Refuse weights that were fitted on the effects of the run they are tried on.

    Parameters
    ----------
    name : str
        What the weights are called in messages.
    weights : Weights
    run, catalog : str
        The run's name, and the fingerprint of its catalogue.
    examples : str or None
        The fingerprint of the run's own examples, if it has any (`Examples.describe`).

    Returns
    -------
    tuple of Note
        What is not known, or to be known, of the data that they were fitted on.

    Raises
    ------
    InputError
        They name this run, or its examples are this run's.
    """
    fitted_on = weights.about.get("runs", [])
    if not fitted_on:
        text = f"{name} does not say what it was fitted on: it may have seen this run"
        return (Note("weights-of-unknown-origin", text, (name,)),)
    same_data = [about for about in fitted_on if about.get("catalog") == catalog]
    for about in fitted_on:
        named = about in same_data and about.get("name") == run
        if named or (examples is not None and about.get("examples") == examples):
            raise InputError(
                f"{name} was fitted on this run ({about.get('name')}); what is fitted must be "
                "tried on a run that it has not seen: fit it on others with `untrain weights`, or "
                "leave it out"
            )
    if same_data:
        text = f"{name} was fitted on other runs of the same catalogue, perhaps of its families"
        return (Note("weights-of-same-catalog", text, (name,)),)
    return ()


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
