"""Fitting a calibration on measured removals, and how often its intervals are right on others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

import untrain
from untrain.attribution.calibration import (
    ISOTONIC,
    LINEAR,
    SCALES,
    Calibration,
    MeasuredSets,
    curve,
)
from untrain.attribution.fitting import spearman
from untrain.core.errors import InputError

FOLDS = 5
LEAST = 5  # prompts, with which an interval can promise 83 %
CONFIDENCE = 0.95

Knots = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Coverage:
    """How a calibration does on sets that it has not seen.

    Attributes
    ----------
    sets, prompts : int
    inside : float
        Share of the measured effects that lie in their intervals, prompts alike; each interval is
        widened by the measurement's own noise.
    confidence : float
        What that share ought to be.
    mean_error : float
        Mean absolute difference of predicted and measured effects, in the effects' unit.
    spearman : float or None
        Rank correlation of predicted and measured effects.
    slope : float
        Of measured on predicted effects, through zero: 1 if the scale is right.
    by_arm : dict of str to (int, float)
        Sets, and the share inside, of each arm.
    """

    sets: int
    prompts: int
    inside: float
    confidence: float
    mean_error: float
    spearman: float | None
    slope: float
    by_arm: dict[str, tuple[int, float]]


def fit_calibration(
    runs: Sequence[MeasuredSets], scale: str | None = None, confidence: float = CONFIDENCE
) -> Calibration:
    """Fit a calibration on the removals that runs have measured.

    Parameters
    ----------
    runs : sequence of MeasuredSets
        Of one method, measure and unit.
    scale : {'linear', 'isotonic'}, optional
        Left out, linear, unless the mean absolute error of the isotonic one on prompts left out
        (five folds; sets weigh by their noise) is lower by more than a standard error of the
        difference (the one-standard-error rule of Breiman et al. 1984).
    confidence : float
        Of the intervals, in (0, 1). Fewer than confidence / (1 − confidence) prompts cannot promise
        that much: then it is prompts / (prompts + 1).

    Returns
    -------
    Calibration
        ``about`` holds: untrain's version and date; ``runs`` (name, fingerprints of catalogue and
        recipe, numbers of sets and prompts, sources); ``sets``, ``prompts``; ``chosen_by`` and
        ``cross_validation``: for each scale the mean absolute error and Spearman's correlation of
        predicted and measured effects of prompts left out.

    Raises
    ------
    InputError
        Runs differ in method or unit, are given twice, have too few prompts, or scores that are
        all alike.
    """
    _check(runs, scale, confidence)
    table = pd.concat([run.sets for run in runs], ignore_index=True)
    data = _Data.of(table)
    by_scale = {name: data.left_out(name) for name in SCALES}
    quality = {name: data.quality(predicted) for name, predicted in by_scale.items()}
    chosen = scale or data.preferred(by_scale)
    knots, _ = data.fit(chosen)
    residuals = data.y - by_scale[chosen]
    absolute, relative = _spread(by_scale[chosen], residuals, data.noise, data.weights)
    relative = max(relative, data.jackknife_of_slope())
    spread = np.sqrt(data.noise**2 + absolute**2 + (relative * by_scale[chosen]) ** 2)
    reach, achieved = _conformal(np.abs(residuals) / spread, data.groups, confidence)
    first = runs[0]
    about = {
        "untrain": untrain.__version__,
        "date": date.today().isoformat(),
        "runs": [run.describe() for run in runs],
        "sets": len(table),
        "prompts": len(np.unique(data.groups)),
        "chosen_by": "asked for" if scale else "cross-validation",
        "cross_validation": {"folds": FOLDS, **quality},
    }
    return Calibration(
        first.method,
        first.measure,
        first.unit,
        chosen,
        knots,
        absolute,
        relative,
        reach,
        achieved,
        about,
    )


def coverage(calibration: Calibration, runs: Sequence[MeasuredSets]) -> Coverage:
    """Hold a calibration against removals that it was not fitted on.

    Raises
    ------
    InputError
        A run is one that it was fitted on, or is of another method or unit.
    """
    fitted_on = {about["key"] for about in calibration.about["runs"]}
    for run in runs:
        if run.key in fitted_on:
            raise InputError(
                f"the calibration was fitted on {run.run}: its coverage there would flatter it; "
                "check it on a run that it has not seen"
            )
        if (run.method, run.unit) != (calibration.method, calibration.unit):
            raise InputError(
                f"{run.run} has scores of {run.method} and effects in {run.unit}; the calibration "
                f"is of {calibration.method}, in {calibration.unit}"
            )
    table = pd.concat([run.sets for run in runs], ignore_index=True)
    data = _Data.of(table)
    predicted, low, high = calibration.effects(data.x, data.noise)
    inside = (low <= data.y) & (data.y <= high)
    arms = table.groupby("arm").indices.items()
    squares = float((data.weights * predicted**2).sum())
    return Coverage(
        len(table),
        len(np.unique(data.groups)),
        float(np.average(inside, weights=data.per_prompt)),
        calibration.confidence,
        float(np.average(np.abs(data.y - predicted), weights=data.per_prompt)),
        spearman(predicted, data.y),
        float((data.weights * predicted * data.y).sum()) / squares if squares else float("nan"),
        {str(arm): (len(rows), float(inside[rows].mean())) for arm, rows in arms},
    )


@dataclass(frozen=True, eq=False)
class _Data:
    """Sets as arrays: sums of scores, effects, their noise, and the prompt of each."""

    x: np.ndarray
    y: np.ndarray
    noise: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> _Data:
        x, y = (table[name].to_numpy(np.float64) for name in ("score", "effect"))
        noise = np.nan_to_num(table["noise"].to_numpy(np.float64))
        return cls(x, y, noise, pd.factorize(table["group"])[0])

    @property
    def per_prompt(self) -> np.ndarray:
        """A weight for each set, so that prompts count alike."""
        return 1 / np.bincount(self.groups)[self.groups]

    @property
    def weights(self) -> np.ndarray:
        """By noise, no set more than the median one: the noise is not all of the error."""
        typical = np.median(self.noise)
        return 1 / np.maximum(self.noise, typical) ** 2 if typical > 0 else np.ones(len(self.x))

    def take(self, rows: np.ndarray) -> _Data:
        return _Data(self.x[rows], self.y[rows], self.noise[rows], self.groups[rows])

    def fit(self, scale: str) -> tuple[Knots, float]:
        """Return the knots of a scale, and the slope of a line through zero."""
        slope, weights = _slope(self.x, self.y, self.weights), self.weights
        for _ in range(2):  # large effects err more: count them less
            predicted = slope * self.x
            absolute, relative = _spread(predicted, self.y - predicted, self.noise, self.weights)
            weights = 1 / (self.noise**2 + absolute**2 + (relative * predicted) ** 2)
            slope = _slope(self.x, self.y, weights)
        if scale == LINEAR:
            return ((0.0, 0.0), (float(np.abs(self.x).max()), slope * np.abs(self.x).max())), slope
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(out_of_bounds="clip").fit(self.x, self.y, weights)
        x, y = fitted.X_thresholds_, fitted.y_thresholds_
        return tuple((float(a), float(b)) for a, b in zip(x, y, strict=True)), slope

    def folds(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        from sklearn.model_selection import GroupKFold

        folds = min(FOLDS, len(np.unique(self.groups)))
        yield from GroupKFold(folds).split(self.x, groups=self.groups)

    def left_out(self, scale: str) -> np.ndarray:
        """Predict each prompt's sets from the other prompts."""
        predicted = np.empty(len(self.y))
        for train, test in self.folds():
            knots, _ = self.take(train).fit(scale)
            predicted[test] = curve(scale, knots)(self.x[test])
        return predicted

    def quality(self, predicted: np.ndarray) -> dict[str, Any]:
        error = np.average(np.abs(self.y - predicted), weights=np.sqrt(self.weights))
        return {"mean_absolute_error": float(error), "spearman": spearman(predicted, self.y)}

    def preferred(self, by_scale: dict[str, np.ndarray]) -> str:
        """Return the scale to take, by how far each is off at the prompts left out."""
        off = {name: np.abs(self.y - predicted) for name, predicted in by_scale.items()}
        weights = np.sqrt(self.weights)
        gain = np.bincount(self.groups, weights * (off[LINEAR] - off[ISOTONIC]))
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        return ISOTONIC if gain.mean() > error else LINEAR

    def jackknife_of_slope(self) -> float:
        """Return the standard error of the slope over the slope, prompts left out in turn."""
        ids = np.unique(self.groups)
        slopes = np.array([self.take(self.groups != each).fit(LINEAR)[1] for each in ids])
        error = np.sqrt((len(ids) - 1) * slopes.var())
        return float(error / max(abs(slopes.mean()), 1e-12))


