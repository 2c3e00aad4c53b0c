"""Distances between unlearned models and their twins as distributions, not pair by pair.

What the literature reports, to stand beside rho. None of them knows which model is whose twin, so
with few models they are blunt where paired twins are sharp.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from untrain.core.errors import InputError
from untrain.core.unlearning_tables import DISTANCES
from untrain.core.vocabulary import Group
from untrain.evaluation.fidelity import CLUSTER, moves_of, with_nothing
from untrain.evaluation.ulira import told_apart

BINS, CLIP, FLOOR = 20, 100.0, 1e-5
BINNED = 64  # models from which the histogram is used
LEAST = 4  # models from which a normal distribution is fitted
PERCENTILE = 95
LEAST_CHALLENGED = 8  # models from which thresholds say something


def gaussian_kl(unlearned: np.ndarray, twins: np.ndarray) -> np.ndarray:
    """Return KL(unlearned ‖ twins) of each example in nats, both taken as normal.

    log(σ₂ / σ₁) + (σ₁² + (μ₁ − μ₂)²) / 2σ₂² − ½, with the variances of samples (n − 1).

    Parameters
    ----------
    unlearned, twins : ndarray of float, shape (models, examples)

    Returns
    -------
    ndarray of float, shape (examples,)
        0 or more; infinite where all twins give one value and the unlearned models others.
    """
    means = [each.mean(axis=0) for each in (unlearned, twins)]
    first, second = (each.var(axis=0, ddof=1) for each in (unlearned, twins))
    gap = (means[0] - means[1]) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 0.5 * (np.log(second / first) + (first + gap) / second - 1)
    found = np.where((second == 0) | (first == 0), math.inf, found)
    return np.where((first == second) & (gap == 0), 0.0, np.maximum(found, 0.0))


def binned_kl(unlearned: np.ndarray, twins: np.ndarray) -> np.ndarray:
    """Return KL(unlearned ‖ twins) of each example in nats, from histograms.

    20 bins over the range of both, values cut at ±100, shares of at least 1e-5, as the benchmark
    that KLoM comes from has them (Georgiev et al. 2024, Attribute-to-delete, arXiv 2410.23232).

    Parameters
    ----------
    unlearned, twins : ndarray of float, shape (models, examples)

    Returns
    -------
    ndarray of float, shape (examples,)
    """
    found = []
    for p, q in zip(unlearned.T.clip(-CLIP, CLIP), twins.T.clip(-CLIP, CLIP), strict=True):
        ends = (min(p.min(), q.min()), max(p.max(), q.max()))
        shares = [np.histogram(each, BINS, ends)[0] / len(each) for each in (p, q)]
        first, second = (np.maximum(each, FLOOR) for each in shares)
        found.append(float((first * np.log(first / second)).sum()))
    return np.maximum(found, 0.0)


def klom(unlearned: np.ndarray, twins: np.ndarray) -> float:
    """Return KLoM: the 95th percentile over examples of KL(unlearned ‖ twins), in nats.

    From histograms with 64 models or more, else from normal fits (a histogram of few models
    measures their number); NaN with fewer than 4 models, or where a value is not finite.

    Parameters
    ----------
    unlearned, twins : ndarray of float, shape (models, examples)
    """
    if unlearned.shape != twins.shape:
        raise ValueError(f"unlearned is {unlearned.shape} and twins {twins.shape}; expected equal")
    if len(twins) < LEAST or not np.isfinite(unlearned).all():
        return math.nan
    kl = binned_kl if len(twins) >= BINNED else gaussian_kl
    return float(np.percentile(kl(unlearned, twins), PERCENTILE))


def forgetting_epsilon(unlearned: np.ndarray, twins: np.ndarray, delta: float = 0.0) -> np.ndarray:
    """Return how well the best threshold tells unlearned models from twins, for each example.

    ε = max over thresholds, in both directions, of log((1 − δ − FPR) / FNR) and
    log((1 − δ − FNR) / FPR), at least 0: the guarantee of (ε, δ)-unlearning that the models rule
    out (NeurIPS 2023 Machine Unlearning Challenge). A threshold without any error gives an
    infinite ε; one that only makes errors of one kind is left out, as there.

    Parameters
    ----------
    unlearned, twins : ndarray of float, shape (models, examples)
        The challenge has 512 models of each; with n, no finite ε is above log(n − 1), and chance
        often separates few.
    delta : float
        At least 0 and below 1.

    Returns
    -------
    ndarray of float, shape (examples,)
    """
    if not 0 <= delta < 1:
        raise InputError(f"delta is {delta:g}; expected at least 0 and below 1")
    return np.array(
        [_epsilon(p, q, delta) for p, q in zip(unlearned.T, twins.T, strict=True)], np.float64
    )


def _epsilon(unlearned: np.ndarray, twins: np.ndarray, delta: float) -> float:
    cuts = np.unique(np.concatenate([unlearned, twins]))[:, None]
    best = 0.0
    for sign in (1, -1):
        # Called unlearned: at least the cut, or at most.
        fnr = (sign * unlearned < sign * cuts).mean(axis=1)
        fpr = (sign * twins >= sign * cuts).mean(axis=1)
        if ((fnr == 0) & (fpr == 0)).any():
            return math.inf
        both = (fnr > 0) & (fpr > 0)
        for ours, theirs in ((fpr[both], fnr[both]), (fnr[both], fpr[both])):
            left = 1 - delta - ours
            ratios = np.log(left[left > 0] / theirs[left > 0])
            best = max(best, float(ratios.max(initial=0.0)))
    return best


def distances_table(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return the distances of each method at each budget, on each group of pairs.

    Parameters
    ----------
    outcomes : DataFrame
        Columns of `untrain.core.tables.LADDER_OUTCOMES`.

    Returns
    -------
    DataFrame
        Columns of `untrain.core.tables.DISTANCES`, over all sets. Doing nothing is a row of its
        own, ``full``. U-LiRA and ε are of the group ``forget`` only; they and KLoM need several
        models with the same set, and are missing where there are too few.

    Raises
    ------
    InputError
        As for `untrain.evaluation.fidelity.fidelity_table`.
    """
    moves = with_nothing(moves_of(outcomes))
    return DISTANCES.of(
        {"method": key[0], "budget": key[1], "group": key[2], **_figures(part)}
        for key, part in moves.groupby(["method", "budget", "group"], sort=True)
    )


