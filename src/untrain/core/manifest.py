"""Checksums of what untrain wrote: noted as it is written, compared when it is read.

Two records hold a SHA-256 of every file:

- the marker of a folder that was written at once (`untrain.core.marks.MARKER`) that of each file
  in it;
- ``checksums.txt`` of a run folder that of each file written below it one by one, and of the
  marker of each such folder: the checksum of this one file stands for the whole run.

What writes a file notes it (`noted`), so that no command can forget to. A line says what is about
to be written before it takes its place, and another one that it has: after a kill between the two
the file is either of them, and both are whole. Nothing is rewritten, and each line has a checksum
of its own: one that is cut or damaged is passed over. Where nothing was recorded, as in folders
of earlier versions, nothing is checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from untrain.core import commands, disk
from untrain.core.errors import Damaged
from untrain.core.marks import (
    MARKER,
    beside,
    digest_of,
    digests_in,
    is_passing,
    leads_inside,
    marker_of,
)
from untrain.core.outside import open_regular

NAME = "checksums.txt"
RECORD = "run.json"
"""What makes a folder that of a run: what is written below it is noted there."""
UNCHECKED = {NAME, "log.txt", ".lock"}
"""What grows while a run works, or holds nothing."""
DEEPEST = 6
"""Levels below the folder of a run that files of it may lie."""
COMING, WRITTEN, GONE = "?", "=", "-"
MOST_KNOWN = 100_000
MOST_LOGS = 100

_logs: dict[Path, _Log] = {}
_lost: dict[Path, set[str]] = {}
_known: dict[str, tuple[tuple[int, ...], frozenset[str]]] = {}


@dataclass
class _Log:
    """What ``checksums.txt`` of a folder says, read as far as it goes."""

    path: Path
    written: dict[str, str] = field(default_factory=dict)
    coming: dict[str, str] = field(default_factory=dict)
    made: dict[str, list[commands.Words]] = field(default_factory=dict)
    broken: int = 0
    _state: tuple[int, ...] = (0, 0, 0)
    _end: int = 0
    _last: bytes = b""

    def refresh(self) -> bool:
        """Read what was added; False if there is no such file."""
        try:
            state = os.stat(self.path)  # noqa: PTH116 - asked for every file that is opened
        except OSError:
            return False
        if (now := (state.st_ino, state.st_size, state.st_mtime_ns)) == self._state:
            return True
        try:
            file = open_regular(self.path)
        except FileNotFoundError:  # deleted in this moment
            return False
        with file:
            file.seek(self._end - len(self._last))
            if now[0] != self._state[0] or file.read(len(self._last)) != self._last:
                # Another file, be it of the same number, which systems use again.
                if self._end:
                    self.lose()
                self.written, self.coming, self.made, self.broken = {}, {}, {}, 0
                self._end, self._last = 0, b""
            file.seek(self._end)
            added = file.read()
        whole = added.rfind(b"\n") + 1
        lines = added[:whole].splitlines(keepends=True)
        for line in lines:
            self._take(line)
        self._state, self._end = now, self._end + whole
        self._last = lines[-1] if lines else self._last
        return True

    def _take(self, line: bytes) -> None:
        sum_, _, words = line.rstrip(b"\n").partition(b" ")
        try:
            if int(sum_, 16) != zlib.crc32(words):
                raise ValueError
            state, digest, name, *made = json.loads(words)
            if not leads_inside(name):
                raise ValueError
        except ValueError:
            self.broken += bool(line.strip())
            return
        if state == COMING:
            self.coming[name] = digest
            return
        self.coming.pop(name, None)
        self.written.pop(name, None)
        if name.endswith(f"/{MARKER}"):  # the folder was replaced, and all that was in it
            inside = name.removesuffix(MARKER)
            for known in (self.written, self.coming):
                for each in [each for each in known if each.startswith(inside)]:
                    del known[each]
        if state == WRITTEN:
            self.written[name] = digest
            # What a stage wrote anew is that of the stage.
            self.made[name] = commands.remembered(self.made.get(name, ()), made[0]) if made else []

    def lose(self) -> None:
        """Note that it is gone, and of what it was."""
        _lost.setdefault(self.path.parent, set()).update(self.written, self.coming)

    def digests(self, name: str) -> frozenset[str]:
        """Return the checksums that a file may have; none if nothing was recorded."""
        found = (self.written.get(name), self.coming.get(name))
        return frozenset(each for each in found if each)


def begin(folder: Path) -> None:
    """Note from now on what is written below a folder that is none of a run."""
    if _log(_absolute(folder)) is None:
        disk.append_line(folder / NAME, b"")


@contextmanager
def noted(target: Path, temporary: Path) -> Iterator[None]:
    """Note that a file or a marked folder takes the place of ``target`` in the block."""
    target, name = _absolute(target), ""
    root = None if target.name in UNCHECKED or is_passing(target) else root_of(target)
    if root is None:
        yield
        return
    content = temporary
    name = target.relative_to(root).as_posix()
    if temporary.is_dir():
        content, name = temporary / MARKER, f"{name}/{MARKER}"
        if not content.is_file():  # an export, which is the user's from now on
            yield
            return
    digest = digest_of(content)
    _add(root, COMING, digest, name)
    yield
    with suppress(OSError):  # what was about to be is known
        _add(root, WRITTEN, digest, name)
    with suppress(OSError):
        _remember(root / name, frozenset([digest]))


def note_gone(target: Path) -> None:
    """Note that untrain deleted a file, or a folder that it had written."""
    target = _absolute(target)
    if is_passing(target) or (root := root_of(target)) is None:
        return
    log, name = _log(root), target.relative_to(root).as_posix()
    for each in (name, f"{name}/{MARKER}"):
        if log is not None and log.digests(each):
            _add(root, GONE, "", each)


def expected(path: Path) -> frozenset[str]:
    """Return the checksums that a file may have; none if nothing was recorded.

    There are two while it is being replaced.
    """
    path = _absolute(path)
    if path.name in UNCHECKED:
        return frozenset()
    marked: frozenset[str] = frozenset()
    for folder in list(path.parents)[:DEEPEST]:
        name = path.relative_to(folder).as_posix()
        if log := _log(folder):
            return log.digests(name) or marked
        if not marked and (found := digests_in(folder).get(name)):
            marked = frozenset([found])
        if (folder / RECORD).is_file():
            break
    return marked


def check(path: Path) -> None:
    """Raise `Damaged` if a file is not what was written; once for a state that it is in."""
    for last in (False, True):  # it may be replaced while this looks
        wanted = expected(path)
        if not wanted:
            return
        state = _state(path)
        if _known.get(str(_absolute(path))) == (state, wanted):
            return
        if digest_of(path) in wanted:
            _remember(path, wanted, state)
            return
        if last:
            raise not_as_written(path, "its checksum is not that of what was written")


def check_folder(folder: Path) -> None:
    """Raise `Damaged` if a file in a marked folder is missing or not what was written."""
    for name in digests_in(folder):
        path = folder / name
        if not path.is_file():
            raise not_as_written(path, "it is missing")
        check(path)


def is_partial(folder: Path) -> bool:
    """Tell whether a folder lacks the list of its files that it was written with: it was deleted.

    What is in it may be what is left, or somebody else's.
    """
    marker = folder / MARKER
    return (
        folder.is_dir()
        and not folder.is_symlink()
        and not marker.exists()
        and bool(expected(marker))
    )


def is_whole(folder: Path) -> bool:
    """Tell whether all of a marked folder is as it was written, as far as that was recorded.

    A marker that is damaged itself is put back if all else is whole: it follows from that.
    """
    marker = folder / MARKER
    try:
        check(marker)
    except (FileNotFoundError, Damaged):
        data = marker_of(folder)
        if hashlib.sha256(data).hexdigest() not in expected(marker):
            return False
        temporary = beside(marker)
        disk.write_bytes(temporary, data)
        disk.publish(temporary, marker)
    try:
        check_folder(folder)
    except (OSError, Damaged):
        return False
    return True


def not_as_written(path: Path, fault: object) -> Damaged:
    """Return the error of a damaged file of untrain's, with what makes it again."""
    words = str(fault).strip().splitlines()
    said = words[0] if words else type(fault).__name__
    return Damaged(f"{path} is damaged ({said}). {_remedy(path)}")


