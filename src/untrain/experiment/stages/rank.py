"""The stage ``rank``: score and order the candidates of each prompt by every requested ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.notes import Note
from untrain.experiment.stages.base import Stage, section
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP
from untrain.search.rank.ranking import parse_method
from untrain.search.rank.ranking import rank as rank_by


def settings(run: Run) -> Any:
    """Return the rankings, and the content of each file that one is read from."""
    files = [parse_method(method).file for method in run.config.ranking.methods]
    contents = [fingerprint(file.read_bytes()) for file in files if file and file.exists()]
    return [section(run, "ranking"), contents]


def rank(run: Run) -> None:
    """Write ``ranking.parquet``."""
    tables, notes = rank_all(
        run.config.ranking.methods,
        run.table("comparison"),
        run.table("retrieval"),
        run.prompts,
        run.catalog.ids,
    )
    for note in notes:
        run.warn(note)
    run.keep("ranking", pd.concat(tables, ignore_index=True))


def rank_all(
    methods: Sequence[str],
    comparison: pd.DataFrame,
    retrieval: pd.DataFrame,
    prompts: pd.DataFrame,
    image_ids: Sequence[str],
) -> tuple[list[pd.DataFrame], list[Note]]:
    """Return a table for each ranking, and notes on those that are missing.

    The first determines what is removed and must be defined; another that cannot be computed (the
    study's with negative features, for example) is left out with a note.

    Raises
    ------
    InputError
        The first ranking cannot be computed.
    """
    tables, notes = [], []
    for method in methods:
        try:
            ranked = rank_by(method, comparison, retrieval, prompts, image_ids)
        except InputError as error:
            if method == methods[0]:
                raise
            text = f"The ranking {method} is left out: {error}."
            notes.append(Note("ranking-left-out", text, (method,)))
            continue
        notes += [replace(note, text=f"{note}.") for note in ranked.notes]
        tables.append(ranked.table)
    return tables, notes


STAGE = Stage(
    name="rank",
    help=STAGE_HELP["rank"],
    work=rank,
    settings=settings,
    after=("compare",),
    outputs=("ranking.parquet",),
)
