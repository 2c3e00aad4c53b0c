"""Trace: the training images nearest to a picture, out of a whole catalogue, without retraining."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.progress import bar
from untrain.core.schema import records
from untrain.encoders.base import Encoder, describe, encode_text
from untrain.encoders.layout import LayoutEncoder
from untrain.search.catalog_index import open_calibration, open_index
from untrain.search.copy_detector import CopyDetector
from untrain.search.copy_detector.detector import MODES, no_copies
from untrain.search.rank.ranking import check_method, parse_method
from untrain.search.retrieve.candidates import open_text
from untrain.search.retrieve.text import Retriever
from untrain.search.trace_search import WORDS, Search, Words, timed

TOGETHER = 32  # pictures in hand at once
PARTS = ("index", "encode", "search", "read", "compare", "rank", "copy test", "edited copies")
NONE = "none"  # no looking for edited copies
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
        Catalogue, images, encoder, index, ranking, prompt, candidates; how edited copies were
        looked for.
    seconds : dict of str to float
        Seconds by part.
    notes : tuple of Note
        What was made anew, undefined, left out or not understood.
    ranked : DataFrame
        Every image that was compared: ``query``, ``image_id``, ``position`` in the catalogue, and
        the ``score`` of the ranking (NaN where it is undefined).
    edited : DataFrame
        What the copy detector found, as `CopyDetector.find` returns it: copies that were cropped,
        mirrored, recoloured, …, and of a picture that has none the nearest image. Empty if it was
        not asked.
    """

    table: pd.DataFrame
    copies: pd.DataFrame
    about: dict[str, Any]
    seconds: dict[str, float]
    notes: tuple[Note, ...]
    ranked: pd.DataFrame
    edited: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it; what is undefined is None."""
        queries = []
        for copy in records(self.copies):
            hits = self.table[self.table["query"] == copy["query"]].drop(columns="query")
            own = self.edited[self.edited["query"] == copy["query"]].drop(columns="query")
            query = {"query": copy.pop("query"), "copy_test": copy}
            queries.append({**query, "edited_copies": records(own), "hits": records(hits)})
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
    edited: str = "fast",
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
    edited : {"fast", "thorough", "none"}
        How the copy detector looks for copies that were edited, see
        `untrain.search.copy_detector.CopyDetector`; or not at all.

    Raises
    ------
    InputError
        If there is nothing to search or search for, or an option is none that is known.
    """
    _check(images, prompt, top, candidates, ranking, edited)  # before anything is made
    start = time.perf_counter()
    tracer = Tracer(catalog, encoder, index, fresh)
    took = time.perf_counter() - start
    found = tracer.trace(images, prompt, top, candidates, ranking, edited)
    return replace(found, seconds={**found.seconds, "index": took})


