"""The index of captions by their words that text retrievers share: made, grown, kept and asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Self

import numpy as np

from untrain.core.errors import InputError, closest
from untrain.search.retrieve.index_files import read_index, write_index
from untrain.search.retrieve.postings import (
    SEGMENT,
    Segment,
    Wanted,
    candidates,
    counted,
    different,
    digests,
    found_again,
    inverted,
    joined,
    words,
)

VERSION = 2  # of what is saved
DENSE = 2**16  # captions of a segment that are all given a score: that takes milliseconds
FEW = 2**12  # captions that have a word of the prompt and are given a score without a bound
SAMPLED = 200  # captions of each word, the first of its list, that give the first bound
BY_LISTS = 4  # captions of the words there are for one to be scored: below, lists are sooner
JOINED = 8  # times as many captions as are added, and a segment is joined with them


class InvertedIndex:
    """Scores of captions are sums over the words of a prompt; kinds differ in what a word adds.

    Attributes
    ----------
    count : int
        Captions.
    kind : str
        What is saved says so.
    cosine : bool
        Scores are cosines.
    """

    kind: str
    cosine: bool

    def __init__(self) -> None:
        self.count = 0
        self._vocabulary: dict[str, int] = {}
        self._segments: list[Segment] = []
        self._frequencies = np.zeros(0, np.int64)  # captions that have each word
        self._idf = np.zeros(0)  # of each word
        self._mean = 0.0  # length of a caption
        self._digests = np.zeros(0, np.uint64)  # of captions, as they were indexed
        self._places: np.ndarray | None = None  # positions of captions, if others than that

    def fit(self, captions: Sequence[str]) -> Self:
        """Index the captions, in place of any before."""
        self.__init__()  # type: ignore[misc]
        return self.add(captions)

    def add(self, captions: Sequence[str], places: np.ndarray | None = None) -> Self:
        """Index more captions: the answers are those of an index made of all of them.

        Captions that are indexed are not read again; their lengths are computed anew where these
        depend on the weights of words, which every caption changes.

        Parameters
        ----------
        captions : sequence of str
        places : ndarray of int64, (all captions,), optional
            The position of each caption, in the order in which they were indexed, those of before
            first; by default that order.
        """
        self._digests = np.concatenate([self._digests, digests(captions)])
        fresh = list(counted(captions, self._vocabulary))
        if not self._vocabulary:
            raise InputError(
                "the captions cannot be indexed (no words); expected words of two or more letters"
            )
        while self._segments and fresh and _worth_joining(self._segments[-1], fresh[0]):
            fresh[0] = joined(self._segments.pop(), fresh[0])
        every = [segment.forward for segment in self._segments] + fresh
        words = len(self._vocabulary)
        self.count = sum(len(starts) - 1 for starts, _, _ in every)
        if places is None and self._places is not None:
            places = np.append(self._places, np.arange(len(self._places), self.count))
        self._places = places
        counts = (np.bincount(found, minlength=words) for _, found, _ in every)
        self._frequencies = np.sum(list(counts), axis=0)
        self._idf = self._inverse_frequencies()
        lengths = [self._lengths(*forward) for forward in every]
        self._mean = float(np.concatenate(lengths).mean())
        old = len(self._segments)
        self._segments = [
            replace(segment, lengths=length)
            for segment, length in zip(self._segments, lengths, strict=False)
        ]
        for forward, length in zip(fresh, lengths[old:], strict=True):
            starts, found, numbers = forward
            rows = np.repeat(length, np.diff(starts))
            parts = self._parts(numbers.astype(float), self._idf[found], rows)
            self._segments.append(inverted(forward, length, parts, self._idf, self._mean))
        return self

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
            positions[row], scores[row] = self._best(self._asked(prompt), top)
        return positions, scores

    def similarity(self, prompts: Sequence[str], positions: np.ndarray) -> np.ndarray:
        """Return the scores, float64 (prompts, m), of the captions at ``positions`` (prompts, m).

        Zero where prompt and caption share no word.
        """
        scores = np.zeros(positions.shape)
        if self._places is not None:
            positions = np.argsort(self._places)[positions]  # as they were indexed
        for row, prompt in enumerate(prompts):
            asked = self._asked(prompt)
            for first, segment in self._placed():
                here = (positions[row] >= first) & (positions[row] < first + len(segment))
                scores[row, here] = self._scores(segment, asked, positions[row, here] - first)
        return scores

    def save(self, folder: Path) -> None:
        """Write the index as a folder that `load` reads."""
        meta: dict[str, object] = {
            "kind": self.kind,
            "version": VERSION,
            "description": f"{self.kind} over {self.count:,} captions",
            "captions": self.count,
            "words": list(self._vocabulary),
            "segments": len(self._segments),
            "mean": self._mean,
        }
        arrays = {"frequencies": self._frequencies, "idf": self._idf, "digests": self._digests}
        if self._places is not None:
            arrays["places"] = self._places
        for number, segment in enumerate(self._segments):
            arrays |= {f"{f.name}-{number}": getattr(segment, f.name) for f in fields(segment)}
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
        loaded.count, loaded._mean = meta["captions"], meta["mean"]
        loaded._vocabulary = {word: row for row, word in enumerate(meta["words"])}
        loaded._frequencies, loaded._idf = arrays["frequencies"], np.asarray(arrays["idf"])
        loaded._digests, loaded._places = arrays["digests"], arrays.get("places")
        names = [f.name for f in fields(Segment)]
        loaded._segments = [
            Segment(**{name: arrays[f"{name}-{number}"] for name in names})
            for number in range(meta["segments"])
        ]
        return loaded

    @classmethod
    def grown(cls, folder: Path, captions: Sequence[str]) -> Self | None:
        """Return the index of captions by that of some of them, which `save` wrote.

        Only new ones are read for words. None if some are gone, or more are new than are not. Where
        new ones come between the others, scores differ from those of an index made at once by no
        more than rounding: lengths are summed in the order in which words were first met.

        Raises
        ------
        InputError
            As `load`.
        """
        index = cls.load(folder)
        if not index.count <= len(captions) <= 2 * index.count:
            return None
        known = found_again(np.asarray(index._digests), digests(captions))
        if known is None:
            return None
        new = np.setdiff1d(np.arange(len(captions)), known, assume_unique=True)
        more = [captions[int(place)] for place in new]
        in_order = np.array_equal(known, np.arange(len(known)))
        return index.add(more, None if in_order else np.concatenate([known, new]))

    # What kinds differ in.

    def _inverse_frequencies(self) -> np.ndarray:
        """Return how much each word counts, from ``count`` and ``_frequencies``."""
        raise NotImplementedError

    def _lengths(self, starts: np.ndarray, words: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return what `_parts` must know of each caption, float64."""
        raise NotImplementedError

    def _parts(self, counts: np.ndarray, idf: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return what words add to scores: how often they occur, their weights, the lengths."""
        raise NotImplementedError

    def _weights(self, counts: dict[int, int]) -> dict[int, float]:
        """Return the weight of each word of a prompt, given how often it occurs there."""
        raise NotImplementedError

    def _drift(self, segment: Segment) -> np.ndarray:
        """Return how many times its part of when the segment was made a word has now at most."""
        raise NotImplementedError

    # What they share.

    def _asked(self, prompt: str) -> dict[int, float]:
        """Return the weights of a prompt's words, in the order of the alphabet: that of sums."""
        known = sorted(word for word in words(prompt) if word in self._vocabulary)
        return self._weights(dict(Counter(self._vocabulary[word] for word in known)))

    def _placed(self) -> Iterator[tuple[int, Segment]]:
        """Yield the position of each segment's first caption, and the segment."""
        first = 0
        for segment in self._segments:
            yield first, segment
            first += len(segment)

    def _best(self, asked: dict[int, float], top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and scores of the best, equals by position."""
        positions, scores = np.zeros(0, np.int64), np.zeros(0)
        for first, segment in self._placed():
            bound = scores[-1] if len(scores) == top else 0.0
            rows = self._promising(segment, asked, top, bound)
            there = rows + first if self._places is None else self._places[rows + first]
            positions = np.append(positions, there)
            scores = np.append(scores, self._scores(segment, asked, rows))
            order = np.lexsort((positions, -scores))[:top]
            positions, scores = positions[order], scores[order]
        if len(positions) < top:  # the others share no word with the prompt
            others = np.setdiff1d(np.arange(top), positions)[: top - len(positions)]
            positions = np.append(positions, others)
            scores = np.append(scores, np.zeros(len(others)))
        return positions, scores

    def _promising(
        self, segment: Segment, asked: dict[int, float], top: int, bound: float
    ) -> np.ndarray:
        """Return captions of a segment, among them any of the ``top`` best above ``bound``."""
        sizes = segment.frequencies(list(asked))
        if sizes.sum() <= FEW or len(segment) <= top:
            lists = [segment.captions[segment.list_of(word)] for word in asked]
            return different(np.concatenate(lists))
        if len(segment) <= DENSE:
            scores = self._scores(segment, asked, None)
            last = np.partition(scores, len(scores) - top)[-top]
            return np.flatnonzero((scores >= last) & (scores > 0))
        first = max(SAMPLED, 2 * top)
        sample = [segment.captions[segment.list_of(word, first)] for word in asked]
        some = different(np.concatenate(sample))
        reached = self._scores(segment, asked, some)
        if len(reached) >= top:
            bound = max(bound, float(np.partition(reached, len(reached) - top)[-top]))
        rarest = np.array(list(asked))[np.argsort(sizes, kind="stable")]
        weights = np.array([asked[word] for word in rarest])
        wanted = Wanted(rarest.tolist(), weights, self.cosine)
        drift = self._drift(segment)[np.minimum(rarest, len(segment.idf) - 1)]
        return candidates(segment, wanted, drift, bound)

    def _scores(
        self, segment: Segment, asked: dict[int, float], rows: np.ndarray | None
    ) -> np.ndarray:
        """Return the scores of captions of a segment, float64; of all of them for None."""
        if rows is None or len(rows) * BY_LISTS > segment.frequencies(list(asked)).sum():
            scores = np.zeros(len(segment))
            for word, weight in asked.items():
                these = segment.list_of(word)
                captions = segment.captions[these]
                lengths = segment.lengths[captions]
                parts = self._parts(segment.repeats[these] * 1.0, self._idf[word], lengths)
                scores[captions] += weight * parts
            return scores if rows is None else scores[rows]
        columns = np.full(len(self._vocabulary), -1, np.int16)
        columns[list(asked)] = np.arange(len(asked))
        counts = segment.held(rows, columns, len(asked))
        lengths, scores = segment.lengths[rows], np.zeros(len(rows))
        for column, (word, weight) in enumerate(asked.items()):
            scores += weight * self._parts(counts[:, column], self._idf[word], lengths)
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


def _worth_joining(last: Segment, added: tuple[np.ndarray, ...]) -> bool:
    """Tell whether a segment is so small beside what is added that both become one."""
    more = len(added[0]) - 1
    return len(last) <= JOINED * more and len(last) + more <= SEGMENT


def best(scores: np.ndarray, top: int) -> np.ndarray:
    """Return the positions of the ``top`` highest scores, highest first, equals by position."""
    threshold = np.partition(scores, len(scores) - top)[len(scores) - top]
    among = np.flatnonzero(scores >= threshold)
    return among[np.argsort(-scores[among], kind="stable")][:top]
