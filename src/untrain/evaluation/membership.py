"""What a membership attacker still finds out after unlearning.

The attacker knows a model's value of each pair (its loss, say) and wants to tell the forgotten
images from pairs that no model was trained on. The model's twin never saw either, so what the
attacker finds out from the twin is not memory but a difference between the two groups of images.
Only what is found beyond the twin's own counts; less than the twin's is a trace as well, as images
that a model does strikingly badly on are known by that.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import sklearn
from sklearn.metrics import auc, roc_curve

from untrain.core.unlearning_tables import MEMBERSHIP
from untrain.core.vocabulary import Attack, Group
from untrain.evaluation.crossed import crossed_interval, mean_of
from untrain.evaluation.fidelity import CLUSTER, moves_of, with_nothing

FALSE_POSITIVES = 0.01


def attack(members: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Return AUC, and the true-positive rate at 1 % false positives, of an attack by value.

    Parameters
    ----------
    members, others : ndarray of float
        Values of the two groups, lower taken as a sign of membership; not finite counts as the
        highest. With fewer than 100 others, no false positive at all is allowed.
    """
    values = np.concatenate([members, others])
    finite = np.isfinite(values)
    values = np.where(finite, values, values[finite].max(initial=0.0) + 1)
    truth = np.repeat([1, 0], [len(members), len(others)])
    # Thousands of small curves: to check each argument takes longer than the curve.
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
        fpr, tpr, _ = roc_curve(truth, -values, drop_intermediate=False)
        return float(auc(fpr, tpr)), float(tpr[fpr <= FALSE_POSITIVES].max())


def membership_table(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return how well attackers find the forget set, in unlearned models and in their twins.

    Parameters
    ----------
    outcomes : DataFrame
        Columns of `untrain.core.tables.LADDER_OUTCOMES`.

    Returns
    -------
    DataFrame
        Columns of `untrain.core.tables.MEMBERSHIP`: means over clusters, and the interval of the
        AUC beyond the twin's over models and sets. Rows of ``loss``, an attacker who knows the
        value of each pair, and of ``calibrated``, one who also knows how hard each pair is to a
        model that saw neither (the twins of the other seeds; Watson et al. 2022, arXiv 2111.08440),
        where there are any. Doing nothing is a row of its own, ``full``. Empty without held-out
        pairs.

    Raises
    ------
    InputError
        As for `untrain.evaluation.fidelity.fidelity_table`.
    """
    moves = _referred(moves_of(outcomes))
    moves = moves[moves["group"].isin([Group.FORGET, Group.HELD_OUT])]
    found = []
    for (kind, *cluster), of in with_nothing(moves).groupby(["kind", *CLUSTER], sort=True):
        place = {"kind": kind, **dict(zip(CLUSTER, cluster, strict=True))}
        found += [{**place, **line} for line in _attacks(of)]
    if not found:
        return MEMBERSHIP.empty()
    lines = pd.DataFrame(found)
    kinds = [None, *lines["kind"].unique()] if lines["kind"].nunique() > 1 else [None]
    return MEMBERSHIP.of(
        {"method": key[0], "budget": key[1], "kind": kind, "attack": key[2], **_means(part)}
        for kind in kinds
        for key, part in (lines if kind is None else lines[lines["kind"] == kind]).groupby(
            ["method", "budget", "attack"]
        )
    )


def _referred(moves: pd.DataFrame) -> pd.DataFrame:
    """Add what the twins of the other seeds give each item, NaN where there are none."""
    first = moves.drop_duplicates([*CLUSTER, "group", "item"])
    by_item = first.groupby(["set_id", "group", "item"])["twin"]
    others = by_item.transform("size") - 1
    reference = (by_item.transform("sum") - first["twin"]) / others.where(others > 0)
    known = first[[*CLUSTER, "group", "item"]].assign(reference=reference)
    return moves.merge(known, how="left", on=[*CLUSTER, "group", "item"])


def _attacks(of: pd.DataFrame) -> list[dict[str, object]]:
    """Return what each attacker finds in the unlearned models of a cluster, its twin and before."""
    lines: list[dict[str, object]] = []
    known: dict[tuple[str, str], tuple[float, float]] = {}
    for (method, budget), own in of.groupby(["method", "budget"], sort=True):
        member = (own["group"] == Group.FORGET).to_numpy()
        if member.all() or not member.any():
            return []
        for name in Attack:
            hard = own["reference"].to_numpy() if name == Attack.CALIBRATED else np.zeros(len(own))
            if np.isnan(hard).any():
                continue
            line = {"method": method, "budget": budget, "attack": name.value}
            line |= {"members": int(member.sum()), "others": int((~member).sum())}
            for suffix, column in (("", "value"), ("_twin", "twin"), ("_full", "before")):
                if not suffix or (name, suffix) not in known:
                    values = own[column].to_numpy() - hard
                    known[name, suffix] = attack(values[member], values[~member])
                line[f"auc{suffix}"], line[f"tpr{suffix}"] = known[name, suffix]
            lines.append(line)
    return lines


def _means(of: pd.DataFrame) -> dict[str, object]:
    """Return a row of the table from those of its clusters."""
    beyond = (of["auc"] - of["auc_twin"]).to_numpy()
    sums = np.stack([beyond, np.ones(len(beyond))], axis=1)
    low, high = crossed_interval(sums, of["model_id"].tolist(), of["set_id"].tolist(), mean_of)
    names = [f"{what}{suffix}" for what in ("auc", "tpr") for suffix in ("", "_twin", "_full")]
    return {
        **{name: float(of[name].mean()) for name in names},
        "beyond": float(beyond.mean()) if len(beyond) else math.nan,
        "low": low,
        "high": high,
        "members": int(of["members"].sum()),
        "others": int(of["others"].sum()),
        "models": of["model_id"].nunique(),
        "sets": of["set_id"].nunique(),
        "clusters": len(of),
    }
