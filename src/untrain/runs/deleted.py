"""A run whose files somebody deletes while it is at work: what is said, and what is left of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from untrain.core import disk
from untrain.core.errors import UntrainError, fault_number
from untrain.core.manifest import NAME as CHECKSUMS
from untrain.core.manifest import lost_from, recorded
from untrain.core.marks import JUNK, MARKER
from untrain.core.verifying import is_inside
from untrain.runs.find import LOCK, RECORD

OURS = {LOCK, "log.txt", CHECKSUMS}
"""What comes to be in a folder by a run that has nothing to go on with."""


class Deletions:
    """A block in which files of a run may be deleted, which is told if that is why it fails.

    What a deletion leads to need not say so: besides files that are not found there are folders
    that are not empty, tables without a row, libraries with errors of their own. So whatever is
    no message and no fault of the machine is taken for one, if something is gone indeed.

    Of a folder that was deleted nothing is left that a run in it would be refused for: it is
    deleted again if the log is all that came since, else it has its record again.

    Parameters
    ----------
    folder : Path
        Of a run.
    begun : callable
        Whether the run has had a record.
    forget : callable
        Write the record, without what may have been made of what was missing.

    Raises
    ------
    UntrainError
        With what is gone, and what to do.
    """

    def __init__(self, folder: Path, begun: Callable[[], bool], forget: Callable[[], None]) -> None:
        self.folder = folder
        self._begun, self._forget = begun, forget
        self._told = False

    def __enter__(self) -> Deletions:
        lost_from(self.folder)  # of an earlier run in this process
        self._before = set(_missing(self.folder))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._begun():
            return
        try:
            if error is not None and not self._told:
                self._tell(error)
        finally:
            if not (self.folder / RECORD).exists():
                with suppress(OSError):
                    self._tidy()

    def check(self) -> None:
        """Tell of what was deleted up to now, although nothing has failed.

        A page is made of what there is, for example.
        """
        if gone := self._folder_gone() or self._file_gone():
            self._begin_again()
            self._told = True
            raise _message(gone, self.folder)

    def _tell(self, error: BaseException) -> None:
        lost = self._folder_gone()
        stopped = not isinstance(error, Exception)  # in the middle of a replacement, it may be
        if gone := lost or (None if stopped else self._file_gone()):
            self._begin_again()
        if not isinstance(error, Exception) or fault_number(error) is not None:
            return
        if isinstance(error, UntrainError) and not lost:
            if gone:  # which may be why
                error.args = (f"{error}\n{_message(gone, self.folder)}",)
            return
        if found := gone or self._wanted(error):
            raise _message(found, self.folder) from error

    def _begin_again(self) -> None:
        if (self.folder / RECORD).exists():  # else it is put back at the end
            with suppress(OSError):
                self._forget()

    def _folder_gone(self) -> Path | None:
        """Return the folder if it was deleted, be it that the run has begun it anew since.

        What was left half of it is deleted as well.
        """
        lost = lost_from(self.folder)
        if lost is None and (self.folder / RECORD).exists():
            return None
        for name in {*(lost or ()), *recorded(self.folder)}:
            inside = self.folder / name
            # A folder that got its name while it was being deleted is what is left of one.
            gone = inside.name == MARKER and not inside.exists() and inside.parent != self.folder
            if gone and is_inside(inside.parent, self.folder) and is_inside(inside, self.folder):
                disk.delete(inside.parent)
        return self.folder

    def _file_gone(self) -> Path | None:
        name = next((name for name in _missing(self.folder) if name not in self._before), None)
        return self.folder / name if name else None

    def _wanted(self, error: Exception) -> Path | None:
        """Return what was not found, be it something that was not finished."""
        if isinstance(error, FileNotFoundError):
            for each in (error.filename, error.filename2):
                inside = isinstance(each, str | Path) and Path(each).absolute().is_relative_to(
                    self.folder.absolute()
                )
                if inside:
                    return Path(each)
        return None

    def _tidy(self) -> None:
        inside = {path.name for path in self.folder.iterdir()} - JUNK
        if inside - OURS:
            self._forget()
            return
        for name in inside - {LOCK}:
            disk.delete_file(self.folder / name)


def _message(gone: Path, folder: Path) -> UntrainError:
    name = f"the folder {gone}" if gone == folder else f"{gone}"
    return UntrainError(
        f"{name} was deleted while the run was at work: run the same command again, which makes "
        "what is missing again"
    )


def _missing(folder: Path) -> Iterator[str]:
    return (name for name in recorded(folder) if not (folder / name).exists())
