"""Trace: the training images nearest to a picture, out of a whole catalogue, without retraining."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.progress import bar
from untrain.core.schema import records
from untrain.core.threads import cores, one_thread_a_product
from untrain.encoders.base import Encoder, describe, encode_text
from untrain.encoders.layout import LayoutEncoder
from untrain.encoders.store import FeatureStore
from untrain.search.calibration import Calibration
from untrain.search.catalog_index import CatalogIndex, open_calibration, open_index
from untrain.search.compare.comparison import undefined_note
from untrain.search.compare.metrics import measured
from untrain.search.neighbours import NEIGHBOURS
from untrain.search.rank.metric_table import CANDIDATES_LEFT_OUT, LEFT_OUT
from untrain.search.rank.ranking import check_method, parse_method, rank
from untrain.search.retrieve.candidates import open_text
from untrain.search.trace_pictures import Seen, SeenPictures
from untrain.search.trace_query import Similarity, TracedPicture, answer

WORDS = "text_tfidf"
TOGETHER = 32  # pictures in hand at once
PARTS = ("index", "encode", "search", "read", "compare", "rank", "copy test")
NEED_WORDS = ("text", f"metric:{WORDS}")  # rankings that are undefined without a prompt


@dataclass(frozen=True)
class Trace:
    """What `trace` found.

    Attributes
    ----------
    table : DataFrame
        The hits, by query, best first: columns as in `untrain.search.trace_query.HIT`, then every
        metric. ``same_as`` is the id of the hit above with the very same bytes (empty if there is
        none), ``distance`` one minus the cosine of pooled features.
    copies : DataFrame
        The copy test, one row a query: of the image nearest by features and the hits, in this
        order, the first that is flagged; or else the nearest.
    about : dict
        Catalogue, images, encoder, index, ranking, prompt, candidates.
    seconds : dict of str to float
        Seconds by part.
    notes : tuple of Note
        What was made anew, undefined, left out or not understood.
    ranked : DataFrame
        Every image that was compared: ``query``, ``image_id``, ``position`` in the catalogue, and
        the ``score`` of the ranking (NaN where it is undefined).
    """

    table: pd.DataFrame
    copies: pd.DataFrame
    about: dict[str, Any]
    seconds: dict[str, float]
    notes: tuple[Note, ...]
    ranked: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it; what is undefined is None."""
        queries = []
        for copy in records(self.copies):
            hits = self.table[self.table["query"] == copy["query"]].drop(columns="query")
            queries.append({"query": copy.pop("query"), "copy_test": copy, "hits": records(hits)})
        return {
            **self.about,
            "queries": queries,
            "seconds": {part: round(took, 4) for part, took in self.seconds.items()},
            "notes": [note.to_dict() for note in self.notes],
        }


def trace(
    images: Mapping[str, np.ndarray],
    catalog: Catalog,
    prompt: str | None = None,
    encoder: Encoder | None = None,
    top: int = 10,
    candidates: int = 200,
    index: str = "exact",
    ranking: str = "fusion",
    fresh: bool = False,
) -> Trace:
    """Return the training images nearest to each picture.

    The whole catalogue is searched by pooled features, and by text where there is a prompt; the
    best of both are compared by every metric and ranked. Byte-identical images have identical
    metrics, except for text, and follow each other, whatever their captions. Of equal scores the
    image that bears the query's name comes first, then the order of ids.

    Parameters
    ----------
    images : mapping of str to ndarray of uint8, each H×W×3
        Pictures to be explained, by name; each is traced by itself. Each is asked for once, some
        at a time, so that they may be files that are read then.
    catalog : Catalog
    prompt : str, optional
        What the pictures were drawn for. If no caption has any of its words, only the
        pictures count, and a note says so.
    encoder : Encoder, optional
        `LayoutEncoder` if left out.
    top : int
        Hits a picture.
    candidates : int
        Images that each way of searching finds, all to be compared by every metric.
    index : str
        A name in `untrain.search.retrieve.indexes.VECTOR_INDEXES`.
    ranking : str
        As `untrain.search.rank.ranking.rank` takes it.
    fresh : bool
        Make the index anew.

    Raises
    ------
    InputError
        If there is nothing to search or search for, or an option is none that is known.
    """
    _check(images, prompt, top, candidates, ranking)
    encoder = encoder or LayoutEncoder()
    seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    with _timed(seconds, "index"):
        opened = open_index(catalog, encoder, index, fresh)
        calibration, uncalibrated = open_calibration(opened, fresh)
    count = max(top, candidates)
    with _timed(seconds, "search"):
        words = _search_text(opened, encoder, prompt, count, fresh, ranking in NEED_WORDS)
    search = _Search(opened, encoder, calibration, words, count, ranking, top, seconds)
    names = list(images)
    shown = bar("tracing", len(names)) if len(names) > TOGETHER else nullcontext(lambda n: None)
    with shown as advance:
        for start in range(0, len(names), TOGETHER):
            together = names[start : start + TOGETHER]
            search.ask({name: images[name] for name in together})
            advance(len(together))
    table, copies, ranked = (pd.concat(parts, ignore_index=True) for parts in search.found)
    about = {
        "catalog": catalog.name,
        "images": len(catalog),
        "encoder": describe(encoder),
        "index": index,
        **opened.vectors.measured,
        "candidates": search.most,
        "ranking": ranking,
        "prompt": prompt,
    }
    notes = (*opened.notes, *uncalibrated, *words.notes, *search.notes())
    return Trace(table, copies, about, seconds, notes, ranked)