def _remedy(path: Path) -> str:
    path = _absolute(path)
    root = root_of(path)
    if root is None:
        by = "by itself, what belongs to a run by `untrain run` and the run's folder"
        return f"What belongs to the cache is made again {by}"
    command = command_for(root, path.relative_to(root).as_posix())
    return f"To make it again: {command}; `untrain verify {root}` checks all files"


def command_for(root: Path, name: str) -> str:
    """Return what makes a file of a folder again, for people."""
    log = _log(root)
    return commands.of_file(log.made if log else {}, name, root, (root / RECORD).is_file())


def broken_lines(folder: Path) -> int:
    """Return how many lines of a folder's ``checksums.txt`` are damaged themselves."""
    log = _log(_absolute(folder))
    return log.broken if log else 0


def recorded(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of everything that was recorded of a folder, by name, in order."""
    log = _log(_absolute(folder))
    found = dict(log.written) if log else {}
    markers = {name for name in found if name.endswith(f"/{MARKER}")}
    if log:  # also of folders that came while there was no record: they are checked by these
        walked = (Path(here, MARKER) for here, _, names in os.walk(folder) if MARKER in names)
        others = (path.relative_to(folder) for path in walked if not is_passing(path))
        markers.update(path.as_posix() for path in others if len(path.parts) > 1)
    for start in ["", *sorted(name.removesuffix(MARKER) for name in markers)]:
        for name, digest in digests_in(folder / start).items():
            found.setdefault(f"{start}{name}", digest)
    for name, digest in log.coming.items() if log else ():  # only its second line was not written
        if (folder / name).is_file():
            found.setdefault(name, digest)
    return dict(sorted(found.items()))


def lost_from(folder: Path) -> frozenset[str] | None:
    """Return what ``checksums.txt`` of a folder had, if it was deleted while this process knew it.

    That is so too where a new one was begun since. Each call asks about the time since the last.
    """
    folder = _absolute(folder)
    _log(folder)
    return frozenset(_lost.pop(folder)) if folder in _lost else None


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are


def root_of(path: Path) -> Path | None:
    """Return the folder whose record has what is written at a path."""
    if path.name == RECORD:
        return path.parent
    for folder in list(path.parents)[:DEEPEST]:
        if (folder / RECORD).is_file() or (folder / NAME).is_file():
            return folder
    return None


def _log(folder: Path) -> _Log | None:
    log = _logs.get(folder) or _Log(folder / NAME)
    if not log.refresh():
        if folder in _logs:
            _logs.pop(folder).lose()
        return None
    if folder not in _logs and len(_logs) >= MOST_LOGS:
        _logs.clear()
    _logs[folder] = log
    return log


def _add(root: Path, state: str, digest: str, name: str) -> None:
    line: list[Any] = [state, digest, name]
    if state == WRITTEN and (made := commands.noted()):
        line.append(made)
    words = json.dumps(line).encode()
    disk.append_line(root / NAME, b"%08x %s\n" % (zlib.crc32(words), words))
    _log(root)  # is it the file that it was?


def _state(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _remember(path: Path, wanted: frozenset[str], state: tuple[int, ...] | None = None) -> None:
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[str(_absolute(path))] = (state or _state(path), wanted)
