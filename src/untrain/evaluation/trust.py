"""Whether a run can be trusted at all: does its model draw, does its trial see what is there?

A trial measures differences between models whatever they draw. Where pictures have nothing to do
with their prompts, or where the removal of images that are known to matter is not seen, its numbers
are still numbers, but a verdict would be read as an answer: it is withheld.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from untrain.core.vocabulary import WITHHOLDING, Arm, Design, Doubt, Gate, Verdict
from untrain.evaluation.measurement import primary

_OF_GATE = {Gate.CANNOT_DRAW: Doubt.CANNOT_DRAW, Gate.FAILED: Doubt.WEAK}


def doubts_about(quality: Any, effects: pd.DataFrame, alpha: float) -> tuple[Doubt, ...]:
    """Return why a run cannot be trusted, most serious first; empty if nothing speaks against it.

    Parameters
    ----------
    quality : dict or None
        ``quality`` of ``run.json``: what the gate found; None where it was not asked.
    effects : DataFrame
        `untrain.core.tables.EFFECTS`; empty before there are any.
    alpha : float
        Level at which the overall effect of the positive controls must be seen, one-sided.
    """
    found = []
    if isinstance(quality, Mapping) and quality.get("verdict") in _OF_GATE:
        found.append(_OF_GATE[Gate(quality["verdict"])])
    if control_is_unseen(effects, alpha):
        found.append(Doubt.CONTROL_UNSEEN)
    return tuple(sorted(found, key=list(Doubt).index))


def control_is_unseen(effects: pd.DataFrame, alpha: float) -> bool:
    """Tell whether positive controls were measured, all together, and their effect not seen."""
    if effects.empty:
        return False
    of_controls = effects[
        (effects["design"] == Design.RANDOMISED)
        & (effects["arm"] == Arm.FAMILY)
        & (effects["measure"] == primary(effects))
        & effects["prompt_id"].isna()
        & effects["p_value"].notna()
    ]
    return bool(len(of_controls) and of_controls["p_value"].iloc[0] > alpha)


def withholds(doubts: Sequence[Doubt | str]) -> bool:
    """Tell whether no verdict may be given."""
    return any(doubt in WITHHOLDING for doubt in doubts)


def withhold(
    verdicts: pd.DataFrame, effects: pd.DataFrame, doubts: Sequence[Doubt | str]
) -> pd.DataFrame:
    """Return verdicts, those of queries withheld where the run cannot be trusted.

    The reason is then the codes of the doubts. The p-values stay: they are what was measured. So do
    the verdicts of positive controls: they are what the trust rests on.
    """
    if not withholds(doubts):
        return verdicts
    controls = set(effects.loc[effects["arm"] == Arm.FAMILY, "prompt_id"].dropna())
    asked = ~verdicts["prompt_id"].isin(controls)
    codes = ", ".join(doubt for doubt in doubts if doubt in WITHHOLDING)
    return verdicts.assign(
        verdict=verdicts["verdict"].astype(str).mask(asked, Verdict.WITHHELD.value),
        reason=verdicts["reason"].mask(asked, codes),
    )
