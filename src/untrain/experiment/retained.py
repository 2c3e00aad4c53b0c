"""What a run removes and keeps, for training elsewhere."""

from __future__ import annotations

from untrain.core.errors import InputError, did_you_mean
from untrain.core.vocabulary import is_targeted
from untrain.experiment.pipeline import STAGES, is_done, keys
from untrain.runs.run import Run


def removed_of(run: Run, model_id: str = "") -> set[str]:
    """Return the ids that a model was trained without; with no model, all targeted ids.

    Raises
    ------
    InputError
        The run has no forget sets yet, or not those of its current configuration and data, or no
        such model.
    """
    stages = {stage.name: stage for stage in STAGES}
    known = keys(run)
    for name in ("remove", "retrain") if model_id else ("remove",):
        if not is_done(run, stages[name], known[name]):
            raise InputError(
                f"{run.folder}: the stage '{name}' is not done for its current configuration and "
                f"data; run the experiment up to it: `untrain {name} …`"
            )
    sets = run.table("forget_sets")
    if not model_id:
        return set(sets[sets["arm"].map(is_targeted).astype(bool)]["image_id"])
    models = list(run.table("models")["model_id"])
    if model_id not in models:
        raise InputError(f"unknown model '{model_id}'{did_you_mean(model_id, models)}")
    removals = run.table("removals")
    out = removals[removals["model_id"] == model_id]["forget_set_id"]
    return set(sets[sets["forget_set_id"].isin(out)]["image_id"])
