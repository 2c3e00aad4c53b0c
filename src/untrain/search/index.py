"""The index of a catalogue: what a search over all of it needs, made once and kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock

from untrain.cache import cache_folder
from untrain.catalogs.base import Catalog
from untrain.encoders.base import Encoder, pooled
from untrain.encoders.store import FeatureStore
from untrain.errors import InputError
from untrain.files import atomic_path, read_json, write_json
from untrain.search.copies import Calibration, calibrate
from untrain.search.text_retrieval import TfidfRetriever
from untrain.search.vector_index import VECTOR_INDEXES, VectorIndex

META = "meta.json"
INDEX = "index"
VERSION = 1  # raise it when what is kept, or how, changes
T = TypeVar("T")


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
    notes : tuple of str
        What was made anew, and why.
    """

    catalog: Catalog
    encoder: Encoder
    features: np.ndarray
    rows: np.ndarray
    vectors: VectorIndex
    notes: tuple[str, ...]


def open_index(
    catalog: Catalog, encoder: Encoder, kind: str = "exact", fresh: bool = False
) -> CatalogIndex:
    """Return the index of a catalogue: from the cache, or made now, behind a progress bar.

    It is known by the content of the catalogue and the encoder, so that a changed catalogue is
    indexed anew; features are kept by the content of an image, so that only new images are
    embedded.

    Parameters
    ----------
    catalog : Catalog
    encoder : Encoder
        Its pooled features are indexed.
    kind : str
        A name in `untrain.search.vector_index.VECTOR_INDEXES`.
    fresh : bool
        Make the index anew (features that are stored stay).

    Raises
    ------
    InputError
        If the catalogue is empty, an image of it cannot be read, or there is no such index.
    """
    if not len(catalog):
        raise InputError(f"{catalog.name} has no images; expected at least one to search")
    make_index = VECTOR_INDEXES[kind]
    encoder = pooled(encoder)
    features, rows = FeatureStore(None, encoder).index(catalog, "indexing images")
    suffix = f"{encoder.fingerprint}-{kind}"
    before = None if fresh else _indexed_before(catalog, suffix)
    vectors, notes = _kept(
        f"{catalog.fingerprint}-{suffix}",
        _meta(f"{kind} index of pictures", catalog),
        make=lambda: make_index().fit(features, rows),
        save=lambda index, folder: index.save(folder),
        load=lambda folder: make_index.load(folder, features, rows),
        fresh=fresh,
    )
    if before:
        notes = (
            f"{catalog.name} is not as it was when it was last indexed ({before:,} images then, "
            f"{len(catalog):,} now); it was indexed again, and only new pictures were embedded",
        )
    return CatalogIndex(catalog, encoder, features, rows, vectors, notes)


def open_text(catalog: Catalog, fresh: bool = False) -> TfidfRetriever:
    """Return the index of a catalogue's captions: from the cache, or made now."""
    retriever, _ = _kept(
        f"{catalog.fingerprint}-tfidf",
        _meta("index of captions", catalog),
        make=lambda: TfidfRetriever().fit(catalog.captions),
        save=lambda retriever, folder: retriever.save(folder),
        load=TfidfRetriever.load,
        fresh=fresh,
    )
    return retriever


def open_calibration(opened: CatalogIndex, fresh: bool = False) -> Calibration:
    """Return how near images of a catalogue are to each other: from the cache, or measured now."""
    catalog = opened.catalog
    if len(np.unique(opened.rows)) < 2:  # there is nothing to be near to
        return Calibration(np.empty(0), 0)

    def read(position: int) -> np.ndarray:
        return np.asarray(catalog.image(catalog.ids[position]))

    calibration, _ = _kept(
        f"{catalog.fingerprint}-{opened.encoder.fingerprint}-copies",
        _meta("calibration of the copy test", catalog),
        make=lambda: calibrate(opened.features, opened.rows, read),
        save=lambda made, path: made.save(path),
        load=Calibration.load,
        fresh=fresh,
    )
    return calibration


def _meta(what: str, catalog: Catalog) -> dict[str, Any]:
    description = f"{what}, {catalog.name}: {len(catalog):,} images"
    return {"description": description, "catalog": catalog.name, "rows": len(catalog)}


def _indexed_before(catalog: Catalog, suffix: str) -> int | None:
    """Return how many images a catalogue of this name had when it was last indexed, if not now."""
    folder = cache_folder("indexes")
    if (folder / f"{catalog.fingerprint}-{suffix}").exists():
        return None
    found = []
    for path in folder.glob(f"*-{suffix}/{META}"):
        with suppress(OSError, ValueError, KeyError, TypeError):  # one that is damaged says nothing
            meta = read_json(path)
            if meta["catalog"] == catalog.name:
                found.append((path.stat().st_mtime, int(meta["rows"])))
    return max(found)[1] if found else None


def _kept(
    key: str,
    meta: dict[str, Any],
    make: Callable[[], T],
    save: Callable[[T, Path], None],
    load: Callable[[Path], T],
    fresh: bool,
) -> tuple[T, tuple[str, ...]]:
    """Return what is kept under ``key``, or make and keep it; and a note if it was of no use."""
    folder = cache_folder("indexes", key)
    notes: tuple[str, ...] = ()
    if not fresh and folder.exists():
        try:
            return _load(folder, load), ()
        except (InputError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            notes = (f"{meta['description']}: made again, as what was kept is of no use ({error})",)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{key}.lock")):
        made = make()
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            save(made, temporary / INDEX)
            created = datetime.now(UTC).isoformat(timespec="seconds")
            write_json(temporary / META, {**meta, "version": VERSION, "created": created})
    return made, notes


def _load(folder: Path, load: Callable[[Path], T]) -> T:
    meta = read_json(folder / META)
    if meta.get("version") != VERSION:
        raise InputError(f"it is of version {meta.get('version')}, expected {VERSION}")
    loaded = load(folder / INDEX)
    os.utime(folder / META)  # when it was last used
    return loaded
