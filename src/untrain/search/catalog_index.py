"""The index of a catalogue: what a search over all of it needs, made once and kept in the cache."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.cache import CONTENT, USELESS, cached
from untrain.core.errors import InputError
from untrain.core.notes import Note
from untrain.encoders.base import Encoder, pooled
from untrain.encoders.embedding import Embedding, here
from untrain.encoders.store import FeatureStore
from untrain.search.calibration import Calibration, calibrate
from untrain.search.retrieve.index_files import last_made
from untrain.search.retrieve.indexes import VECTOR_INDEXES
from untrain.search.retrieve.vector_index import VectorIndex


@dataclass(frozen=True, eq=False)
class CatalogIndex:
    """Pooled features of every image of a catalogue, and an index over them.

    Attributes
    ----------
    catalog : Catalog
    encoder : Encoder
        The pooled one, which made the features.
    features : ndarray of float16, shape (m, d)
        The rows of the feature store, on disk.
    rows : ndarray of int64, shape (len(catalog),)
        The row of each image; byte-identical images share one.
    vectors : VectorIndex
        Finds positions in the catalogue.
    notes : tuple of Note
        What was made anew, and why.
    """

    catalog: Catalog
    encoder: Encoder
    features: np.ndarray
    rows: np.ndarray
    vectors: VectorIndex
    notes: tuple[Note, ...]


def open_index(
    catalog: Catalog,
    encoder: Encoder,
    kind: str = "exact",
    fresh: bool = False,
    embed: Embedding = here,
) -> CatalogIndex:
    """Return the index of a catalogue: from the cache, or made now, behind a progress bar.

    It is known by the content of the catalogue and the encoder. Of a catalogue that has changed it
    grows out of the one before, if its kind can (`VectorIndex.grown`); features are kept by the
    content of an image. So only new images cost anything.

    Parameters
    ----------
    catalog : Catalog
    encoder : Encoder
        Its pooled features are indexed.
    kind : str
        A name in `untrain.search.retrieve.indexes.VECTOR_INDEXES`.
    fresh : bool
        Make the index anew (features that are stored stay).
    embed : Embedding
        Where images are embedded.

    Raises
    ------
    InputError
        If the catalogue is empty, an image of it cannot be read, or there is no such index.
    """
    if not len(catalog):
        raise InputError(f"{catalog.name} has no images; expected at least one to search")
    make_index = VECTOR_INDEXES[kind]
    encoder = pooled(encoder)
    features, rows = FeatureStore(None, encoder, embed).index(catalog, "indexing images")
    suffix = f"{encoder.fingerprint}-{kind}"
    before = None if fresh else last_made(catalog.name, catalog.fingerprint, suffix)

    def make() -> VectorIndex:
        grown = None
        if before:
            with suppress(*USELESS):  # one that is damaged is as good as none
                grown = make_index.grown(before.folder / CONTENT, features, rows)
        return grown or make_index().fit(features, rows)

    vectors, notes = cached(
        "indexes",
        f"{catalog.fingerprint}-{suffix}",
        _about(f"{kind} index of pictures", catalog),
        make=make,
        save=lambda index, folder: index.save(folder),
        load=lambda folder: make_index.load(folder, features, rows),
        fresh=fresh,
    )
    if before:
        text = (
            f"a catalogue named {catalog.name} was indexed before with other content "
            f"({before.images:,} images then, {len(catalog):,} now); this one was indexed now, and "
            "only pictures that were not known were embedded"
        )
        notes += (Note("catalog-changed", text),)
    return CatalogIndex(catalog, encoder, features, rows, vectors, notes)


def open_calibration(
    opened: CatalogIndex, fresh: bool = False
) -> tuple[Calibration, tuple[Note, ...]]:
    """Return how near images of a catalogue are to each other, from the cache or measured now.

    And notes, as `untrain.core.cache.cached` returns them.
    """
    catalog = opened.catalog
    if len(np.unique(opened.rows)) < 2:  # there is nothing to be near to
        return Calibration(np.empty(0), 0), ()

    def read(position: int) -> np.ndarray:
        return np.asarray(catalog.image(catalog.ids[position]))

    return cached(
        "indexes",
        f"{catalog.fingerprint}-{opened.encoder.fingerprint}-copies",
        _about("calibration of the copy test", catalog),
        make=lambda: calibrate(opened.features, opened.rows, read),
        save=lambda made, path: made.save(path),
        load=Calibration.load,
        fresh=fresh,
    )


def _about(what: str, catalog: Catalog) -> dict[str, Any]:
    description = f"{what}, {catalog.name}: {len(catalog):,} images"
    return {"description": description, "catalog": catalog.name, "rows": len(catalog)}
