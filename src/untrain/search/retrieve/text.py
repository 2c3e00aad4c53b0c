"""Text retrieval: the captions nearest to a prompt, by TF-IDF or BM25.

Both are sums over the words that prompt and caption share, so both are kept alike: for each word,
the captions that have it and what it adds to their score.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from untrain.core.errors import InputError, closest
from untrain.core.registry import Registry
from untrain.search.retrieve.index_files import read_index, write_index

WORD = re.compile(r"\b\w\w+\b")  # scikit-learn's: two or more letters or digits
VERSION = 1  # of what is saved


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


def words(text: str) -> list[str]:
    """Return the words of a text as `TfidfVectorizer` takes them: lower case, two letters or more.

    Examples
    --------
    >>> words("A red T-shirt, 2012")
    ['red', 'shirt', '2012']
    """
    return WORD.findall(text.lower())


class _Postings:
    """What the retrievers share: for each word, its captions and what it adds to each."""

    kind: str

    def __init__(self) -> None:
        self.count = 0  # captions
        self._vocabulary: dict[str, int] = {}
        self._starts = np.zeros(1, np.int64)  # of each word in the two below
        self._captions = np.zeros(0, np.int32)
        self._parts = np.zeros(0)
        self._idf = np.zeros(0)  # of each word; only where the prompt is weighted too

    def query(self, prompts: Sequence[str], top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and scores of the ``top`` nearest captions of each prompt.

        Raises
        ------
        InputError
            If a prompt is empty, no word of it occurs in any caption, or ``top`` is below 1.
        """
        if top < 1:
            raise InputError(f"{top} candidates were asked for; expected at least 1")
        for prompt in prompts:
            self._check(prompt)
        top = min(top, self.count)
        positions = np.empty((len(prompts), top), np.int64)
        scores = np.empty((len(prompts), top))
        for row, prompt in enumerate(prompts):
            of_all = self._scores(prompt)
            positions[row] = best(of_all, top)
            scores[row] = of_all[positions[row]]
        return positions, scores

    def similarity(self, prompts: Sequence[str], positions: np.ndarray) -> np.ndarray:
        """Return the scores, float64 (prompts, m), of the captions at ``positions`` (prompts, m).

        Zero where prompt and caption share no word.
        """
        scores = np.empty(positions.shape)
        for row, prompt in enumerate(prompts):
            scores[row] = self._scores(prompt)[positions[row]]
        return scores

    def save(self, folder: Path) -> None:
        """Write the index as a folder that `load` reads."""
        meta: dict[str, object] = {
            "kind": self.kind,
            "version": VERSION,
            "description": f"{self.kind} over {self.count:,} captions",
            "captions": self.count,
            "words": list(self._vocabulary),
        }
        arrays: dict[str, np.ndarray] = {
            "starts": self._starts,
            "captions": self._captions,
            "parts": self._parts,
            "idf": self._idf,
        }
        write_index(folder, meta, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the index that `save` wrote, memory-mapped.

        Raises
        ------
        InputError
            If it is absent, damaged or of another version.
        """
        meta, arrays = read_index(folder, cls.kind, VERSION)
        loaded = cls()
        loaded.count = meta["captions"]
        loaded._enter(meta["words"], arrays["starts"], arrays["captions"], arrays["parts"])
        loaded._idf = arrays["idf"]
        return loaded

    def _enter(
        self, vocabulary: Sequence[str], starts: np.ndarray, captions: np.ndarray, parts: np.ndarray
    ) -> None:
        self._vocabulary = {word: row for row, word in enumerate(vocabulary)}
        self._starts, self._captions, self._parts = starts, captions, parts

    def _weights(self, counts: dict[int, int]) -> dict[int, float]:
        """Return the weight of each word of a prompt, given how often it occurs there."""
        raise NotImplementedError

    def _scores(self, prompt: str) -> np.ndarray:
        """Return the scores of all captions, float64."""
        known = Counter(self._vocabulary[w] for w in words(prompt) if w in self._vocabulary)
        scores = np.zeros(self.count)
        for word, weight in self._weights(dict(sorted(known.items()))).items():
            of_word = slice(self._starts[word], self._starts[word + 1])
            scores[self._captions[of_word]] += weight * self._parts[of_word]
        return scores

    def _check(self, prompt: str) -> None:
        found = words(prompt)
        if not prompt.strip():
            raise InputError("a prompt is empty; expected words that the captions use")
        if not found:
            raise InputError(f"the prompt '{prompt}' has no words of two or more letters")
        if not any(word in self._vocabulary for word in found):
            close = closest(max(found, key=len), self._vocabulary)
            use = f" — did you mean '{close}'?" if close else "; expected words that captions use"
            raise InputError(f"no word of the prompt '{prompt}' occurs in any caption{use}")


class TfidfRetriever(_Postings):
    """Cosine of TF-IDF vectors, as in the study: `TfidfVectorizer` defaults on all captions.

    Examples
    --------
    >>> retriever = TfidfRetriever().fit(["red shirt", "blue shirt", "red hat"])
    >>> retriever.query(["hat in red"], top=2)[0].tolist()
    [[2, 0]]
    """

    kind = "tfidf"

    def fit(self, captions: Sequence[str]) -> Self:
        """Learn the vocabulary and weights of all captions and index them."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # slow to import

        vectorizer = TfidfVectorizer()
        try:
            weights = vectorizer.fit_transform(captions)
        except ValueError as error:
            raise _no_words(error) from None
        postings = weights.T.tocsr()
        vocabulary = vectorizer.get_feature_names_out().tolist()
        self.count = len(captions)
        self._enter(vocabulary, postings.indptr, postings.indices, postings.data)
        self._idf = vectorizer.idf_
        return self

    def _weights(self, counts: dict[int, int]) -> dict[int, float]:
        weights = {word: count * float(self._idf[word]) for word, count in counts.items()}
        length = sum(weight**2 for weight in weights.values()) ** 0.5
        return {word: weight / length for word, weight in weights.items()}


class Bm25Retriever(_Postings):
    """BM25 as Lucene has it (k1 = 1.5, b = 0.75), by bm25s: repeated words saturate.

    S. Robertson & H. Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and Beyond.
    Words are those of `TfidfRetriever`, none of them left out as too common. Scores have no upper
    bound: they rank captions for one prompt and compare nothing across prompts.

    Examples
    --------
    >>> retriever = Bm25Retriever().fit(["red shirt", "blue shirt", "red hat"])
    >>> retriever.query(["hat in red"], top=2)[0].tolist()
    [[2, 0]]
    """

    kind = "bm25"

    def fit(self, captions: Sequence[str]) -> Self:
        """Weigh the words of all captions and index them."""
        import bm25s

        tokens = bm25s.tokenize(
            list(captions), token_pattern=WORD.pattern, stopwords=[], show_progress=False
        )
        if not any(tokens.ids):
            raise _no_words("no words")
        model = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
        model.index(tokens, show_progress=False)
        self.count = len(captions)
        scores = model.scores
        vocabulary = sorted(model.vocab_dict, key=model.vocab_dict.__getitem__)
        self._enter(vocabulary, scores["indptr"], scores["indices"], scores["data"])
        return self

    def _weights(self, counts: dict[int, int]) -> dict[int, float]:
        return {word: float(count) for word, count in counts.items()}


def _no_words(found: object) -> InputError:
    return InputError(
        f"the captions cannot be indexed ({found}); expected words of two or more letters"
    )


def best(scores: np.ndarray, top: int) -> np.ndarray:
    """Return the positions of the ``top`` highest scores, highest first, equals by position."""
    threshold = np.partition(scores, len(scores) - top)[len(scores) - top]
    among = np.flatnonzero(scores >= threshold)
    return among[np.argsort(-scores[among], kind="stable")][:top]


TEXT_RETRIEVERS: Registry[type[Retriever]] = Registry(
    "text retriever", {"tfidf": TfidfRetriever, "bm25": Bm25Retriever}
)
