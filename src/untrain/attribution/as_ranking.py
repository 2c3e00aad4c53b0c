"""What an attributor says as a ranking: each prompt's images in order, as a run keeps them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from untrain.attribution.base import Attributor, Evidence
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.search.compare.comparison import of_prompts
from untrain.search.rank.metric_table import Ranked


@dataclass(frozen=True, eq=False)
class Scope:
    """Which images of a prompt's order are kept.

    Attributes
    ----------
    first : int
        The first so many.
    last : int
        And the last so many, with their true ranks.
    candidates : DataFrame, optional
        Columns prompt_id and image_id: only these pairs are ranked; by default the whole catalogue.
    """

    first: int
    last: int = 0
    candidates: pd.DataFrame | None = None


def ranking_of(attributor: Attributor, evidence: Evidence, scope: Scope) -> Ranked:
    """Return the order that an attributor's scores put the images of every prompt into.

    Parameters
    ----------
    attributor : Attributor
        Which the evidence suffices for.
    evidence : Evidence
    scope : Scope

    Returns
    -------
    Ranked
        A rank is among the images in scope, equal scores by id; images without a score are left
        out, with a note.

    Raises
    ------
    InputError
        What it needs is missing, or a prompt has no score.
    """
    if why := attributor.missing(evidence):
        raise InputError(f"the ranking '{attributor.name}' cannot be had: {why}")
    scores = attributor.scores(evidence)
    if scores.values.shape != evidence.shape:
        raise InputError(
            f"the ranking '{attributor.name}' has scores of shape {scores.values.shape}; expected "
            f"{evidence.shape}: prompts, images"
        )
    inside = _inside(evidence, scope.candidates)
    defined = np.isfinite(scores.values)
    order = np.empty(len(evidence.catalog), np.int64)
    order[np.argsort(np.array(evidence.catalog.ids, dtype=object))] = np.arange(len(order))
    parts = []
    for row, prompt_id in enumerate(evidence.prompt_ids):
        images = np.flatnonzero(defined[row] & inside[row])
        if not len(images):
            raise InputError(
                f"the ranking '{attributor.name}' is undefined for prompt '{prompt_id}': none of "
                f"{int(inside[row].sum())} images has a finite score"
            )
        values = scores.values[row, images]
        images = images[np.lexsort((order[images], -values))]
        places = np.arange(1, len(images) + 1)
        kept = (places <= scope.first) | (places > len(images) - scope.last)
        parts.append((prompt_id, images[kept], scores.values[row, images[kept]], places[kept]))
    lengths = [len(images) for _, images, _, _ in parts]
    ids = np.array(evidence.catalog.ids, dtype=object)
    table = pd.DataFrame(
        {
            "method": attributor.name,
            "prompt_id": np.repeat([prompt_id for prompt_id, *_ in parts], lengths),
            "image_id": ids[np.concatenate([images for _, images, _, _ in parts])],
            "score": np.concatenate([values for _, _, values, _ in parts]).astype(np.float64),
            "rank": np.concatenate([places for *_, places in parts]),
        }
    )
    notes = [replace(note, text=f"{attributor.name}: {note}") for note in scores.notes]
    return Ranked(table, (*notes, *_left_out(attributor.name, evidence, inside & ~defined)))


def _inside(evidence: Evidence, candidates: pd.DataFrame | None) -> np.ndarray:
    """Return which pairs are ranked, bool (prompts, images)."""
    if candidates is None:
        return np.ones(evidence.shape, bool)
    rows = pd.Index(evidence.prompt_ids).get_indexer(pd.Index(candidates["prompt_id"]))
    columns = pd.Index(evidence.catalog.ids).get_indexer(pd.Index(candidates["image_id"]))
    inside = np.zeros(evidence.shape, bool)
    known = (rows >= 0) & (columns >= 0)
    inside[rows[known], columns[known]] = True
    return inside


def _left_out(name: str, evidence: Evidence, without: np.ndarray) -> tuple[Note, ...]:
    """Note the images in scope that have no finite score."""
    if not without.any():
        return ()
    prompts = [p for p, row in zip(evidence.prompt_ids, without, strict=True) if row.any()]
    text = (
        f"Ranking {name} leaves out {int(without.sum())} images without a finite score, "
        f"{of_prompts(prompts)}"
    )
    return (Note("candidates-left-out", text, tuple(prompts)),)