def _check(runs: Sequence[MeasuredSets], scale: str | None, confidence: float) -> None:
    if not runs:
        raise InputError("no run was given; name the folders of finished runs")
    if scale not in (None, *SCALES):
        raise InputError(f"the scale is '{scale}'; expected {LINEAR} or {ISOTONIC}")
    if not 0 < confidence < 1:
        raise InputError(f"the confidence is {confidence}; expected a share between 0 and 1")
    kinds = {(run.method, run.measure, run.unit): run.run for run in runs}
    if len(kinds) > 1:
        said = ", ".join(f"{m} in {unit} ({name})" for (m, _, unit), name in kinds.items())
        raise InputError(f"the runs differ in what was scored or measured: {said}")
    if len({run.key for run in runs}) < len(runs):
        raise InputError("a run was given twice; name each once, or its sets count double")
    groups = pd.concat([run.sets["group"] for run in runs])
    scores = pd.concat([run.sets["score"] for run in runs])
    if groups.nunique() < LEAST or not np.ptp(scores.to_numpy()):
        raise InputError(
            f"found {groups.nunique()} prompts with {len(groups)} measured sets, whose sums of "
            f"scores lie between {scores.min():.3g} and {scores.max():.3g}; expected at least "
            f"{LEAST} prompts and sums that differ: add runs, or choose another method"
        )


