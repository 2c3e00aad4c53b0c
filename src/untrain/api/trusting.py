"""Letting the code run that somebody's run folder names."""

from __future__ import annotations

from pathlib import Path

from untrain.core import trust as trusted
from untrain.runs.find import find_run
from untrain.runs.inputs import run_config


def code_of(run: Path | str) -> dict[str, Path | None]:
    """Return what a run folder names that would run code and is not trusted, with its file.

    Nothing of it is imported.

    Raises
    ------
    InputError
        There is no such run.
    """
    folder = find_run(Path(run))
    run_config(folder)
    names = trusted.doubted_by(folder)
    return {name: trusted.place_of(name) for name in names if not trusted.is_remembered(name)}


def trust(run: Path | str) -> None:
    """Let the code run, on this machine and until it changes, that a run folder names.

    A run folder is data: a generator or an encoder of somebody's own that it names, or a Ray
    cluster, runs only if the same code ran here before from an experiment file of one's own, or
    after this call. Look at `untrain trust RUN` for what it is.

    Parameters
    ----------
    run : path
        A run folder, or the name of one in ``runs``.

    Raises
    ------
    InputError
        There is no such run.
    """
    for name in code_of(run):
        trusted.remember(name)
