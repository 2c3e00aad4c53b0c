"""The pictures of a run folder: the queries, and what other models generate instead.

- ``prompts.csv``: prompt_id, prompt, family, role, seen.
- ``queries/<prompt_id>/<generation>.png``: the queries; ``reference.png`` is one more picture by
  model A, the reference of the study's similarities.
- ``queries.safetensors``: what model A sampled for each of them, by ``prompt_id/generation``;
  absent where pictures were given.
- ``generations/<model_id>/<prompt_id>/<generation>.png``: the same prompts and noise, by another
  model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import fingerprint
from untrain.core.images import read_picture
from untrain.core.outside import read_bytes
from untrain.core.tables import PROMPTS
from untrain.core.tensors import read_arrays, write_arrays
from untrain.generators.queries import Queries
from untrain.runs.pictures import PictureFiles, save_pictures

REFERENCE = "reference"
SAMPLES = "queries.safetensors"


def write_prompts(folder: Path, prompts: pd.DataFrame) -> None:
    """Write ``prompts.csv``."""
    PROMPTS.write(folder, prompts)


def write_queries(folder: Path, queries: Queries, references: Queries | None = None) -> None:
    """Write the queries of a run and the reference picture of each prompt.

    Parameters
    ----------
    folder : Path
        The run folder.
    queries : Queries
    references : Queries, optional
        One picture per prompt.
    """
    names = [f"{prompt_id}/{generation}" for prompt_id, generation in queries.keys]
    pictures = dict(zip(names, queries.pictures, strict=True))
    samples = {} if queries.samples is None else dict(zip(names, queries.samples, strict=True))
    if references is not None:
        names = [f"{prompt_id}/{REFERENCE}" for prompt_id, _ in references.keys]
        pictures |= zip(names, references.pictures, strict=True)
        if references.samples is not None:
            samples |= zip(names, references.samples, strict=True)
    if samples:
        write_arrays(folder / SAMPLES, samples)
    save_pictures(folder / "queries", pictures)


def read_queries(folder: Path) -> Queries:
    """Read the queries of a run, in the order of its prompts; pictures are read one by one.

    Raises
    ------
    InputError
        The folder holds no queries yet.
    """
    table = folder / "prompts.csv"
    if not table.is_file():
        raise InputError(f"{folder} holds no generated pictures yet: it has no prompts.csv")
    prompts = PROMPTS.read(folder)
    texts = dict(zip(prompts["prompt_id"], prompts["prompt"], strict=True))
    keys = [
        (prompt_id, generation)
        for prompt_id in texts
        for generation in _generations(folder / "queries" / prompt_id)
    ]
    paths = [folder / "queries" / p / f"{g}.png" for p, g in keys]
    samples = None
    if (folder / SAMPLES).is_file():
        stored = read_arrays(folder / SAMPLES)
        samples = np.stack([stored[f"{p}/{g}"] for p, g in keys])
    return Queries(tuple(keys), texts, PictureFiles(paths), samples)


def choose_queries(queries: Queries, wanted: Sequence[str]) -> Queries:
    """Return the queries of the prompts that are named by id or by text; all if none is named.

    Raises
    ------
    InputError
        A name is neither an id nor the text of a prompt that has pictures.
    """
    if not wanted:
        return queries
    ids = queries.prompt_ids
    chosen: list[str] = []
    for name in wanted:
        words = name.casefold().split()
        found = [name] if name in ids else []
        found = found or [i for i in ids if queries.texts[i].casefold().split() == words]
        if not found:
            raise InputError(
                f"'{name}' is neither the id nor the text of a prompt with pictures"
                f"{did_you_mean(name, ids)}"
            )
        chosen += found
    return queries.of(*dict.fromkeys(chosen))


def queries_key(folder: Path) -> str:
    """Return the fingerprint of the pictures that A generated, and of their prompts."""
    files = [folder / SAMPLES, folder / "prompts.csv"]
    return fingerprint(*(read_bytes(file, None) for file in files))


def _generations(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.png") if path.stem.isdecimal())


def read_references(folder: Path, prompt_ids: Iterable[str]) -> list[np.ndarray]:
    """Read the reference picture of each prompt."""
    return [read_picture(folder / "queries" / p / f"{REFERENCE}.png") for p in prompt_ids]


def write_redrawn(folder: Path, model_id: str, queries: Queries) -> None:
    """Write what a model generated from the prompts and noise of the queries."""
    names = [f"{prompt_id}/{generation}" for prompt_id, generation in queries.keys]
    pictures: Mapping[str, np.ndarray] = dict(zip(names, queries.pictures, strict=True))
    save_pictures(folder / "generations" / model_id, pictures)


def read_redrawn(folder: Path, model_id: str, queries: Queries) -> PictureFiles:
    """Return a model's pictures in place of the queries, aligned with ``queries.keys``."""
    drawn = folder / "generations" / model_id
    return PictureFiles([drawn / p / f"{g}.png" for p, g in queries.keys])