def _slope(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    squares = float((weights * x**2).sum())
    return float((weights * x * y).sum()) / squares if squares else 0.0


def _spread(
    predicted: np.ndarray, residuals: np.ndarray, noise: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """Return the absolute and the relative error that make the residuals likeliest (Gaussian)."""
    from scipy.optimize import minimize

    typical = float(np.sqrt(np.average(residuals**2, weights=weights))) or 1e-12
    size = float(np.abs(predicted).max()) or 1.0

    def surprise(logs: np.ndarray) -> float:
        absolute, relative = np.exp(logs)
        variance = noise**2 + absolute**2 + (relative * predicted) ** 2
        return float((np.log(variance) + residuals**2 / variance).sum())

    lowest = np.log([1e-3 * typical, 1e-4 * typical / size])
    highest = np.log([10 * typical, 10.0])
    start = np.log([typical / 2, max(min(typical / size, 1.0), 1e-3)]).clip(lowest, highest)
    bounds = list(zip(lowest, np.maximum(highest, lowest + 1), strict=True))
    found = minimize(surprise, start, method="L-BFGS-B", bounds=bounds)
    absolute, relative = np.exp(found.x)
    return float(absolute), float(relative)


def _conformal(scores: np.ndarray, groups: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the quantile of residuals that a new prompt's stay below, and how surely.

    Each prompt has weight 1, shared by its sets; a new one counts as a further prompt whose
    residuals are beyond all (Tibshirani et al. 2019, for weights).
    """
    prompts = len(np.unique(groups))
    achieved = min(confidence, prompts / (prompts + 1))
    weights = 1 / np.bincount(groups)[groups]
    order = np.argsort(scores)
    below = np.cumsum(weights[order]) / (prompts + 1)
    at = min(int(np.searchsorted(below, achieved - 1e-9)), len(scores) - 1)
    return float(scores[order][at]), float(achieved)
