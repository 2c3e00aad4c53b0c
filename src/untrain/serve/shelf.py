"""What stays open between requests: the catalogue and its index, pictures asked about, answers."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError, UntrainError
from untrain.core.notes import Note
from untrain.core.progress import watched
from untrain.encoders.base import Encoder
from untrain.search.trace import Trace, Tracer

if TYPE_CHECKING:
    from untrain.attribution.side_by_side import SideBySide

Opened = tuple[Catalog, Encoder | None]
V = TypeVar("V")

PICTURES, PICTURE_BYTES = 200, 2**30
"""Pictures asked about that are kept, the latest ones: by number, and by bytes."""
ANSWERS = 50
WIDE = 200
"""Hits that are looked through where a filter leaves some out."""


class Latest(Generic[V]):
    """A few values by key, the least recently used of which make room; safe among threads."""

    def __init__(self, most: int, weigh: Callable[[V], int] = lambda value: 0, limit: int = 1):
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._one, self._most, self._weigh, self._limit = threading.Lock(), most, weigh, limit

    def get(self, key: Hashable) -> V | None:
        """Return a value, or None if it is not kept."""
        with self._one:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: Hashable, value: V) -> None:
        """Keep a value."""
        with self._one:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > 1 and (
                len(self._values) > self._most
                or sum(map(self._weigh, self._values.values())) > self._limit
            ):
                self._values.popitem(last=False)


@dataclass(frozen=True)
class Asked:
    """A picture that somebody asked about: ``pixels`` are uint8 height × width × 3."""

    key: str
    name: str
    pixels: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Found:
    """The answer to a question: by name of the picture, and beside it influence if asked for."""

    trace: Trace
    pictures: dict[str, Asked]
    beside: SideBySide | None
    notes: tuple[Note, ...]
    seconds: float


@dataclass
class State:
    """How far opening is."""

    what: str = "opening the catalogue"
    done: int = 0
    total: int = 0
    error: str = ""
    ready: bool = False

    def told(self, what: str, done: int, total: int) -> None:
        """Take what a progress bar says."""
        self.what, self.done, self.total = what, done, total


class Shelf:
    """A catalogue that is kept open, and what was asked of it.

    Parameters
    ----------
    opening : callable
        Returns the catalogue, and its encoder if it is not the default; called once, in a thread.
    run : Path, optional
        The run whose training images these are: its model is asked about influence.
    runs : Path
        The folder whose runs are shown.
    index : str
        As `untrain.search.trace.Tracer` takes it.
    """

    def __init__(
        self, opening: Callable[[], Opened], run: Path | None, runs: Path, index: str = "exact"
    ) -> None:
        self._opening, self.run, self.runs, self._index = opening, run, runs, index
        self.state = State()
        self._tracer: Tracer | None = None
        self._one = threading.Lock()  # two searches at once would slow each other down
        self._pictures: Latest[Asked] = Latest(
            PICTURES, lambda asked: asked.pixels.nbytes, PICTURE_BYTES
        )
        self._answers: Latest[Found] = Latest(ANSWERS, limit=1)

    def start(self) -> threading.Thread:
        """Begin to open, aside; `state` says how far it is."""
        thread = threading.Thread(target=self._open, daemon=True, name="opening")
        thread.start()
        return thread

    def _open(self) -> None:
        try:
            with watched(self.state.told):
                catalog, encoder = self._opening()
                tracer = Tracer(catalog, encoder, self._index)
                if len(catalog):
                    tracer.trace({"": np.full((8, 8, 3), 255, np.uint8)}, top=1)  # wakes everything
                tracer.words  # noqa: B018
            self._tracer = tracer
            self.state.ready = True
        except UntrainError as error:
            self.state.error = str(error)
        except Exception as error:
            self.state.error = f"{type(error).__name__}: {error}"
            raise

    @property
    def ready(self) -> bool:
        """Whether the catalogue can be asked."""
        return self.state.ready

    @property
    def tracer(self) -> Tracer:
        """The search; an `InputError` before it is open."""
        if self._tracer is None:
            raise InputError(self.state.error or "the catalogue is still being opened")
        return self._tracer

    @property
    def catalog(self) -> Catalog:
        """The training images."""
        return self.tracer.catalog

    @cached_property
    def has_model(self) -> bool:
        """Whether there is a model to ask about influence."""
        from untrain.runs.find import has_model

        return self.run is not None and has_model(self.run)

    # Pictures ----------------------------------------------------------------------------------

    def keep(self, content: bytes, name: str, pixels: np.ndarray) -> Asked:
        """Keep a picture in memory; its key is made of its bytes."""
        asked = Asked(hashlib.sha256(content).hexdigest()[:20], name or "picture", pixels)
        self._pictures.keep(asked.key, asked)
        return asked

    def picture(self, key: str) -> Asked:
        """Return a picture: one that was kept, or ``image:ID``, one of the catalogue.

        Raises
        ------
        KeyError
            It is not kept any more.
        """
        kind, _, image_id = key.partition(":")
        if kind == "image" and image_id in self.catalog.index:
            pixels = np.asarray(self.catalog.image(image_id))
            return Asked(key, image_id, pixels)
        found = self._pictures.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def thumbnail(self, position: int, side: int) -> Image.Image:
        """Return an image of the catalogue, at most ``side`` pixels a side."""
        image = self.catalog.image(self.catalog.ids[position])
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        return image

    # Answers -----------------------------------------------------------------------------------

    def ask(
        self, keys: tuple[str, ...], prompt: str | None, top: int, wide: bool, influence: bool
    ) -> Found:
        """Return what is behind pictures; the same question again costs nothing.

        Raises
        ------
        KeyError
            A picture is not kept any more.
        InputError
            As `untrain.search.trace.trace`, and where influence was asked for and cannot be had.
        """
        question = keys, prompt, top, wide, influence
        found = self._answers.get(question)
        if found is None:
            with self._one:
                found = self._answers.get(question) or self._found(*question)
                self._answers.keep(question, found)
        return found

    def _found(
        self, keys: tuple[str, ...], prompt: str | None, top: int, wide: bool, influence: bool
    ) -> Found:
        start = time.perf_counter()
        pictures: dict[str, Asked] = {}
        for key in dict.fromkeys(keys):
            asked = self.picture(key)
            name, number = asked.name, 2
            while name in pictures:
                name, number = f"{asked.name} ({number})", number + 1
            pictures[name] = asked
        images = {name: asked.pixels for name, asked in pictures.items()}
        found = self.tracer.trace(images, prompt, WIDE if wide else top)
        beside, notes = None, found.notes
        if influence:
            from untrain.api.asking import beside_trace
            from untrain.core.vocabulary import ATTRIBUTOR

            if self.run is None:
                raise InputError("influence needs a run's model: start with `untrain serve RUN`")
            asked_of = {name: Image.fromarray(pixels) for name, pixels in images.items()}
            beside, told = beside_trace(
                found, self.catalog, self.run, asked_of, prompt, ATTRIBUTOR, top
            )
            notes = (*told, *notes)
        return Found(found, pictures, beside, notes, time.perf_counter() - start)
