"""Effects compared: with random sets, with smaller ones, with random removals of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from untrain.core.tables import EFFECTS
from untrain.core.vocabulary import Arm, Design, is_targeted
from untrain.evaluation.measurement import amount, primary
from untrain.report.arms import arm_label, arm_order, arm_words, ranking_of_arm
from untrain.report.tables.effects import is_overall
from untrain.report.words import bare_p, interval, number, uncertainty
from untrain.runs.results import RunResults, rows


def difference_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the overall differences between arms and between sizes on the primary measure.

    Parameters
    ----------
    effects : DataFrame
        The run's ``results/effects.parquet``.

    Returns
    -------
    DataFrame
        Columns ``design, arm, control, k, effect, low, high, p_value, two_sided_p``.
    """
    effects = effects.reindex(columns=EFFECTS.names)
    compared = effects["design"].isin([Design.DIFFERENCE, Design.INCREMENT])
    found = effects[compared & (effects["measure"] == primary(effects)) & is_overall(effects)]
    found = found.assign(order=found["arm"].map(arm_order))
    found = found.sort_values(["design", "order", "control", "k"], kind="stable")
    found = found.reset_index(drop=True)
    return found[
        ["design", "arm", "control", "k", "effect", "low", "high", "p_value", "two_sided_p"]
    ]


def difference_rows(effects: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `difference_table` as text: what is compared, difference, interval, two-sided p."""
    table = difference_table(effects)
    sizes = sorted(set(table.loc[table["design"] == Design.INCREMENT, "k"]))
    whole = effects[(effects["arm"] == Arm.TARGETED) & (effects["design"] == Design.RANDOMISED)]
    smallest = whole["k"].min()
    below = dict(zip(sizes, [smallest, *sizes], strict=False))
    return [
        (
            _compared(r, below),
            *(number(r.effect, 3), interval(r.low, r.high, 3), bare_p(r.two_sided_p)),
        )
        for r in rows(table)
    ]


def _compared(row: Any, below: dict[float, float]) -> str:
    if row.design == Design.DIFFERENCE:
        return f"{arm_words(row.arm, row.k)}, beyond {arm_words(row.control, row.k)}"
    by = f" by {name}" if (name := ranking_of_arm(row.arm)) else ""
    return f"the {row.k:g} images found{by}, beyond the first {below[row.k]:g} of them"


def difference_sentence(effects: pd.DataFrame) -> str:
    """Say how much more the found images do than random ones; "" where that is not known."""
    table = difference_table(effects)
    table = table[table["arm"] == Arm.TARGETED]
    table = table[(table["control"] == Arm.RANDOM_UNIFORM) & table["effect"].notna()]
    if table.empty:
        return ""
    row = table.sort_values("k").iloc[0]
    ends = uncertainty(row["low"], row["high"], row["two_sided_p"])
    more = "larger" if row["effect"] >= 0 else "smaller"
    return (
        f"Estimated jointly, the effect of the images found is {number(abs(row['effect']))} "
        f"{more} than that of as many random images{ends}."
    )


def rankings_sentences(effects: pd.DataFrame, unit: str, first: str) -> list[str]:
    """Say how much more one ranking's first images do than another's; none without several.

    Parameters
    ----------
    effects : DataFrame
        The run's ``results/effects.parquet``.
    unit : str
        Of the differences.
    first : str
        The ranking of the arm ``targeted``.
    """
    table = difference_table(effects)
    beside = [is_targeted(str(arm)) for arm in table["control"]]
    known = np.array(beside, bool) & table["effect"].notna().to_numpy()
    found = []
    for row in rows(table[known]):
        less = row.effect < 0
        size = amount(number(abs(row.effect)), unit)
        low, high = (-row.high, -row.low) if less else (row.low, row.high)
        ends = uncertainty(low, high, row.two_sided_p)
        one, two = ranking_of_arm(row.arm) or first, ranking_of_arm(row.control) or first
        if "+" in row.arm:
            way = "less" if less else "more"
            found.append(f"Both together do {size} {way} than the first {row.k:g} by {two}{ends}.")
            continue
        more, other = (two, one) if less else (one, two)
        found.append(
            f"The first {row.k:g} images by {more} do {size} more than those by {other}{ends}."
        )
    return found


def equivalent_rows(run: RunResults) -> list[tuple[str, str, str, str]]:
    """Return arm, images, effect and how many random images do as much; nothing without a bank."""
    return [
        (arm_label(row["arm"]), f"{row['removed']:.0f}", number(row["effect"], 3), row["words"])
        for row in run.equivalent
    ]
