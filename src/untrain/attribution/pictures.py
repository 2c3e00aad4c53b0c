"""Pictures of any size as queries of a model: brought to its size and encoded by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from untrain.catalogs.base import PAD, fit_into
from untrain.catalogs.pictures import pixels_of
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.generators.base import Generator
from untrain.generators.queries import Queries


def picture_queries(
    model: Generator,
    pictures: Mapping[str, Any],
    prompts: Mapping[str, str],
    resize: str = PAD,
) -> tuple[Queries, tuple[Note, ...]]:
    """Return pictures as queries, each by its own name, as if the model had drawn them.

    Parameters
    ----------
    model : Generator
        Fitted and prepared; its ``encode`` says how it sees a picture.
    pictures : mapping of str to Path, str, ndarray or Pillow image
        By name: a file, an array of uint8 (height, width, 3), or an image.
    prompts : mapping of str to str
        What each was drawn for, by the same names. One that is missing is asked about under the
        empty prompt.
    resize : str
        How a picture of another size is brought to the model's, as `Catalog.resize` says.

    Returns
    -------
    tuple of Queries and tuple of Note
        ``prompt_id`` is the picture's name. Notes tell of pictures resized or without a prompt.

    Raises
    ------
    InputError
        There is no picture, one is not uint8 height × width × 3, or the model cannot encode them.
    """
    if not pictures:
        raise InputError("there is no picture to ask about; expected at least one")
    height, width = model.image_size
    sized, resized, wordless = [], [], []
    for name, picture in pictures.items():
        try:
            pixels = pixels_of(picture)
        except InputError as error:
            raise InputError(f"the picture {name}: {error}") from None
        if pixels.shape[:2] != (height, width):
            resized.append(name)
        sized.append(fit_into(Image.fromarray(pixels), (height, width), resize))
        if name not in prompts:
            wordless.append(name)
    notes = []
    if resized:
        text = (
            f"{_some(resized)}: not {width} × {height} pixels, as the model draws; brought to this "
            f"size ({resize})"
        )
        notes.append(Note("picture-resized", text, tuple(resized)))
    if wordless:
        text = (
            f"{_some(wordless)}: no prompt is known, so the model is asked about it under the "
            "empty one; say what it was drawn for with a prompt"
        )
        notes.append(Note("picture-without-prompt", text, tuple(wordless)))
    keys = tuple((name, 0) for name in pictures)
    texts = {name: prompts.get(name, "") for name in pictures}
    return Queries(keys, texts, sized, _encoded(model, np.stack(sized))), tuple(notes)


def _encoded(model: Generator, pictures: np.ndarray) -> np.ndarray:
    samples = np.asarray(model.encode(pictures))
    if len(samples) != len(pictures):
        raise InputError(
            f"{type(model).__qualname__}.encode returned {len(samples)} samples of {len(pictures)} "
            "pictures; expected one of each"
        )
    return samples


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
