"""What untrain wrote, told from what others did: the marker of a folder, the names of temporaries.

Nothing that untrain did not write is ever replaced or deleted: a file takes the place of a file or
of nothing, and a folder that of an empty one or of one whose list of files (`MARKER`) has all that
is in it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from untrain.core import disk
from untrain.core.errors import InputError
from untrain.core.outside import open_regular, parse_json, read_text
from untrain.core.text import json_text

MARKER = ".untrain"
"""In every folder that `atomic_folder` wrote: JSON with the names of all that was in it."""
LEFTOVER = re.compile(r"\..*\.\d+\.[0-9a-f]{8}\.untrain-tmp")
JUNK = {MARKER, ".DS_Store", "Thumbs.db", "desktop.ini"}
"""What may lie in a folder beside the files on its list: file managers leave these behind."""
LOOKS, TICK = 4, 0.02
"""How often a folder is looked at before it is refused, and seconds between: longer than a tick."""


def mark(folder: Path, names: Iterable[str] = (), checksums: bool = False) -> None:
    """Write the `MARKER` of a folder: all that is in it, and ``names``, count as untrain's.

    With ``checksums`` it holds the SHA-256 of each file, of what will not change any more.
    """
    data = marker_of(folder, names, checksums)
    # Renamed, not written in place: it may be a hard link to the marker of another run's folder.
    temporary = beside(folder / MARKER)
    try:
        disk.write_bytes(temporary, data)
        disk.publish(temporary, folder / MARKER, durable=not is_passing(folder))
    finally:
        disk.delete_file(temporary)


def marker_of(folder: Path, names: Iterable[str] = (), checksums: bool = True) -> bytes:
    """Return what `mark` writes: it follows from what is in the folder."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    found = {n: path for n, path in found.items() if n != MARKER and not is_passing(Path(n))}
    content: dict[str, Any] = {"written_by": "untrain", "files": sorted({*found, *names})}
    if checksums:
        content["sha256"] = {n: digest_of(p) for n, p in sorted(found.items()) if p.is_file()}
    return json_text(content).encode()


def digest_of(path: Path | str) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests_in(folder: Path) -> Mapping[str, str]:
    """Return the SHA-256 of each file that a marked folder was written with, by name.

    None if there is no marker, or one without checksums, as of earlier versions.
    """
    try:
        state = (folder / MARKER).stat()
    except OSError:
        return {}
    key = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    known = _read.get(folder)
    if known is None or known[0] != key:
        content = _content(folder) or {}
        listed = content.get("sha256")
        if len(_read) >= _MOST_READ:
            _read.clear()
        inside = listed.items() if isinstance(listed, dict) else ()
        known = _read[folder] = (key, {name: sum_ for name, sum_ in inside if leads_inside(name)})
    return known[1]


def leads_inside(name: object) -> bool:
    """Tell whether a name in a record, which may be a stranger's, stays in its folder."""
    return isinstance(name, str) and not {"", ".", ".."} & set(name.split("/"))


_read: dict[Path, tuple[tuple[int, ...], dict[str, str]]] = {}
_MOST_READ = 1000


def is_marked(folder: Path, name: str = "") -> bool:
    """Tell whether `atomic_folder` or `mark` wrote a folder, whatever was added to it since.

    With ``name``, whether that is on its list too.
    """
    listed = _listed(folder)
    return listed is not None and (not name or name in listed)


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
    for _ in range(LOOKS):
        before = _state(path)
        foreign = _foreign(path)
        while before != (now := _state(path)):  # another process replaced it while this one looked
            before, foreign = now, _foreign(path)
        if not foreign:
            return
        time.sleep(TICK)  # a folder that replaced it within one may have its number and its time
    else:
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
    content = _content(folder)
    return None if content is None else frozenset(content["files"])


def _content(folder: Path) -> dict[str, Any] | None:
    """Return what the marker of a folder says; None if there is none."""
    try:
        content = parse_json(read_text(folder / MARKER, "TABLE", "utf-8"), names=True)
        if content["written_by"] == "untrain" and all(isinstance(n, str) for n in content["files"]):
            return dict(content)
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
