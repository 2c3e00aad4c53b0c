"""Random arms with and without weights (`untrain.evaluation.weighting`): `calibrate_verdicts.py`.

Sets that hold an image of their prompt's own family are left out: what is left should do nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from untrain.evaluation.effects import trial_effects
from untrain.evaluation.verdicts import NOT_ATTRIBUTABLE, verdicts
from untrain.runs.trial import FinishedTrial

WAYS = {"plain": False, "weighted": True}
RANDOM = ("random_uniform", "random_candidate")
ALPHA = 0.05


def random_arms(
    trial: FinishedTrial, touching: Collection[tuple[str, str]], margin: float, seed: int
) -> list[dict[str, Any]]:
    """Return the effects of the random arms of one run, both ways.

    Parameters
    ----------
    trial : FinishedTrial
    touching : collection of (arm, prompt_id)
        Sets to leave out.
    margin : float
        Of equivalence.
    seed : int
        Of the re-drawn assignments, the same for both ways.
    """
    keys = zip(trial.units["arm"], trial.units["prompt_id"], strict=True)
    units = trial.units[[arm not in RANDOM or (arm, p) not in touching for arm, p in keys]]
    kept = [unit in set(units["forget_set_id"]) for unit in trial.assignment.unit_ids]
    ids = tuple(np.array(trial.assignment.unit_ids)[kept])
    assignment = replace(trial.assignment, unit_ids=ids, out=trial.assignment.out[kept])
    nll = trial.measures[trial.measures["measure"] == "nll"]
    found = []
    for way, weighted in WAYS.items():
        effects = trial_effects(nll, units, assignment, seed=seed, weighted=weighted)
        effects = effects[effects["design"] == "randomised"]
        for arm in RANDOM:
            of_arm = effects[effects["arm"] == arm]
            for row in of_arm[of_arm["prompt_id"] == ""].to_dict("records"):
                sets = of_arm[(of_arm["prompt_id"] != "") & (of_arm["k"] == row["k"])]
                judged = verdicts(effects, ALPHA, margin, arm, k=row["k"])["verdict"]
                found.append(
                    {
                        **{name: row[name] for name in ("arm", "k", "estimate", "null_sd")},
                        "way": way,
                        "half_width": (row["high"] - row["low"]) / 2,
                        "called": row["p_value"] <= ALPHA,
                        "set_half_width": float((sets["high"] - sets["low"]).median()) / 2,
                        "sets": len(sets),
                        "sets_called": int((sets["p_value"] <= ALPHA).sum()),
                        "sets_ruled_out": int((judged == NOT_ATTRIBUTABLE).sum()),
                    }
                )
    return found


def compared(found: list[dict[str, Any]]) -> str:
    """Return both ways beside each other over all runs, as Markdown."""
    heads = [
        *("random arm", "k", "", "mean over runs", "root mean square", "null sd"),
        *("half width", "arms called", "sets called", "half width of a set"),
        "sets called not attributable",
    ]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    table = pd.DataFrame(found)
    for (arm, k, way), of in table.groupby(["arm", "k", "way"], sort=False):
        runs = len(of)
        error = of["estimate"].std(ddof=1) / math.sqrt(runs)
        spread = f" ± {error:.3f}" if runs > 1 else ""
        cells = [
            *(arm, k, way, f"{of['estimate'].mean():+.3f}{spread}"),
            f"{math.sqrt(np.square(of['estimate']).mean()):.3f}",
            *(f"{of['null_sd'].mean():.3f}", f"{of['half_width'].mean():.3f}"),
            f"{of['called'].sum()} of {runs}",
            f"{of['sets_called'].sum()} of {of['sets'].sum()}",
            f"{of['set_half_width'].mean():.3f}",
            f"{of['sets_ruled_out'].sum()} of {of['sets'].sum()}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"
