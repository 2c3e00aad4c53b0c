"""Errors that a user can act on; everything else is a bug and may show a traceback."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class UntrainError(Exception):
    """A failure with a message for the user; the command line exits with ``exit_code``."""

    exit_code = 1


class InputError(UntrainError):
    """The user's data, configuration or arguments are wrong: what was found, expected, to do."""

    exit_code = 2


class Damaged(InputError, ValueError):
    """A file of untrain's own is not as it was written: cut, overwritten, or of other content.

    A `ValueError` too, as all that is wrong with a file's content is for code that can go on
    without it.
    """


AGAIN = "run the same command again"
FAULTS = {
    errno.ENOSPC: f"the disk is full: free some space{{at}} and {AGAIN}",
    errno.EDQUOT: f"the quota of disk space is used up: free some space{{at}} and {AGAIN}",
    errno.EROFS: "the file system{of} is read-only, as systems make it after an error of the disk: "
    f"see that it can be written to and {AGAIN}",
    errno.EIO: "the disk{of} reports an input/output error: see whether it and the connection to "
    f"it are well and {AGAIN}",
    errno.ESTALE: "the network file system{of} has lost an open file: see whether its server is "
    f"well and {AGAIN}",
    errno.EFBIG: "a file{of} may not become as large as it must: raise the limit (ulimit -f) or "
    f"choose another file system, and {AGAIN}",
    errno.ENOLCK: "the file system{of} cannot lock files, as some network file systems cannot: "
    f"choose one that can (--runs for runs, UNTRAIN_CACHE for the cache), and {AGAIN}",
    errno.EMFILE: f"too many files are open: raise the limit (ulimit -n) and {AGAIN}",
    errno.ENFILE: f"too many files are open on this machine: close some programs and {AGAIN}",
    errno.ENOMEM: "out of memory: close other programs or ask for less at once (fewer workers, "
    f"smaller pictures or models), and {AGAIN}",
}
"""What a machine may lack, by the error number of the system: what it is and what to do."""
MEMORY = ("DefaultCPUAllocator", "CUDA out of memory", "Unable to allocate", "bad_alloc")
"""In what libraries say when there is no memory, with types of errors of their own."""


def fault_number(error: BaseException) -> int | None:
    """Return which of `FAULTS` of the machine is behind a failure, whichever library reports it."""
    found = getattr(error, "errno", None)
    text = str(error)
    if not isinstance(found, int) and (told := re.search(r"(?:os error|[Ee]rrno) (\d+)\b", text)):
        found = int(told[1])
    if found in FAULTS:
        return found
    if isinstance(error, MemoryError) or any(words in text for words in MEMORY):
        return errno.ENOMEM
    return errno.ENOSPC if "No space left on device" in text else None


def machine_fault(error: BaseException, place: Path | str | None = None) -> str | None:
    """Return what is wrong with the machine and what to do, if that is behind a failure.

    Parameters
    ----------
    error : BaseException
    place : Path or str, optional
        What was written to.
    """
    number = fault_number(error)
    if number is None or isinstance(error, UntrainError):
        return None
    if place is None:
        return FAULTS[number].format(at="", of="")
    return FAULTS[number].format(at=f" where {place} is", of=f" of {place}")


def is_disk_full(error: BaseException) -> bool:
    """Tell whether a failure is for want of disk space, whichever library reports it."""
    return fault_number(error) == errno.ENOSPC


@contextmanager
def machine_faults_told(place: Path) -> Iterator[None]:
    """Turn faults of the machine (`FAULTS`), met while writing to ``place``, into messages.

    Raises
    ------
    UntrainError
        With what to do.
    """
    try:
        yield
    except Exception as error:
        name = getattr(error, "filename", None)
        if isinstance(name, str) and not Path(name).absolute().is_relative_to(place.absolute()):
            place = Path(name).parent  # the cache, for example
        if told := machine_fault(error, place):
            raise UntrainError(f"{told}; what is done is kept") from error
        raise


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another, whatever the case; None if none is."""
    folded = {each.casefold(): each for each in sorted(known)}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` — did you mean 'x'?`` for a close known name, else a list of the known ones."""
    known = sorted(known)
    if close := closest(name, known):
        return f" — did you mean '{close}'?"
    return f"; known: {', '.join(known)}"
