"""What processes that this one starts say on standard error: kept aside until they have ended.

One that runs out of memory says so in tracebacks of Python's, or in words of a library, before any
code of untrain's is there to put it otherwise.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

MOST = 2**16
"""Bytes of it that are read, from the end."""
NO_MEMORY = re.compile(
    "MemoryError|bad_alloc|DefaultCPUAllocator|[Cc]annot allocate memory|[Uu]nable to allocate|"
    "failed to map segment|can't start new thread|[Tt]hread creation failed|pthread_create failed"
)
"""In what Python, the linker and libraries say where a process gets no more memory."""


@contextmanager
def kept_aside() -> Iterator[BinaryIO]:
    """Yield the file for `heard_in` and `words_of`, which is gone after the block."""
    with tempfile.TemporaryFile() as file:
        yield file


@contextmanager
def heard_in(file: BinaryIO) -> Iterator[None]:
    """Have processes that are started in the block write to a file what they say."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def words_of(file: BinaryIO) -> str:
    """Return what was said."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MOST))
    return file.read().decode(errors="replace").strip()
