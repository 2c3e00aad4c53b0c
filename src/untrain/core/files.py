"""Files that are written whole or not at all, fingerprints of content, counter-based randomness.

Everything is written under a temporary name and renamed, so that a kill at any moment leaves
either the old content or the new one. Nothing that untrain did not write is deleted on the way: a
file takes the place of a file or of nothing, and a folder that of an empty one or of one that
`atomic_folder` wrote, which it recognises by the list of files in it (`MARKER`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, ENOTEMPTY
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.errors import InputError, damaged
from untrain.core.outside import parse_json, parse_yaml, read_text, require_regular

if TYPE_CHECKING:  # every command imports this file, and most need neither to start
    import numpy as np
    import pandas as pd

MARKER = ".untrain"
"""In every folder that `atomic_folder` wrote: JSON with the names of all that was in it."""
LEFTOVER = re.compile(r"\..*\.\d+\.[0-9a-f]{8}\.untrain-tmp")
JUNK = {MARKER, ".DS_Store", "Thumbs.db", "desktop.ini"}
"""What may lie in a folder beside the files on its list: file managers leave these behind."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it onto ``path`` if the block succeeds.

    A link to a file is followed: the file it leads to is replaced, the link stays.

    Raises
    ------
    InputError
        As `check_file_target`, before the block begins.
    """
    target = check_file_target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        _tidy(temporary)


@contextmanager
def atomic_folder(path: Path, marked: bool = True) -> Iterator[Path]:
    """Yield a new empty folder beside ``path``; rename it onto ``path`` if the block succeeds.

    Parameters
    ----------
    path : Path
        Absent, an empty folder, or a folder that this function wrote and to which nothing has been
        added since.
    marked : bool
        Leave a `MARKER` in it, so that it can be replaced later. Without one, nothing that untrain
        does will ever replace or delete the folder.

    Raises
    ------
    InputError
        ``path`` is anything else; this is checked before the block begins and again after it.
    """
    _refuse_foreign(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        if marked:
            mark(temporary)
        _publish(temporary, path)
    finally:
        _tidy(temporary)


def _publish(temporary: Path, path: Path) -> None:
    """Rename a folder into place; of processes that write the same one the last wins."""
    for attempts_left in reversed(range(10)):
        discard_folder(path)
        try:
            temporary.replace(path)
        except OSError as error:
            if error.errno not in (ENOTEMPTY, EEXIST) or not attempts_left:
                raise
        else:
            return


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
    target = _resolved(Path(path))
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


def check_folder_target(path: Path | str) -> Path:
    """Return the folder that an export to ``path`` would make, with links followed.

    Raises
    ------
    InputError
        ``path`` exists and is anything but an empty folder, or cannot be made where it is.
    """
    target = _resolved(Path(path))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} exists and is not an empty folder; give a new path")
    _check_parents(target, path)
    return target


def check_own_folder(path: Path) -> None:
    """Raise `InputError` if `atomic_folder` could not write a folder: something else is there."""
    _refuse_foreign(path)
    _check_parents(_resolved(path), path)


def _resolved(path: Path) -> Path:
    try:
        target = path.expanduser().resolve()
        looping = target.is_symlink()
    except (OSError, RuntimeError, ValueError):
        looping = True
    if looping:
        raise InputError(f"cannot write {path}: it is a broken link, or not a valid path")
    return target


def _check_parents(target: Path, given: Path | str) -> None:
    """Refuse a target below a file, or below a folder that may not be written to."""
    parent = next((each for each in target.parents if each.exists()), target.parent)
    if not parent.is_dir():
        raise InputError(f"cannot write {given}: {parent} is a file, not a folder")
    if not os.access(parent, os.W_OK):
        raise InputError(f"cannot write {given}: the folder {parent} is not writable")


def mark(folder: Path, names: Iterable[str] = ()) -> None:
    """Write the `MARKER` of a folder: all that is in it, and ``names``, count as untrain's."""
    entries = {path.relative_to(folder).as_posix() for path in folder.rglob("*")} - {MARKER}
    content = {"written_by": "untrain", "files": sorted(entries | set(names))}
    # Renamed, not written in place: it may be a hard link to the marker of another run's folder.
    temporary = _beside(folder / MARKER)
    temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    temporary.replace(folder / MARKER)


def is_marked(folder: Path) -> bool:
    """Tell whether `atomic_folder` or `mark` wrote a folder, whatever was added to it since."""
    return _listed(folder) is not None


