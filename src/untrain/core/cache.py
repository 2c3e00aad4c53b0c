"""What is worth keeping across runs: made once, known by a key, kept in the user's cache.

`cached` is the one way to keep something: listings of catalogues, indexes, calibrations, batch
sizes, comparisons. Features (`untrain.encoders.store`), gradients
(`untrain.attribution.gradients.store`) and checks of images (`untrain.catalogs.checked`) lie in the
same place, but their files grow, row by row and by several processes, instead of being made once
(`untrain.core.growing`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from platformdirs import user_cache_path

from untrain.core import disk
from untrain.core.atomic import atomic_folder, discard_folder
from untrain.core.errors import InputError
from untrain.core.files import read_json, write_json
from untrain.core.locks import locked
from untrain.core.manifest import check_folder
from untrain.core.marks import MARKER, is_leftover, is_marked, mark
from untrain.core.notes import Note
from untrain.core.text import is_text

VARIABLE = "UNTRAIN_CACHE"
KINDS = (
    "features", "gradients", "checkpoints", "checks", "catalogs", "indexes", "comparisons", "paces"
)  # fmt: skip
UNFINISHED = "unfinished or unreadable"
META = "meta.json"
CONTENT = "content"
T = TypeVar("T")
USELESS = (InputError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError)
About = Mapping[str, Any]


def cache_folder(*parts: str) -> Path:
    """Return a folder of the cache: below ``$UNTRAIN_CACHE``, or else the system's own place.

    Everything that untrain writes there can be made again: deleting it costs time, never results.
    """
    given = os.environ.get(VARIABLE)
    root = Path(given).expanduser() if given else user_cache_path("untrain", appauthor=False)
    if not is_text(str(root)):
        raise InputError(
            f"the cache cannot be in {root}: a name in this path is not UTF-8; choose another "
            f"place ({VARIABLE})"
        )
    return root.joinpath(*parts)


def cached(
    kind: str,
    key: str,
    about: About | Callable[[T], About],
    make: Callable[[], T],
    save: Callable[[T, Path], object],
    load: Callable[[Path], T],
    version: int = 1,
    fresh: bool = False,
    reopen: bool = False,
) -> tuple[T, tuple[Note, ...]]:
    """Return what is cached under ``key``, or make it and cache it.

    Of processes that want the same thing at the same time one makes it and the others wait. A
    cache that cannot be written to costs time, nothing else.

    Parameters
    ----------
    kind : str
        One of `KINDS`, for `entries`.
    key : str
        A file name that depends on everything that the content depends on.
    about : mapping, or function of what was made
        What `Entry` shows: ``description``, ``rows``; and more if wanted.
    make : callable
    save, load : callable
        Write and read the content at a path, a file's or a folder's. Either may raise `InputError`:
        ``load`` if what is cached no longer holds, ``save`` if what was made must not be cached.
    version : int
        Of the content's form; what has another one is made again.
    fresh : bool
        Make it anew, whatever is cached.
    reopen : bool
        Return what ``load`` gives, not what was made: a memory map, say.

    Returns
    -------
    tuple of T and tuple of Note
        The notes say that what was cached was of no use (``cache-remade``), or that what was made
        could not be cached (``cache-unwritable``).
    """
    folder = cache_folder(kind, key)
    useless: Exception | None = None
    state = _state(folder)
    if not fresh and state is not None:
        try:
            return _load(folder, load, version), ()
        except USELESS as error:
            useless = error
    with _locked(folder):
        if not fresh and _state(folder) != state:  # another process made it meanwhile
            with suppress(*USELESS):
                return _load(folder, load, version), ()
        made = make()
        described = about(made) if callable(about) else about
        what, notes = described["description"], []
        if useless is not None:
            notes.append(Note("cache-remade", f"{what}: made again ({useless})"))
        try:
            _mark_own(folder)
            with atomic_folder(folder) as temporary:
                save(made, temporary / CONTENT)
                created = datetime.now(UTC).isoformat(timespec="seconds")
                write_json(temporary / META, {**described, "version": version, "created": created})
            if reopen:
                made = _load(folder, load, version)
        except (OSError, InputError) as error:
            text = f"{what}: not cached, so that the next call makes it again ({error})"
            notes.append(Note("cache-unwritable", text))
    return made, tuple(notes)


def deletion_told(error: BaseException) -> str | None:
    """Return what to do about a file of the cache that is gone, if that is behind a failure.

    Somebody has deleted it while it was in use.
    """
    name = error.filename if isinstance(error, FileNotFoundError) else None
    if not isinstance(name, str | Path):
        return None
    if not Path(name).absolute().is_relative_to(cache_folder().absolute()):
        return None
    return (
        f"{name} was deleted from the cache while untrain was at work: run the same command again, "
        "which makes it again"
    )


def _mark_own(folder: Path) -> None:
    """Give an entry whose list of files was damaged a new one, so that it can be replaced."""
    if folder.is_dir() and (folder / MARKER).exists() and not is_marked(folder):
        names = {path.name for path in folder.iterdir()} - {MARKER, META}
        if all(name.partition(".")[0] == CONTENT for name in names):
            mark(folder)


def _state(folder: Path) -> tuple[int, ...] | None:
    """Return what changes when an entry is made anew; None if there is none."""
    try:
        states = folder.stat(), (folder / META).stat() if (folder / META).exists() else None
    except OSError:
        return None
    return tuple(state.st_ino for state in states if state)


def recall(kind: str, key: str, load: Callable[[Path], T], version: int = 1) -> T | None:
    """Return what `cached` keeps under ``key``; None if there is nothing that can be used."""
    try:
        return _load(cache_folder(kind, key), load, version)
    except USELESS:
        return None


def _load(folder: Path, load: Callable[[Path], T], version: int) -> T:
    if not is_marked(folder):
        raise InputError("the list of its files is damaged")
    check_folder(folder)
    meta = read_json(folder / META)
    if meta["version"] != version:
        raise InputError(f"it is of version {meta['version']}, expected {version}")
    loaded = load(folder / CONTENT)
    mark_used(folder)
    return loaded


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time make a folder; any, where no lock can be had."""
    lock = folder.with_name(f".{folder.name}.lock")
    with ExitStack() as stack:
        with suppress(OSError):
            disk.make_folder(folder.parent)
            stack.enter_context(locked(lock))
            stack.callback(_unlink, lock)  # while it is held; who waits for it takes another
        yield


