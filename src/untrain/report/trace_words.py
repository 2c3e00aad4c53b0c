"""A trace in words: what its copy test says, and what that of the run it looks into said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from untrain.core.notes import Note
from untrain.search.trace import Trace

TABLE = "copies.parquet"


def copy_verdict(copy: Any) -> str:
    """Return what the copy test says of one query, a row of `Trace.copies`."""
    p = f"p = {copy.p_value:.2g}" if copy.p_value >= 0.001 else "p < 0.001"
    how_near = f"distance {copy.distance:.3f}, {p}."
    if copy.near_copy:
        return f"Near copy of {copy.image_id}: {how_near}"
    none = "No near copy among those nearest"
    return f"{none}: {copy.image_id} is nearest by features, {how_near}"


def answer(found: Trace) -> str:
    """Return the headline of a trace, which leads to its hits."""
    copies, asked = int(found.copies["near_copy"].sum()), len(found.copies)
    images = f"{found.about['images']:,} training images"
    one = asked == 1
    if not copies:
        none = f"No near copy of {'it' if one else f'these {asked} pictures'}"
        return f"{none} is among those nearest, out of {images}:"
    are = "are near copies" if copies > 1 else "is a near copy"
    said = "It is a near copy" if one else f"{copies} of these {asked} pictures {are}"
    return f"{said} of one of {images}. Those nearest to {'it' if one else 'each'}:"


def run_notes(run: Path, pictures: Mapping[str, Path]) -> tuple[Note, ...]:
    """Return what to know where the training images are those of a run.

    Its own copy test compares with images that its generator has redrawn, and can thus say
    otherwise of the same picture.

    Parameters
    ----------
    run : Path
        A run folder.
    pictures : mapping of str to Path
        Traced pictures by name; of those in the run's ``queries`` its own verdicts are told.
    """
    fairer = (
        f"the copy test of a trace compares with the training images as they are, the run's own "
        f"({TABLE}) with what its generator makes of them when it draws them again: the two can "
        "differ, and for a coarse generator the run's is the fairer"
    )
    notes = [Note("copy-test-of-run", fairer)]
    copies = pd.read_parquet(run / TABLE) if (run / TABLE).is_file() else None
    for name, path in pictures.items():
        queries = (run / "queries").resolve()
        if copies is None or not path.resolve().is_relative_to(queries):
            continue
        prompt, number = path.resolve().parent.name, path.stem
        own = (copies["prompt_id"] == prompt) & (copies["generation"].astype(str) == number)
        for row in copies[own].itertuples():
            flag = "a near copy of" if row.near_copy else "no near copy; the nearest is"
            text = f"{name}, in the run's own test: {flag} {row.image_id}"
            notes.append(Note("copy-verdict-of-run", text, (name,)))
    return tuple(notes)
