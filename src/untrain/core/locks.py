"""Locks between processes, and what is said where the file system has none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems say that cannot lock, such as some network file systems."""


def acquire(lock: BaseFileLock, timeout: float = -1) -> None:
    """Take a lock.

    Parameters
    ----------
    lock : filelock.FileLock
    timeout : float
        Seconds to wait; for ever if it is below 0.

    Raises
    ------
    filelock.Timeout
        If another process still has it.
    OSError
        With ``errno.ENOLCK``, which `core.errors` can tell of, whatever way a file system and
        filelock have of saying that there are no locks.
    """
    try:
        lock.acquire(timeout=timeout)
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), lock.lock_file) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have a lock in the block, waiting for it as long as it takes.

    Raises
    ------
    OSError
        As `acquire`.
    """
    from filelock import FileLock  # what only reads need not wait for it

    lock = FileLock(path)
    acquire(lock)
    try:
        yield
    finally:
        lock.release()
