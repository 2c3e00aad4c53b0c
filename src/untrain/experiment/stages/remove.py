"""The stage ``remove``: choose the forget sets. Nothing is deleted anywhere."""

from __future__ import annotations

from typing import Any

import pandas as pd

from untrain.core.notes import Note
from untrain.core.vocabulary import Arm, Role
from untrain.counterfactual.forget_sets import build_forget_sets
from untrain.experiment.stages.base import Stage, section
from untrain.runs.inputs import listed_ids
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP
from untrain.search.duplicates import duplicate_groups
from untrain.settings.sections import Removal

TOGETHER = (
    "The sets of all prompts are removed together: an effect on a prompt is that of all of them, "
    "its own included. All prompts rest on one assignment, so their verdicts are not independent "
    "evidence: they tend to be right, or wrong, together."
)


def settings(run: Run) -> Any:
    """Return the settings of the removal, the listed ids and the ranking that it uses."""
    decides = run.config.ranking.method
    asked = section(run, "removal")
    if asked["rankings"] is None:
        del asked["rankings"]
    return [asked, listed_ids(run.config), decides, run.config.seed]


def arms_of(removal: Removal, prompts: pd.DataFrame) -> list[str]:
    """Return the requested arms, plus those that control prompts and a list of ids add."""
    arms = [*removal.arms, *removal.further_arms]
    arms += [Arm.FAMILY.value] if (prompts["role"] == Role.CONTROL).any() else []
    arms += [Arm.IDS.value] if removal.ids else []
    return list(dict.fromkeys(arms))


def remove(run: Run) -> None:
    """Write ``forget_sets.parquet``."""
    removal = run.config.removal
    ranking = run.table("ranking")
    asked = ["prompt_id", "image_id", "rank"]
    chosen = {
        method: ranking.loc[ranking["method"] == method, asked]
        for method in run.config.deciding_rankings
    }
    controls = run.prompts[run.prompts["role"] == "control"]
    sets = build_forget_sets(
        chosen[run.config.ranking.method],
        run.table("retrieval"),
        run.catalog,
        arms_of(removal, run.prompts),
        list(removal.k),
        run.config.seed,
        dict(zip(controls["prompt_id"], controls["family"], strict=True)),
        listed_ids(run.config),
        removal.draws,
        duplicate_groups(run.catalog) if removal.duplicates == "near" else None,
        removal.together,
        {arm: chosen[method] for method, arm in removal.further_arms_of.items()},
    )
    if removal.together and run.config.design.kind == "randomised":
        run.warn(Note("sets-together", TOGETHER))
    for note in sets.notes:
        run.warn(note)
    run.keep("forget_sets", sets.table)


STAGE = Stage(
    name="remove",
    help=STAGE_HELP["remove"],
    work=remove,
    settings=settings,
    after=("rank",),
    outputs=("forget_sets.parquet",),
)
