"""One door for everything on disk: `untrain.load`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from untrain.api.experiment import Experiment
    from untrain.api.result import Result
    from untrain.catalogs.base import Catalog


def load(path: str | Path) -> Experiment | Result | Catalog:
    """Open what lies at a path.

    Parameters
    ----------
    path : str or Path
        An experiment file (YAML) gives an `Experiment`; a run folder, or its name in ``runs``, a
        `Result`; anything else is opened as image–caption data, a `Catalog`.

    Raises
    ------
    InputError
        There is nothing, or nothing that is understood.

    Examples
    --------
    >>> load("runs/micro")
    Result('runs/micro'): done
    """
    from untrain.api.given import catalog_of
    from untrain.catalogs.pictures import local_path
    from untrain.runs.find import RECORD, RUNS

    found = local_path(path)
    if found.is_file() and found.suffix.lower() in (".yaml", ".yml"):
        from untrain.api.experiment import Experiment

        return Experiment.from_yaml(found)
    if any((folder / RECORD).is_file() for folder in (found, RUNS / found)):
        from untrain.api.result import Result

        return Result(found)
    return catalog_of(found)
