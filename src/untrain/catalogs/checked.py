"""Images that were read and found good before, so that of a catalogue that grew only the new ones
are decoded.

Nothing is taken from the listing of before: the formats read their tables and folders as they are
now. They only ask, by what can be told of an image without opening it (its *stamp*), for the hash
of its content. Another size or time of a file, or another checksum in a zip, is another stamp, and
the image is read and hashed again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import numpy as np

from untrain.core.cache import cache_folder
from untrain.core.digests import WORDS, digests_of, digests_of_texts
from untrain.core.files import fingerprint
from untrain.core.growing import GrowingTable

VERSION = 1  # raise it when what counts as a good image changes
PENDING = 16_384  # images whose checks are written at a time: what a kill can lose


class Checked:
    """From the stamps of images to the hashes of their content, kept in the cache.

    Parameters
    ----------
    place : str
        The folder that the images lie in or under; each has a table of its own.
    """

    def __init__(self, place: str) -> None:
        self._table = GrowingTable(
            cache_folder("checks", fingerprint(VERSION, place)),
            {"contents": ("uint64", WORDS)},
            {"version": VERSION},
            lambda: {"description": f"checks of the images in {place}"},
        )
        self._pending: dict[str, str] = {}

    def known(self, stamps: Sequence[str]) -> list[str]:
        """Return the SHA-256 of each image's content, hexadecimal; empty where it is not known."""
        with suppress(OSError, ValueError):
            rows = self._table.find(digests_of_texts(stamps))
            found = [""] * len(stamps)
            there = np.flatnonzero(rows >= 0)
            if there.size:
                contents = self._table.column("contents")[rows[there]]
                for at, content in zip(there.tolist(), contents, strict=True):
                    found[at] = content.tobytes().hex()
            return found
        return [""] * len(stamps)  # a cache that cannot be read costs time, nothing else

    def note(self, stamps: Sequence[str], contents: Sequence[str]) -> None:
        """Take down images that were found good; what has no stamp is passed over."""
        self._pending |= {s: c for s, c in zip(stamps, contents, strict=True) if s}
        if len(self._pending) >= PENDING:
            self.write()

    def write(self) -> None:
        """Write what was taken down to the disk."""
        pending, self._pending = self._pending, {}
        if pending:
            with suppress(OSError):
                contents = digests_of(list(pending.values()))
                self._table.add(digests_of_texts(pending), {"contents": contents})


_CURRENT: ContextVar[Checked | None] = ContextVar("checked", default=None)


@contextmanager
def remembering(place: str) -> Iterator[None]:
    """Let the formats that are read inside ask for checks of before, and keep theirs.

    A variable of the context and no argument, because between here and the check of an image lie
    all formats, which have nothing to do with it.
    """
    checked = Checked(place)
    token = _CURRENT.set(checked)
    try:
        yield
    finally:  # also of what is cut short: it goes on where it stopped
        _CURRENT.reset(token)
        checked.write()


def known(stamps: Sequence[str]) -> list[str]:
    """Return what `Checked.known` does; nothing is known outside of `remembering`."""
    checked = _CURRENT.get()
    return [""] * len(stamps) if checked is None else checked.known(stamps)


def note(stamps: Sequence[str], contents: Sequence[str]) -> None:
    """Do what `Checked.note` does; nothing outside of `remembering`."""
    checked = _CURRENT.get()
    if checked is not None:
        checked.note(stamps, contents)


def stamp_of(path: Path | str) -> str:
    """Return the stamp of a file: name, size, and times of content and of anything about it.

    Empty if there is none that can be looked at.
    """
    try:
        state = os.stat(path)  # noqa: PTH116 - a Path an image is slow
    except (OSError, ValueError):
        return ""
    return f"{path}|{state.st_size}|{state.st_mtime_ns}|{state.st_ctime_ns}"
