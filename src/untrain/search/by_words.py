"""Training images by words: those whose captions are nearest to a prompt, without a picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.schema import records
from untrain.search.retrieve.candidates import open_text


@dataclass(frozen=True)
class WordHits:
    """What `find_by_words` found.

    Attributes
    ----------
    table : DataFrame
        rank, image_id, score (cosine of TF-IDF vectors, 0 to 1), caption; best first.
    about : dict
        Catalogue, images, prompt, and how many captions share a word with it.
    seconds : float
    notes : tuple of Note
    """

    table: pd.DataFrame
    about: dict[str, Any]
    seconds: float
    notes: tuple[Note, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        return {
            **self.about,
            "hits": records(self.table),
            "seconds": round(self.seconds, 4),
            "notes": [note.to_dict() for note in self.notes],
        }


def find_by_words(catalog: Catalog, prompt: str, top: int = 10, fresh: bool = False) -> WordHits:
    """Return the training images whose captions are nearest to a prompt.

    Captions that share no word with it are no hits, so there may be fewer than ``top``; equal
    scores are in the order of the catalogue.

    Parameters
    ----------
    catalog : Catalog
    prompt : str
    top : int
        Hits, at most.
    fresh : bool
        Index the captions anew.

    Raises
    ------
    InputError
        The prompt is empty, or no caption has any of its words.
    """
    if not prompt.strip():
        raise InputError("the prompt is empty; expected words")
    if top < 1:
        raise InputError(f"top is {top}; expected at least 1")
    start = time.perf_counter()
    retriever, notes = open_text(catalog, fresh=fresh)
    (positions,), (scores,) = retriever.query([prompt], top)
    shown = scores > 0
    at = positions[shown].tolist()
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(at) + 1),
            "image_id": [catalog.ids[place] for place in at],
            "score": scores[shown],
            "caption": [catalog.captions[place] for place in at],
        }
    )
    about = {"catalog": catalog.name, "images": len(catalog), "prompt": prompt}
    return WordHits(table, about, time.perf_counter() - start, notes)