class _Search:
    """Pictures asked about some at a time, and what was found for all so far.

    Memory grows by the tables alone: the pictures of the catalogue that were decoded are kept up
    to a number of bytes.
    """

    def __init__(
        self,
        opened: CatalogIndex,
        encoder: Encoder,
        calibration: Calibration,
        words: _Words,
        count: int,
        ranking: str,
        top: int,
        seconds: dict[str, float],
    ) -> None:
        self.opened, self.encoder, self.calibration = opened, encoder, calibration
        self.words, self.count, self.ranking, self.top = words, count, ranking, top
        self.seconds = seconds
        self.found: tuple[list[pd.DataFrame], ...] = [], [], []
        self.most = 0
        self._pictures = SeenPictures(opened.catalog)
        self._store = FeatureStore(None, encoder)
        self._pairs = 0
        self._undefined: Counter[str] = Counter()
        self._left_out: list[Note] = []

    def ask(self, images: Mapping[str, np.ndarray]) -> None:
        """Trace some pictures: search, compare, rank, test for copies."""
        queries = self._queries(images)
        self.most = max(self.most, *(len(query.candidates) for query in queries))
        with _timed(self.seconds, "read"):
            wanted = np.unique(np.concatenate([query.candidates for query in queries]))
            pictures = self._pictures.of(wanted)
        with _timed(self.seconds, "compare"):
            compared = self._compared(queries, pictures)
        with _timed(self.seconds, "rank"):
            ranking = rank(self.ranking, compared)
            self._left_out += ranking.notes
            ranked = _with_positions(ranking.table, compared, queries)
        with _timed(self.seconds, "copy test"):
            told = answer(
                *(queries, self.opened, self.calibration, pictures),
                *(compared, ranked, self.top),
            )
        self._pairs += len(compared)
        missing = compared[measured(compared)].isna().sum()
        self._undefined.update({str(m): int(n) for m, n in missing.items() if n})
        for kept, part in zip(self.found, (told.table, told.copies, ranked), strict=True):
            kept.append(part)

    def notes(self) -> list[Note]:
        """Return what was undefined and what was left out for it, once for all pictures."""
        undefined = [undefined_note(m, self._undefined[m], self._pairs) for m in self._undefined]
        with_words = "tfidf" in self.words.similarity
        return [*undefined, *_left_out(self.ranking, self._left_out, with_words)]

    def _queries(self, images: Mapping[str, np.ndarray]) -> list[TracedPicture]:
        """Return the pictures with their features and candidates."""
        opened, pictures = self.opened, list(images.values())
        with _timed(self.seconds, "encode"):
            features = pooled = opened.encoder.encode(pictures)
            if self.encoder.fingerprint != opened.encoder.fingerprint:
                features = self.encoder.encode(pictures)
        with _timed(self.seconds, "search"):
            near, cosines = opened.vectors.query(pooled, max(self.count, 2 * NEIGHBOURS))
            return [
                TracedPicture(
                    name,
                    picture,
                    features[row],
                    pooled[row],
                    near[row][0],
                    _neighbours(opened, pooled[row], near[row], cosines[row]),
                    np.unique(np.concatenate([near[row][: self.count], *self.words.found])),
                )
                for row, (name, picture) in enumerate(images.items())
            ]

    def _compared(self, queries: list[TracedPicture], pictures: Mapping[int, Seen]) -> pd.DataFrame:
        """Return the metrics of all pairs: pictures side by side, or one in two threads."""
        several = len(queries) > 1

        def compared(query: TracedPicture) -> pd.DataFrame:
            return query.compared(
                self.opened, self._store, pictures, self.words.similarity, aside=not several
            )

        if not several:
            return compared(queries[0])
        with one_thread_a_product(), ThreadPoolExecutor(cores()) as pool:
            return pd.concat(list(pool.map(compared, queries)), ignore_index=True)


