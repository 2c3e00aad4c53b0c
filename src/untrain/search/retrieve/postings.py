"""Captions as an inverted index: which captions have a word, those it says most about first.

A `Segment` is some captions in a row, immutable once made, so that adding captions is adding a
segment. It is kept both ways: the words of each caption, from which scores are computed, and the
captions of each word, by which those worth computing are found. A caption can only be among the
best if it stands far enough up in the list of a word of the prompt; the rest is never read
(R. Fagin, A. Lotem & M. Naor, 2003, Optimal aggregation algorithms for middleware; for cosines
Y. Li, J. Wang, B. Pullman, N. Bandeira & Y. Papakonstantinou, 2019, Index-based, high-dimensional,
cosine threshold querying with optimality guarantees).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

WORD = re.compile(r"\b\w\w+\b")  # scikit-learn's: two or more letters or digits
SEGMENT = 2**21  # captions of a segment at most: what is made at a time is below a gigabyte
Forward = tuple[np.ndarray, np.ndarray, np.ndarray]  # starts, words, counts: as of `Segment`
BLOCK = 2**16  # captions taken at a time
BYTES = 8  # of each caption's mask: a bit for each of the most common words of a segment
ROUNDING = 1e-5  # well above the float32 error of a sum of parts


def words(text: str) -> list[str]:
    """Return the words of a text as `TfidfVectorizer` takes them: lower case, two letters or more.

    Examples
    --------
    >>> words("A red T-shirt, 2012")
    ['red', 'shirt', '2012']
    """
    return WORD.findall(text.lower())


@dataclass(frozen=True, eq=False)
class Segment:
    """Captions of an index, in a row. Arrays may be memory maps.

    Attributes
    ----------
    starts : ndarray of int64, (n + 1,)
        Of each caption in ``words`` and ``counts``.
    words, counts : ndarray of int, (m,)
        Different words of each caption, in rising order, and how often each occurs there.
    lengths : ndarray of float64, (n,)
        Of each caption, as its retriever measures them.
    lists : ndarray of int64, (v + 1,)
        Of each word in ``captions``, ``repeats`` and ``parts``.
    captions : ndarray of int32, (m,)
        Captions of each word, by falling part.
    repeats : ndarray of int, (m,)
        How often each has it.
    parts : ndarray of float32, (m,)
        What the word added to the score of each when the segment was made, rounded up.
    masks : ndarray of uint8, (n, 8)
        Which of the words ``masked`` a caption has, a bit each.
    masked : ndarray of int64, (at most 64,)
        The words that most captions have, the most common first.
    idf : ndarray of float64, (v,)
        Weights of words when the segment was made.
    mean : ndarray of float64, (1,)
        The mean length of captions then.
    """

    starts: np.ndarray
    words: np.ndarray
    counts: np.ndarray
    lengths: np.ndarray
    lists: np.ndarray
    captions: np.ndarray
    repeats: np.ndarray
    parts: np.ndarray
    masks: np.ndarray
    masked: np.ndarray
    idf: np.ndarray
    mean: np.ndarray

    @property
    def forward(self) -> Forward:
        """The words of each caption."""
        return self.starts, self.words, self.counts

    def __len__(self) -> int:
        return len(self.lengths)

    def frequencies(self, words: Sequence[int]) -> np.ndarray:
        """Return how many captions have each of the words, int64."""
        asked = np.asarray(words, np.int64)
        known = np.minimum(asked, len(self.lists) - 2)  # later words were not known then
        return np.where(asked == known, self.lists[known + 1] - self.lists[known], 0)

    def list_of(self, word: int, first: int | None = None) -> slice:
        """Return where the first of a word's list, or all of it, are in ``captions``."""
        if word + 1 >= len(self.lists):  # it was not known then
            return slice(0, 0)
        start, stop = int(self.lists[word]), int(self.lists[word + 1])
        return slice(start, stop if first is None else min(start + first, stop))

    def above(self, word: int, level: float) -> int:
        """Return how many captions of a word's list have a part above ``level``."""
        parts = self.parts[self.list_of(word)][::-1]
        return len(parts) - int(np.searchsorted(parts, np.float32(level), "right"))

    def held(self, rows: np.ndarray, columns: np.ndarray, many: int) -> np.ndarray:
        """Return how often captions have some words, float64 (len(rows), many).

        ``columns`` gives the column of each word of the vocabulary, −1 for those not asked for.
        """
        found = np.zeros((len(rows), many))
        places, ends = self.starts[rows], self.starts[rows + 1]
        which = np.arange(len(rows))
        while len(which):
            there = places < ends
            if not there.all():
                which, places, ends = which[there], places[there], ends[there]
            column = columns[self.words[places]]
            hit = np.flatnonzero(column >= 0)
            found[which[hit], column[hit]] = self.counts[places[hit]]
            places = places + 1
        return found


