"""Effects compared: with random sets, with smaller ones, with random removals of any size."""

from __future__ import annotations

from typing import Any

import pandas as pd

from untrain.core.tables import EFFECTS
from untrain.core.vocabulary import Arm, Design
from untrain.evaluation.measurement import primary
from untrain.report.arms import arm_label, arm_words
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
        Columns ``design, arm, control, k, effect, low, high, p, two_sided_p``.
    """
    effects = effects.reindex(columns=EFFECTS.names)
    compared = effects["design"].isin([Design.DIFFERENCE, Design.INCREMENT])
    found = effects[compared & (effects["measure"] == primary(effects)) & is_overall(effects)]
    found = found.rename(columns={"estimate": "effect", "p_value": "p"})
    found = found.sort_values(["design", "control", "k"], kind="stable").reset_index(drop=True)
    return found[["design", "arm", "control", "k", "effect", "low", "high", "p", "two_sided_p"]]


def difference_rows(effects: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return `difference_table` as text: what is compared, difference, interval, two-sided p."""
    table = difference_table(effects)
    sizes = sorted(table.loc[table["design"] == Design.INCREMENT, "k"])
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
    return f"the {row.k:g} images found, beyond the first {below[row.k]:g} of them"


def difference_sentence(effects: pd.DataFrame) -> str:
    """Say how much more the found images do than random ones; "" where that is not known."""
    table = difference_table(effects)
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


def equivalent_rows(run: RunResults) -> list[tuple[str, str, str, str]]:
    """Return arm, images, effect and how many random images do as much; nothing without a bank."""
    return [
        (arm_label(row["arm"]), f"{row['removed']:.0f}", number(row["effect"], 3), row["words"])
        for row in run.equivalent
    ]
