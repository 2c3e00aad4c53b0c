"""The stage ``generate`` where pictures are given: use them instead of those of a model."""

from __future__ import annotations

from typing import Any

from untrain.experiment.stages.base import Stage
from untrain.runs.queries import write_prompts, write_queries
from untrain.runs.run import Run
from untrain.runs.stage_names import HELP_OF_GIVEN_PICTURES
from untrain.training.index import write_index


def settings(run: Run) -> Any:
    """Return the pictures, their prompts and the catalogue."""
    assert run.given_pictures is not None
    pictures, catalog = run.given_pictures.fingerprint, run.catalog.fingerprint
    return [pictures, catalog, run.prompts.to_dict("list")]


def take_pictures(run: Run) -> None:
    """Resize the pictures to one size and write them as queries."""
    assert run.given_pictures is not None
    queries = run.given_pictures.queries()
    write_index(run.folder, run.catalog)
    write_queries(run.folder, queries)
    write_prompts(run.folder, run.prompts)


STAGE = Stage(
    name="generate",
    help=HELP_OF_GIVEN_PICTURES["generate"],
    work=take_pictures,
    settings=settings,
    after=(),
    outputs=("queries", "prompts.csv", "catalog.parquet"),
)