def _with_positions(
    ranked: pd.DataFrame, compared: pd.DataFrame, queries: Sequence[TracedPicture]
) -> pd.DataFrame:
    """Return every image compared, with its score and where it is in the catalogue."""
    positions = np.concatenate([query.candidates for query in queries])
    place = dict(zip(compared["image_id"], positions.tolist(), strict=True))
    table = ranked[["prompt_id", "image_id", "score"]].rename(columns={"prompt_id": "query"})
    at = table["image_id"].map(place).astype("int64")
    return table.assign(position=at).reset_index(drop=True)


@dataclass(frozen=True)
class _Words:
    """What a prompt finds, and its similarity to any images, by the name of the metric."""

    found: list[np.ndarray]
    similarity: Similarity
    notes: list[Note]


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - start


def _check(
    images: Mapping[str, np.ndarray], prompt: str | None, top: int, candidates: int, ranking: str
) -> None:
    if not images:
        raise InputError("there is no picture to trace; expected at least one")
    if prompt is not None and not prompt.strip():
        raise InputError("the prompt is empty; expected words, or no prompt at all")
    for name, number in (("top", top), ("candidates", candidates)):
        if number < 1:
            raise InputError(f"{name} is {number}; expected at least 1")
    check_method(ranking)
    if parse_method(ranking).kind == "scores":
        raise InputError(f"the ranking '{ranking}' knows only the prompts of an experiment")
    if ranking in NEED_WORDS and prompt is None:
        raise InputError(f"the ranking '{ranking}' needs a prompt; give one, or use 'fusion'")


def _search_text(
    opened: CatalogIndex,
    encoder: Encoder,
    prompt: str | None,
    count: int,
    fresh: bool,
    needed: bool,
) -> _Words:
    """Search captions by the prompt and, if the encoder has a text side, pictures too."""
    words = _Words([], {}, [])
    if prompt is None:
        return words
    retriever, notes = open_text(opened.catalog, fresh=fresh)
    words.notes.extend(notes)
    try:
        words.found.append(retriever.query([prompt], count)[0][0])
        words.similarity["tfidf"] = lambda at: retriever.similarity([prompt], at[None])[0]
    except InputError as error:
        if needed:
            raise
        text = f"{error}; the captions were left out of the search"
        words.notes.append(Note("captions-left-out", text))
    read = encode_text(encoder, [prompt])
    if read is not None:
        words.found.append(opened.vectors.query(read, count)[0][0])
        words.similarity["clip"] = lambda at: opened.vectors.cosines(read, at[None])[0]
    return words


def _left_out(ranking: str, notes: Iterable[Note], with_words: bool) -> list[Note]:
    """Say of metrics that some picture was ranked without; words, only where there is a prompt.

    And of pictures whose candidates were not all ranked.
    """
    told: list[Note] = []
    without: list[str] = []
    for note in notes:
        if note.code == CANDIDATES_LEFT_OUT:
            without += note.about
        elif note.code != LEFT_OUT:
            told.append(note)
        elif metrics := [m for m in note.about if with_words or m != WORDS]:
            text = f"the ranking {ranking} goes without {', '.join(metrics)} where undefined"
            told.append(Note(LEFT_OUT, text, tuple(metrics)))
    if without:
        text = f"the ranking {ranking} leaves out candidates for which it is undefined"
        several = f"{text}, of {len(without)} pictures ({', '.join(without[:3])}"
        told.append(
            Note(CANDIDATES_LEFT_OUT, f"{several}{' …' * (len(without) > 3)})", tuple(without))
        )
    return list(dict.fromkeys(told))


def _neighbours(
    opened: CatalogIndex, pooled: np.ndarray, near: np.ndarray, cosines: np.ndarray
) -> np.ndarray:
    """Return the cosines of the nearest images, byte-identical ones once: `NEIGHBOURS` at most."""
    first = np.sort(np.unique(opened.rows[near], return_index=True)[1])
    if len(first) < NEIGHBOURS and len(near) < len(opened.catalog):  # copies took their places
        return opened.vectors.distinct(pooled[None], NEIGHBOURS)[1][0]
    return cosines[first[:NEIGHBOURS]]
