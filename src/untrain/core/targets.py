"""Where something may be written: asked first of all, so that a wrong path costs no work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from untrain.core.errors import InputError
from untrain.core.marks import refuse_foreign

LONGEST = 255
"""Bytes of a name, on nearly every file system."""


def check_file_target(path: Path | str, sources: Iterable[Path] = ()) -> Path:
    """Return the file that writing to ``path`` would make or replace, with links followed.

    Commands call it before they do anything else, so that a wrong path costs no work.

    Parameters
    ----------
    path : Path or str
        Where a file is to be written.
    sources : iterable of Path
        Files and folders that are read: no existing file of these is a target.

    Raises
    ------
    InputError
        There is a folder (also ``.``, ``..`` and an empty path), a device or any other thing that
        is not a plain file; its folder is a file, or may not be written to; or it is a source.
    """
    target = valid_path(Path(path))
    if target.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; expected the name of a file")
    if target.exists() and not target.is_file():
        raise InputError(
            f"cannot write {path}: it is a device, pipe or socket; expected a regular file"
        )
    if target.exists():
        if not os.access(target, os.W_OK):
            raise InputError(f"cannot write {path}: the file there is read-only")
        whole = [Path(source).expanduser().resolve() for source in sources]
        if any(target.is_relative_to(source) for source in whole):
            raise InputError(
                f"cannot write {path}: it is one of the files to be read; choose another name"
            )
    _check_parents(target, path)
    return target


def check_default_target(
    path: Path, read: Callable[[Path], object], sources: Iterable[Path] = ()
) -> Path:
    """Return the file that a command writes if nobody names one: only over one of its own.

    Parameters
    ----------
    path : Path
        The default.
    read : callable
        Raises `InputError` or `OSError` for a file that the command did not write.
    sources : iterable of Path
        As of `check_file_target`.

    Raises
    ------
    InputError
        There is another file, or nothing can be written there.
    """
    target = check_file_target(path, sources)
    if target.exists():
        try:
            read(target)
        except (InputError, OSError):
            raise InputError(
                f"{path} is there already, and this command did not write it: name the file to "
                f"write with --out (`--out {path}` replaces it)"
            ) from None
    return path


def check_folder_target(path: Path | str) -> Path:
    """Return the folder that an export to ``path`` would make, with links followed.

    Raises
    ------
    InputError
        ``path`` exists and is anything but an empty folder, or cannot be made where it is.
    """
    target = valid_path(Path(path))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} exists and is not an empty folder; give a new path")
    _check_parents(target, path)
    return target


def check_own_folder(path: Path) -> None:
    """Raise `InputError` if `atomic_folder` could not write a folder: something else is there."""
    target = valid_path(path)
    refuse_foreign(path)
    _check_parents(target, path)


def valid_path(path: Path) -> Path:
    """Return a path with links followed; refuse a link that leads nowhere, and no valid path."""
    try:
        target = path.expanduser().resolve()
        broken = path.expanduser().is_symlink() and not target.parent.exists()
        broken |= target.is_symlink()  # from Python 3.13, a circle is left as it is
        too_long = any(len(os.fsencode(part)) > LONGEST for part in target.parts)
        if not too_long:
            target.exists()  # raises what a file system says of the whole path
    except (OSError, RuntimeError, ValueError):
        broken, too_long = True, False
    if broken or too_long:
        fault = "a name in it is too long" if too_long else "it is a broken link, or no valid path"
        raise InputError(f"cannot write {path}: {fault}")
    return target


def _check_parents(target: Path, given: Path | str) -> None:
    """Refuse a target below a file, or below a folder that may not be written to."""
    parent = next((each for each in target.parents if each.exists()), target.parent)
    if not parent.is_dir():
        raise InputError(f"cannot write {given}: {parent} is a file, not a folder")
    if not os.access(parent, os.W_OK):
        raise InputError(f"cannot write {given}: the folder {parent} is not writable")
