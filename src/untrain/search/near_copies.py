"""Near copies: pairs of images that show the same picture, stored another way.

Two images are near copies if three tests agree. A perceptual hash finds candidates fast but sees
neither colour nor detail; the cosine of the layout features sees colour but not patterns; so what
is left is compared cell by cell. `benchmarks/bench_catalog.py --copies` measures what is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.core.digests import WORDS, DigestTable, digests_of
from untrain.core.files import fingerprint
from untrain.core.parallel import in_threads
from untrain.encoders.store import FeatureStore
from untrain.search.compare.extra import perceptual_hashes

HASH_BITS = 6  # most of the 64 bits of the perceptual hash that may differ
COSINE = 0.99  # least cosine of the layout features
DIFFERENCE = 3.5  # most that brightness may differ anywhere, of 255
COLOUR_DIFFERENCE = 6.0  # and colour

SIDE = 32  # pixels a side of the thumbnails, whatever the aspect
CELLS = 8  # a side, for colours
BORDER = 2  # pixels of a thumbnail's edge that a crop may change
BLOCK = 4096  # images whose candidates are looked for at a time
PAIRS = 8192  # pairs compared at a time


class PerceptualHashes:
    """The 64 bits of a picture's perceptual hash as features, so that they are kept like those."""

    fingerprint = fingerprint("perceptual hash", 1)
    non_negative = True
    description = "perceptual hashes, for near copies"

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return 0 or 1 for each bit, float32 (n, 64), of images, each uint8 H×W×3 of any size."""
        return perceptual_hashes(images).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Compared:
    """Images that were compared with each other before.

    Attributes
    ----------
    contents : ndarray of uint64, shape (m, 4)
        Digests of their bytes, all different.
    pairs : DataFrame
        As `near_pairs` returns them, but ``a`` and ``b`` are rows of ``contents``.
    """

    contents: np.ndarray
    pairs: pd.DataFrame

    @classmethod
    def nothing(cls) -> Compared:
        """Return that of no images."""
        return cls(np.empty((0, WORDS), np.uint64), no_pairs())

    def places(self, contents: np.ndarray) -> np.ndarray:
        """Return where in ``contents`` other ones are, int64; −1 where they are not."""
        table = DigestTable()
        table.extend(self.contents)
        return table.find(contents)


def near_pairs(
    catalog: Catalog,
    images: np.ndarray,
    features: np.ndarray,
    rows: np.ndarray,
    before: Compared | None = None,
) -> pd.DataFrame:
    """Return the pairs of images that are near copies; images not hashed before are decoded.

    Parameters
    ----------
    catalog : Catalog
    images : ndarray of int64
        Positions of the images to compare, ascending.
    features : ndarray, shape (m, d)
    rows : ndarray of int64, shape (len(catalog),)
        The row of each image in ``features``.
    before : Compared, optional
        These need not be compared with each other again.

    Returns
    -------
    DataFrame
        In order of ``a`` and ``b``, positions, a < b; ``hash_distance``, bits of 64; ``cosine``;
        ``difference`` and ``colour_difference``, 0–255, see `differences`.
    """
    names = [catalog.ids[i] for i in images]
    bits, of_images = FeatureStore(None, PerceptualHashes()).index(catalog, "hashing images", names)
    hashes = np.packbits(bits[of_images] > 0, axis=1)
    before = before or Compared.nothing()
    places = before.places(digests_of([catalog.hashes[i] for i in images]))
    found = [
        _with_cosine(pairs, features, rows) for pairs in _pairs_by_hash(hashes, images, places < 0)
    ]
    new = _with_difference(pd.concat([_no_pairs(), *found], ignore_index=True), catalog)
    every = pd.concat([_known_pairs(before, images, places), new], ignore_index=True)
    return every.sort_values(["a", "b"], ignore_index=True)


def _known_pairs(before: Compared, images: np.ndarray, places: np.ndarray) -> pd.DataFrame:
    """Return the pairs that were found before, of images that are still there."""
    positions = np.full(len(before.contents), -1)
    positions[places[places >= 0]] = images[places >= 0]
    ends = positions[before.pairs[["a", "b"]].to_numpy(np.int64)]
    pairs = before.pairs.assign(a=ends.min(axis=1), b=ends.max(axis=1))
    return pairs[ends.min(axis=1) >= 0]


def no_pairs() -> pd.DataFrame:
    """Return the table of `near_pairs` without any."""
    return _no_pairs().assign(difference=0.0, colour_difference=0.0)


def thumbnail(image: Image.Image) -> np.ndarray:
    """Return a picture as uint8 (32, 32, 3), whatever its aspect."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def differences(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much pictures differ in brightness and in colour, where they differ most.

    Brightness: a pixel counts by how far it lies outside the range of the other picture's 3 × 3
    pixels round that place, so that a shift by a pixel or a blurred edge count little; the mean
    of this over 3 × 3 pixels is taken where it is largest. Colour: distance of the mean colour
    (Cb, Cr), where it is largest of 8 × 8 cells, because JPEG keeps no finer colour than that.
    What lies at the border is left to crops.

    Parameters
    ----------
    a, b : ndarray of uint8, shape (n, 32, 32, 3)
        Thumbnails; row i of one is compared with row i of the other.

    Returns
    -------
    two ndarrays of float, shape (n,)
        Each in 0–255.
    """
    from scipy.ndimage import uniform_filter

    (y_a, colour_a), (y_b, colour_b) = _brightness_and_colour(a), _brightness_and_colour(b)
    outside = np.maximum(_outside(y_a, y_b), _outside(y_b, y_a))
    brightness = uniform_filter(outside, (0, 3, 3))[:, BORDER:-BORDER, BORDER:-BORDER]
    colour = np.linalg.norm(colour_a - colour_b, axis=-1)[:, 1:-1, 1:-1]
    return brightness.max(axis=(1, 2)), colour.max(axis=(1, 2))


def _brightness_and_colour(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Y of every pixel and the mean (Cb, Cr) of each cell, as JPEG (BT.601) has them."""
    red, green, blue = np.moveaxis(images.astype(np.float32), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    colour = np.stack([0.564 * (blue - y), 0.713 * (red - y)], axis=-1)
    cells = colour.reshape(len(images), CELLS, SIDE // CELLS, CELLS, SIDE // CELLS, 2)
    return y, cells.mean(axis=(2, 4))


def _outside(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how far ``a`` lies outside what ``b`` has in the neighbourhood."""
    from scipy.ndimage import maximum_filter, minimum_filter

    most, least = maximum_filter(b, (1, 3, 3)), minimum_filter(b, (1, 3, 3))
    return np.maximum(np.maximum(a - most, least - a), 0)


def _no_pairs() -> pd.DataFrame:
    kinds = {"a": "int64", "b": "int64", "hash_distance": "int64", "cosine": "float64"}
    return pd.DataFrame(columns=list(kinds)).astype(kinds)


def _pairs_by_hash(
    hashes: np.ndarray, images: np.ndarray, new: np.ndarray
) -> Iterator[pd.DataFrame]:
    """Yield the pairs a < b of ``images`` (ascending), one of them new, whose hashes are close."""
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(hashes)
    asked = np.flatnonzero(new)
    for start in range(0, len(asked), BLOCK):
        part = asked[start : start + BLOCK]
        ends, bits, other = index.range_search(hashes[part], HASH_BITS + 1)
        own = np.repeat(part, ends[1:].astype(int) - ends[:-1].astype(int))
        once = (own < other) | ~new[other]  # of two new ones, each finds the other
        a, b = np.minimum(own, other)[once], np.maximum(own, other)[once]
        pairs = {"a": images[a], "b": images[b], "hash_distance": bits[once]}
        yield pd.DataFrame(pairs).astype({"hash_distance": np.int64})


def _with_cosine(pairs: pd.DataFrame, features: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
    """Keep the pairs of similar features."""
    cosines = np.empty(len(pairs))
    for start in range(0, len(pairs), PAIRS):
        part = pairs.iloc[start : start + PAIRS]
        a, b = (features[rows[part[side].to_numpy()]].astype(np.float32) for side in "ab")
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosines[start : start + PAIRS] = (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)
    return pairs.assign(cosine=cosines)[cosines >= COSINE]


def _with_difference(pairs: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """Keep the pairs that look the same everywhere."""
    images = np.unique(pairs[["a", "b"]].to_numpy(np.int64))
    names = [catalog.ids[i] for i in images]
    thumbnails = np.array(in_threads(lambda i: thumbnail(catalog.image(i)), names, "comparing"))
    a, b = (np.searchsorted(images, pairs[side].to_numpy(np.int64)) for side in "ab")
    brightness, colour = np.empty(len(pairs)), np.empty(len(pairs))
    for start in range(0, len(pairs), PAIRS):
        part = slice(start, start + PAIRS)
        brightness[part], colour[part] = differences(thumbnails[a[part]], thumbnails[b[part]])
    alike = (brightness <= DIFFERENCE) & (colour <= COLOUR_DIFFERENCE)
    return pairs.assign(difference=brightness, colour_difference=colour)[alike]