def _figures(of: pd.DataFrame) -> dict[str, object]:
    """Return a row of the table from the moves of its items."""
    tests = [
        ks_2samp(part["value"], part["twin"]) if np.isfinite(part["value"]).all() else None
        for _, part in of.groupby(CLUSTER)
    ]
    known = [test for test in tests if test is not None]
    # Distances over models take some; few are not worth the work.
    several = of.groupby("set_id")["model_id"].nunique().min() >= LEAST
    pairs = [_by_model(part) for _, part in of.groupby("set_id")] if several else []
    forget = of["group"].iloc[0] == Group.FORGET
    return {
        "ks": float(np.mean([test.statistic for test in known])) if known else math.nan,
        "ks_p": float(np.median([test.pvalue for test in known])) if known else math.nan,
        "klom": _over_sets([klom(*pair) for pair in pairs]),
        "klom_floor": _over_sets([_floor(twins) for _, twins in pairs]),
        "ulira": _ulira(pairs) if forget else math.nan,
        "epsilon": _median_epsilon(pairs) if forget else math.nan,
        "models": of["model_id"].nunique(),
        "sets": of["set_id"].nunique(),
        "clusters": len(tests),
    }


def _by_model(of_set: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return values of unlearned models and of their twins, (models, items), of one set."""
    tables = (of_set.pivot(index="model_id", columns="item", values=v) for v in ("value", "twin"))
    found = [table.dropna(axis=1, how="all").to_numpy(np.float64) for table in tables]
    if found[0].shape != found[1].shape:  # a model diverged on an item in every seed
        found[0] = np.full(found[1].shape, math.nan)
    return found[0], found[1]


def _over_sets(values: list[float]) -> float:
    """Return the mean over sets, NaN if any is unknown or there is none."""
    if not values:
        return math.nan
    mean = float(np.mean(values))
    return mean if math.isfinite(mean) else math.nan


def _floor(twins: np.ndarray) -> float:
    half = len(twins) // 2
    return klom(twins[:half], twins[half : 2 * half])


def _ulira(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the AUC of U-LiRA over all sets and items."""
    scores = [told_apart(*pair) for pair in pairs if len(pair[0]) > LEAST_CHALLENGED // 2]
    if not scores:
        return math.nan
    values = [np.concatenate([pair[kind].ravel() for pair in scores]) for kind in (0, 1)]
    if not all(np.isfinite(each).all() for each in values):
        return math.nan
    truth = np.repeat([1, 0], [len(each) for each in values])
    return float(roc_auc_score(truth, np.concatenate(values)))


def _median_epsilon(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the median over sets and items, NaN if it is infinite or models are too few."""
    if min((len(twins) for _, twins in pairs), default=0) < LEAST_CHALLENGED:
        return math.nan
    if not all(np.isfinite(unlearned).all() for unlearned, _ in pairs):
        return math.nan
    median = float(np.median(np.concatenate([forgetting_epsilon(*pair) for pair in pairs])))
    return median if math.isfinite(median) else math.nan
