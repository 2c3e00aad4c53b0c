"""Noise, seeds and interference in finished runs, for `case_for_the_trial.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from between_runs import between_runs
from case_pairs import adjusting, slope
from case_runs import RANDOM, Trial
from untrain.core.files import rng
from untrain.evaluation.variance import VarianceComponents, centring, variance_components

MOST_SUBSETS = 40
MODELS = (4, 6, 8, 10, 12, 16, 24, 32, 48, 64)


def noises(trials: Sequence[Trial]) -> dict[str, tuple[VarianceComponents, float]]:
    """Estimate the noise, and the standard error of its correlation over runs.

    Of models as they are (adjusted for the prompt's own images), and among those that had these
    images (``in``) or not (``out``).
    """
    found = {}
    for kind in ("all", "in", "out"):
        each = []
        for trial in trials:
            out = trial.out[trial.own]
            makers = {
                "all": [adjusting([row], out.shape[1]) for row in out],
                "in": [centring(~row) for row in out],
                "out": [centring(row) for row in out],
            }[kind]
            each.append(variance_components(trial.mean, np.stack(makers)))
        shared, own = np.mean([[n.shared, n.own] for n in each], axis=0)
        spread = np.std([n.shared for n in each], ddof=1) / math.sqrt(len(each))
        found[kind] = VarianceComponents(float(shared), float(own)), float(spread / (shared + own))
    return found


def set_spread(trial: Trial, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the effect of each set of an arm on its prompt, and its squared standard error."""
    effects, squares = [], []
    for row in trial.rows(arm):
        y, out = trial.mean[trial.sets["prompt"][row]], trial.out[row]
        effects.append(y[out].mean() - y[~out].mean())
        squares.append(y[out].var(ddof=1) / out.sum() + y[~out].var(ddof=1) / (~out).sum())
    return np.array(effects), np.array(squares)


def seeds(trials: Sequence[Trial], decisions: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Take the spread of each arm's effect apart: own error, prompts, and the rest between runs."""
    found = {}
    overall = decisions[(decisions["way"] == "trial") & (decisions["what"] == "overall")]
    for arm in ("targeted", "family", *RANDOM):
        of_arm = overall[overall["arm"] == arm]
        prompts = 0.0
        errors = of_arm["null_sd"].to_numpy()
        if arm not in RANDOM:
            each = [set_spread(trial, arm) for trial in trials]
            errors = np.array([math.sqrt(squares.sum()) / len(squares) for _, squares in each])
            prompts = max(0.0, np.mean([e.var(ddof=1) - s.mean() for e, s in each]))
        alone = between_runs(of_arm["effect"].to_numpy(), errors)
        share = prompts / of_arm["n"].to_numpy()
        rest = between_runs(of_arm["effect"].to_numpy(), np.sqrt(np.square(errors) + share))
        found[arm] = {
            "mean": alone.mean,
            "error": alone.error,
            "spread": float(of_arm["effect"].std(ddof=1)),
            "own_error": float(np.sqrt(np.square(errors).mean())),
            "between": alone.between,
            "one_value_p": alone.p_value,
            "prompts_sd": math.sqrt(prompts),
            "between_beyond_prompts": rest.between,
            "beyond_prompts_p": rest.p_value,
        }
    return found


def cross_effects(trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
    """Return what a set does to pictures of prompts that it has nothing to do with."""
    per_run: dict[str, list[float]] = {}
    shift = []
    for trial in trials:
        makers = [adjusting([trial.out[row]], trial.out.shape[1]) for row in trial.own]
        rest = np.einsum("qmn,un->qum", makers, trial.out.astype(float))
        size = np.square(rest).sum(axis=2)
        away = ~trial.touching & (size > 1e-9)
        away[trial.sets["prompt"], np.arange(len(trial.sets))] = False
        sums = np.einsum("qum,qm->qu", rest, trial.mean)
        effects = np.where(away, sums / np.where(away, size, 1), np.nan)
        for arm, of_arm in trial.sets.groupby("arm"):
            per_run.setdefault(str(arm), []).append(float(np.nanmean(effects[:, of_arm.index])))
        shift.append(float(np.nanmean(effects)) * len(trial.sets) / 2)
    per_run["background"] = shift
    return {
        arm: {"mean": float(np.mean(v)), "error": float(np.std(v, ddof=1) / math.sqrt(len(v)))}
        for arm, v in per_run.items()
    }


def subsets(
    trials: Sequence[Trial], noise: dict[str, VarianceComponents]
) -> dict[int, dict[str, float]]:
    """Return the root mean square of random arms' estimates from some of a run's models.

    ``weighted``: models that had the prompt's own images count by their smaller noise.
    """
    found: dict[int, list[tuple[float, float]]] = {}
    for trial in trials:
        n_models = trial.out.shape[1]
        generator = rng("case subsets", trial.name)
        for size in (s for s in MODELS if s <= n_models):
            for _ in range(1 if size == n_models else MOST_SUBSETS):
                chosen = np.sort(generator.permutation(n_models)[:size])
                for arm in RANDOM:
                    both = _arm_mean(trial, arm, chosen), _arm_mean(trial, arm, chosen, noise)
                    found.setdefault(size, []).append(both)
    rms = {size: np.sqrt(np.nanmean(np.square(v), axis=0)) for size, v in found.items()}
    return {size: {"plain": float(r[0]), "weighted": float(r[1])} for size, r in rms.items()}


def weighted(
    trials: Sequence[Trial], noise: dict[str, VarianceComponents]
) -> dict[str, dict[str, float]]:
    """Return the random arms' weighted estimates: mean over runs and its standard error."""
    found = {}
    for arm in RANDOM:
        each = [_arm_mean(t, arm, np.arange(t.out.shape[1]), noise) for t in trials]
        error = np.std(each, ddof=1) / math.sqrt(len(each))
        found[arm] = {"mean": float(np.mean(each)), "error": float(error)}
    return found


def _arm_mean(
    trial: Trial, arm: str, chosen: np.ndarray, noise: dict[str, VarianceComponents] | None = None
) -> float:
    out, mean = trial.out[:, chosen], trial.mean[:, chosen]
    effects = []
    for row in trial.rows(arm):
        q = trial.sets["prompt"][row]
        own = out[trial.own[q]]
        scale = np.ones(len(chosen))
        if noise:
            scale = np.where(own, noise["out"].total, noise["in"].total) ** -0.5
        maker = adjusting([own], len(chosen), scale)
        effects.append(slope(mean[q] * scale, out[row] * scale, maker))
    return float(np.nanmean(effects))
