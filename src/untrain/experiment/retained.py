"""What a run leaves out and keeps, for people who train elsewhere."""

from __future__ import annotations

from untrain.errors import InputError, did_you_mean
from untrain.experiment.run import Run


def removed_of(run: Run, model_id: str = "") -> set[str]:
    """Return the ids that a model was trained without; with no model, all targeted ids.

    Raises
    ------
    InputError
        The run has no forget sets yet, or no such model, or its data are not what they were.
    """
    if run.record["fingerprints"]["catalog"] != run.catalog.fingerprint:
        raise InputError(
            f"the data of {run.folder} have changed since it ran: {run.catalog.name} has other "
            "images or captions now; bring the old ones back, or run the experiment again"
        )
    if not run.path("forget_sets.parquet").exists():
        raise InputError(f"{run.folder} has no forget sets yet: run the stage 'remove' first")
    sets = run.table("forget_sets")
    if not model_id:
        return set(sets[sets["arm"] == "targeted"]["image_id"])
    if not run.path("removals.parquet").exists():
        raise InputError(f"{run.folder} has no models yet: run the stage 'retrain' first")
    known = list(run.table("models")["model_id"])
    if model_id not in known:
        raise InputError(f"unknown model '{model_id}'{did_you_mean(model_id, known)}")
    removals = run.table("removals")
    out = removals[removals["model_id"] == model_id]["forget_set_id"]
    return set(sets[sets["forget_set_id"].isin(out)]["image_id"])