class Tracer:
    """A catalogue that stays open, so that each picture costs only its own work; see `trace`.

    Parameters
    ----------
    catalog : Catalog
    encoder : Encoder, optional
        `LayoutEncoder` if left out.
    index : str
        A name in `untrain.search.retrieve.indexes.VECTOR_INDEXES`.
    fresh : bool
        Make the index anew.

    Raises
    ------
    InputError
        If there is nothing to search, or an option is none that is known.

    Notes
    -----
    Calls may come from several threads; they do not wait for each other here.
    """

    def __init__(
        self,
        catalog: Catalog,
        encoder: Encoder | None = None,
        index: str = "exact",
        fresh: bool = False,
    ) -> None:
        self.catalog, self.index, self.fresh = catalog, index, fresh
        self.encoder = encoder or LayoutEncoder()
        self.opened = open_index(catalog, self.encoder, index, fresh)
        self.calibration, self._uncalibrated = open_calibration(self.opened, fresh)
        self._opening, self._detectors = Lock(), dict[str, CopyDetector]()

    @cached_property
    def words(self) -> tuple[Retriever, tuple[Note, ...]]:
        """The index of the captions, and notes on it."""
        return open_text(self.catalog, fresh=self.fresh)

    def trace(
        self,
        images: Mapping[str, np.ndarray],
        prompt: str | None = None,
        top: int = 10,
        candidates: int = 200,
        ranking: str = "fusion",
        edited: str = "fast",
    ) -> Trace:
        """Return the training images nearest to each picture; see the function `trace`."""
        _check(images, prompt, top, candidates, ranking, edited)
        seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        opened, count = self.opened, max(top, candidates)
        with timed(seconds, "search"):
            words = self._search_text(prompt, count, ranking in NEED_WORDS)
        search = Search(
            *(opened, self.encoder, self.calibration, words, count, ranking, top, seconds)
        )
        names = list(images)
        copies_of = [no_copies()]
        shown = bar("tracing", len(names)) if len(names) > TOGETHER else nullcontext(lambda n: None)
        with shown as advance:
            for start in range(0, len(names), TOGETHER):
                together = {name: images[name] for name in names[start : start + TOGETHER]}
                search.ask(together)
                if edited != NONE:
                    with timed(seconds, "edited copies"):
                        copies_of.append(self.detector(edited).find(together))
                advance(len(together))
        table, copies, ranked = (pd.concat(parts, ignore_index=True) for parts in search.found)
        about = {
            "catalog": self.catalog.name,
            "images": len(self.catalog),
            "encoder": describe(self.encoder),
            "index": self.index,
            **opened.vectors.measured,
            "candidates": search.most,
            "ranking": ranking,
            "prompt": prompt,
            "edited": edited,
        }
        notes = (*opened.notes, *self._uncalibrated, *words.notes, *search.notes())
        told = pd.concat(copies_of, ignore_index=True)
        return Trace(table, copies, about, seconds, notes, ranked, told)

    def detector(self, mode: str = "fast") -> CopyDetector:
        """Return the copy detector of the catalogue, opened when it is first asked for."""
        with self._opening:
            if mode not in self._detectors:
                self._detectors[mode] = CopyDetector(self.catalog, mode)
        return self._detectors[mode]

    def _search_text(self, prompt: str | None, count: int, needed: bool) -> Words:
        """Search captions by the prompt and, if the encoder has a text side, pictures too."""
        words = Words([], {}, [])
        if prompt is None:
            return words
        retriever, notes = self.words
        words.notes.extend(notes)
        try:
            words.found.append(retriever.query([prompt], count)[0][0])
            words.similarity["tfidf"] = lambda at: retriever.similarity([prompt], at[None])[0]
        except InputError as error:
            if needed:
                raise
            text = f"{error}; the captions were left out of the search"
            words.notes.append(Note("captions-left-out", text))
        read = encode_text(self.encoder, [prompt])
        if read is not None:
            vectors = self.opened.vectors
            words.found.append(vectors.query(read, count)[0][0])
            words.similarity["clip"] = lambda at: vectors.cosines(read, at[None])[0]
        return words


def _check(
    images: Mapping[str, np.ndarray],
    prompt: str | None,
    top: int,
    candidates: int,
    ranking: str,
    edited: str,
) -> None:
    if not images:
        raise InputError("there is no picture to trace; expected at least one")
    if prompt is not None and not prompt.strip():
        raise InputError("the prompt is empty; expected words, or no prompt at all")
    for name, number in (("top", top), ("candidates", candidates)):
        if number < 1:
            raise InputError(f"{name} is {number}; expected at least 1")
    if edited not in (*MODES, NONE):
        raise InputError(f"edited is '{edited}'; expected one of {', '.join((*MODES, NONE))}")
    check_method(ranking)
    if parse_method(ranking).kind == "scores":
        raise InputError(f"the ranking '{ranking}' knows only the prompts of an experiment")
    if ranking in NEED_WORDS and prompt is None:
        raise InputError(f"the ranking '{ranking}' needs a prompt; give one, or use 'fusion'")
