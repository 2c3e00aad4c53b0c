"""The figures of a run that fit on a screen: ``results/summary.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.core.notes import Note
from untrain.core.vocabulary import (
    DECISIVE,
    SAMPLER,
    Baseline,
    Design,
    nearest_prompt,
    other_prompts,
)
from untrain.evaluation.measurement import BITS, primary
from untrain.evaluation.trust import withholds


@dataclass(frozen=True, eq=False)
class Findings:
    """What `untrain.experiment.stages.evaluate` finds: tables of results.

    Attributes
    ----------
    effects, groups, verdicts : DataFrame
        `untrain.core.tables.EFFECTS`, `GROUPS` and `VERDICTS`.
    notes : tuple of Note
        On the effects.
    """

    effects: pd.DataFrame
    groups: pd.DataFrame
    verdicts: pd.DataFrame
    notes: tuple[Note, ...] = ()


def summarise(
    found: Findings,
    roles: pd.Series,
    unit: str,
    alpha: float,
    removed_share: float,
    doubts: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the overall effects, the tally of verdicts and the checks on them.

    Parameters
    ----------
    found : Findings
    roles : Series
        ``query`` or ``control``, by prompt_id.
    unit : str
        Of the primary measure.
    alpha : float
        Level of the verdicts.
    removed_share : float
        As `removed_share` returns it.
    doubts : sequence of str
        Why the run cannot be trusted, of which some withhold verdicts: `untrain.evaluation.trust`.
    """
    effects, verdicts = found.effects, first_verdicts(found.verdicts)
    without = withholds(doubts)
    overall = effects[effects["prompt_id"].isna()]
    further = _of_further_rankings(found.verdicts, alpha, without)
    role = verdicts["prompt_id"].map(roles)
    of_queries = verdicts[role == "query"]
    measure = primary(effects)
    of_measure = f"{measure}_bits_per_token" if unit == BITS else measure
    side = [other_prompts(measure), nearest_prompt(measure)]
    return {
        "measure": measure,
        "unit": unit,
        "alpha": alpha,
        "doubts": [str(doubt) for doubt in doubts],
        "withheld": without,
        f"effects_{of_measure}": _records(overall[overall["measure"] == measure]),
        "effects_of_seen_and_new_prompts": _records(found.groups),
        "effects_on_other_prompts": _records(overall[overall["measure"].isin(side)]),
        f"heldout_{measure}_per_tenth_removed": utility_line(overall, removed_share),
        "verdicts": of_queries["verdict"].value_counts().to_dict(),
        "attributable_after_holm": _after_holm(of_queries, alpha, without),
        "control_verdicts": verdicts[role == "control"]["verdict"].value_counts().to_dict(),
        **({"further_rankings": further} if further else {}),
        "random_sets_called_attributable": false_positives(effects, alpha),
        "removed_share": removed_share,
    }


def first_verdicts(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts without those on sets of rankings beside the first."""
    if "arm" not in verdicts:
        return verdicts
    return verdicts[verdicts["arm"].map(lambda arm: arm in DECISIVE).astype(bool)]


def _after_holm(verdicts: pd.DataFrame, alpha: float, withheld: bool) -> int | None:
    """Return how many stay attributable together; None where verdicts are withheld."""
    return None if withheld else int((verdicts["p_holm"] <= alpha).sum())


def _of_further_rankings(verdicts: pd.DataFrame, alpha: float, withheld: bool) -> dict[str, Any]:
    """Return, by arm of a ranking beside the first, its tally of verdicts."""
    if "arm" not in verdicts:
        return {}
    others = verdicts[~verdicts["arm"].map(lambda arm: arm in DECISIVE).astype(bool)]
    return {
        str(arm): {
            "verdicts": own["verdict"].value_counts().to_dict(),
            "attributable_after_holm": _after_holm(own, alpha, withheld),
        }
        for arm, own in others.groupby("arm", sort=False)
    }


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")


def utility_line(overall: pd.DataFrame, removed_share: float) -> dict[str, Any] | None:
    """Return how much worse held-out pairs become for each tenth of the data that is removed.

    The slope over models, which lack different shares: the effect of one set is scaled to a tenth
    by the mean size of a set. A model lacks half of all sets.

    Returns
    -------
    dict or None
        effect, low, high and two_sided_p; None where nothing was held out.
    """
    found = overall[
        overall["measure"].str.startswith("heldout_") & (overall["arm"] == Baseline.ANY_SET)
    ]
    if found.empty:
        return None
    row = found.iloc[0]
    sets = 0.1 * row["n_sets"] / (2 * removed_share)
    scaled = {name: row[name] * sets for name in ("effect", "low", "high")}
    values = {**scaled, "two_sided_p": row["two_sided_p"]}
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def false_positives(effects: pd.DataFrame, alpha: float) -> dict[str, list[int]]:
    """Return, for each random arm, how many of its sets would be called attributable."""
    random = effects[
        (effects["design"] == Design.RANDOMISED)
        & effects["arm"].str.startswith("random")
        & (effects["measure"] == primary(effects))
        & effects["prompt_id"].notna()
        & effects["p_value"].notna()
    ]
    named = random["p_value"] <= alpha
    return {
        str(arm): [int(of_arm.sum()), len(of_arm)] for arm, of_arm in named.groupby(random["arm"])
    }


def removed_share(
    forget_sets: pd.DataFrame, removals: pd.DataFrame, models: pd.DataFrame, images: int
) -> float:
    """Return the mean share of the ``images`` that a model of the trial is trained without."""
    sizes = forget_sets.groupby("forget_set_id")["image_id"].nunique()
    removed = removals["forget_set_id"].map(sizes).sum()
    compared = (models["model_id"] != SAMPLER).sum()
    return float(removed / compared / images)
