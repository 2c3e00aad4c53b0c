"""Files and folders that are written whole or not at all.

Everything is written under a temporary name and renamed, so that a kill at any moment leaves
either the old content or the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, ENOTEMPTY
from pathlib import Path

from untrain.core import disk, manifest
from untrain.core.marks import beside, is_leftover, is_passing, mark, refuse_foreign
from untrain.core.targets import check_file_target


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
    durable = not is_passing(target)  # what is in a folder that has no name yet is when it gets it
    disk.make_folder(target.parent, durable)
    temporary = beside(target)
    try:
        yield temporary
        with manifest.noted(target, temporary):
            disk.publish(temporary, target, durable)
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
        ``path`` is anything else; this is checked before the block begins and again after it. What
        is left of a folder that was written here once is replaced, if nothing else is in it.
    """
    partial = manifest.is_partial(path)
    if not partial:
        refuse_foreign(path)
    disk.make_folder(path.parent)
    temporary = beside(path)
    disk.make_new_folder(temporary)
    try:
        yield temporary
        if marked:
            mark(temporary, checksums=not is_passing(path))
        if partial:
            _discard_rest(path, temporary)
        _publish(temporary, path)
    finally:
        _tidy(temporary)


def _publish(temporary: Path, path: Path) -> None:
    """Rename a folder into place; of processes that write the same one the last wins."""
    for attempts_left in reversed(range(10)):
        discard_folder(path)
        try:
            with manifest.noted(path, temporary):
                disk.publish(temporary, path, durable=not is_passing(path))
        except OSError as error:
            if error.errno not in (ENOTEMPTY, EEXIST) or not attempts_left:
                raise
        else:
            return


def discard_folder(path: Path) -> None:
    """Delete a folder that `atomic_folder` wrote, or an empty one; of none there is nothing to do.

    Raises
    ------
    InputError
        It is something else, a link, or holds anything that untrain did not write.
    """
    refuse_foreign(path)
    aside = beside(path)
    with suppress(FileNotFoundError):  # another process was quicker
        disk.move(path, aside)  # at once, so that nobody finds half of it
        manifest.note_gone(path)
        disk.delete(aside)


def _discard_rest(path: Path, temporary: Path) -> None:
    """Delete what is left of a folder that somebody deleted, if all of it is replaced now."""
    names = [each.relative_to(path) for each in path.rglob("*")]
    if all((temporary / name).exists() for name in names):
        disk.delete(path)
        manifest.note_gone(path)


def _tidy(temporary: Path) -> None:
    """Discard what a block wrote and did not come to its end."""
    disk.delete(temporary)


def discard_leftovers(folder: Path) -> None:
    """Discard what untrain was writing below ``folder`` when a process was killed.

    Such files and folders are known by their names (`LEFTOVER`); all others stay.
    """
    for path in list(folder.rglob(".*.untrain-tmp")):
        if is_leftover(path):
            disk.delete(path)
