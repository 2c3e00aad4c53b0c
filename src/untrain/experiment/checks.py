"""Checks for faults that can be found before anything is trained."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from untrain.attribution.base import Evidence
from untrain.attribution.registry import (
    ATTRIBUTORS,
    REFERENCES,
    TAKE_ARGUMENT,
    is_search_ranking,
    make_attributor,
    options_of,
)
from untrain.attribution.whole_comparison import WholeComparison
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError, did_you_mean
from untrain.counterfactual import design
from untrain.counterfactual.forget_sets import sets_per_prompt
from untrain.experiment.stages.remove import arms_of
from untrain.generators.queries import Queries
from untrain.runs.inputs import listed_ids
from untrain.runs.run import Run
from untrain.search.rank.ranking import RANKINGS, check_method, parse_method
from untrain.search.rank.scores import read_scores
from untrain.search.retrieve.candidates import RETRIEVERS, text_index
from untrain.settings.config import Config
from untrain.settings.sections import Removal


def check(run: Run, due: Collection[str]) -> None:
    """Check what the stages that are ``due`` need, as far as it is cheap, before the costly ones.

    Raises
    ------
    InputError
        A prompt without a known word, an encoder or engine that cannot be used, more images to
        remove than there are, or too few forget sets for the number of models.
    """
    check_given_pictures(run, due)
    config = run.config
    if {"fit", "retrain"} & set(due):
        run.trainer.engine.check()
    if "remove" in due:
        count_removed(config, run.catalog, run.prompts)
    if "retrain" in due and config.design.kind == "randomised":
        sets = count_sets(config.removal, run.prompts)
        named = pd.DataFrame({"forget_set_id": [str(number) for number in range(sets)]})
        drawn = design.randomised(named, config.design.models, config.seed, run.paired)
        design.refuse_repeated_models(drawn)


def check_given_pictures(run: Run, due: Collection[str]) -> None:
    """Check what the stages that search training images need; given pictures have no others.

    Raises
    ------
    InputError
        As `check` does.
    """
    text = RETRIEVERS[run.config.retrieval.method].text
    if "retrieve" in due and text:
        text_index(run.catalog, text).query(run.prompts["prompt"].tolist(), top=1)
    if {"compare", "evaluate"} & set(due):
        _ = run.encoder
    if "rank" in due:
        _check_rankings(run)


def _check_rankings(run: Run) -> None:
    """Read the files of rankings; raise `InputError` for what the encoder cannot provide."""
    _check_attributors(run)
    for method in run.config.ranking.methods:
        if not is_search_ranking(method):
            continue
        check_method(method)
        wanted = parse_method(method)
        if wanted.kind == "scores" and wanted.file:
            read_scores(wanted.file, run.prompts, run.catalog.ids)
    if run.config.ranking.method == "study" and not run.encoder.non_negative:
        raise InputError(
            "ranking.method is 'study', whose KL divergence needs features that cannot be "
            "negative, and those of this encoder can: use another encoder, such as layout, or the "
            "rankings fusion or zscore, which leave KL out"
        )


def _check_attributors(run: Run) -> None:
    """Raise `InputError` for an attributor that cannot work with this data and generator."""
    config = run.config
    for method in config.attributors:
        attributor = make_attributor(method, **options_of(method, config.attribution.options))
        why = attributor.missing(_promised(run))
        if why:
            raise InputError(
                f"the ranking '{method}' cannot be had: {why}; what is left: "
                + ", ".join(_possible(run))
            )


def _promised(run: Run) -> Evidence:
    """Return the evidence that the stage ``rank`` will have, as far as it is known before it.

    The generator is not fitted, the further models are the same, and pictures are absent.
    """
    texts = run.texts
    keys = tuple((prompt_id, 0) for prompt_id in texts)

    def compare() -> WholeComparison:
        raise InputError("nothing is compared before the pictures are drawn")

    model = None if run.given_pictures else run.generator
    further = [run.generator for _ in run.config.further_seeds]
    queries = Queries(keys, texts, [])
    return Evidence(run.catalog, queries, run.prompts, compare, model, models=tuple(further))


def _possible(run: Run) -> list[str]:
    """Return the names of the rankings that this data and generator suffice for."""
    evidence = _promised(run)
    own = [name for name in ATTRIBUTORS if name not in (*RANKINGS, *TAKE_ARGUMENT, *REFERENCES)]
    found = [name for name in own if make_attributor(name).missing(evidence) is None]
    return [*RANKINGS, *(f"{name}:…" for name in TAKE_ARGUMENT if name != "ensemble"), *found]


def count_sets(removal: Removal, prompts: pd.DataFrame) -> int:
    """Return how many forget sets there will be."""
    controls, arms = int((prompts["role"] == "control").sum()), arms_of(removal, prompts)
    sets = sets_per_prompt(arms, removal.draws) * len(removal.k)
    of_queries = sets if removal.together else (len(prompts) - controls) * sets
    return of_queries + controls + ("ids" in arms)


def count_removed(config: Config, catalog: Catalog, prompts: pd.DataFrame) -> int:
    """Return how many images all forget sets hold together, without copies.

    Raises
    ------
    InputError
        That is more than there are, or an id of the user's list is not in the catalogue.
    """
    removal, listed = config.removal, listed_ids(config)
    arms = arms_of(removal, prompts)
    for image_id in listed:
        if image_id not in catalog.index:
            close = did_you_mean(image_id, catalog.ids)
            hint = close if close.startswith(" —") else ""
            raise InputError(
                f"{removal.ids}: '{image_id}' is not one of the {len(catalog)} training images; it "
                f"may be held out, or left out by data.subset{hint}"
            )
    if "family" in arms and not (prompts["role"] == "control").any():
        raise InputError(
            "the arm 'family' is for control prompts, but there are none; set prompts.controls"
        )
    queries = int((prompts["role"] == "query").sum())
    sets = sets_per_prompt(arms, removal.draws)
    controls = prompts[prompts["role"] == "control"]["family"]
    families = int(catalog.attributes["family"].isin(controls).sum()) if len(controls) else 0
    removed = queries * sets * removal.k[-1] + families + len(set(listed))
    if removed > len(catalog):
        raise InputError(
            f"{removed} images are to be removed ({queries} prompts × {sets} sets × "
            f"{removal.k[-1]}, {families} of control families, {len(set(listed))} listed), "
            f"the training catalogue has {len(catalog)}: lower removal.k, or the number of "
            "prompts or arms"
        )
    return removed
