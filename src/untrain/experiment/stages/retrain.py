"""The stage ``retrain``: draw the assignment, and train each model without its forget sets."""

from __future__ import annotations

from typing import Any

import pandas as pd

from untrain.core.notes import Note
from untrain.counterfactual import design
from untrain.experiment.stages.base import Stage, section
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP
from untrain.settings.sections import Design
from untrain.training.base import ModelRequest

UNPAIRED = (
    "Unpaired models: each has its own seed, so models differ in their seed as well as in what was "
    "removed. Do not compare these figures with those of paired models. "
)
UNPAIRED_BUT = {
    "randomised": "Tests and intervals are valid, because the assignment was drawn independently "
    "of the seeds, but smaller effects go undetected.",
    "before-after": "The row with the other seed shows the effect of the seed by itself.",
}


def settings(run: Run) -> Any:
    """Return the design, the seeds and whether models are paired."""
    return [section(run, "design"), run.config.seed, run.config.b_seed, run.paired]


def draw_assignment(
    chosen: Design, forget_sets: pd.DataFrame, seed: int, paired: bool
) -> design.Assignment:
    """Draw which models are trained without which forget sets.

    Raises
    ------
    InputError
        The design is impossible with these sets, or two models would be the same.
    """
    sets = design.forget_set_table(forget_sets)
    if chosen.kind == "before-after":
        return design.before_after(sets, paired)
    drawn = design.randomised(sets, chosen.models, seed, paired)
    design.refuse_repeated_models(drawn)
    return drawn


def retrain(run: Run) -> None:
    """Train the models; write ``models.parquet`` and, as drawn, ``removals.parquet``."""
    run.trainer.prepare()
    forget_sets, kind = run.table("forget_sets"), run.config.design.kind
    drawn = draw_assignment(run.config.design, forget_sets, run.config.seed, run.paired)
    requests = [
        ModelRequest(
            model_id,
            run.config.b_seed + drawn.seed_offsets[m],
            tuple(design.removed_ids(drawn, forget_sets, model_id)),
        )
        for m, model_id in enumerate(drawn.model_ids)
    ]
    if not run.paired:
        run.warn(Note("unpaired", UNPAIRED + UNPAIRED_BUT[kind]))
    label = f"{len(requests)} {'paired' if run.paired else 'unpaired'} models"
    models = run.trainer.train(requests, label)
    run.keep("models", pd.concat([run.table("model_a"), models], ignore_index=True))
    run.keep("removals", design.removals(drawn))


STAGE = Stage(
    name="retrain",
    help=STAGE_HELP["retrain"],
    work=retrain,
    settings=settings,
    after=("fit", "remove"),
    outputs=("models.parquet", "removals.parquet"),
)
