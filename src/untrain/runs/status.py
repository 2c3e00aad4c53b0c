"""How far a run is: read from its folder, without opening its data or loading a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from untrain.core.errors import InputError
from untrain.core.files import opened_whole, read_columns, read_yaml
from untrain.core.outside import open_regular
from untrain.runs.find import RECORD
from untrain.runs.record import read_record
from untrain.runs.stage_names import HELP_OF_GIVEN_PICTURES, STAGE_HELP

DONE, RUNNING, STOPPED, WAITING = "done", "running", "stopped", "waiting"


@dataclass(frozen=True)
class StageState:
    """A stage: ``state`` is done, running, stopped (begun, but no process runs) or waiting."""

    name: str
    state: str
    seconds: float | None


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes
    ----------
    folder : str
    running : bool
        Whether a process is running in the folder now.
    stages : tuple of StageState
        All, in order.
    next : str or None
        The first stage that is not done.
    models, models_wanted : int or None
        Models trained so far, A and the paired ones, and of how many; None if unknown.
    bank : int
        Models of the bank of random subsets.
    quality : dict or None
        What the quality gate found of the generated pictures, if it was asked.
    warnings : tuple of str
    last : str or None
        The last line of the log.
    """

    folder: str
    running: bool
    stages: tuple[StageState, ...]
    next: str | None
    models: int
    models_wanted: int | None
    bank: int
    quality: dict[str, Any] | None
    warnings: tuple[str, ...]
    last: str | None

    @property
    def done(self) -> int:
        """How many stages are done."""
        return sum(stage.state == DONE for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Of all the stages that are done."""
        return sum(stage.seconds or 0 for stage in self.stages)

    @property
    def state(self) -> str:
        """Of the whole: done, running, or stopped before its end."""
        return RUNNING if self.running else DONE if self.next is None else STOPPED

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**asdict(self), "state": self.state, "seconds": round(self.seconds, 2)}


def status(folder: Path) -> Status:
    """Return how far the run in a folder is.

    A finished stage counts as done even if a setting was changed since: only `untrain run`, which
    opens the data, finds out whether it must run again.

    Raises
    ------
    InputError
        The folder's record cannot be read.
    """
    try:
        record = read_record(folder)
    except OSError as error:
        raise InputError(f"cannot read {folder / RECORD}: {error}") from None
    stages = record["stages"]
    running = is_running(folder)
    names = HELP_OF_GIVEN_PICTURES if record.get("given") else STAGE_HELP
    states = tuple(_state(name, stages.get(name) or {}, running) for name in names)
    bank = _rows(folder / "bank" / "models.parquet")
    trained, wanted = _models(folder, bank)
    return Status(
        folder=str(folder),
        running=running,
        stages=states,
        next=next((stage.name for stage in states if stage.state != DONE), None),
        models=trained,
        models_wanted=wanted,
        bank=len(bank),
        quality=record.get("quality"),
        warnings=tuple(note["text"] for note in record.get("warnings") or ()),
        last=_last_line(folder / "log.txt"),
    )


def is_running(folder: Path) -> bool:
    """Tell whether a process is running in the run folder, by briefly trying its lock."""
    from filelock import FileLock, Timeout

    path = folder / ".lock"
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # another user's folder: cannot be known
        return False
    lock.release()
    return False


def _state(name: str, entry: dict[str, Any], running: bool) -> StageState:
    known = entry.get("state")
    begun = RUNNING if running else STOPPED
    state = DONE if known == DONE else begun if known == RUNNING else WAITING
    return StageState(name, state, entry.get("seconds"))


def _models(folder: Path, bank: list[str]) -> tuple[int, int | None]:
    """Return how many models of the trial are trained, and of how many.

    Until the table of models is written, folders are counted: those of the bank are excluded, but
    those of earlier settings cannot be distinguished.
    """
    here = {path.parent.name for path in (folder / "models").glob("*/removed.json")}
    known = _rows(folder / "models.parquet")
    if known:
        return len(here.intersection(known)), len(set(known))
    wanted = _wanted(folder)
    trained = len(here.difference(bank))
    return (trained if wanted is None else min(trained, wanted)), wanted


def _wanted(folder: Path) -> int | None:
    try:
        config = read_yaml(folder / "config.yaml")
        design = config["design"]
        return 1 + int(design["models"]) if design["kind"] == "randomised" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _rows(table: Path) -> list[str]:
    """Return the fingerprints in a table of models; none if there is no table."""
    if not table.is_file():
        return []
    found = read_columns(table, ["fingerprint"])
    return [str(key) for key in found[0].to_pylist()]


def _last_line(log: Path) -> str | None:
    """Return the end of a log, of which only the last kilobytes are read."""
    if not log.is_file():
        return None
    with opened_whole(log), open_regular(log) as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return lines[-1] if lines else None
