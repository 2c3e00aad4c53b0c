"""The stage ``generate``: generate the queries with model A."""

from __future__ import annotations

from typing import Any

from untrain.experiment.stages.base import Stage
from untrain.generators.queries import draw
from untrain.runs.queries import write_prompts, write_queries
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP


def settings(run: Run) -> Any:
    """Return the prompts, how many pictures each has, and the seed of their noise."""
    return [run.prompts.to_dict("list"), run.config.generations, run.config.seed]


def generate(run: Run) -> None:
    """Generate some pictures per prompt, and one more as the study's reference."""
    run.trainer.prepare()
    model = run.trainer.load(run.table("model_a")["path"].iloc[0])
    reference = run.config.per_prompt  # the last generation of each prompt
    keys = [(p, g) for p in run.prompts["prompt_id"] for g in range(reference + 1)]
    drawn = draw(model, keys, run.texts, run.config.seed)
    queries = drawn.take([row for row, (_, g) in enumerate(keys) if g != reference])
    write_queries(
        run.folder, queries, drawn.take([row for row, (_, g) in enumerate(keys) if g == reference])
    )
    write_prompts(run.folder, run.prompts)


STAGE = Stage(
    name="generate",
    help=STAGE_HELP["generate"],
    work=generate,
    settings=settings,
    after=("fit",),
    outputs=("queries.safetensors", "queries", "prompts.csv"),
    others=("pictures/model-a.png",),
)
