"""A positive control: odd pictures under words that nothing else in a catalogue has.

What a generator draws for these words can only have been learned from the planted pictures; a
design that does not see their removal sees nothing.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from PIL import ImageOps

from untrain.catalogs.base import Catalog, ReadBytes
from untrain.catalogs.reading import natural_key
from untrain.catalogs.rendered.catalog import MAX_FAMILIES, MAX_SIZE, rendered
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, rng

CONSONANTS = "bdfgklmnprtvz"
VOWELS = "aeiou"


def plant(catalog: Catalog, items: int, copies: int, seed: int) -> Catalog:
    """Add ``items`` odd pictures, each in ``copies`` slightly varied versions under one caption.

    The pictures are families of the rendered catalogue in inverted colours, so that they are odd
    among product photos and among rendered pictures alike. A caption is 4 to 6 invented words
    that occur nowhere else; given as a prompt, it asks for the item.

    Parameters
    ----------
    catalog : Catalog
        Left as it is.
    items, copies : int
        1 to 240 items, 1 to 119 copies of each.
    seed : int
        Which pictures and words.

    Returns
    -------
    Catalog
        In natural order of the ids; planted ids are ``planted-<item>-<copy>``, e.g.
        ``planted-00-03``, and the attribute ``family`` is ``planted-<item>``. Other rows have the
        family they had, or none (empty).

    Raises
    ------
    InputError
        A number is out of its range, or the catalogue has planted ids already.
    """
    for name, value, most in (("items", items, MAX_FAMILIES), ("copies", copies, MAX_SIZE)):
        if not 1 <= value <= most:
            raise InputError(f"planting {value} {name}; choose 1 to {most}")
    files = _pictures(catalog, items, copies, seed)
    captions = _nonsense(catalog.captions, items, seed)
    ids = [*catalog.ids, *files]
    families = [image_id.rpartition("-")[0] for image_id in files]
    attributes = _with_families(catalog.attributes, families)
    order = sorted(range(len(ids)), key=lambda row: natural_key(ids[row]))
    texts = [*catalog.captions, *(captions[int(f.rpartition("-")[2])] for f in families)]
    hashes = [*catalog.hashes, *(hashlib.sha256(data).hexdigest() for data in files.values())]
    return Catalog(
        name=f"{catalog.name}, {items}×{copies} planted",
        ids=tuple(ids[row] for row in order),
        captions=tuple(texts[row] for row in order),
        hashes=tuple(hashes[row] for row in order),
        read=PlantedReader(catalog.read, files),
        attributes=attributes.iloc[order].reset_index(drop=True),
        skipped=catalog.skipped,
        resize=catalog.resize,
    )


@dataclass(frozen=True, eq=False)
class PlantedReader:
    """``read(id) -> bytes`` of the planted images, or of the catalogue below."""

    below: ReadBytes
    planted: dict[str, bytes]

    def __call__(self, image_id: str) -> bytes:
        return self.planted[image_id] if image_id in self.planted else self.below(image_id)


def _pictures(catalog: Catalog, items: int, copies: int, seed: int) -> dict[str, bytes]:
    """Return the planted pictures as PNG by id, about as large as the catalogue's."""
    side = max(catalog.image(catalog.ids[0]).size)
    salt = int(fingerprint("plant", seed), 16) % 2**31  # not the families of a catalogue's seed
    source = rendered(items, copies, salt, min(max(side, 16), 1024))
    names = sorted(set(source.attributes["family"]))
    files = {}
    for item, name in enumerate(names):
        rows = source.attributes.index[source.attributes["family"] == name]
        for copy, row in enumerate(rows):
            buffer = io.BytesIO()
            ImageOps.invert(source.image(source.ids[row])).save(buffer, "PNG")
            files[f"planted-{item:02d}-{copy:02d}"] = buffer.getvalue()
    return files


def _nonsense(captions: Iterable[str], items: int, seed: int) -> list[str]:
    """Return a caption an item, of pronounceable words that are new and differ between items."""
    random = rng("plant", seed, "words")
    taken = {word for caption in captions for word in re.findall(r"\w+", caption.lower())}
    invented = []
    for _ in range(items):
        words: list[str] = []
        length = int(random.integers(4, 7))
        while len(words) < length:
            syllables = random.choice(list(CONSONANTS), 3), random.choice(list(VOWELS), 3)
            word = "".join(c + v for c, v in zip(*syllables, strict=True))
            if word not in taken:
                taken.add(word)
                words.append(word)
        invented.append(" ".join(words))
    return invented


def _with_families(attributes: pd.DataFrame, families: list[str]) -> pd.DataFrame:
    """Append a row for each planted picture: its family, and nothing in the other columns."""
    below = attributes.copy()
    if "family" not in below:
        below["family"] = ""
    planted = pd.DataFrame({name: [""] * len(families) for name in below.columns})
    planted["family"] = families
    return pd.concat([below, planted], ignore_index=True)
