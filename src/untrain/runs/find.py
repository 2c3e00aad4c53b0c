"""Finding the run folder that a user names, without loading anything heavy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from untrain.core.errors import InputError, did_you_mean
from untrain.core.manifest import NAME as CHECKSUMS
from untrain.core.marks import JUNK
from untrain.core.text import is_text
from untrain.runs.record import COPY, is_record, read_record

RUNS = Path("runs")
RECORD = "run.json"
LOCK = ".lock"


def runs_in(folder: Path) -> list[Path]:
    """Return the run folders directly in a folder, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{RECORD}"))


def find_run(given: Path, runs: Path = RUNS) -> Path:
    """Return the run folder that a user names.

    Parameters
    ----------
    given : Path
        A run folder, the name of one in ``runs``, or an experiment file.
    runs : Path
        Folder that holds run folders.

    Raises
    ------
    InputError
        There is no such run; the message lists the existing ones.
    """
    if given.is_file() and given.suffix in (".yaml", ".yml"):
        return _of_file(given)
    for folder in (given, runs / given):
        if (folder / RECORD).is_file():
            _check_readable(folder)
            return folder
    if not given.exists():
        words = f"{given} is neither a run folder nor the name of a run in {runs}"
        raise InputError(words + _known(given.name, runs_in(runs)))
    inside = runs_in(given) if given.is_dir() else []
    hint = f"; the runs in it: {_named(str(path) for path in inside)}" if inside else ""
    raise InputError(f"{given} is not a run folder: it has no {RECORD}{hint}")


def has_model(folder: Path) -> bool:
    """Tell whether a run has fitted the model that draws its pictures."""
    return (folder / "model_a.parquet").is_file()


def refuse_foreign(folder: Path) -> None:
    """Raise `InputError` if a folder is not empty and not the folder of a run, or cannot be one."""
    if not is_text(str(folder.absolute())):
        raise InputError(
            f"a run cannot be in {folder.absolute()}: a name in this path is not UTF-8, as those "
            "must be where tables and weights are written; choose another place with --runs"
        )
    if not folder.exists() or is_record(folder / RECORD) or is_record(folder / COPY):
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; the run needs a folder there: choose another name")
    passing = {LOCK, CHECKSUMS, *JUNK}
    inside = sorted(path.name for path in folder.iterdir() if path.name not in passing)
    if inside:
        raise InputError(
            f"{folder} is not the folder of a run and holds {inside[0]}"
            f"{f' and {len(inside) - 1} more' if inside[1:] else ''}: nothing is written there; "
            "choose another name (name: in the experiment file) or another place with --runs"
        )


def _check_readable(folder: Path) -> None:
    """Raise `InputError` if a record is none, as after somebody wrote over it."""
    try:
        read_record(folder)
    except OSError as error:
        raise InputError(f"cannot read {folder / RECORD}: {error.strerror}") from None


def _of_file(file: Path) -> Path:
    """Return the run folder of an experiment file; a run's own config.yaml is one too."""
    if file.name == "config.yaml" and (file.parent / RECORD).is_file():
        return file.parent
    from untrain.settings.load import load_config

    folder = load_config(file).folder
    if not (folder / RECORD).is_file():
        raise InputError(
            f"{file} has not been run yet (there is no {folder}): run `untrain run {file}`"
        )
    return folder


def _known(name: str, runs: list[Path]) -> str:
    names = [path.name for path in runs]
    return did_you_mean(name, names) if names else "; it holds none"


def _named(names: Iterable[str], most: int = 5) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")
