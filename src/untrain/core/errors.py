"""Errors that a user can act on; everything else is a bug and may show a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from errno import ENOSPC


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


def damaged(path: object, fault: object) -> Damaged:
    """Return the error of a damaged file, with what makes it again."""
    words = str(fault).strip().splitlines()
    return Damaged(
        f"{path} is damaged ({words[0] if words else type(fault).__name__}). What belongs to a run "
        "is made again if you delete the file, or the folder of the model that it is in, and give "
        "`untrain run` the run's config.yaml; what belongs to the cache, by itself"
    )


def is_disk_full(error: BaseException) -> bool:
    """Tell whether a failure is for want of disk space, whichever library reports it."""
    return getattr(error, "errno", None) == ENOSPC or "No space left on device" in str(error)


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
