"""The stage ``judge``: whether pictures show what prompts ask for; it shouts if they do not."""

from __future__ import annotations

from typing import Any

from untrain.core.notes import Note
from untrain.core.tables import JUDGED
from untrain.core.vocabulary import Doubt, Gate, Role
from untrain.evaluation.quality import judge_pictures
from untrain.experiment.stages.base import Stage, encoder_identity
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP


def settings(run: Run) -> Any:
    """Return the encoder whose features the judge learns on, the catalogue, and the seed."""
    encoder = encoder_identity(run.config.encoder)
    return [encoder, run.catalog.fingerprint, run.config.data.seed]


def judge(run: Run) -> None:
    """Write ``judged.parquet``, and the verdict into ``run.json``; without control prompts."""
    asked = run.prompts[run.prompts["role"] == Role.QUERY]
    queries = read_queries(run.folder)
    known = set(asked["prompt_id"])
    shown = [
        (prompt_id, picture)
        for (prompt_id, _), picture in zip(queries.keys, queries.pictures, strict=True)
        if prompt_id in known
    ]
    found = judge_pictures(run.catalog, asked, shown, run.encoder, run.config.data.seed)
    run.keep("judged", JUDGED.of([]) if found is None else found.pictures)
    run.record["quality"] = None if found is None else found.record
    if found is None:
        return
    if found.record["verdict"] == Gate.CANNOT_DRAW:
        text = (
            "The model cannot draw: its pictures have next to nothing to do with their prompts "
            f"({found.record['summary']}), so there is nothing to attribute and no verdict will be "
            "given."
        )
        run.warn(Note(Doubt.CANNOT_DRAW.value, text))
    elif found.record["verdict"] == Gate.FAILED:
        remedy = "" if run.given_pictures else " Train it longer or on more."
        text = (
            "The generator is weak: its pictures often do not show what their prompts ask for "
            f"({found.record['summary']}), so attribution means little.{remedy}"
        )
        run.warn(Note(Doubt.WEAK.value, text))
    elif found.record["verdict"] == Gate.UNJUDGED:
        text = (
            "The quality gate cannot judge this generator: there are too few pictures, or the "
            "encoder's features do not tell real photos of these data apart well enough. Look at "
            "the pictures first."
        )
        run.warn(Note("generator-unjudged", text))


STAGE = Stage(
    name="judge",
    help=STAGE_HELP["judge"],
    work=judge,
    settings=settings,
    after=("generate",),
    outputs=("judged.parquet",),
)
