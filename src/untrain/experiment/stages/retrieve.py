"""The stage ``retrieve``: find the candidates of each prompt by captions, pictures, or both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from untrain.experiment.stages.base import Stage, encoder_identity, section
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP
from untrain.search.query_features import picture_search
from untrain.search.retrieve import candidates


def settings(run: Run) -> Any:
    """Return data, prompts and method; if pictures are searched, also what they depend on."""
    model = [run.generator.recipe(), run.generator.precision]
    return _settings(run, [*model, run.config.seed, run.config.generations])


def settings_of_given_pictures(run: Run) -> Any:
    """Return the same for given pictures, which depend only on themselves."""
    assert run.given_pictures is not None
    return _settings(run, [run.given_pictures.fingerprint])


def _settings(run: Run, drawn: list[Any]) -> Any:
    searched = candidates.needs_pictures(run.config.retrieval.method)
    return [
        *(run.catalog.fingerprint, run.prompts.to_dict("list"), section(run, "retrieval")),
        [*drawn, encoder_identity(run.config.encoder)] if searched else None,
    ]


def retrieve(run: Run) -> None:
    """Find the candidates and write ``retrieval.parquet``."""
    asked = run.config.retrieval
    pictures = None
    if candidates.needs_pictures(asked.method):
        pictures = picture_search(run.catalog, run.encoder, read_queries(run.folder))
    found = candidates.retrieve(run.catalog, run.prompts, asked.method, asked.top, pictures)
    if found.measured:
        run.record["retrieval"] = found.measured
    run.keep("retrieval", found.table)


STAGE = Stage(
    name="retrieve",
    help=STAGE_HELP["retrieve"],
    work=retrieve,
    settings=settings,
    after=(),
    outputs=("retrieval.parquet",),
)
STAGE_OF_GIVEN_PICTURES = replace(STAGE, settings=settings_of_given_pictures)
