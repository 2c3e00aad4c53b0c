"""Where what is worth keeping across runs is kept: features, listings of catalogues, indexes."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from untrain.core.files import read_json

VARIABLE = "UNTRAIN_CACHE"
KINDS = ("features", "catalogs", "indexes", "paces")
UNFINISHED = "unfinished or unreadable"


def cache_folder(*parts: str) -> Path:
    """Return a folder of the cache: below ``$UNTRAIN_CACHE``, or else the system's own place.

    Everything in it can be made again: deleting it costs time, never results.
    """
    given = os.environ.get(VARIABLE)
    root = Path(given).expanduser() if given else user_cache_path("untrain", appauthor=False)
    return root.joinpath(*parts)


@dataclass(frozen=True)
class Entry:
    """One thing in the cache, a folder ``<kind>/<name>/`` with a ``meta.json``.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    description : str
        What it is, for people.
    rows : int or None
        Images it is about, where it says so.
    size : int
        Bytes on disk.
    used : float
        When it was last used, seconds since 1970.
    """

    kind: str
    folder: Path
    description: str
    rows: int | None
    size: int
    used: float


def entries(kinds: tuple[str, ...] = KINDS) -> list[Entry]:
    """Return what is in the cache, kind by kind, the last used first."""
    found: list[Entry] = []
    for kind in kinds:
        root = cache_folder(kind)
        folders = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
        known = [entry for folder in folders if (entry := _entry(kind, folder))]
        found += sorted(known, key=lambda e: -e.used)
    return found


def remove(entry: Entry) -> None:
    """Delete an entry; what needs it next makes it again."""
    shutil.rmtree(entry.folder, ignore_errors=True)


def mark_used(folder: Path) -> None:
    """Note that an entry of the cache is in use, so that pruning by age spares it."""
    with contextlib.suppress(OSError):  # it may be gone, or another user's
        os.utime(folder / "meta.json")


def _entry(kind: str, folder: Path) -> Entry | None:
    """Return what lies in a folder; None if somebody has just deleted it."""
    try:
        sizes = _sizes(folder)
        used = folder.stat().st_mtime
    except FileNotFoundError:
        return None
    description, rows = UNFINISHED, None
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        meta = read_json(folder / "meta.json")
        description, rows = str(meta["description"]), meta.get("rows")
        used = (folder / "meta.json").stat().st_mtime
    if kind == "features" and rows is None:
        rows = sizes.get(folder / "hashes.bin", 0) // 32  # which grows while its meta.json stays
    return Entry(kind, folder, description, rows, sum(sizes.values()), used)


def _sizes(folder: Path) -> dict[Path, int]:
    """Return the bytes of every file in a folder."""
    sizes = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # it was a temporary one
            if path.is_file():
                sizes[path] = path.stat().st_size
    return sizes
