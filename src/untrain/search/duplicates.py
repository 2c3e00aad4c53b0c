"""Copies in a catalogue: byte-identical images, and the same picture stored another way.

Two images are near copies if three tests agree. A perceptual hash finds candidates fast but sees
neither colour nor detail; the cosine of the layout features sees colour but not patterns; so what
is left is compared cell by cell. `benchmarks/bench_catalog.py --copies` measures what is
found.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.catalogs.formats.folder import in_threads
from untrain.catalogs.sheet import contact_sheet
from untrain.core.files import atomic_file, fingerprint, rng
from untrain.search.compare.extra import perceptual_hashes
from untrain.search.kept import kept

HASH_BITS = 6  # most of the 64 bits of the perceptual hash that may differ
COSINE = 0.99  # least cosine of the layout features
DIFFERENCE = 3.5  # most that brightness may differ anywhere, of 255
COLOUR_DIFFERENCE = 6.0  # and colour
VERSION = 2  # raise it when the groups change

SIDE = 32  # pixels a side of the thumbnails, whatever the aspect
CELLS = 8  # a side, for colours
BORDER = 2  # pixels of a thumbnail's edge that a crop may change
SHEET_COLUMNS = 6
BLOCK = 4096  # images whose candidates are looked for at a time
PAIRS = 8192  # pairs compared at a time

DISTANCES = ["hash_distance", "cosine", "difference", "colour_difference"]
COLUMNS = ["group", "image_id", "kind", "copy_of", *DISTANCES]


def duplicate_groups(
    catalog: Catalog, near: bool = True, features: np.ndarray | None = None
) -> pd.DataFrame:
    """Return the groups of images that are copies of one another, one row an image.

    Copies of copies are in one group: outside a group nothing is a copy of any image in it. Its
    first image is the first in catalogue order.

    Parameters
    ----------
    catalog : Catalog
        What is searched.
    near : bool
        Look for near copies too, which decodes every image: the same picture compressed again,
        resized or cropped by a percent or so; not one that is mirrored, cut or recoloured.
    features : ndarray, shape (n, d), optional
        Features of the images in catalogue order; by default those of `LayoutEncoder` from the
        feature store of the cache, for which the thresholds were chosen.

    Returns
    -------
    DataFrame
        In order of group and image:

        - group: from 1; two or more rows each
        - image_id
        - kind: ``"exact"`` (byte-identical to the group's first image, or itself that) or
          ``"near"``
        - copy_of: the image that it is a direct copy of: the group's first, or of a near copy of
          copies one that has fewer steps to the first; empty for the first
        - hash_distance: bits of 64 in which the perceptual hash differs from that of ``copy_of``
        - cosine: of the features with those of ``copy_of``
        - difference, colour_difference: from ``copy_of``, 0–255, see `differences`

    Raises
    ------
    InputError
        An image cannot be read.
    """
    if not near:
        nothing = _no_pairs().assign(difference=0.0, colour_difference=0.0)
        return _groups(catalog, _first_of_each_content(catalog), nothing)
    if features is None:
        return _remembered(catalog)
    return _with_near(catalog, features, np.arange(len(catalog)))


def describe(catalog: Catalog, groups: pd.DataFrame) -> dict[str, Any]:
    """Return what `duplicate_groups` found as a dictionary that JSON can hold.

    Returns
    -------
    dict
        ``name``; ``exact``: ``groups`` of byte-identical images and ``images`` in them; ``near``:
        ``images`` that are near copies in their group; ``all``: ``groups`` and ``images`` of either
        kind, and how many images the ``largest`` group has; ``different_captions``: groups with
        more than one caption; ``thresholds`` of near copies; ``groups``: for each its ``group`` and
        its ``images``, the columns of the table and the ``caption``.
    """
    exact = catalog.duplicates()
    captions = pd.Series(catalog.captions, dtype=object)[
        groups["image_id"].map(catalog.index.__getitem__).astype("int64")
    ]
    table = groups.assign(caption=captions.to_numpy())
    return {
        "name": catalog.name,
        "exact": {"groups": len(exact), "images": sum(map(len, exact))},
        "near": {"images": int((groups["kind"] == "near").sum())},
        "all": {
            "groups": int(groups["group"].nunique()),
            "images": len(groups),
            "largest": int(groups["group"].value_counts().max()) if len(groups) else 0,
        },
        "different_captions": int((table.groupby("group")["caption"].nunique() > 1).sum()),
        "thresholds": dict(
            zip(DISTANCES, (HASH_BITS, COSINE, DIFFERENCE, COLOUR_DIFFERENCE), strict=True)
        ),
        "groups": [
            {"group": int(str(group)), "images": part.drop(columns="group").to_dict("records")}
            for group, part in table.groupby("group")
        ],
    }


def duplicates_sheet(catalog: Catalog, groups: pd.DataFrame, path: Path, most: int = 60) -> None:
    """Write a PNG with a row a group: of its images the first six; of ``most`` groups, drawn.

    Groups with near copies come first, and have the hash distance and cosine under them.
    """
    near = groups.loc[groups["kind"] == "near", "group"].unique()
    random = rng("duplicates-sheet", 0)
    exact = np.setdiff1d(groups["group"].unique(), near)
    chosen = [*random.permutation(near), *random.permutation(exact)][:most]
    images: list[Image.Image] = []
    labels: list[str] = []
    for group in chosen:
        rows = groups[groups["group"] == group].head(SHEET_COLUMNS)
        images += [catalog.image(image_id) for image_id in rows["image_id"]]
        labels += [
            row.image_id + (f"  {row.hash_distance} {row.cosine:.3f}" if row.kind == "near" else "")
            for row in rows.itertuples()
        ]
        images += [Image.new("RGB", (1, 1), "white")] * (SHEET_COLUMNS - len(rows))
        labels += [""] * (SHEET_COLUMNS - len(rows))
    with atomic_file(Path(path)) as temporary:
        contact_sheet(images, SHEET_COLUMNS, 96, labels).save(temporary, "PNG")


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


def _remembered(catalog: Catalog) -> pd.DataFrame:
    """Look for near copies once for a content; later read what was found."""
    from untrain.encoders.layout import LayoutEncoder
    from untrain.encoders.store import FeatureStore

    encoder = LayoutEncoder()
    thresholds = HASH_BITS, COSINE, DIFFERENCE, COLOUR_DIFFERENCE
    key = fingerprint(VERSION, thresholds, encoder.fingerprint, catalog.fingerprint)

    def find() -> pd.DataFrame:
        stored, rows = FeatureStore(None, encoder).index(catalog, "embedding images")
        return _with_near(catalog, stored, rows)

    groups, _ = kept(
        f"duplicates-{key}",
        {"description": f"copies in {catalog.name}", "rows": len(catalog)},
        make=find,
        save=lambda groups, path: groups.to_parquet(path, index=False),
        load=pd.read_parquet,
    )
    return groups


def _with_near(catalog: Catalog, features: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
    """Return the groups; image i has row ``rows[i]`` of ``features``."""
    firsts = _first_of_each_content(catalog)
    images = np.unique(firsts)
    names = [catalog.ids[i] for i in images]
    hashes = in_threads(lambda i: _hash(catalog.image(i)), names, "hashing images")
    found = [
        _with_cosine(pairs, features, rows)
        for pairs in _pairs_by_hash(np.array(hashes, np.uint8).reshape(-1, 8), images)
    ]
    pairs = pd.concat([_no_pairs(), *found], ignore_index=True)
    return _groups(catalog, firsts, _with_difference(pairs, catalog))


def _hash(image: Image.Image) -> np.ndarray:
    """Return the perceptual hash of a picture as 8 bytes."""
    return np.packbits(perceptual_hashes([np.asarray(image)])[0])


def _first_of_each_content(catalog: Catalog) -> np.ndarray:
    """Return, for each image, the index of the first one with the same bytes."""
    codes, contents = pd.factorize(np.array(catalog.hashes, dtype=object))
    first = np.full(len(contents), len(codes), np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    return first[codes]


def _no_pairs() -> pd.DataFrame:
    kinds = {"a": "int64", "b": "int64", "hash_distance": "int64", "cosine": "float64"}
    return pd.DataFrame(columns=list(kinds)).astype(kinds)


def _pairs_by_hash(hashes: np.ndarray, images: np.ndarray) -> Iterator[pd.DataFrame]:
    """Yield the pairs a < b of ``images`` (ascending) whose hashes are close, block by block."""
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(hashes)
    for start in range(0, len(hashes), BLOCK):
        ends, bits, b = index.range_search(hashes[start : start + BLOCK], HASH_BITS + 1)
        a = np.repeat(
            start + np.arange(len(ends) - 1), ends[1:].astype(int) - ends[:-1].astype(int)
        )
        once = a < b
        pairs = {"a": images[a[once]], "b": images[b[once]], "hash_distance": bits[once]}
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


class _Link(NamedTuple):
    """How an image joined its group: what it is a copy of, and how near."""

    first: int
    copy_of: int
    hash_distance: int
    cosine: float
    difference: float
    colour_difference: float


def _joined(pairs: pd.DataFrame) -> dict[int, _Link]:
    """Gather images that pairs connect round the first of them, by the fewest steps."""
    near: dict[int, list[tuple]] = defaultdict(list)
    for a, b, *distances in pairs.sort_values(["a", "b"]).itertuples(index=False):
        near[a].append((b, *distances))
        near[b].append((a, *distances))
    joined: dict[int, _Link] = {}
    for first in sorted(near):
        waiting = deque([] if first in joined else [first])
        while waiting:
            image = waiting.popleft()
            for other, *distances in near[image]:
                if other != first and other not in joined:
                    joined[other] = _Link(first, image, *distances)
                    waiting.append(other)
    return joined


def _groups(catalog: Catalog, firsts: np.ndarray, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the table of groups: images connected by equal bytes and by ``pairs``."""
    joined = _joined(pairs)
    links = [
        joined.get(content) or _Link(content, content, 0, 1.0, 0.0, 0.0)
        for content in firsts.tolist()
    ]
    leads = np.array([link.first for link in links], np.int64)
    sizes = np.bincount(leads, minlength=len(firsts))[leads]
    order = np.argsort(leads, kind="stable")
    ids = catalog.ids
    rows = [
        (
            leads[i],
            ids[i],
            "near" if firsts[i] in joined else "exact",
            ids[links[i].copy_of] if i != leads[i] else "",
            *links[i][2:],
        )
        for i in order[sizes[order] > 1].tolist()
    ]
    kinds = {"group": "int64", "hash_distance": "int64"} | dict.fromkeys(DISTANCES[1:], "float64")
    groups = pd.DataFrame(rows, columns=COLUMNS).astype(kinds)
    return groups.assign(group=pd.factorize(groups["group"])[0] + 1)
