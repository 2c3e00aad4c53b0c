"""What the checks of a generator share: data, frozen parts, and models, each fitted once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.core import disk
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.generators.base import Generator, has_likelihood

Make = Callable[[], Generator]
SEED, OTHER_SEED = 5, 6


def silent(n: int) -> None:
    """Take a report of progress that nobody waits for."""


@dataclass(frozen=True)
class Behaviour:
    """What a fitted model does: the pictures it draws, and how likely it finds some."""

    images: np.ndarray
    samples: np.ndarray
    likely: np.ndarray | None

    def __eq__(self, other: object) -> bool:
        """Tell whether two models do the same to the bit."""
        return isinstance(other, Behaviour) and all(
            np.array_equal(a, b)
            for a, b in zip(self._parts(), other._parts(), strict=True)
            if a is not None and b is not None
        )

    def distance(self, other: Behaviour) -> float:
        """Return how differently two models do: in likelihood if they have one, else in pixels."""
        mine, theirs = self.likely, other.likely
        if mine is None or theirs is None:
            mine, theirs = self.images, other.images
        return float(np.abs(mine.astype(np.float64) - theirs.astype(np.float64)).mean())

    def _parts(self) -> tuple[np.ndarray | None, ...]:
        return self.images, self.samples, self.likely


class Bench:
    """Makes, prepares and fits generators; what was fitted once is kept.

    Parameters
    ----------
    make : callable
        Returns a new generator, not prepared.
    catalog : Catalog, optional
        Some tens of pairs; rendered ones if left out.
    """

    def __init__(self, make: Make, catalog: Catalog | None = None) -> None:
        self.make = make
        self._catalog = catalog
        self._fitted: dict[Any, tuple[Generator, Behaviour]] = {}

    @cached_property
    def folder(self) -> Path:
        """A folder that goes with this object."""
        self._temporary = tempfile.TemporaryDirectory(prefix="untrain-check-")
        return Path(self._temporary.name)

    @cached_property
    def catalog(self) -> Catalog:
        """The pairs that models are fitted on."""
        from untrain.catalogs import rendered

        return self._catalog or rendered(families=8, size_of_family=4, seed=1, resolution=32)

    @cached_property
    def removed(self) -> tuple[str, ...]:
        """Some of the pairs, with others before and after them."""
        return tuple(self.catalog.ids[2::6])

    @property
    def prompts(self) -> list[str]:
        """Two captions, a part of one and words of no caption."""
        captions = self.catalog.captions
        return [captions[0], captions[-1], captions[1].split()[0], "something else entirely"]

    @cached_property
    def noise(self) -> np.ndarray:
        """Noise for `prompts`, as a run draws it."""
        from untrain.generators.noise import noise_batch

        return noise_batch(self.new().noise, 0, [("p", g) for g in range(len(self.prompts))])

    def new(self) -> Generator:
        """Return a new generator, not prepared."""
        return self.make()

    def prepared(self, catalog: Catalog | None = None, name: str = "shared") -> Generator:
        """Return a new generator on the frozen parts of ``name``, fitted if they are not there."""
        generator = self.new()
        disk.make_folder((self.folder / name).parent)
        generator.prepare(catalog or self.catalog, self.folder / name, silent)
        return generator

    def fitted(
        self,
        removed: Collection[str] = (),
        seed: int = SEED,
        catalog: Catalog | None = None,
        name: str = "shared",
        again: str = "",
    ) -> tuple[Generator, Behaviour]:
        """Return a model and what it does; ``again`` tells apart those that were fitted alike."""
        key = (tuple(removed), seed, id(catalog), name, again)
        if key not in self._fitted:
            generator = self.prepared(catalog, name)
            generator.fit(catalog or self.catalog, removed, seed, silent)
            self._fitted[key] = generator, self.behaviour(generator)
        return self._fitted[key]

    def loaded(self, generator: Generator) -> Generator:
        """Return a copy of a fitted generator that may be spoilt."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            generator.save(Path(name))
            return self.prepared().load(Path(name))

    def behaviour(self, generator: Generator) -> Behaviour:
        """Return what a fitted generator does."""
        drawn = generator.generate(self.prompts, self.noise)
        likely = None
        if has_likelihood(generator):
            likely = self.likelihood(generator, self.pairs(generator), self.captions)
        return Behaviour(drawn.images, drawn.samples, likely)

    @property
    def captions(self) -> list[str]:
        """Captions of the pairs whose likelihood is asked for."""
        return list(self.catalog.captions[:6])

    def pairs(self, generator: Generator) -> np.ndarray:
        """Return the samples of the pairs whose likelihood is asked for."""
        ids = self.catalog.ids[: len(self.captions)]
        return generator.encode(self.catalog.pixels(generator.image_size, ids))

    @staticmethod
    def likelihood(generator: Any, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Call ``log_likelihood``, which the contract leaves optional."""
        return np.asarray(generator.log_likelihood(samples, list(prompts)))


def without_pictures(catalog: Catalog) -> Catalog:
    """Return ids, captions and hashes of a catalogue, as a worker has it."""

    def refuse(image_id: str) -> bytes:
        raise InputError(f"the picture of '{image_id}' was asked for")

    return replace(catalog, read=refuse, attributes=pd.DataFrame(index=range(len(catalog))))


def with_other_content(
    catalog: Catalog, ids: Collection[str], captions: bool, claimed: bool
) -> Catalog:
    """Return a catalogue in which some pairs show noise, and say something else if ``captions``.

    Where it is ``claimed`` the hashes stay as they were, so that the fingerprint does if the
    captions do: what was prepared on the one catalogue is taken for the other.
    """
    chosen = set(ids)

    def read(image_id: str) -> bytes:
        if image_id not in chosen:
            return catalog.read(image_id)
        buffer = BytesIO()
        width, height = catalog.image(image_id).size
        noise = rng("other", image_id).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(noise).save(buffer, "PNG")
        return buffer.getvalue()

    said = tuple(
        f"{i} other words {i}" if captions and i in chosen else caption
        for i, caption in zip(catalog.ids, catalog.captions, strict=True)
    )
    hashes = tuple(
        f"other-{i}" if i in chosen and not claimed else content
        for i, content in zip(catalog.ids, catalog.hashes, strict=True)
    )
    kind = _Unchecked if claimed else Catalog
    return kind(
        catalog.name, catalog.ids, said, hashes, read, catalog.attributes, resize=catalog.resize
    )


class _Unchecked(Catalog):
    """A catalogue whose pictures are not those that its hashes say."""

    def encoded(self, image_id: str) -> bytes:
        return self.read(image_id)
