"""What a takedown does with a run's model: what it will take, influence, removal, checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from untrain.core.errors import InputError
from untrain.core.outside import read_text
from untrain.core.progress import console
from untrain.core.steps import Steps
from untrain.core.threads import default_threads, threads_set
from untrain.core.verifying import clear
from untrain.experiment.planned import in_words
from untrain.runs.evidence import fitted_model
from untrain.runs.run import Run
from untrain.takedowns import checking, influence, removing
from untrain.takedowns.hashes import hashes_of
from untrain.takedowns.options import NOTHING, TRIAL, Options


def one_training(steps: Steps, run: Run) -> float | None:
    """Return about how long one training takes here; measured once."""

    def measured() -> dict[str, Any]:
        return {"seconds": removing.expected_seconds(run)}

    recipe = run.generator.recipe()
    found = steps.done("plan", "what one training takes", [recipe, len(run.catalog)], measured)
    return found["seconds"]


def planned_way(run: Run, options: Options, seconds: float | None) -> str | None:
    """Return how the images are removed, and say what that will take; None where it is too long."""
    told = "of unknown length" if seconds is None else f"about {in_words(seconds)} on one thread"
    how: str | None = options.remove
    if how == removing.AUTO:
        fits = seconds is not None and seconds <= 60 * options.minutes
        how = removing.EXACT if fits else None
    if options.measure == TRIAL:
        models = options.models or run.config.design.models
        console.print(f"plan: {models} models for the trial, each {told}", soft_wrap=True)
    if how is None:
        console.print(
            f"plan: no new model, as one training is {told}; --remove exact trains it all the same",
            soft_wrap=True,
        )
    elif how == removing.EXACT:
        console.print(f"plan: one model without the images, {told}", soft_wrap=True)
    elif how != removing.NONE:
        console.print(
            f"plan: {how}, {options.budget:.1%} of one training, which is {told}", soft_wrap=True
        )
    return how


def told_influence(
    steps: Steps, run: Run, ids: list[str], options: Options, key: Any
) -> dict[str, Any]:
    """Return near copies among the model's pictures, and which prompts lean on the images."""
    copies = influence.near_copies(run, ids)
    if options.measure == NOTHING:
        return {"copies": copies, "leaning": None}
    file = options.calibration
    known = read_text(file) if file and file.is_file() else str(file)

    def scored() -> dict[str, Any]:
        try:
            return influence.leaning(run, ids, options.method, file)
        except InputError as error:  # a model without gradients, mostly
            return {"missing": str(error)}

    says = f"which prompts lean on them, by {options.method}"
    leaning = steps.done("influence", says, [key, options.method, known], scored)
    return {"copies": copies, "leaning": leaning}


def taken_out(
    steps: Steps,
    run: Run,
    ids: list[str],
    options: Options,
    how: str | None,
    key: Any,
) -> dict[str, Any]:
    """Take the images out; the run is not locked, as each way of doing it locks it itself."""
    if how is None or how == removing.NONE:
        return {"how": removing.NONE, "fingerprint": None, "fidelity": None}
    exactly, budget, threads = how == removing.EXACT, options.budget, run.config.threads
    says = "one training" if exactly else f"{how} at {budget:.1%} of one training,"

    def work() -> dict[str, Any]:
        if not exactly:
            with threads_set(threads or default_threads()):
                return removing.remove_by(run, ids, how, budget)
        with run.lock(), threads_set(threads or default_threads()):
            return removing.remove_exactly(run, ids)

    says = f"{says} without {len(ids)} images"
    done = steps.done("removal", says, [key, how, 1 if exactly else budget], work)
    clear(run.folder / done["path"])
    if not (run.folder / done["path"]).is_dir():  # somebody deleted it, or it was damaged
        done = work()
    return {
        **done,
        "fidelity": removing.fidelity_of(run, how, options.budget),
        "files": hashes_of(run.folder / done["path"]),
    }


def seen_after(
    steps: Steps,
    run: Run,
    ids: list[str],
    options: Options,
    removal: dict[str, Any],
    key: Any,
    target: Path,
) -> dict[str, Any]:
    """Measure both models, and draw the same pictures with both."""
    cheaper = "path" in removal and removal["how"] != removing.EXACT
    twin = removing.exact_twin(run, ids) if cheaper else None

    def measured() -> dict[str, Any]:
        before = fitted_model(run)
        after = fitted_model(run, removal["path"]) if "path" in removal else None
        models = {"before": before} | ({"after": after} if after is not None else {})
        if twin is not None and after is not None:
            models["exact"] = fitted_model(run, twin)
        return {
            "surprise": checking.surprise(run, models, ids),
            "drawn": checking.drawn_again(run, before, after, ids, options.probes, target),
        }

    if not options.probes and "path" not in removal:
        return {"surprise": None, "drawn": None}
    says = "losses and pictures, before and after"
    files = removal.get("files")
    return steps.done("after", says, [key, files, options.probes, twin], measured)