def discard_folder(path: Path) -> None:
    """Delete a folder that `atomic_folder` wrote, or an empty one; of none there is nothing to do.

    Raises
    ------
    InputError
        It is something else, a link, or holds anything that untrain did not write.
    """
    _refuse_foreign(path)
    aside = _beside(path)
    with suppress(FileNotFoundError):  # another process was quicker
        path.rename(aside)  # at once, so that nobody finds half of it
        _tidy(aside)


def _refuse_foreign(path: Path) -> None:
    """Raise `InputError` if anything at ``path`` is not untrain's."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        what = "a link" if stat.S_ISLNK(mode) else "not a folder"
        raise InputError(
            f"{path} is {what}, and untrain needs this path for a folder of its own: "
            "move it elsewhere"
        )
    if is_leftover(path):
        return
    before = _state(path)
    foreign = _foreign(path)
    while before != (now := _state(path)):  # another process replaced it while this one looked
        before, foreign = now, _foreign(path)
    if foreign:
        raise InputError(
            f"{path} holds {foreign}, which untrain did not write and will not replace: "
            "move it elsewhere first"
        )


def _foreign(folder: Path) -> str | None:
    """Return the name of something in a folder that its marker does not list, if there is any."""
    listed = _listed(folder) or frozenset()
    for entry in _entries(folder):
        inside = entry.relative_to(folder)
        name, passing = inside.as_posix(), any(LEFTOVER.fullmatch(part) for part in inside.parts)
        if name not in listed and entry.name not in JUNK and not passing:
            return name
    return None


def _state(path: Path) -> tuple[int, int] | None:
    """Return what tells a folder apart from another one in its place."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_ctime_ns


def _entries(folder: Path) -> list[Path]:
    """Return all that is below a folder, which another process may be deleting."""
    try:
        return list(folder.rglob("*"))
    except FileNotFoundError:
        return _entries(folder) if folder.exists() else []


def _listed(folder: Path) -> frozenset[str] | None:
    """Return the names that the marker of a folder lists; None if there is no marker."""
    try:
        content = read_json(folder / MARKER)
        if content["written_by"] == "untrain":
            return frozenset(content["files"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _beside(path: Path) -> Path:
    """Return a temporary path beside another, by a name that nobody else gives to a file."""
    return path.with_name(f".{path.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}.untrain-tmp")


def _tidy(temporary: Path) -> None:
    """Discard what a block wrote and did not come to its end."""
    if temporary.is_dir() and not temporary.is_symlink():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Tell whether something is what untrain was writing when it was killed, or still is."""
    return LEFTOVER.fullmatch(path.name) is not None


def discard_leftovers(folder: Path) -> None:
    """Discard what untrain was writing below ``folder`` when a process was killed.

    Such files and folders are known by their names (`LEFTOVER`); all others stay.
    """
    for path in list(folder.rglob(".*.untrain-tmp")):
        if is_leftover(path):
            _tidy(path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; one that holds no JSON is `Damaged`."""
    with opened_whole(path):
        return parse_json(read_text(path, "TABLE", "utf-8"))


def read_yaml(path: Path) -> Any:
    """Read a YAML file of untrain's own; one that holds none is `Damaged`."""
    with opened_whole(path):
        return parse_yaml(read_text(path))[1]


@contextmanager
def opened_whole(path: Path) -> Iterator[None]:
    """Turn what a library says of a broken file into `Damaged`, which names it.

    Raises
    ------
    FileNotFoundError, PermissionError
        As they are.
    Damaged
        For anything else that reading raises.
    """
    try:
        require_regular(path)
        yield
    except (FileNotFoundError, PermissionError, InputError):
        raise
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise damaged(path, getattr(error, "strerror", None) or error) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in (
            "pyarrow",
            "pandas",
            "safetensors",
            "yaml",
        ):
            raise
        raise damaged(path, error) from error


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet without its index, whole or not at all."""
    with atomic_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, whole or not at all."""
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False)


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that depend on the content of ``parts`` and nothing else.

    Parts are anything JSON can hold, `bytes` or NumPy arrays; dictionaries count irrespective of
    the order of their keys.
    """
    import numpy as np

    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            data = part
        elif isinstance(part, np.ndarray):
            data = f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
        else:
            data = json.dumps(part, sort_keys=True, ensure_ascii=False, default=str).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def rng(*key: Any) -> np.random.Generator:
    """Return a generator that depends only on ``key``: the same key gives the same numbers.

    Keys are counted, not consumed in order, so that what is drawn for one prompt, generation or
    arm does not depend on what was drawn before (common random numbers).
    """
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int(fingerprint(*key), 16)))
