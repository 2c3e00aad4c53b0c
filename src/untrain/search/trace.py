"""Trace: the training images nearest to a picture, out of a whole catalogue, without retraining."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.parallel import in_threads
from untrain.core.schema import records
from untrain.encoders.base import Encoder, describe, encode_text
from untrain.encoders.layout import LayoutEncoder
from untrain.search.catalog_index import CatalogIndex, open_calibration, open_index
from untrain.search.compare.comparison import undefined_notes
from untrain.search.neighbours import NEIGHBOURS
from untrain.search.rank.metric_table import LEFT_OUT
from untrain.search.rank.ranking import check_method, parse_method, rank
from untrain.search.retrieve.candidates import open_text
from untrain.search.trace_query import Similarity, TracedPicture

WORDS = "text_tfidf"
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
        Pictures to be explained, by name; each is traced by itself.
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
    seconds: dict[str, float] = {}
    with _timed(seconds, "index"):
        opened = open_index(catalog, encoder, index, fresh)
        calibration, uncalibrated = open_calibration(opened, fresh)
    with _timed(seconds, "encode"):
        pooled = opened.encoder.encode(list(images.values()))
        own = encoder.fingerprint != opened.encoder.fingerprint
        features = encoder.encode(list(images.values())) if own else pooled
    with _timed(seconds, "search"):
        count = max(top, candidates)
        words = _search_text(opened, encoder, prompt, count, fresh, ranking in NEED_WORDS)
        near, cosines = opened.vectors.query(pooled, max(count, 2 * NEIGHBOURS))
        found = [np.unique(np.concatenate([row[:count], *words.found])) for row in near]
        around = [_neighbours(opened, *each) for each in zip(pooled, near, cosines, strict=True)]
    queries = [
        TracedPicture(
            name, picture, features[row], pooled[row], near[row][0], around[row], found[row]
        )
        for row, (name, picture) in enumerate(images.items())
    ]
    with _timed(seconds, "read"):
        pictures = _read(catalog, np.unique(np.concatenate(found)))
    with _timed(seconds, "compare"):
        compared = [q.compared(opened, encoder, pictures, words.similarity) for q in queries]
    with _timed(seconds, "rank"):
        every = pd.concat(compared, ignore_index=True)
        ranked = rank(ranking, every)
        hits = [query.best(ranked.table, catalog, top) for query in queries]
    with _timed(seconds, "copy test"):
        judged = [
            query.judged(opened, calibration, pictures, part)
            for query, part in zip(queries, hits, strict=True)
        ]
    tables = [
        query.tables(catalog, *parts)
        for query, *parts in zip(queries, hits, compared, judged, strict=True)
    ]
    table, copies = (pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))
    undefined = undefined_notes(every.assign(prompt_id=""))  # one a metric, not one a picture
    left_out = _left_out(ranking, ranked.notes, with_words="tfidf" in words.similarity)
    about = {
        "catalog": catalog.name,
        "images": len(catalog),
        "encoder": describe(encoder),
        "index": index,
        **opened.vectors.measured,
        "candidates": max(map(len, found)),
        "ranking": ranking,
        "prompt": prompt,
    }
    notes = (*opened.notes, *uncalibrated, *words.notes, *undefined, *left_out)
    return Trace(table, copies, about, seconds, notes, _compared(ranked.table, catalog))


def _compared(ranked: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """Return every image compared, with its score and where it is in the catalogue."""
    table = ranked[["prompt_id", "image_id", "score"]].rename(columns={"prompt_id": "query"})
    positions = table["image_id"].map(catalog.index.__getitem__).astype("int64")
    return table.assign(position=positions).reset_index(drop=True)


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
    seconds[part] = time.perf_counter() - start


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
    """Say of metrics that some picture was ranked without; words, only where there is a prompt."""
    told = []
    for note in notes:
        if note.code != LEFT_OUT:
            told.append(note)
        elif metrics := [m for m in note.about if with_words or m != WORDS]:
            text = f"the ranking {ranking} goes without {', '.join(metrics)} where undefined"
            told.append(Note(LEFT_OUT, text, tuple(metrics)))
    return list(dict.fromkeys(told))


def _neighbours(
    opened: CatalogIndex, pooled: np.ndarray, near: np.ndarray, cosines: np.ndarray
) -> np.ndarray:
    """Return the cosines of the nearest images, byte-identical ones once: `NEIGHBOURS` at most."""
    first = np.sort(np.unique(opened.rows[near], return_index=True)[1])
    if len(first) < NEIGHBOURS and len(near) < len(opened.catalog):  # copies took their places
        return opened.vectors.distinct(pooled[None], NEIGHBOURS)[1][0]
    return cosines[first[:NEIGHBOURS]]


def _read(catalog: Catalog, positions: np.ndarray) -> dict[int, np.ndarray]:
    ids = [catalog.ids[position] for position in positions]
    decoded = in_threads(lambda image_id: np.asarray(catalog.image(image_id)), ids)
    return dict(zip(positions.tolist(), decoded, strict=True))
