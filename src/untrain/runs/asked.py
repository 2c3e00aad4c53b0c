"""Pictures that are asked about of a run: its own by what its model sampled, others encoded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from untrain.attribution.pictures import picture_queries
from untrain.core.notes import Note
from untrain.generators.base import Generator
from untrain.generators.queries import Queries
from untrain.runs.queries import read_queries
from untrain.runs.run import Run


def asked_of_run(
    run: Run, model: Generator, pictures: Mapping[str, Any], prompts: Mapping[str, str]
) -> tuple[Queries, tuple[Note, ...]]:
    """Return pictures as queries of a model of a run, each by its own name.

    Parameters
    ----------
    run : Run
    model : Generator
        Fitted.
    pictures : mapping of str to Path, ndarray of uint8 or Pillow image
        By name. Of a file in the run's ``queries`` the model's own sample and prompt are known.
    prompts : mapping of str to str
        What they were drawn for, by name, where that is known otherwise.

    Returns
    -------
    tuple of Queries and tuple of Note
        As `picture_queries`.
    """
    samples: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}
    for name, picture in pictures.items():
        found = own_query(run.folder, picture) if isinstance(picture, (str, Path)) else None
        if found is not None:
            queries, row = found
            texts[name] = queries.prompts[row]
            if queries.samples is not None:
                samples[name] = queries.samples[row]
    asked, notes = picture_queries(model, pictures, {**texts, **prompts}, run.catalog.resize)
    assert asked.samples is not None
    known = [
        samples.get(name, sample)
        for (name, _), sample in zip(asked.keys, asked.samples, strict=True)
    ]
    return Queries(asked.keys, asked.texts, asked.pictures, np.stack(known)), notes


def own_query(folder: Path, picture: Path | str) -> tuple[Queries, int] | None:
    """Return a run's queries and the row of a picture that is one of them; None of any other."""
    path, queries = Path(picture).resolve(), (folder / "queries").resolve()
    if not path.is_relative_to(queries) or not (folder / "prompts.csv").is_file():
        return None
    own = read_queries(folder)
    key = (path.parent.name, int(path.stem)) if path.stem.isdecimal() else None
    return (own, own.keys.index(key)) if key in own.keys else None
