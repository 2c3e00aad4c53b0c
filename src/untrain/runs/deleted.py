"""A run whose files somebody deletes while it is at work: what is said, and what is left of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from untrain.core import disk
from untrain.core.errors import UntrainError
from untrain.core.manifest import NAME as CHECKSUMS
from untrain.core.manifest import recorded
from untrain.core.marks import JUNK
from untrain.runs.find import LOCK, RECORD
from untrain.runs.record import COPY

OURS = {LOCK, "log.txt", CHECKSUMS}
"""What comes to be in a folder by a run that has nothing to go on with."""


@contextmanager
def deletions_told(
    folder: Path, begun: Callable[[], bool], save: Callable[[], None]
) -> Iterator[None]:
    """Tell of files that were deleted in the block if that is why it failed.

    Of a folder that was deleted nothing is left that a run in it would be refused for: it is
    deleted again if the log is all that came since, else it has its record again.

    Parameters
    ----------
    folder : Path
        Of a run.
    begun : callable
        Whether the run has had a record.
    save : callable
        Write the record.

    Raises
    ------
    UntrainError
        With what is gone, and what to do.
    """
    before = set(_missing(folder))
    try:
        yield
    except FileNotFoundError as error:
        gone = _gone(folder, before, error.filename) if begun() else None
        if gone is None:
            raise
        raise UntrainError(
            f"{gone} was deleted while the run was at work: run the same command again, which "
            "makes what is missing again"
        ) from error
    finally:
        if begun() and not (folder / RECORD).exists():
            with suppress(OSError):
                _tidy(folder, save)


def _gone(folder: Path, before: set[str], wanted: object) -> str | None:
    """Return what is no longer there of a run; None if all is that was there.

    ``wanted`` is the file that was not found: where the folder was deleted and the run has begun
    it anew since, nothing else is known of what was in it.
    """
    if not (folder / RECORD).exists():
        return f"the folder {folder}"
    name = next((name for name in _missing(folder) if name not in before), None)
    if name is not None:
        return f"{folder / name}"
    if isinstance(wanted, str | Path) and Path(wanted).absolute().is_relative_to(folder.absolute()):
        return f"{wanted}"
    return None


def _missing(folder: Path) -> Iterator[str]:
    return (name for name in recorded(folder) if not (folder / name).exists())


def _tidy(folder: Path, save: Callable[[], None]) -> None:
    inside = {path.name for path in folder.iterdir()} - JUNK
    if COPY in inside:  # the record is put back from it
        return
    if inside - OURS:
        save()
        return
    for name in inside - {LOCK}:
        disk.delete_file(folder / name)
