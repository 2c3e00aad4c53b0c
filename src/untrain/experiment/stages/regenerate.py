"""The stage ``regenerate``: every prompt with every other model, from the same noise as A."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from untrain.core.atomic import discard_folder
from untrain.core.marks import is_marked
from untrain.core.progress import track
from untrain.core.vocabulary import SAMPLER
from untrain.experiment.stages.base import Stage
from untrain.generators.queries import draw
from untrain.runs.queries import read_queries, write_redrawn
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP


def regenerate(run: Run) -> None:
    """Write ``generations/<model_id>``."""
    run.trainer.prepare()
    queries = read_queries(run.folder)
    models = run.table("models")
    models = models[models["model_id"] != SAMPLER]
    _discard_others(run.path("generations"), set(models["model_id"]))
    for model_id, path in track(
        zip(models["model_id"], models["path"], strict=True), "regenerating", len(models)
    ):
        model = run.trainer.load(path)
        drawn = draw(model, queries.keys, queries.texts, run.config.seed)
        write_redrawn(run.folder, model_id, drawn)


def _discard_others(generations: Path, models: Container[str]) -> None:
    """Remove pictures of models that belong only to an earlier design."""
    for folder in generations.glob("*"):
        if folder.name not in models and is_marked(folder):  # files that untrain did not write stay
            discard_folder(folder)


STAGE = Stage(
    name="regenerate",
    help=STAGE_HELP["regenerate"],
    work=regenerate,
    settings=lambda run: None,
    after=("generate", "retrain"),
    outputs=("generations",),
)
