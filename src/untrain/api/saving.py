"""Writing what was found, by the ending of a file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

KINDS = (".csv", ".parquet", ".json", ".html")


def save_found(
    path: str | Path,
    table: pd.DataFrame,
    to_dict: Callable[[], dict[str, Any]],
    to_html: Callable[[], str],
) -> None:
    """Write a table (.csv, .parquet), all that was found (.json), or its page (.html).

    Raises
    ------
    InputError
        Another ending, or something that is no file is in the way.
    """
    from untrain.core.files import write_csv, write_json, write_parquet, write_text
    from untrain.core.targets import check_file_target

    path = check_file_target(path)
    kind = path.suffix.lower()
    if kind == ".html":
        write_text(path, to_html())
    elif kind == ".json":
        write_json(path, to_dict())
    elif kind == ".parquet":
        write_parquet(path, table)
    elif kind == ".csv":
        write_csv(path, table)
    else:
        raise InputError(f"cannot write {path}: expected a name ending in {', '.join(KINDS)}")
