"""Processes beside this one: they end with it, and have no more memory than they need."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait

from untrain.core.outside import read_text


def end_with_parent() -> None:
    """Have this process end when the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watching the parent").start()


def confine(more: int, files: int = 64) -> None:
    """Take from this process what it does not need: memory, files to write, many open files.

    Parameters
    ----------
    more : int
        Bytes of memory beyond what it has now; where the system knows no such limit, nothing
        changes.
    files : int
        That may be open at once.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, files),
    ]
    has = _virtual()
    if has is not None:
        wanted.append((resource.RLIMIT_AS, has + more))
    for what, most in wanted:
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def _virtual() -> int | None:
    """Return the bytes of addresses that this process has; None where nobody says."""
    try:
        return int(read_text("/proc/self/statm").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
