"""Fidelity by paired twins: how near a cheap way of forgetting comes to exact retraining.

For a model m and a forget set u its twin is m trained again without u: same start, same order of
the data, same noise. So all that differs between the two is what the removal did, and each pair of
a model and a set (a cluster) says how far off a method is, without a bank of models::

    rho = 1 − Σ (Y_unlearned − Y_twin)² / Σ (Y_m − Y_twin)²

over the measured pairs (items) of all clusters. 1 is the twin itself, 0 is doing nothing, below 0
the method has moved the model further from its twin than it was.

With the moves a = Y_unlearned − Y_m and d = Y_twin − Y_m, ``reach`` = Σ a d / Σ d² is how far a
method went along the twin's move, and ``across`` = Σ (a − reach · d)² / Σ d² what it moved besides:
rho = 1 − (1 − reach)² − across, exactly, and moved² = reach² + across.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.unlearning_tables import FIDELITY, LADDER_OUTCOMES
from untrain.core.vocabulary import Fidelity, Group, Reference
from untrain.evaluation.crossed import crossed_interval, log_ratio

GOAL = 0.9
"""The rho from which a method is called faithful."""
CLUSTER = ["model_id", "set_id"]
_ITEM = [*CLUSTER, "group", "item"]
_REFERENCES = (Reference.FULL.value, Reference.TWIN.value)


def fidelity_table(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return rho of each method at each budget, on each group of pairs, by kind of forget set.

    Parameters
    ----------
    outcomes : DataFrame
        Columns of `untrain.core.tables.LADDER_OUTCOMES`, with the rows of ``full`` and ``twin``.

    Returns
    -------
    DataFrame
        Columns of `untrain.core.tables.FIDELITY`. Rows without a kind are over all sets; kinds
        have rows of their own where there are several. Where several models have the same set,
        the method ``other seed`` is what the twins of the others predict (`other_seeds`).

    Raises
    ------
    InputError
        An item lacks its value in the model before or in the twin, was measured twice, or was
        measured for a method in some clusters' groups but not all of the items.
    """
    moves = moves_of(outcomes)
    moves = pd.concat([moves, other_seeds(moves)], ignore_index=True)
    sums = cluster_sums(moves)
    kinds = [None, *sums["kind"].unique()] if sums["kind"].nunique() > 1 else [None]
    table = FIDELITY.of(
        {"method": key[0], "budget": key[1], "kind": kind, "group": key[2], **_figures(part)}
        for kind in kinds
        for key, part in (sums if kind is None else sums[sums["kind"] == kind]).groupby(
            ["method", "budget", "group"]
        )
    )
    order = {group.value: place for place, group in enumerate(Group)}
    return table.sort_values(
        ["kind", "group", "method", "budget"],
        key=lambda column: column.map(order) if column.name == "group" else column,
        na_position="first",
        ignore_index=True,
        kind="stable",
    )


