"""All files of a folder held against what was recorded of them (`untrain.core.manifest`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from untrain.core import disk
from untrain.core.atomic import discard_folder
from untrain.core.errors import Damaged
from untrain.core.manifest import (
    UNCHECKED,
    broken_lines,
    check,
    is_whole,
    note_gone,
    recorded,
    root_of,
)
from untrain.core.marks import MARKER, is_marked, is_passing
from untrain.core.printing import escape
from untrain.core.progress import console


@dataclass(frozen=True)
class Verified:
    """What was found of the files of a folder.

    Attributes
    ----------
    folder : Path
    whole : int
        Files whose checksum is that of what was written.
    size : int
        Bytes of these.
    damaged, missing : tuple of str
        Files that are not what was written, and recorded ones that are not there.
    unrecorded : tuple of str
        Files of which nothing was recorded: of earlier versions of untrain, or somebody else's.
    broken : int
        Lines of ``checksums.txt`` that are damaged themselves.
    """

    folder: Path
    whole: int
    size: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    unrecorded: tuple[str, ...]
    broken: int

    @property
    def passed(self) -> bool:
        """Whether all that was recorded is as it was written."""
        return not (self.damaged or self.missing or self.broken)

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can hold."""
        lists = {name: list(getattr(self, name)) for name in ("damaged", "missing", "unrecorded")}
        counts = {"whole": self.whole, "bytes": self.size, "broken_lines": self.broken}
        return {"folder": str(self.folder), "passed": self.passed, **counts, **lists}


def verify(folder: Path) -> Verified:
    """Compare every file of a folder with what was recorded; nothing is changed.

    Parameters
    ----------
    folder : Path
        Of a run, or any other that untrain wrote.
    """
    known = recorded(folder)
    damaged, missing, unrecorded, whole, size = [], [], [], 0, 0
    for name in known:
        if not (folder / name).is_file():
            missing.append(name)
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in known:
            if path.name not in (*UNCHECKED, MARKER):
                unrecorded.append(name)
            continue
        try:
            check(path)
            whole, size = whole + 1, size + path.stat().st_size
        except FileNotFoundError:
            missing.append(name)
        except (OSError, Damaged):
            damaged.append(name)
    lists = tuple(damaged), tuple(missing), tuple(unrecorded)
    return Verified(folder, whole, size, *lists, broken_lines(folder))


def recorded_below(root: Path, places: Iterable[str]) -> dict[str, str]:
    """Return what `recorded` does, of some files and folders of a run, by their names in it."""
    wanted = tuple(places)
    return {
        name: digest
        for name, digest in recorded(root).items()
        if any(name == place or name.startswith(f"{place}/") for place in wanted)
    }


def faults_below(root: Path, places: Iterable[str]) -> dict[str, str]:
    """Return what is damaged or missing of files and folders of a run, and which of the two."""
    found = {}
    for name in recorded_below(root, places):
        if not is_inside(root / name, root):
            continue
        try:
            check(root / name)
        except FileNotFoundError:
            found[name] = "missing"
        except (OSError, Damaged):
            found[name] = "damaged"
    return found


def is_inside(path: Path, root: Path) -> bool:
    """Tell whether what is recorded of a folder is in it: a link of a stranger's leads elsewhere.

    Such files are none of untrain's, and nothing may be done to them.
    """
    return path.parent.resolve().is_relative_to(root.resolve())


def clear(place: Path) -> list[str]:
    """Delete what is damaged below a folder of untrain's, so that it counts as not made yet.

    A folder that was written at once goes with all that is in it. What is deleted is told, and its
    names returned. Nobody else must be writing there.
    """
    root = root_of(place / MARKER)
    if root is None and is_marked(place) and not is_whole(place):
        discard_folder(place)
    if root is None or not place.is_dir():
        return []
    within = place.resolve().relative_to(root.resolve()).as_posix()
    inside = [name for name in recorded(root) if within == "." or name.startswith(f"{within}/")]
    gone = []
    for name in inside:
        path = root / name
        if not is_inside(path, root) or not path.parent.is_dir():
            continue
        if path.name == MARKER:
            is_whole(path.parent)  # which puts the marker back
        try:
            check(path)
        except (OSError, Damaged):
            marked = next((p for p in path.parents if p != root and is_marked(p)), None)
            if marked and marked.is_relative_to(root):
                discard_folder(marked)
            elif path.exists():
                disk.delete_file(path)
                note_gone(path)
            else:
                continue
            gone.append(name)
            console.print(f"[yellow]{escape(name)} is damaged[/]: it is made again", soft_wrap=True)
    return gone


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if not is_passing(path) and path.is_file():
            yield path
