"""The catalogue: an immutable image–caption data set with a fingerprint of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from untrain.catalogs.columns import Ids, Texts, fingerprint_of, first_of_equals
from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import fingerprint
from untrain.core.images import decode
from untrain.core.text import html_text, readable

if TYPE_CHECKING:
    from untrain.catalogs.picture_frame import PictureFrame

ReadBytes = Callable[[str], bytes]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PAD = "pad"
RESIZES = (PAD, "crop", "stretch")
SHOWN = 12  # images in a notebook
SHA256_DIGITS = 64


@dataclass(frozen=True)
class Skipped:
    """A file or row that was left out of a catalogue, and why."""

    name: str
    reason: str

    def __post_init__(self) -> None:
        """Make text of a file's name that is none, which could not be written down."""
        object.__setattr__(self, "name", readable(self.name))
        object.__setattr__(self, "reason", readable(self.reason))


@dataclass(frozen=True)
class Exclusion:
    """What one opt-out list, or the reservations in images, kept out of a catalogue.

    Attributes
    ----------
    source : str
        The list's path, or the kind of reservation, such as ``c2pa``.
    digest : str
        SHA-256 of the list; empty for reservations.
    entries : int
        Of the list; of reservations, the images that make one.
    images, copies : tuple of str
        Ids that it names, and those of further images with the very same bytes.
    kinds : mapping of str to int
        Entries that found an image, by what they name it by: id, sha256, md5, url, domain, path;
        or images, by what their reservation says.
    unmatched : int
        Entries that no image answers to.
    missing : tuple of str
        The first of these.
    hints : mapping of str to str
        For some of these, an id that is near.
    unread : tuple of str
        Columns of the list that were not read.
    """

    source: str
    digest: str = ""
    entries: int = 0
    images: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    unmatched: int = 0
    missing: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; of the ids, only how many there are."""
        return {
            "source": self.source,
            "sha256": self.digest,
            "entries": self.entries,
            "images": len(self.images),
            "copies": len(self.copies),
            "kinds": dict(self.kinds),
            "unmatched": self.unmatched,
            "missing": list(self.missing),
            "hints": dict(self.hints),
            "unread": list(self.unread),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Catalog:
    """Images with captions, in a fixed order; nothing in it ever changes.

    Attributes
    ----------
    name : str
        What it is, for people.
    ids : sequence of str
        Unique; position in this sequence is the *index* used everywhere else. A tuple, or `Ids`,
        which reads like one and lies in a memory map; so do captions and hashes.
    captions : sequence of str
        One an image, never empty.
    hashes : sequence of str
        Content hash of each image's bytes as stored (equal hash = byte-identical).
    read : callable
        ``read(id) -> bytes`` of the encoded image; `encoded` sees to it that they are the same
        bytes as before.
    attributes : DataFrame
        One row an image, in order; known facts such as ``family``, ``article``, ``colour``
        (the rendered catalogue) or the columns of ``styles.csv``. May have no columns.
    skipped : tuple of Skipped
        What was found and left out.
    excluded : tuple of Exclusion
        What opt-out lists and reservations in the images kept out.
    resize : {"pad", "crop", "stretch"}
        How `pixels` makes pictures of one size: all of the picture, centred on white; its centre,
        cut to the aspect; or all of it, out of its aspect.
    """

    name: str
    ids: Sequence[str]
    captions: Sequence[str]
    hashes: Sequence[str]
    read: ReadBytes = field(repr=False)
    attributes: pd.DataFrame = field(repr=False)
    skipped: tuple[Skipped, ...] = field(default=(), repr=False)
    resize: str = PAD
    excluded: tuple[Exclusion, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.resize not in RESIZES:
            raise InputError(f"resize is '{self.resize}'{did_you_mean(self.resize, RESIZES)}")
        if not len(self.ids) == len(self.captions) == len(self.hashes) == len(self.attributes):
            raise ValueError("ids, captions, hashes and attributes differ in length")
        if len(self.index) != len(self.ids):
            seen: set[str] = set()
            twice = next(i for i in self.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
            raise InputError(f"{self.name}: image id '{twice}' occurs more than once")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        known = ", ".join(map(str, self.attributes.columns[:8])) or "none"
        more = ", …" if len(self.attributes.columns) > 8 else ""
        left_out = f", {len(self.skipped)} skipped" if self.skipped else ""
        return (
            f"Catalog '{self.name}': {len(self):,} images with captions{left_out}; attributes: "
            f"{known}{more}"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what it is, and some images, evenly spread."""
        from untrain.catalogs.picture_frame import thumbnail_html

        shown = min(SHOWN, len(self))
        ids = [self.ids[len(self) * i // shown] for i in range(shown)]
        told = {i: f"{i}: {self.captions[self.index[i]]}" for i in ids}
        cells = " ".join(thumbnail_html(self.image(i), told[i]) for i in ids)
        return f"<p>{html_text(repr(self))}</p><p>{cells}</p>"

    def frame(self, ids: Iterable[str] | None = None) -> PictureFrame:
        """Return images as a pandas data frame with pictures in it; all of them in memory.

        Parameters
        ----------
        ids : iterable of str, optional
            Which images, in this order; all if left out.

        Returns
        -------
        PictureFrame
            image_id, ``picture``, caption and the attributes. `untrain.load` takes it back.
        """
        from untrain.catalogs.picture_frame import PictureFrame

        wanted = list(self.ids) if ids is None else list(ids)
        rows = [self.index[image_id] for image_id in wanted]
        attributes = self.attributes.iloc[rows].reset_index(drop=True)
        frame = PictureFrame(
            {
                "image_id": wanted,
                "picture": [self.image(image_id) for image_id in wanted],
                "caption": [self.captions[row] for row in rows],
            }
        )
        more = attributes.drop(columns=[n for n in frame.columns if n in attributes])
        return PictureFrame(pd.concat([frame, more], axis=1))

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Map from id to index."""
        if isinstance(self.ids, Ids):
            return self.ids.index_of
        return {image_id: i for i, image_id in enumerate(self.ids)}

    @cached_property
    def content(self) -> str:
        """Fingerprint of ids, captions and image bytes, whatever the format or the paths."""
        return fingerprint_of(self.ids, self.captions, self.hashes)

    @property
    def fingerprint(self) -> str:
        """`content`, and how its pictures are brought to one size where that is not by padding.

        What depends on pixels is known by it.
        """
        return self.content if self.resize == PAD else fingerprint(self.content, self.resize)

    def encoded(self, image_id: str) -> bytes:
        """Return the bytes of one image: the very ones that its hash, and all results, are of.

        Raises
        ------
        InputError
            It cannot be read, or it is another image than when the catalogue was opened: whatever
            is kept by content (features, gradients, models) would be filed under the wrong one.
        """
        data = self.read(image_id)
        known = self.hashes[self.index[image_id]]
        # Of a catalogue made in Python, hashes may be of any other kind.
        if len(known) == SHA256_DIGITS and hashlib.sha256(data).hexdigest() != known:
            raise InputError(
                f"{self.name}: image '{image_id}' is not the one it was when the data were opened: "
                "it was exchanged or damaged since. Put it back, or run the same command again to "
                "go on with the data as they are now"
            )
        return data

    def image(self, image_id: str) -> Image.Image:
        """Return one image as RGB: upright, transparency over white; see `encoded`."""
        return decode(self.encoded(image_id), image_id)

    def pixels(self, size: tuple[int, int], ids: Iterable[str] | None = None) -> np.ndarray:
        """Return images as one uint8 array of shape (n, height, width, 3), sized by `resize`."""
        height, width = size
        wanted = self.ids if ids is None else tuple(ids)
        array = np.empty((len(wanted), height, width, 3), np.uint8)
        for row, image_id in enumerate(wanted):
            array[row] = fit_into(self.image(image_id), size, self.resize)
        return array

    def subset(self, ids: Iterable[str], name: str | None = None) -> Catalog:
        """Return the catalogue of ``ids``, kept in this catalogue's order."""
        wanted = set(ids)
        unknown = wanted - self.index.keys()
        if unknown:
            raise InputError(f"{self.name}: no image with id '{min(unknown)}'")
        rows = np.sort(np.fromiter((self.index[i] for i in wanted), np.int64, len(wanted)))
        return self.rows(rows, name)

    def rows(self, rows: np.ndarray, name: str | None = None) -> Catalog:
        """Return the catalogue of the images at ``rows``, int64 (n,), which rise."""
        return replace(
            self,
            name=name or self.name,
            ids=_at(self.ids, rows),
            captions=_at(self.captions, rows),
            hashes=_at(self.hashes, rows),
            attributes=self.attributes.iloc[rows].reset_index(drop=True),
        )

    @cached_property
    def same_as(self) -> np.ndarray:
        """The first image with the bytes of each, int64 (n,): itself, if it is no copy."""
        return first_of_equals(self.hashes)

    def duplicates(self) -> list[tuple[str, ...]]:
        """Return the groups (two or more ids) of byte-identical images, in catalogue order."""
        first = self.same_as
        shared = np.bincount(first, minlength=len(first))[first] > 1
        groups: dict[int, list[str]] = {}
        for row in np.flatnonzero(shared):
            groups.setdefault(int(first[row]), []).append(self.ids[int(row)])
        return [tuple(group) for group in groups.values()]


def _at(texts: Sequence[str], rows: np.ndarray) -> Sequence[str]:
    return texts.take(rows) if isinstance(texts, Texts) else tuple(texts[i] for i in rows)


def fit_into(image: Image.Image, size: tuple[int, int], resize: str = PAD) -> np.ndarray:
    """Bring a picture to (height, width), as `Catalog` says of ``resize``; uint8 H×W×3."""
    height, width = size
    if image.size == (width, height):
        return np.asarray(image)
    if resize == "stretch":
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    if resize == "crop":
        return np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))
    scale = min(width / image.width, height / image.height)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    canvas = Image.new("RGB", (width, height), "white")
    resized = image.resize(inner, Image.Resampling.LANCZOS)
    canvas.paste(resized, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return np.asarray(canvas)