def counted(captions: Sequence[str], vocabulary: dict[str, int]) -> Iterator[Forward]:
    """Yield starts, words and counts of each `SEGMENT` captions; new words enter the vocabulary.

    Words are numbered as they come, so that captions added later change no number.
    """
    for first in range(0, len(captions), SEGMENT):
        last = min(first + SEGMENT, len(captions))
        sizes, found, numbers = [], [], []
        for start in range(first, last, BLOCK):
            said: list[int] = []
            ends = []
            for text in captions[start : min(start + BLOCK, last)]:
                said += [vocabulary.setdefault(w, len(vocabulary)) for w in words(text)]
                ends.append(len(said))
            rows = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
            keys, counts = np.unique((rows << 32) | np.array(said, np.int64), return_counts=True)
            sizes.append(np.bincount(keys >> 32, minlength=len(ends)))
            found.append((keys & (2**32 - 1)).astype(np.int32))
            numbers.append(counts.astype(np.min_scalar_type(counts.max(initial=1))))
        starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        yield starts, np.concatenate(found), np.concatenate(numbers)


def joined(last: Segment, added: Forward) -> Forward:
    """Return starts, words and counts of a segment's captions and those after them."""
    starts, found, counts = added
    return (
        np.concatenate([last.starts, starts[1:] + last.starts[-1]]),
        np.concatenate([last.words, found]),
        np.concatenate([last.counts, counts]),
    )


def digests(captions: Sequence[str]) -> np.ndarray:
    """Return 64 bits of each caption, uint64, the same for the same text in any process."""
    from pandas.util import hash_array

    parts = [np.zeros(0, np.uint64)]
    for start in range(0, len(captions), BLOCK):
        texts = np.array([*captions[start : start + BLOCK], None], object)[:-1]  # one dimension
        parts.append(hash_array(texts, categorize=False))
    return np.concatenate(parts)


def found_again(before: np.ndarray, now: np.ndarray) -> np.ndarray | None:
    """Return where in ``now`` each text of ``before`` is, by their digests; None if one is gone.

    Of equal texts the first before is the first now, and so on.
    """
    places = np.argsort(now, kind="stable")
    order = np.argsort(before, kind="stable")
    _, first = np.unique(before[order], return_index=True)
    nth = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    at = np.searchsorted(now[places], before[order]) + nth
    at = np.minimum(at, len(now) - 1)
    if not np.array_equal(now[places[at]], before[order]) or len(np.unique(at)) < len(at):
        return None
    there = np.empty(len(before), np.int64)
    there[order] = places[at]
    return there


def sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the sum of each caption's values, added up one after the other as sklearn does."""
    from scipy.sparse import csr_array  # slow to import, and a loaded index needs none of it

    columns = np.zeros(len(values), np.int32)
    return csr_array((values, columns, starts), shape=(len(starts) - 1, 1)) @ np.ones(1)


