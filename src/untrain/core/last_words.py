"""Last words of a process that a library may end: Ray does so where its node is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SPEAKER = "import os, sys\nif not sys.stdin.buffer.read(): os.write(2, sys.argv[1].encode())"
"""Says its words if its standard input is closed before anything came there."""


@contextmanager
def last_words(words: str) -> Iterator[None]:
    """Have something said on standard error if this process ends within the block.

    That is, without leaving it: by a signal, or by a call of C that ends processes. Another
    process waits for it, which ends with the block.
    """
    command = [sys.executable, "-I", "-S", "-c", SPEAKER, f"{words}\n"]
    try:
        # In a session of its own it outlives what Ctrl-C and closed terminals end.
        speaker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
    except OSError:  # no more processes, no Python of its own
        yield
        return
    assert speaker.stdin
    try:
        yield
    finally:
        with suppress(OSError):
            speaker.stdin.write(b"well")
            speaker.stdin.close()
        speaker.wait()
