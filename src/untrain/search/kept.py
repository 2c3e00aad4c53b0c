"""What a search makes once and keeps in the cache, as a folder that is whole or absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from untrain.core.cache import cache_folder, mark_used
from untrain.core.errors import InputError
from untrain.core.files import atomic_folder, read_json, write_json
from untrain.core.notes import Note

META = "meta.json"
CONTENT = "index"
VERSION = 1  # raise it when what is kept, or how, changes
T = TypeVar("T")
USELESS = (InputError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError)


def kept(
    key: str,
    about: Mapping[str, Any],
    make: Callable[[], T],
    save: Callable[[T, Path], object],
    load: Callable[[Path], T],
    fresh: bool = False,
) -> tuple[T, tuple[Note, ...]]:
    """Return what is kept under ``key``, or make it and keep it.

    Of processes that want the same at the same time one makes it and the others wait for it. A
    cache that cannot be written to costs time, nothing else.

    Parameters
    ----------
    key : str
        Depends on all that the content depends on.
    about : mapping
        What `untrain.core.cache.Entry` shows: ``description``, ``rows``; and more if wanted.
    make : callable
    save, load : callable
        Write and read it at a path, a file's or a folder's.
    fresh : bool
        Make it anew, whatever is kept.

    Returns
    -------
    tuple of T and tuple of Note
        And notes: that what was kept was of no use, or that it could not be kept.
    """
    folder = cache_folder("indexes", key)
    what = about["description"]
    notes: tuple[Note, ...] = ()
    if not fresh and folder.exists():
        try:
            return _load(folder, load), ()
        except USELESS as error:
            text = f"{what}: made again, as what was kept is of no use ({error})"
            notes = (Note("index-remade", text),)
    with _locked(folder):
        if not fresh:
            with suppress(*USELESS):  # another process may have made it meanwhile
                return _load(folder, load), ()
        made = make()
        try:
            with atomic_folder(folder) as temporary:
                save(made, temporary / CONTENT)
                created = datetime.now(UTC).isoformat(timespec="seconds")
                write_json(temporary / META, {**about, "version": VERSION, "created": created})
        except (OSError, InputError) as error:
            text = f"{what}: cannot be kept, so that the next call makes it again ({error})"
            notes += (Note("index-not-kept", text),)
    return made, notes


def _load(folder: Path, load: Callable[[Path], T]) -> T:
    meta = read_json(folder / META)
    if meta["version"] != VERSION:
        raise InputError(f"it is of version {meta['version']}, expected {VERSION}")
    loaded = load(folder / CONTENT)
    mark_used(folder)
    return loaded


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time make a folder; any, where no lock can be had."""
    lock = folder.with_name(f".{folder.name}.lock")
    with ExitStack() as stack:
        with suppress(OSError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(lock))
            stack.callback(_unlink, lock)  # while it is held; who waits for it takes another
        yield


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
