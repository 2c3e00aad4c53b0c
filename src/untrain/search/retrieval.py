"""Retrieval: the training captions nearest to a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.errors import InputError
from untrain.registry import Registry

PROMPTS_AT_ONCE = 64  # bounds the dense block of scores, prompts × captions


class Retriever(Protocol):
    """A way to find the captions that answer a prompt."""

    def fit(self, captions: Sequence[str]) -> Self:
        """Index the captions, once."""
        ...

    def query(self, prompts: Sequence[str], top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best captions of each prompt, best first, equal scores by position.

        Both arrays are (prompts, min(top, captions)): positions, int64, and scores, float64.
        """
        ...


class TfidfRetriever:
    """Cosine of TF-IDF vectors, as in the study: `TfidfVectorizer` defaults on all captions.

    Examples
    --------
    >>> retriever = TfidfRetriever().fit(["red shirt", "blue shirt", "red hat"])
    >>> retriever.query(["hat in red"], top=2)[0].tolist()
    [[2, 0]]
    """

    def fit(self, captions: Sequence[str]) -> Self:
        """Learn the vocabulary and weights of all captions and index them."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # slow to import

        self._vectorizer = TfidfVectorizer()
        try:
            weights = self._vectorizer.fit_transform(captions)
        except ValueError as error:
            raise InputError(
                f"the captions cannot be indexed ({error}); expected words of two or more letters"
            ) from None
        # Rows of words: a query then visits only the captions that share a word with it.
        self._postings = weights.T.tocsr()
        return self

    def query(self, prompts: Sequence[str], top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and cosines of the ``top`` nearest captions of each prompt.

        Raises
        ------
        InputError
            If no word of a prompt occurs in any caption, or ``top`` is below 1.
        """
        if top < 1:
            raise InputError(f"{top} candidates were asked for; expected at least 1")
        queries = self._vectorizer.transform(prompts).tocsr()
        for prompt, words in zip(prompts, np.diff(queries.indptr), strict=True):
            if words == 0:
                raise InputError(
                    f"no word of the prompt '{prompt}' occurs in any caption; "
                    "expected words that the catalogue uses"
                )
        top = min(top, self._postings.shape[1])
        indices = np.empty((len(prompts), top), np.int64)
        scores = np.empty((len(prompts), top))
        for start in range(0, len(prompts), PROMPTS_AT_ONCE):
            block = (queries[start : start + PROMPTS_AT_ONCE] @ self._postings).toarray()
            for row, cosines in enumerate(block, start):
                indices[row] = best(cosines, top)
                scores[row] = cosines[indices[row]]
        return indices, scores


def best(scores: np.ndarray, top: int) -> np.ndarray:
    """Return the positions of the ``top`` highest scores, highest first, equals by position."""
    threshold = np.partition(scores, len(scores) - top)[len(scores) - top]
    among = np.flatnonzero(scores >= threshold)
    return among[np.argsort(-scores[among], kind="stable")][:top]


RETRIEVERS: Registry[Callable[[], Retriever]] = Registry("retriever", {"tfidf": TfidfRetriever})


def retrieve(
    catalog: Catalog, prompts: pd.DataFrame, method: str = "tfidf", top: int = 100
) -> pd.DataFrame:
    """Return the ``top`` candidates of each prompt, or all images if there are fewer.

    Parameters
    ----------
    catalog : Catalog
    prompts : DataFrame
        Columns ``prompt_id`` and ``prompt``.
    method : str
        A name in `RETRIEVERS`.
    top : int
        Candidates a prompt.

    Returns
    -------
    DataFrame
        Columns ``prompt_id``, ``image_id``, ``rank`` (from 1) and ``score``, best first.
    """
    retriever = RETRIEVERS[method]().fit(catalog.captions)
    indices, scores = retriever.query(prompts["prompt"].tolist(), top)
    found = indices.shape[1]
    return pd.DataFrame(
        {
            "prompt_id": np.repeat(prompts["prompt_id"].to_numpy(), found),
            "image_id": np.array(catalog.ids, dtype=object)[indices.ravel()],
            "rank": np.tile(np.arange(1, found + 1), len(prompts)),
            "score": scores.ravel(),
        }
    )
