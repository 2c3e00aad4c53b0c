"""How an index lies on disk: a folder of arrays with a ``meta.json``, whole or absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from untrain.core import disk
from untrain.core.atomic import atomic_folder
from untrain.core.cache import META as CACHED
from untrain.core.cache import cache_folder
from untrain.core.errors import InputError
from untrain.core.files import read_json, write_json
from untrain.core.tensors import read_array, write_array

META = "meta.json"


def write_index(
    folder: Path,
    meta: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    others: Mapping[str, Callable[[Path], None]] | None = None,
) -> None:
    """Write an index as one folder, in place of any that is there.

    Parameters
    ----------
    folder : Path
    meta : mapping
        At least ``kind``, ``version`` and ``description``, a line for people.
    arrays : mapping
        Name → array, kept as ``<name>.npy``; one that is mapped from such a file is linked to.
    others : mapping
        Name of a further file → what writes it.
    """
    with atomic_folder(folder) as temporary:
        for name, array in arrays.items():
            if not _linked(array, temporary / f"{name}.npy"):
                write_array(temporary / f"{name}.npy", array)
        for name, write in (others or {}).items():
            write(temporary / name)
        shapes = {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}
        sizes = {name: (temporary / name).stat().st_size for name in others or {}}
        write_json(temporary / META, {**meta, "arrays": shapes, "files": sizes})


def read_index(
    folder: Path, kind: str, version: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what `write_index` wrote: its ``meta`` and its arrays, memory-mapped.

    Raises
    ------
    InputError
        If the folder is absent, damaged, or of another kind or version.
    """
    try:
        meta = read_json(folder / META)
        found = meta["kind"], meta["version"]
        if found != (kind, version):
            raise InputError(
                f"the index in {folder} is '{found[0]}' of version {found[1]}; "
                f"expected '{kind}' of version {version}; delete it: it is made anew"
            )
        arrays = {}
        for name, (dtype, shape) in meta["arrays"].items():
            array = read_array(folder / f"{name}.npy")
            if [str(array.dtype), list(array.shape)] != [dtype, shape]:
                raise ValueError(f"{name}.npy is {array.dtype} {array.shape}")
            arrays[name] = array
        for name, size in meta["files"].items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} has {(folder / name).stat().st_size} bytes of {size}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, error) from None
    return meta, arrays


class Before(NamedTuple):
    """An index in the cache, of another state of the same catalogue."""

    folder: Path
    images: int


def last_made(catalog: str, content: str, suffix: str) -> Before | None:
    """Return the last index of a catalogue of this name, if none is there of its content now.

    Indexes are kept as ``<content>-<suffix>``.
    """
    folder = cache_folder("indexes")
    if (folder / f"{content}-{suffix}").exists():
        return None
    found = []
    for path in folder.glob(f"*-{suffix}/{CACHED}"):
        with suppress(OSError, ValueError, KeyError, TypeError):  # one that is damaged says nothing
            meta = read_json(path)
            if meta["catalog"] == catalog:
                found.append((path.stat().st_mtime, Before(path.parent, int(meta["rows"]))))
    return max(found)[1] if found else None


def _linked(array: np.ndarray, path: Path) -> bool:
    """Make ``path`` another name of the file that an array is mapped from, if it is all of it.

    Files of indexes are never written to again, so an index that grew shares those of before.
    """
    if not isinstance(array, np.memmap) or not array.filename or not array.flags.c_contiguous:
        return False
    try:
        whole = read_array(Path(array.filename))
        if (whole.shape, whole.dtype) != (array.shape, array.dtype):
            return False
        disk.link(Path(array.filename), path)
    except (OSError, ValueError):  # another disk, no links there, or it is gone
        return False
    return True


def damaged(folder: Path, error: object) -> InputError:
    """Return the error that an index cannot be read."""
    return InputError(f"the index in {folder} cannot be read ({error}); delete it: it is made anew")
