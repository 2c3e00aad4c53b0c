"""What untrain wrote, told from what others did: the marker of a folder, the names of temporaries.

Nothing that untrain did not write is ever replaced or deleted: a file takes the place of a file or
of nothing, and a folder that of an empty one or of one whose list of files (`MARKER`) has all that
is in it.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from untrain.core import disk
from untrain.core.errors import InputError
from untrain.core.outside import parse_json, read_text
from untrain.core.text import json_text

MARKER = ".untrain"
"""In every folder that `atomic_folder` wrote: JSON with the names of all that was in it."""
LEFTOVER = re.compile(r"\..*\.\d+\.[0-9a-f]{8}\.untrain-tmp")
JUNK = {MARKER, ".DS_Store", "Thumbs.db", "desktop.ini"}
"""What may lie in a folder beside the files on its list: file managers leave these behind."""


def mark(folder: Path, names: Iterable[str] = ()) -> None:
    """Write the `MARKER` of a folder: all that is in it, and ``names``, count as untrain's."""
    entries = {path.relative_to(folder).as_posix() for path in folder.rglob("*")} - {MARKER}
    content = {"written_by": "untrain", "files": sorted(entries | set(names))}
    # Renamed, not written in place: it may be a hard link to the marker of another run's folder.
    temporary = beside(folder / MARKER)
    disk.write_bytes(temporary, json_text(content).encode())
    disk.publish(temporary, folder / MARKER, durable=not is_passing(folder))


def is_marked(folder: Path) -> bool:
    """Tell whether `atomic_folder` or `mark` wrote a folder, whatever was added to it since."""
    return _listed(folder) is not None


def refuse_foreign(path: Path) -> None:
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
        content = parse_json(read_text(folder / MARKER, "TABLE", "utf-8"))
        if content["written_by"] == "untrain":
            return frozenset(content["files"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def beside(path: Path) -> Path:
    """Return a temporary path beside another, by a name that nobody else gives to a file."""
    return path.with_name(f".{path.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}.untrain-tmp")


def is_leftover(path: Path) -> bool:
    """Tell whether something is what untrain was writing when it was killed, or still is."""
    return LEFTOVER.fullmatch(path.name) is not None


def is_passing(path: Path) -> bool:
    """Tell whether something is, or lies in, a folder that is yet to get its name."""
    return any(LEFTOVER.fullmatch(part) for part in path.parts)
