"""One door for data, experiments and runs: `untrain.load`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from untrain.core.errors import InputError

if TYPE_CHECKING:
    from untrain.api.experiment import Experiment
    from untrain.api.result import Result
    from untrain.catalogs.base import Catalog
    from untrain.catalogs.formats.memory import Table


@overload
def load(source: str | Path, **options: Any) -> Experiment | Result | Catalog: ...
@overload
def load(source: Table, **options: Any) -> Catalog: ...
def load(source: str | Path | Table, **options: Any) -> Experiment | Result | Catalog:
    """Open what lies at a path, or take data that are in memory.

    Parameters
    ----------
    source : str, Path, pandas.DataFrame, pyarrow.Table or datasets.Dataset
        An experiment file (YAML) gives an `Experiment`; a run folder, or its name in ``runs``, a
        `Result`; anything else is opened as image–caption data, a `Catalog`. A table needs a column
        of images (of a data frame: Pillow images, arrays, bytes or paths) and one of captions.
    **options
        Of data: ``caption`` (a column or a template such as ``"{colour} {article}"``), ``image``
        and ``id`` (columns), ``where`` (which rows), and for files what `untrain.load_catalog`
        takes.

    Raises
    ------
    InputError
        There is nothing, or nothing that is understood.

    Examples
    --------
    >>> load("runs/micro")
    Result('runs/micro'): done
    >>> import pandas as pd
    >>> from PIL import Image
    >>> pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    >>> load(pd.DataFrame({"picture": pictures, "text": ["red", "blue"]}))
    Catalog 'table': 2 images with captions; attributes: none
    """
    from untrain.api.given import catalog_of
    from untrain.catalogs import guess_format, load_catalog
    from untrain.catalogs.formats.memory import is_table
    from untrain.catalogs.pictures import local_path
    from untrain.runs.find import RECORD, RUNS

    if is_table(source):
        return _of_table(source, options)
    if not isinstance(source, (str, Path)):
        raise InputError(
            "expected a path, or a table with a column of images (pandas.DataFrame, pyarrow.Table, "
            f"datasets.Dataset); found {type(source).__name__}"
        )
    found = local_path(source)
    if options:
        return load_catalog(
            options.pop("format", None) or guess_format(found), path=found, **options
        )
    if found.is_file() and found.suffix.lower() in (".yaml", ".yml"):
        from untrain.api.experiment import Experiment

        return Experiment.from_yaml(found)
    if any((folder / RECORD).is_file() for folder in (found, RUNS / found)):
        from untrain.api.result import Result

        return Result(found)
    if isinstance(found, Path) and not found.exists() and not set(str(found)) & set("*?["):
        raise InputError(
            f"{found} does not exist; expected an experiment file (.yaml), a run folder or its "
            f"name in {RUNS}, or image–caption data"
        )
    return catalog_of(found)


def _of_table(table: Table, options: dict[str, Any]) -> Catalog:
    from dataclasses import fields

    from untrain.catalogs.choice import Choice
    from untrain.catalogs.formats.memory import from_memory
    from untrain.core.errors import did_you_mean

    chosen = [field.name for field in fields(Choice) if field.init]
    own = ["strict", "image", "name"]
    known = [*chosen, *own]
    for option in options:
        if option not in known:
            raise InputError(f"a table has no option '{option}'{did_you_mean(option, known)}")
    choice = Choice(**{name: options[name] for name in chosen if name in options})
    return from_memory(table, choice, **{name: options[name] for name in own if name in options})
