"""The few calls that change a disk: whatever untrain writes, renames or deletes goes through here.

What is renamed into place is on the disk before its new name is (``fsync`` of the file, the rename,
``fsync`` of its folder), so that after a power failure too there is either the old content or the
new one. ``UNTRAIN_FSYNC=0`` leaves the time to the system, usually within half a minute: a killed
process loses nothing then either, a machine that lost its power may.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

VARIABLE = "UNTRAIN_FSYNC"
UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems say that know no ``fsync`` of a file or a folder."""

NO_RENAMES = {errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What those say that cannot rename, or not folders: some of object stores, some of containers."""


def is_durable() -> bool:
    """Tell whether what is written must be on the disk before it counts."""
    return os.environ.get(VARIABLE, "1").strip().lower() not in ("0", "false", "no", "off")


def publish(temporary: Path, target: Path, durable: bool = True) -> None:
    """Rename a file, or a folder with all that is in it, onto ``target``.

    Parameters
    ----------
    temporary, target : Path
        In one folder.
    durable : bool
        See all of it on the disk, before and after. What goes into a folder that is itself yet to
        be published need not be.

    Raises
    ------
    OSError
        As ``os.replace``: a folder takes the place of nothing, or of an empty one. Also where the
        file system cannot do it.
    """
    durable = durable and is_durable()
    if durable:
        for path in _inside(temporary):
            _sync(path)
    try:
        temporary.replace(target)
    except OSError as error:
        if error.errno not in NO_RENAMES:
            raise
        raise OSError(
            error.errno,
            f"the file system of {target.parent} cannot rename ({error.strerror}), without which "
            "nothing there is written whole or not at all: choose another place",
        ) from error
    if durable:
        _sync(target.parent)


def make_folder(path: Path, durable: bool = True) -> None:
    """Make a folder and those above it, where they are missing; ``durable`` as in `publish`."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    if durable and is_durable():
        for each in missing:
            _sync(each.parent)


def make_new_folder(path: Path) -> None:
    """Make a folder; `FileExistsError` if anything is there."""
    path.mkdir()


def move(path: Path, target: Path) -> None:
    """Give something another name; it need not last."""
    path.rename(target)


def take_place(path: Path, target: Path) -> None:
    """Rename a file onto another one, whose mode it gets; it need not last."""
    with suppress(OSError):  # where files have none
        path.chmod(target.stat().st_mode)
    path.replace(target)


def delete_file(path: Path) -> None:
    """Delete a file; of none there is nothing to do."""
    path.unlink(missing_ok=True)


def delete_empty(folder: Path) -> None:
    """Delete a folder; `OSError` if anything is in it."""
    folder.rmdir()


def delete(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file under a temporary name, or in a folder that is yet to be published."""
    path.write_bytes(data)


def open_new(path: Path) -> BinaryIO:
    """Open a file for writing that is not there yet."""
    return path.open("xb")


def copy_file(source: Path, target: Path) -> None:
    """Copy the content of a file to where there is none, or to a file that may be replaced."""
    shutil.copyfile(source, target)


def copy_folder(source: Path, target: Path, without: str = "", linked: bool = False) -> None:
    """Copy a folder into one that is there or not.

    Parameters
    ----------
    source, target : Path
    without : str
        A pattern of names that are left out.
    linked : bool
        Give files a second name instead of copying them, where the file system can.
    """
    shutil.copytree(
        source,
        target,
        ignore=shutil.ignore_patterns(without) if without else None,
        copy_function=_link_or_copy if linked else shutil.copy2,
        dirs_exist_ok=True,
    )


def link(source: Path, target: Path) -> None:
    """Give a file a second name; `OSError` where there are no links."""
    target.hardlink_to(source)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def append_at(path: Path, start: int, data: bytes | memoryview) -> None:
    """Write ``data`` at byte ``start``, in place of whatever is there, and see it on the disk."""
    with path.open("ab") as file:
        file.truncate(start)
        file.write(data)
        file.flush()
        if is_durable():
            os.fsync(file.fileno())


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file in one go, after what a kill may have left of another one."""
    with path.open("ab+") as file:
        if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            line = b"\n" + line
        file.write(line)


def write_at(path: Path, start: int, data: bytes) -> None:
    """Write ``data`` over what a file holds at byte ``start``, and see it on the disk."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)
        file.flush()
        if is_durable():
            os.fsync(file.fileno())


def mark_used(path: Path) -> None:
    """Set the time of a file to now; it may be gone, or another user's."""
    with suppress(OSError):
        os.utime(path)


def _inside(path: Path) -> Iterator[Path]:
    """Yield a file; of a folder all files and folders in it, and then itself."""
    if path.is_dir():
        for folder, _, names in os.walk(path, topdown=False):
            yield from (Path(folder, name) for name in names)
            yield Path(folder)
    else:
        yield path


def _sync(path: Path) -> None:
    """Wait until a file, or the list of what is in a folder, is on the disk."""
    folder = path.is_dir()
    if path.is_symlink() or (folder and os.name == "nt"):  # folders cannot be opened there
        return
    writing = os.O_RDWR if os.name == "nt" else os.O_RDONLY
    try:
        number = os.open(path, writing | getattr(os, "O_CLOEXEC", 0))
    except PermissionError:
        if folder:  # one that may be written to and not be read
            return
        raise
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(number)