def moves_of(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return how far each item moved, by each method and in the twin.

    Returns
    -------
    DataFrame
        The columns of ``outcomes`` without the references' rows, and ``before`` (Y_m), ``twin``
        (Y_twin), ``move`` (Y_unlearned − Y_m, NaN where it is not finite), ``twin_move``.

    Raises
    ------
    InputError
        As for `fidelity_table`.
    """
    outcomes = LADDER_OUTCOMES.conform(outcomes.reset_index(drop=True), "the outcomes of a ladder")
    twice = outcomes.duplicated([*_ITEM, "method", "budget"])
    if twice.any():
        row = outcomes[twice].iloc[0]
        raise InputError(
            f"{_place(row)} was measured twice for {row['method']} at budget {row['budget']:g}; "
            "expected one value of an item"
        )
    full, twin = (
        outcomes[outcomes["method"] == name].set_index(_ITEM)["value"] for name in _REFERENCES
    )
    for name, values in zip(_REFERENCES, (full, twin), strict=True):
        if values.isna().any() or not np.isfinite(values.to_numpy()).all():
            raise InputError(
                f"the models '{name}' have values that are not finite: there is nothing to "
                "measure fidelity against"
            )
    moves = outcomes[~outcomes["method"].isin(_REFERENCES)].copy()
    if moves.empty:
        raise InputError("the outcomes hold no method of unlearning: run some first")
    at = pd.MultiIndex.from_frame(moves[_ITEM])
    moves["before"] = full.reindex(at).to_numpy(np.float64)
    moves["twin"] = twin.reindex(at).to_numpy(np.float64)
    for name, column in zip(_REFERENCES, ("before", "twin"), strict=True):
        if moves[column].isna().any():
            row = moves[moves[column].isna()].iloc[0]
            raise InputError(
                f"{_place(row)} was measured for {row['method']} but not in the model '{name}'; "
                "measure the same items in all models"
            )
    _check_complete(moves, full)
    move = moves["value"] - moves["before"]
    moves["move"] = move.where(np.isfinite(move))
    moves["twin_move"] = moves["twin"] - moves["before"]
    return moves.reset_index(drop=True)


def other_seeds(moves: pd.DataFrame) -> pd.DataFrame:
    """Return what the twins of other seeds predict of each twin: the mean of their moves.

    It costs a training, as the twin does, and knows all about the removal but this model's own
    luck: a method that beats it follows the path of this very model. Empty where no two models
    have a set with the same items.
    """
    first = moves.drop_duplicates(_ITEM)
    by_item = first.groupby(["set_id", "group", "item"])["twin_move"]
    others = by_item.transform("size") - 1
    predicted = (by_item.transform("sum") - first["twin_move"]) / others.where(others > 0)
    known = first[predicted.notna()].assign(
        method=Reference.OTHER_SEED.value, budget=1.0, spent=1.0, seconds=math.nan
    )
    known["move"] = predicted
    known["value"] = known["before"] + known["move"]
    # A cluster counts whole or not at all.
    whole = first.groupby([*CLUSTER, "group"])["item"].transform("size")
    have = known.groupby([*CLUSTER, "group"])["item"].transform("size")
    return known[have == whole.loc[known.index]]


def with_nothing(moves: pd.DataFrame) -> pd.DataFrame:
    """Return moves with those of the model before, all 0, as if doing nothing were a method."""
    full = moves.drop_duplicates(_ITEM).assign(
        method=Reference.FULL.value, budget=0.0, spent=0.0, seconds=math.nan, move=0.0
    )
    full["value"] = full["before"]
    return pd.concat([full, moves], ignore_index=True)


def cluster_sums(moves: pd.DataFrame) -> pd.DataFrame:
    """Return the sums of each method, budget, group and cluster that everything is computed from.

    Returns
    -------
    DataFrame
        ``method``, ``budget``, ``group``, ``kind``, ``model_id``, ``set_id``; ``error`` Σ (a − d)²,
        ``base`` Σ d², ``product`` Σ a d, ``square`` Σ a², ``move`` Σ a, ``twin_move`` Σ d;
        ``items``, ``finite`` (of them), ``spent``, ``seconds``.
    """
    a, d = moves["move"], moves["twin_move"]
    parts = moves.assign(
        error=(a - d) ** 2, base=d**2, product=a * d, square=a**2, finite=a.notna()
    )
    # Sums must not depend on the order of rows: the items are put in theirs.
    parts = parts.sort_values("item", kind="stable")
    return parts.groupby(
        ["method", "budget", "group", "kind", *CLUSTER], sort=True, as_index=False
    ).agg(
        **{
            name: (name, "sum")
            for name in ("error", "base", "product", "square", "move", "twin_move", "finite")
        },
        items=("item", "size"),
        spent=("spent", "first"),
        seconds=("seconds", "first"),
    )


def rho_interval(clusters: pd.DataFrame, confidence: float = 0.95) -> tuple[float, float]:
    """Return the limits of rho over models *and* sets; NaN twice where there are none.

    The interval is of the logarithm of the ratio of sums, so that no limit is above 1
    (`untrain.evaluation.crossed.crossed_interval`).

    In simulations of 3 to 8 models and 4 to 16 sets (``benchmarks/fidelity_intervals.py``) it
    covers 89 to 98 %, where clusters taken as independent would cover 54 to 94 %.
    With one model or one set it is conditional on it: with one of models that differ, 81 %.

    Parameters
    ----------
    clusters : DataFrame
        A row a cluster: ``model_id``, ``set_id``, ``error``, ``base``.
    confidence : float
        Above 0 and below 1.
    """
    sums = clusters[["error", "base"]].to_numpy(np.float64)
    if len(sums) > 1 and sums[:, 0].sum() == 0 < sums[:, 1].sum():
        return 1.0, 1.0
    models, sets = (clusters[name].tolist() for name in CLUSTER)
    low, high = crossed_interval(sums, models, sets, log_ratio, confidence)
    return 1 - _exp(high), 1 - _exp(low)


def verdict_of(rho: float, low: float, high: float, diverged: int = 0) -> Fidelity:
    """Return what is said of a method: by its interval, and ``faithful`` by rho itself as well."""
    if diverged or high < 0:
        return Fidelity.HARMS
    if math.isnan(low) or math.isnan(rho):
        return Fidelity.UNKNOWN
    if low <= 0:
        return Fidelity.SAME
    return Fidelity.FAITHFUL if rho >= GOAL else Fidelity.PARTIAL


def _figures(of: pd.DataFrame) -> dict[str, object]:
    """Return the figures of a row of the table from the sums of its clusters."""
    diverged = int((of["finite"] < of["items"]).sum())
    error, base, product, square, move, twin_move, items = (
        float(of[name].sum())
        for name in ("error", "base", "product", "square", "move", "twin_move", "items")
    )
    known = base > 0 and not diverged
    low, high = rho_interval(of) if known else (math.nan, math.nan)
    rho = 1 - error / base if known else math.nan
    reach = product / base if known else math.nan
    return {
        "rho": rho,
        "low": low,
        "high": high,
        "verdict": verdict_of(rho, low, high, diverged),
        "reach": reach,
        "across": max(0.0, square / base - reach**2) if known else math.nan,
        "moved": math.sqrt(square / base) if known else math.nan,
        "shift": move / items if not diverged else math.nan,
        "twin_shift": twin_move / items,
        "spent": of["spent"].mean(),
        "seconds": of["seconds"].mean(),
        "items": int(items),
        "models": of["model_id"].nunique(),
        "sets": of["set_id"].nunique(),
        "clusters": len(of),
        "diverged": diverged,
    }


def _check_complete(moves: pd.DataFrame, full: pd.Series) -> None:
    """Refuse a method that was measured on some items of a cluster's group only."""
    group = [*CLUSTER, "group"]
    found = moves.groupby([*group, "method", "budget"], as_index=False).size()
    wanted = full.groupby(level=group).size()
    found["wanted"] = wanted.reindex(pd.MultiIndex.from_frame(found[group])).to_numpy(int)
    few = found[found["size"] != found["wanted"]]
    if len(few):
        row = few.iloc[0]
        raise InputError(
            f"{row['method']} at budget {row['budget']:g} was measured on {row['size']} of "
            f"{row['wanted']} {row['group']} items of model {row['model_id']} and set "
            f"{row['set_id']}; measure all, with a missing value where a model gives no finite one"
        )


def _place(row: pd.Series) -> str:
    return f"{row['group']} item {row['item']} of model {row['model_id']} and set {row['set_id']}"


def _exp(exponent: float) -> float:
    """Return e to a power; infinite beyond what a float holds."""
    return math.inf if exponent > 700 else math.exp(exponent)