def inverted(
    forward: Forward,
    lengths: np.ndarray,
    parts: np.ndarray,
    idf: np.ndarray,
    mean: float,
) -> Segment:
    """Return the segment of captions, given what each of their words adds, float64 (m,)."""
    starts, found, counts = forward
    kept = np.nextafter(parts.astype(np.float32), np.float32(np.inf))  # never below what is exact
    frequencies = np.bincount(found, minlength=len(idf))
    order = np.lexsort((-kept, found))
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), np.diff(starts))
    masked = np.argsort(-frequencies, kind="stable")[: 8 * BYTES]
    masks = np.zeros((len(lengths), BYTES), np.uint8)
    said = np.flatnonzero(np.diff(starts))
    for byte in range(BYTES):
        bits = np.zeros(len(idf), np.uint8)
        of_byte = masked[8 * byte : 8 * byte + 8]
        bits[of_byte] = 1 << np.arange(len(of_byte), dtype=np.uint8)
        masks[said, byte] = np.bitwise_or.reduceat(bits[found], starts[said])
    lists = np.concatenate([[0], np.cumsum(frequencies)])
    return Segment(
        starts, found, counts, lengths, lists, rows[order], counts[order], kept[order], masks,
        masked, idf, np.array([mean]),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Wanted:
    """A prompt: its words, the rarest first.

    Attributes
    ----------
    words : list of int
    weights : ndarray of float64
        Of each in the score.
    cosine : bool
        Parts of a caption have a sum of squares of at most 1, and so have the weights.
    """

    words: list[int]
    weights: np.ndarray
    cosine: bool


def candidates(segment: Segment, wanted: Wanted, drift: np.ndarray, bound: float) -> np.ndarray:
    """Return the captions of a segment that may score ``bound`` or more, in rising order.

    Parameters
    ----------
    segment : Segment
    wanted : Wanted
    drift : ndarray, (words,)
        How many times as large parts of each word may be now as those kept.
    bound : float
        Below all scores of interest; 0 or more.
    """
    weights = wanted.weights * drift
    tops = np.array([segment.parts[segment.list_of(word, 1)].sum() for word in wanted.words])
    sizes = segment.frequencies(wanted.words)
    plan = _plan(segment, wanted, weights, tops, sizes, bound)
    scores = np.zeros(len(segment), np.float32)  # of memory only what is written to is taken
    lists = []
    for word, weight, first in zip(wanted.words, weights, plan.read, strict=True):
        these = segment.list_of(word, int(first))
        captions = segment.captions[these].astype(np.intp)
        scores[captions] += np.float32(weight) * segment.parts[these]
        lists.append(captions)
    found = np.concatenate(lists)
    at_most = scores[found] + _rest(segment, wanted, weights, plan, found)
    return different(found[at_most >= bound * (1 - ROUNDING)])


def different(rows: np.ndarray) -> np.ndarray:
    """Return the different ones of some rows, int64, in rising order."""
    rows = np.sort(rows)  # NumPy's `unique` by hashing takes several times as long
    return rows[np.diff(rows, prepend=-1) > 0].astype(np.int64)


@dataclass(frozen=True)
class _Plan:
    """What is read of each word's list, and what is known of a caption that was not read there.

    The first ``whole`` lists are read to their end. Of the others the ``read`` first are: the rest
    have parts of at most ``levels``. Or, for None, nothing: it is enough that parts of a cosine
    have a sum of squares of at most 1.
    """

    whole: int
    read: np.ndarray
    levels: np.ndarray | None


def _plan(
    segment: Segment,
    wanted: Wanted,
    weights: np.ndarray,
    tops: np.ndarray,
    sizes: np.ndarray,
    bound: float,
) -> _Plan:
    """Return the least to read so that a caption that was not read scores less than ``bound``.

    Levels are in proportion to the weights, or to the highest parts, and such that parts at all of
    them stay below the bound together.
    """
    against = wanted.weights if wanted.cosine else tops
    best: _Plan | None = None
    for whole in range(len(sizes) + 1):
        levels: np.ndarray | None = tops[whole:]
        read = np.append(sizes[:whole], np.zeros(len(sizes) - whole, np.int64))
        if wanted.cosine and np.linalg.norm(wanted.weights[whole:]) < bound * (1 - ROUNDING):
            levels = None
        elif weights[whole:] @ tops[whole:] > bound * (1 - ROUNDING):
            share = (1 - ROUNDING) * bound / float(weights[whole:] @ against[whole:])
            levels = np.minimum(tops[whole:], share * against[whole:])
            others = zip(wanted.words[whole:], levels, strict=True)
            read[whole:] = [segment.above(word, level) for word, level in others]
        if best is None or read.sum() < best.read.sum():
            best = _Plan(whole, read, levels)
        if sizes[:whole].sum() > best.read.sum():
            break
    assert best is not None
    return best


def _rest(
    segment: Segment, wanted: Wanted, weights: np.ndarray, plan: _Plan, found: np.ndarray
) -> np.ndarray:
    """Return the most that words whose lists were not read to the end add to captions found."""
    if plan.levels is None:
        adds = wanted.weights[plan.whole :] ** 2
    else:
        adds = weights[plan.whole :] * plan.levels
    rest = np.zeros(len(found), np.float32)
    tables: dict[int, np.ndarray] = {}
    for word, add in zip(wanted.words[plan.whole :], adds.astype(np.float32), strict=True):
        (bit,) = np.flatnonzero(segment.masked == word)[:1].tolist() or [-1]
        if bit < 0:
            rest += add  # it may have the word, as far as is known
            continue
        table = tables.setdefault(bit // 8, np.zeros(256, np.float32))
        table[(np.arange(256) >> (bit % 8)) & 1 == 1] += add
    whole = segment.masks.view(np.uint64)[:, 0][found]  # one look at each caption
    bytes_of = whole.view(np.uint8).reshape(-1, BYTES)
    for byte, table in tables.items():
        rest += table[bytes_of[:, byte]]
    return np.sqrt(rest) if plan.levels is None else rest
