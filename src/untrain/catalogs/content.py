"""Facts of images that need their bytes, kept by content: of each picture they are found once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.cache import cache_folder
from untrain.core.digests import digests_of
from untrain.core.files import fingerprint
from untrain.core.growing import GrowingTable
from untrain.core.images import opened
from untrain.core.parallel import in_threads

AT_ONCE = 4096  # images whose facts are found and written at a time

Columns = Mapping[str, tuple[str, int]]
"""The type of each fact's numbers, as NumPy calls it, and how many there are of an image."""

SIZES: Columns = {"bytes": ("int64", 1), "width": ("int32", 1), "height": ("int32", 1)}
MD5: Columns = {"md5": ("uint8", 16)}


def facts_of(
    catalog: Catalog,
    what: str,
    columns: Columns,
    find: Callable[[bytes], tuple],
    label: str,
    version: int = 1,
) -> dict[str, np.ndarray]:
    """Return facts of all images, each found once for every content and kept in the cache.

    Parameters
    ----------
    catalog : Catalog
    what : str
        Names the kind of facts.
    columns : mapping
        Names and types of the facts.
    find : callable
        Returns the facts of an image's bytes, in the order of ``columns``.
    label : str
        Of the progress bar.
    version : int
        Raise it when what ``find`` returns changes.

    Returns
    -------
    dict of str to ndarray, (n, numbers)
    """
    table = GrowingTable(
        cache_folder("checks", fingerprint("facts", what, version)),
        columns,
        {"version": version, "facts": what},
        lambda: {"description": f"{what} of images"},
    )
    digests = digests_of(catalog.hashes)
    first = catalog.same_as
    known = np.full(len(digests), -1, np.int64)
    with suppress(OSError, ValueError):  # a cache that cannot be read costs time, nothing else
        known = table.find(digests)
    found = {n: np.empty((len(digests), k), kind) for n, (kind, k) in columns.items()}
    there = np.flatnonzero(known >= 0)
    for name in columns if there.size else ():
        found[name][there] = table.column(name)[known[there]]
    new = np.flatnonzero((known < 0) & (first == np.arange(len(first))))
    for start in range(0, len(new), AT_ONCE):
        part = new[start : start + AT_ONCE]
        made = in_threads(lambda row: find(catalog.encoded(catalog.ids[row])), part.tolist(), label)
        for name, of_images in zip(columns, zip(*made, strict=True), strict=True):
            found[name][part] = np.array(of_images, columns[name][0]).reshape(len(part), -1)
        with suppress(OSError):
            table.add(digests[part], {name: found[name][part] for name in columns})
    for values in found.values():
        values[known < 0] = values[first[known < 0]]
    return found


def sizes_of(catalog: Catalog) -> dict[str, np.ndarray]:
    """Return ``bytes``, ``width`` and ``height`` (pixels, upright) of each image, int (n,)."""
    found = facts_of(catalog, "sizes", SIZES, _size, "measuring images")
    return {name: values[:, 0] for name, values in found.items()}


def _size(data: bytes) -> tuple[int, int, int]:
    with opened(data, "that is measured") as image:
        width, height = image.size
        if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # orientations that lie on a side
            width, height = height, width
    return len(data), width, height


def md5_of(catalog: Catalog) -> Iterator[str]:
    """Yield the MD5 of each image's bytes, in hexadecimal."""
    found = facts_of(catalog, "MD5", MD5, _md5, "hashing images (MD5)")
    return (row.tobytes().hex() for row in found["md5"])


def _md5(data: bytes) -> tuple[list[int]]:
    return (list(hashlib.md5(data, usedforsecurity=False).digest()),)
