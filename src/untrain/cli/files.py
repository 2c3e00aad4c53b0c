"""Files that commands write tables, JSON and pages to, told apart by their endings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

KINDS = (".csv", ".parquet", ".json", ".html")
OUT_HELP = "File to write (.csv, .parquet, .json or .html); repeatable."


def check_outputs(out: Sequence[Path], sources: Sequence[Path], folders: bool = False) -> None:
    """Raise `InputError` if a file cannot be written, or is one of those to be read.

    With ``folders``, a path without an ending is a folder to be written.
    """
    from untrain.core.errors import InputError
    from untrain.core.targets import check_file_target, check_own_folder

    for path in out:
        if folders and is_folder(path):
            check_own_folder(path)
            continue
        if path.suffix.lower() not in KINDS:
            raise InputError(f"cannot write {path}: expected a name ending in {', '.join(KINDS)}")
        check_file_target(path, sources)


def is_folder(path: Path) -> bool:
    """Tell whether a path to write to is that of a folder: it has no ending."""
    return not path.suffix


def sources_of(run: Path) -> list[Path]:
    """Return what is read of a run: its folder, and its data where they are files."""
    from untrain.runs.find import find_run
    from untrain.runs.inputs import run_config

    folder = find_run(run)
    data = run_config(folder).data.path
    return [folder, data] if data else [folder]
