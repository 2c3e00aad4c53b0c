"""What stays open between requests: the catalogue and its index, pictures asked about, answers."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.encoders.base import Encoder
from untrain.search.trace import Trace, Tracer
from untrain.serve.keeping import Copies, Latest, State
from untrain.serve.requested import Place, Requests
from untrain.serve.responses import Encoded, encoded

if TYPE_CHECKING:
    from untrain.attribution.calibration import Calibration
    from untrain.attribution.side_by_side import SideBySide

Opened = tuple[Catalog, Encoder | None]

PICTURES, PICTURE_BYTES = 200, 2**30
"""Pictures asked about that are kept, the latest ones: by number, and by bytes."""
OF_CATALOG = "image:"
"""Begins the key of a picture that is an image of the catalogue; its id follows."""
ANSWERS, ANSWER_BYTES = 50, 2**28
"""Answers that are kept, by number and by the bytes of their pictures."""
THUMBNAILS, THUMBNAIL_BYTES = 10_000, 2**26
"""Small images that are kept, by number and by bytes."""
WIDE = 200
"""Hits that are looked through where a filter leaves some out."""


@dataclass(frozen=True)
class Asked:
    """A picture that somebody asked about.

    Attributes
    ----------
    key, name : str
    pixels : ndarray of uint8, height × width × 3
    content : bytes
        Of its file, which a takedown request needs; empty of an image of the catalogue.
    file : str
        The name of its file.
    """

    key: str
    name: str
    pixels: np.ndarray = field(repr=False)
    content: bytes = field(default=b"", repr=False)
    file: str = ""

    @property
    def of_catalog(self) -> bool:
        """Whether it is an image of the catalogue, whose name is its id."""
        return self.key.startswith(OF_CATALOG)


@dataclass(frozen=True)
class Found:
    """The answer to a question: by name of the picture, and beside it influence if asked for."""

    trace: Trace
    pictures: dict[str, Asked]
    beside: SideBySide | None
    notes: tuple[Note, ...]
    seconds: float


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
    place : Place, optional
        Where these images can be opened again, by another process, for a takedown request; left
        out, requests go to runs only.
    requests : Path, optional
        The folder of takedown requests; left out, ``requests`` beside ``runs``.
    calibration : Calibration, optional
        Turns influence into effects.
    """

    def __init__(
        self,
        opening: Callable[[], Opened],
        run: Path | None,
        runs: Path,
        index: str = "exact",
        place: Place | None = None,
        requests: Path | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self._opening, self.run, self.runs, self._index = opening, run, runs, index
        self.place, self.calibration = place, calibration
        asked = requests or runs.parent / "requests"
        self.requests = Requests(asked, asked.parent / "takedowns")
        self.state = State()
        self._tracer: Tracer | None = None
        self._one = threading.Lock()  # two searches at once would slow each other down
        self._model = threading.Lock()  # influence takes minutes: searches do not wait for it
        self._pictures: Latest[Asked] = Latest(
            PICTURES, lambda asked: asked.pixels.nbytes + len(asked.content), PICTURE_BYTES
        )
        self._thumbnails: Latest[Encoded] = Latest(
            THUMBNAILS, lambda found: len(found.content), THUMBNAIL_BYTES
        )
        self._answers: Latest[Found] = Latest(ANSWERS, _weight, ANSWER_BYTES)

    def start(self) -> threading.Thread:
        """Begin to open, aside; `state` says how far it is."""
        thread = threading.Thread(target=self._open, daemon=True, name="opening")
        thread.start()
        return thread

    def _open(self) -> None:
        with self.state.until_ready():
            catalog, encoder = self._opening()
            tracer = Tracer(catalog, encoder, self._index)
            if len(catalog):
                tracer.trace({"": np.full((8, 8, 3), 255, np.uint8)}, top=1)  # wakes everything
            tracer.words  # noqa: B018
            self._tracer = tracer

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
    def copies(self) -> Copies:
        """Images that are in the catalogue more than once."""
        return Copies(self.catalog)

    @cached_property
    def has_model(self) -> bool:
        """Whether there is a model to ask about influence."""
        from untrain.runs.find import has_model

        return self.run is not None and has_model(self.run)

    # Pictures ----------------------------------------------------------------------------------

    def keep(self, content: bytes, file: str, pixels: np.ndarray) -> Asked:
        """Keep a picture in memory; its key is made of its bytes, its name of that of its file."""
        key, name = hashlib.sha256(content).hexdigest()[:20], Path(file).stem or "picture"
        asked = Asked(key, name, pixels, content, file)
        self._pictures.keep(asked.key, asked)
        return asked

    def picture(self, key: str) -> Asked:
        """Return a picture: one that was kept, or ``image:ID``, one of the catalogue.

        Raises
        ------
        KeyError
            It is not kept any more.
        """
        image_id = key.removeprefix(OF_CATALOG)
        if image_id != key and image_id in self.catalog.index:
            pixels = np.asarray(self.catalog.image(image_id))
            return Asked(key, image_id, pixels)
        found = self._pictures.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def thumbnail(self, position: int, side: int) -> Encoded:
        """Return an image of the catalogue, at most ``side`` pixels a side, as browsers take it.

        The latest are kept: of pictures that are alike, the answers show the same images.
        """
        found = self._thumbnails.get((position, side))
        if found is None:
            image = self.catalog.image(self.catalog.ids[position])
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
            found = encoded(image)
            self._thumbnails.keep((position, side), found)
        return found

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
            with self._model if influence else self._one:
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
        own = {name: asked.name for name, asked in pictures.items() if asked.of_catalog}
        with self._one if influence else nullcontext():
            found = self.tracer.trace(images, prompt, WIDE if wide else top, themselves=own)
        beside, notes = None, found.notes
        if influence:
            from untrain.api.asking import beside_trace
            from untrain.core.vocabulary import ATTRIBUTOR

            if self.run is None:
                raise InputError("influence needs a run's model: start with `untrain serve RUN`")
            asked_of = {name: Image.fromarray(pixels) for name, pixels in images.items()}
            method = self.calibration.method if self.calibration else ATTRIBUTOR
            beside, told = beside_trace(
                found, self.catalog, self.run, asked_of, prompt, method, top, self.calibration
            )
            notes = (*told, *notes)
        return Found(found, pictures, beside, notes, time.perf_counter() - start)


def _weight(found: Found) -> int:
    """Return the bytes of the pictures of an answer."""
    return sum(asked.pixels.nbytes + len(asked.content) for asked in found.pictures.values())
