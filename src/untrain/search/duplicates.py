"""Copies in a catalogue: byte-identical images, and the same picture stored another way."""

from __future__ import annotations

from collections import defaultdict, deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs.base import Catalog
from untrain.catalogs.sheet import contact_sheet, one_line, save_sheet
from untrain.core.cache import cached, recall
from untrain.core.digests import digests_of
from untrain.core.files import fingerprint, read_parquet, rng, write_parquet
from untrain.core.schema import records
from untrain.core.tensors import read_array, write_array
from untrain.search.near_copies import (
    COLOUR_DIFFERENCE,
    COSINE,
    DIFFERENCE,
    HASH_BITS,
    Compared,
    near_pairs,
    no_pairs,
)

VERSION = 2  # raise it when the groups change
SHEET_COLUMNS = 6

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
        - difference, colour_difference: from ``copy_of``, 0–255, see
          `untrain.search.near_copies.differences`

    Raises
    ------
    InputError
        An image cannot be read.
    """
    if not near:
        return _groups(catalog, catalog.same_as, no_pairs())
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


def duplicates_sheet(
    catalog: Catalog,
    groups: pd.DataFrame,
    path: Path,
    most: int = 60,
    edited: pd.DataFrame | None = None,
) -> None:
    """Write a PNG with a row a group: of its images the first six; of ``most`` groups, drawn.

    Groups with near copies come first, and have the hash distance and cosine beside the ids; under
    each image stands its caption. Before them stand the ``edited`` copies, two pairs a row, with
    what was done and the score.
    """
    near = groups.loc[groups["kind"] == "near", "group"].unique()
    random = rng("duplicates-sheet", 0)
    exact = np.setdiff1d(groups["group"].unique(), near)
    chosen = [*random.permutation(near), *random.permutation(exact)][:most]
    images, labels = _pairs_on_sheet(catalog, edited, 2 * most)
    for group in chosen:
        rows = groups[groups["group"] == group].head(SHEET_COLUMNS)
        images += [catalog.image(image_id) for image_id in rows["image_id"]]
        labels += [
            row.image_id
            + (f"  {row.hash_distance} {row.cosine:.3f}" if row.kind == "near" else "")
            + f"\n{one_line(catalog.captions[catalog.index[row.image_id]])}"
            for row in rows.itertuples()
        ]
        images += [Image.new("RGB", (1, 1), "white")] * (SHEET_COLUMNS - len(rows))
        labels += [""] * (SHEET_COLUMNS - len(rows))
    save_sheet(contact_sheet(images, SHEET_COLUMNS, 128, labels, wrap=2), Path(path))


def _pairs_on_sheet(
    catalog: Catalog, pairs: pd.DataFrame | None, most: int
) -> tuple[list[Image.Image], list[str]]:
    """Return the cells of edited copies: those with the colours of their original first."""
    images: list[Image.Image] = []
    labels: list[str] = []
    if pairs is None:
        return images, labels
    beside = SHEET_COLUMNS // 2 - 2
    for row in records(pairs.sort_values("verdict", kind="stable").head(most)):
        images += [catalog.image(row[side]) for side in ("image_id", "of")]
        said = f"{row['kinds']} {row['score']:.3f}"
        labels += [f"{row['image_id']}\n{said}", row["of"]]
        images += [Image.new("RGB", (1, 1), "white")] * beside
        labels += [""] * beside
    rest = -len(images) % SHEET_COLUMNS
    return images + [Image.new("RGB", (1, 1), "white")] * rest, labels + [""] * rest


def _remembered(catalog: Catalog) -> pd.DataFrame:
    """Look for near copies once for a content; later read what was found."""
    from untrain.encoders.layout import LayoutEncoder
    from untrain.encoders.store import FeatureStore

    encoder = LayoutEncoder()
    thresholds = HASH_BITS, COSINE, DIFFERENCE, COLOUR_DIFFERENCE
    key = fingerprint(VERSION, thresholds, encoder.fingerprint, catalog.fingerprint)
    # By name: what a catalogue that grows was compared with the last time.
    latest = f"compared-{fingerprint(thresholds, encoder.fingerprint, catalog.name)}"

    def find() -> pd.DataFrame:
        stored, rows = FeatureStore(None, encoder).index(catalog, "embedding images")
        firsts = catalog.same_as
        images = np.unique(firsts)
        before = recall("indexes", latest, _load_compared, VERSION)
        pairs = near_pairs(catalog, images, stored, rows, before)
        contents = digests_of([catalog.hashes[i] for i in images])
        ends = {side: np.searchsorted(images, pairs[side]) for side in ("a", "b")}
        cached(
            "indexes",
            latest,
            {"description": f"pictures of {catalog.name} that were compared", "rows": len(images)},
            make=lambda: Compared(contents, pairs.assign(**ends)),
            save=_save_compared,
            load=_load_compared,
            version=VERSION,
            fresh=True,
        )
        return _groups(catalog, firsts, pairs)

    groups, _ = cached(
        "indexes",
        f"duplicates-{key}",
        {"description": f"copies in {catalog.name}", "rows": len(catalog)},
        make=find,
        save=lambda groups, path: write_parquet(path, groups),
        load=read_parquet,
    )
    return groups


def _save_compared(compared: Compared, folder: Path) -> None:
    write_array(folder / "contents.npy", compared.contents)
    write_parquet(folder / "pairs.parquet", compared.pairs)


def _load_compared(folder: Path) -> Compared:
    contents = read_array(folder / "contents.npy", mapped=False)
    return Compared(contents, read_parquet(folder / "pairs.parquet"))


def _with_near(catalog: Catalog, features: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
    """Return the groups; image i has row ``rows[i]`` of ``features``."""
    firsts = catalog.same_as
    return _groups(catalog, firsts, near_pairs(catalog, np.unique(firsts), features, rows))


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
