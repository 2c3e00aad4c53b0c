"""Trace: the training images nearest to a picture, out of a whole catalogue, without retraining."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from threading import Lock

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog, Skipped
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.core.progress import bar
from untrain.encoders.base import Encoder, describe, encode_text
from untrain.encoders.layout import LayoutEncoder
from untrain.search.catalog_index import open_calibration, open_index
from untrain.search.copy_detector import CopyDetector
from untrain.search.copy_detector.detector import MODES, no_copies
from untrain.search.rank.ranking import check_method, parse_method
from untrain.search.retrieve.candidates import open_text
from untrain.search.retrieve.text import Retriever
from untrain.search.trace_pictures import SeenPictures
from untrain.search.trace_search import WORDS, Search, Words, timed
from untrain.search.traced import Trace

TOGETHER = 32  # pictures in hand at once
PARTS = ("index", "encode", "search", "read", "compare", "rank", "copy test", "edited copies")
FEW = 3  # notes of a kind that are told one by one
LEFT_OUT = "captions-left-out"
NONE = "none"  # no looking for edited copies
Prompts = str | Mapping[str, str] | None
"""What pictures were drawn for: all of them, or each by its name."""
NEED_WORDS = ("text", f"metric:{WORDS}")  # rankings that are undefined without a prompt


def trace(
    images: Mapping[str, np.ndarray],
    catalog: Catalog,
    prompt: Prompts = None,
    encoder: Encoder | None = None,
    top: int = 10,
    candidates: int = 200,
    index: str = "exact",
    ranking: str = "fusion",
    fresh: bool = False,
    edited: str = "fast",
    strict: bool = True,
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
    prompt : str or mapping of str to str, optional
        What the pictures were drawn for: all of them, or each by its name. If no caption has any of
        its words, only the pictures count, and a note says so.
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
    strict : bool
        Raise on a picture that cannot be read, instead of skipping it.

    Raises
    ------
    InputError
        If there is nothing to search or search for, or an option is none that is known.
    """
    _check(images, prompt, top, candidates, ranking, edited)  # before anything is made
    start = time.perf_counter()
    tracer = Tracer(catalog, encoder, index, fresh)
    took = time.perf_counter() - start
    found = tracer.trace(images, prompt, top, candidates, ranking, edited, strict)
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
        self._pictures = SeenPictures(catalog)
        self._opening, self._detectors = Lock(), dict[str, CopyDetector]()

    @cached_property
    def words(self) -> tuple[Retriever, tuple[Note, ...]]:
        """The index of the captions, and notes on it."""
        return open_text(self.catalog, fresh=self.fresh)

    def trace(
        self,
        images: Mapping[str, np.ndarray],
        prompt: Prompts = None,
        top: int = 10,
        candidates: int = 200,
        ranking: str = "fusion",
        edited: str = "fast",
        strict: bool = True,
        themselves: Mapping[str, str] | None = None,
    ) -> Trace:
        """Return the training images nearest to each picture; see the function `trace`.

        Pictures that are images of the catalogue can be told by their ids (``themselves``, by
        name): each is then left out of what is found for it, and is no copy of itself;
        byte-identical others are found.
        """
        _check(images, prompt, top, candidates, ranking, edited)
        own = {name: self.catalog.index[of] for name, of in (themselves or {}).items()}
        if own and len(self.catalog) == 1:
            raise InputError(
                f"{self.catalog.name} has one image; expected others to compare it with"
            )
        seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        opened, count = self.opened, max(top, candidates)
        prompts = _by_name(images, prompt)
        with timed(seconds, "search"):
            needed = ranking in NEED_WORDS
            said = {
                text: self._search_text(text, count, needed)
                for text in dict.fromkeys(prompts.values())
            }
        said[""] = Words([], {}, [])

        def words(name: str) -> Words:
            return said[prompts.get(name, "")]

        search = Search(
            *(opened, self.encoder, self.calibration, words, count, ranking, top, seconds, own),
            self._pictures,
        )
        names = list(images)
        copies_of = [no_copies()]
        skipped: list[Skipped] = []
        together = min(TOGETHER, max(4, len(names) // 8))  # the bar moves for few, too
        shown = bar("tracing", len(names)) if len(names) > 4 else nullcontext(lambda n: None)
        with shown as advance:
            for part in _parts(names, together, lambda name: tuple(words(name).similarity)):
                read = _read(images, part, strict, skipped)
                if read:
                    search.ask(read)
                if read and edited != NONE:
                    with timed(seconds, "edited copies"):
                        copies_of.append(self.detector(edited).find(read, itself=own))
                advance(len(part))
        if len(skipped) == len(names):
            raise InputError(
                f"none of {len(names)} pictures can be read: {skipped[0].name}: {skipped[0].reason}"
            )
        table, copies, ranked = (_in_order(parts, names) for parts in search.found)
        same = {prompts.get(name) for name in names}
        about = {
            "catalog": self.catalog.name,
            "images": len(self.catalog),
            "encoder": describe(self.encoder),
            "index": self.index,
            **opened.vectors.measured,
            "candidates": search.most,
            "ranking": ranking,
            "prompt": same.pop() if len(same) == 1 else None,
            "edited": edited,
            **({"themselves": dict(themselves)} if themselves else {}),
        }
        told = _once(note for each in said.values() for note in each.notes)
        notes = (*opened.notes, *self._uncalibrated, *told, *search.notes())
        kept = {name: text for name, text in prompts.items() if name in set(copies["query"])}
        found = table, copies, about, seconds, notes, ranked, _in_order(copies_of, names)
        return Trace(*found, kept, tuple(skipped))

    def detector(self, mode: str = "fast") -> CopyDetector:
        """Return the copy detector of the catalogue, opened when it is first asked for."""
        with self._opening:
            if mode not in self._detectors:
                self._detectors[mode] = CopyDetector(self.catalog, mode)
        return self._detectors[mode]

    def _search_text(self, prompt: str, count: int, needed: bool) -> Words:
        """Search captions by a prompt and, if the encoder has a text side, pictures too."""
        words = Words([], {}, [])
        retriever, notes = self.words
        words.notes.extend(notes)
        try:
            words.found.append(retriever.query([prompt], count)[0][0])
            words.similarity["tfidf"] = lambda at: retriever.similarity([prompt], at[None])[0]
        except InputError as error:
            if needed:
                raise
            text = f"{error}; the captions were left out of the search"
            words.notes.append(Note(LEFT_OUT, text))
        read = encode_text(self.encoder, [prompt])
        if read is not None:
            vectors = self.opened.vectors
            words.found.append(vectors.query(read, count)[0][0])
            words.similarity["clip"] = lambda at: vectors.cosines(read, at[None])[0]
        return words


def _by_name(images: Mapping[str, np.ndarray], prompt: Prompts) -> dict[str, str]:
    """Return the prompts of those pictures that have one."""
    if isinstance(prompt, str):
        return dict.fromkeys(images, prompt)
    names = set(images)  # a mapping may read a picture to tell whether it has it
    return {name: text for name, text in (prompt or {}).items() if name in names and text.strip()}


def _once(notes: Iterable[Note]) -> list[Note]:
    """Return notes once each, and those on many prompts as one."""
    told = list(dict.fromkeys(notes))
    left_out = [note for note in told if note.code == LEFT_OUT]
    if len(left_out) <= FEW:
        return told
    text = f"{len(left_out)} prompts found no caption, the first of them: {left_out[0]}"
    return [*(note for note in told if note.code != LEFT_OUT), Note(LEFT_OUT, text)]


def _parts(names: list[str], most: int, kind: Callable[[str], object]) -> Iterator[list[str]]:
    """Yield names of one kind together, some at a time."""
    kinds: dict[object, list[str]] = {}
    for name in names:
        kinds.setdefault(kind(name), []).append(name)
    for alike in kinds.values():
        for start in range(0, len(alike), most):
            yield alike[start : start + most]


def _read(
    images: Mapping[str, np.ndarray], names: list[str], strict: bool, skipped: list[Skipped]
) -> dict[str, np.ndarray]:
    """Return some of the pictures; those that cannot be read are noted, or (strict) an error."""
    read = {}
    for name in names:
        try:
            read[name] = images[name]
        except InputError as error:
            if strict:
                raise
            skipped.append(Skipped(name, str(error)))
    return read


def _in_order(parts: list[pd.DataFrame], names: list[str]) -> pd.DataFrame:
    """Return tables as one, their queries in the order in which they were asked."""
    table = pd.concat(parts, ignore_index=True)
    if len(names) == 1:
        return table
    place = {name: at for at, name in enumerate(names)}
    return table.sort_values(
        "query", key=lambda query: query.map(place), kind="stable", ignore_index=True
    )


def _check(
    images: Mapping[str, np.ndarray],
    prompt: Prompts,
    top: int,
    candidates: int,
    ranking: str,
    edited: str,
) -> None:
    if not images:
        raise InputError("there is no picture to trace; expected at least one")
    if isinstance(prompt, str) and not prompt.strip():
        raise InputError("the prompt is empty; expected words, or no prompt at all")
    for name, number in (("top", top), ("candidates", candidates)):
        if number < 1:
            raise InputError(f"{name} is {number}; expected at least 1")
    if edited not in (*MODES, NONE):
        raise InputError(f"edited is '{edited}'; expected one of {', '.join((*MODES, NONE))}")
    check_method(ranking)
    if parse_method(ranking).kind == "scores":
        raise InputError(f"the ranking '{ranking}' knows only the prompts of an experiment")
    if ranking in NEED_WORDS and len(_by_name(images, prompt)) < len(images):
        raise InputError(f"the ranking '{ranking}' needs a prompt; give one, or use 'fusion'")
