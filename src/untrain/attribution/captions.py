"""Attribution by words: how well an image's caption answers the prompt, whatever was drawn."""

from __future__ import annotations

from functools import partial

import numpy as np

from untrain.attribution.base import Attributor, Evidence, Scores
from untrain.attribution.whole_comparison import clocked
from untrain.search.retrieve.candidates import text_index

RETRIEVERS = {"text": "tfidf", "bm25": "bm25"}
"""By name: ``text`` is the ranking of that name, for all captions."""


class Captions(Attributor):
    """Similarity of prompt and caption: the cosine of TF-IDF vectors, or BM25."""

    kind = "text"

    def __init__(self, name: str) -> None:
        self.name = name

    def scores(self, evidence: Evidence) -> Scores:
        """Score every caption, see `Attributor.scores`."""
        index = text_index(evidence.catalog, RETRIEVERS[self.name])
        everywhere = np.tile(np.arange(len(evidence.catalog)), (len(evidence.texts), 1))
        values, seconds = clocked(partial(index.similarity, evidence.texts, everywhere))
        return Scores(values, seconds / len(values))