def _unlink(path: Path) -> None:
    with suppress(OSError):
        disk.delete_file(path)


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
    """Return what untrain wrote into the cache, kind by kind, the last used first.

    Folders that it did not write, which may lie there too, are left out.
    """
    found: list[Entry] = []
    for kind in kinds:
        root = cache_folder(kind)
        folders = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
        ours = [folder for folder in folders if is_marked(folder) or is_leftover(folder)]
        known = [entry for folder in ours if (entry := _entry(kind, folder))]
        found += sorted(known, key=lambda e: -e.used)
    return found


def remove(entry: Entry) -> None:
    """Delete an entry; what needs it next makes it again.

    Raises
    ------
    InputError
        Somebody has put a file of their own into it.
    """
    with suppress(OSError):  # another user's, or in use
        discard_folder(entry.folder)


def mark_used(folder: Path) -> None:
    """Note that an entry of the cache is in use, so that pruning by age spares it."""
    disk.mark_used(folder / META)


def _entry(kind: str, folder: Path) -> Entry | None:
    """Return what lies in a folder; None if somebody has just deleted it."""
    try:
        sizes = _sizes(folder)
        used = folder.stat().st_mtime
    except FileNotFoundError:
        return None
    description, rows = UNFINISHED, None
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        meta = read_json(folder / META)
        description, rows = str(meta["description"]), meta.get("rows")
        used = (folder / META).stat().st_mtime
    if rows is None and "hashes.bin" in sizes:
        rows = sizes["hashes.bin"] // 32  # which grows while its meta.json stays
    return Entry(kind, folder, description, rows, sum(sizes.values()), used)


def _sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of every file in a folder, by its path from there."""
    sizes, inside = {}, [""]
    while inside:
        below = inside.pop()
        with suppress(FileNotFoundError), os.scandir(folder / below) as found:
            for each in found:
                name = below + each.name
                with suppress(FileNotFoundError):  # it was a temporary one
                    if each.is_dir(follow_symlinks=False):
                        inside.append(f"{name}/")
                    elif each.is_file():
                        sizes[name] = each.stat().st_size
    return sizes
