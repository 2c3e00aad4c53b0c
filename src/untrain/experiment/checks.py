"""What can be found wrong before anything is trained."""

from __future__ import annotations

from collections.abc import Collection

from untrain.counterfactual.forget_sets import sets_per_prompt
from untrain.errors import InputError, did_you_mean
from untrain.experiment.run import Run
from untrain.search.retrieval import retrieve


def check(run: Run, due: Collection[str]) -> None:
    """Try what the stages that are ``due`` need and what costs little, before the costly ones.

    Raises
    ------
    InputError
        A prompt without a known word, an encoder that cannot be loaded, or more to be removed
        than there is.
    """
    if "retrieve" in due:
        retrieve(run.catalog, run.prompts, run.config.retrieval.method, top=1)
    if {"compare", "evaluate"} & set(due):
        _ = run.encoder
    if "remove" in due:
        count_removed(run)


def count_removed(run: Run) -> int:
    """Return how many images all forget sets hold together, but for copies.

    Raises
    ------
    InputError
        That is more than there are, or an id of the user's list is not in the catalogue.
    """
    catalog, removal = run.catalog, run.config.removal
    for image_id in run.user_ids:
        if image_id not in catalog.index:
            close = did_you_mean(image_id, catalog.ids)
            hint = close if close.startswith(" —") else ""
            raise InputError(
                f"{removal.ids}: the training catalogue has no image '{image_id}'{hint}; "
                f"it may be held out or left out by data.subset ({len(catalog)} are left)"
            )
    if "family" in run.arms and not (run.prompts["role"] == "control").any():
        raise InputError(
            "the arm 'family' is for control prompts, there are none; set prompts.controls"
        )
    queries = int((run.prompts["role"] == "query").sum())
    sets = sets_per_prompt(run.arms, removal.draws)
    controls = run.prompts[run.prompts["role"] == "control"]["family"]
    families = int(catalog.attributes["family"].isin(controls).sum()) if len(controls) else 0
    removed = queries * sets * removal.k[-1] + families + len(set(run.user_ids))
    if removed > len(catalog):
        raise InputError(
            f"{removed} images are to be removed ({queries} prompts × {sets} sets × "
            f"{removal.k[-1]}, {families} of control families, {len(set(run.user_ids))} listed), "
            f"the training catalogue has {len(catalog)}: lower removal.k, or the number of "
            "prompts or arms"
        )
    return removed
