"""Text retrieval: the captions nearest to a prompt, by TF-IDF or BM25.

Both are sums over the words that prompt and caption share, so both are kept alike, as an inverted
index that grows (`untrain.search.retrieve.inverted`), and both are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from untrain.core.registry import Registry
from untrain.search.retrieve.inverted import InvertedIndex
from untrain.search.retrieve.postings import Segment, sums

K1, B = 1.5, 0.75  # of BM25


class Retriever(Protocol):
    """A way to find the captions that answer a prompt."""

    def fit(self, captions: Sequence[str]) -> Self:
        """Index the captions, once."""
        ...

    def add(self, captions: Sequence[str], places: np.ndarray | None = None) -> Self:
        """Index more captions, whose positions follow those of the captions before.

        Or all captions have the positions ``places``, in the order in which they were indexed.
        """
        ...

    @classmethod
    def grown(cls, folder: Path, captions: Sequence[str]) -> Self | None:
        """Return the index of captions by a saved one of some of them; None if some are gone."""
        ...

    def query(self, prompts: Sequence[str], top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best captions of each prompt, best first, equal scores by position.

        Both arrays are (prompts, min(top, captions)): positions, int64, and scores, float64.
        """
        ...

    def similarity(self, prompts: Sequence[str], positions: np.ndarray) -> np.ndarray:
        """Return the scores, float64 (prompts, m), of the captions at ``positions``, one row each.

        Zero where prompt and caption share no word.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the index as a folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the index that `save` wrote, or raise `InputError`."""
        ...


class TfidfRetriever(InvertedIndex):
    """Cosine of TF-IDF vectors, as in the study: `TfidfVectorizer` defaults on all captions.

    Examples
    --------
    >>> retriever = TfidfRetriever().fit(["red shirt", "blue shirt", "red hat"])
    >>> retriever.query(["hat in red"], top=2)[0].tolist()
    [[2, 0]]
    """

    kind, cosine = "tfidf", True

    def _inverse_frequencies(self) -> np.ndarray:
        return np.log((self.count + 1) / (self._frequencies + 1.0)) + 1

    def _lengths(self, starts: np.ndarray, words: np.ndarray, counts: np.ndarray) -> np.ndarray:
        lengths = np.sqrt(sums((counts * self._idf[words]) ** 2, starts))
        return np.where(lengths > 0, lengths, 1)  # a caption without words has no part to divide

    def _parts(self, counts: np.ndarray, idf: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return counts * idf / lengths

    def _weights(self, counts: dict[int, int]) -> dict[int, float]:
        weights = {word: count * float(self._idf[word]) for word, count in counts.items()}
        length = sum(weight**2 for weight in weights.values()) ** 0.5
        return {word: weight / length for word, weight in weights.items()}

    def _drift(self, segment: Segment) -> np.ndarray:
        ratio = self._idf[: len(segment.idf)] / segment.idf
        return ratio / ratio.min()  # a caption's length may have shrunk by as much


class Bm25Retriever(InvertedIndex):
    """BM25 as Lucene has it (k1 = 1.5, b = 0.75): repeated words saturate.

    S. Robertson & H. Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and Beyond.
    Words are those of `TfidfRetriever`, none of them left out as too common. Scores have no upper
    bound: they rank captions for one prompt and compare nothing across prompts.

    Examples
    --------
    >>> retriever = Bm25Retriever().fit(["red shirt", "blue shirt", "red hat"])
    >>> retriever.query(["hat in red"], top=2)[0].tolist()
    [[2, 0]]
    """

    kind, cosine = "bm25", False

    def _inverse_frequencies(self) -> np.ndarray:
        return np.log(1 + (self.count - self._frequencies + 0.5) / (self._frequencies + 0.5))

    def _lengths(self, starts: np.ndarray, words: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return sums(counts.astype(float), starts)

    def _parts(self, counts: np.ndarray, idf: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return idf * counts / (counts + K1 * (1 - B + B * lengths / self._mean))

    def _weights(self, counts: dict[int, int]) -> dict[int, float]:
        return {word: float(count) for word, count in counts.items()}

    def _drift(self, segment: Segment) -> np.ndarray:
        ratio = self._idf[: len(segment.idf)] / segment.idf
        return ratio * max(1.0, self._mean / float(segment.mean[0]))


TEXT_RETRIEVERS: Registry[type[Retriever]] = Registry(
    "text retriever", {"tfidf": TfidfRetriever, "bm25": Bm25Retriever}
)
