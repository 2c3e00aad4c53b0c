"""The stage ``fit``: train the frozen parts and model A, which generates the queries."""

from __future__ import annotations

from typing import Any

from untrain.core.vocabulary import SAMPLER
from untrain.experiment.stages.base import Stage
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP
from untrain.training.base import ModelRequest


def settings(run: Run) -> Any:
    """Return the data, the recipe, the precision and the seed."""
    model = [run.generator.recipe(), run.generator.precision]
    return [run.catalog.fingerprint, *model, run.config.seed]


def fit(run: Run) -> None:
    """Train model A."""
    run.trainer.prepare()
    request = ModelRequest(SAMPLER, run.config.seed)
    # A is not paired with another model, so it may use all threads.
    run.keep("model_a", run.trainer.train([request], "model A", paired=False))


STAGE = Stage(
    name="fit",
    help=STAGE_HELP["fit"],
    work=fit,
    settings=settings,
    after=(),
    outputs=("model_a.parquet", "shared"),
    others=("catalog.parquet", "pictures/catalogue.png"),
)
