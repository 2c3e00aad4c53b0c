"""Files of untrain's own, read and written; fingerprints of content; counter-based randomness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core import disk
from untrain.core.atomic import atomic_file
from untrain.core.errors import InputError
from untrain.core.manifest import check, not_as_written
from untrain.core.outside import parse_json, parse_yaml, read_text, require_regular
from untrain.core.text import json_text

if TYPE_CHECKING:  # every command imports this file, and most need neither to start
    import numpy as np
    import pandas as pd
    import pyarrow as pa


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_file(path) as temporary:
        disk.write_bytes(temporary, data)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    write_bytes(path, text.encode())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with atomic_file(target) as temporary:
        disk.copy_file(source, temporary)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_bytes(path, json_file(value))


def json_file(value: Any) -> bytes:
    """Return what `write_json` writes."""
    return (json_text(value, 2) + "\n").encode()


def read_json(path: Path, checked: bool = True) -> Any:
    """Read a JSON file; one that holds no JSON is `Damaged`.

    So is one that is not what was written; not so if it is not ``checked``, for those who say what
    was changed.
    """
    with opened_whole(path, checked):
        return parse_json(read_text(path, "TABLE", "utf-8"), names=True)


def read_yaml(path: Path) -> Any:
    """Read a YAML file of untrain's own; one that holds none is `Damaged`."""
    with opened_whole(path):
        return parse_yaml(read_text(path), names=True)[1]


@contextmanager
def opened_whole(path: Path, checked: bool = True) -> Iterator[None]:
    """Turn what a library says of a broken file into `Damaged`, which names it.

    Raises
    ------
    FileNotFoundError, PermissionError
        As they are.
    Damaged
        It is not what was written, or reading raises anything else.
    """
    try:
        require_regular(path)
        if checked:
            check(path)
        yield
    except (FileNotFoundError, PermissionError, InputError):
        raise
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise not_as_written(path, getattr(error, "strerror", None) or error) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in (
            "pyarrow",
            "pandas",
            "safetensors",
            "yaml",
        ):
            raise
        raise not_as_written(path, error) from error


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table, or some of its columns, from Parquet; one that is not whole is `Damaged`."""
    import pandas as pd

    with opened_whole(path):
        return pd.read_parquet(path, columns=None if columns is None else list(columns))


def read_csv(path: Path, exact: bool = False, **options: Any) -> pd.DataFrame:
    """Read a table that `write_csv` wrote, with options of pandas; else it is `Damaged`."""
    import pandas as pd

    from untrain.core.spreadsheet import from_csv

    with opened_whole(path):
        table = pd.read_csv(path, **options)
    return table if exact else from_csv(table)


def map_arrow(path: Path) -> pa.Table:
    """Return the table of an Arrow file, memory-mapped; one that is not whole is `Damaged`."""
    import pyarrow as pa

    with opened_whole(path):
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def write_arrow(path: Path, table: pa.Table, rows: int) -> None:
    """Write a table as an Arrow file in batches of ``rows``, whole or not at all."""
    import pyarrow as pa

    with (
        atomic_file(path) as temporary,
        disk.open_new(temporary) as file,
        pa.ipc.new_file(pa.PythonFile(file, "w"), table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=rows)


def read_columns(
    path: Path, columns: Sequence[str] | None = None, mapped: bool = False
) -> pa.Table:
    """Return a Parquet file, or some of its columns, as a table of Arrow's, without pandas.

    Raises
    ------
    Damaged
        It is not whole.
    """
    import pyarrow.parquet as pq

    with opened_whole(path), pq.ParquetFile(path, memory_map=mapped) as file:
        found = file.read(columns=None if columns is None else list(columns))
        if lacking := set(columns or ()).difference(found.column_names):
            raise ValueError(f"it has no column {', '.join(sorted(lacking))}")
        if not mapped:
            found.validate(full=True)
        return found


def write_columns(path: Path, table: pa.Table) -> None:
    """Write a table of Arrow's as Parquet, whole or not at all."""
    import pyarrow.parquet as pq

    with atomic_file(path) as temporary:
        pq.write_table(table, temporary)


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet without its index, whole or not at all."""
    with atomic_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_csv(path: Path, table: pd.DataFrame, exact: bool = False, **options: Any) -> None:
    """Write a table as CSV without its index, whole or not at all; as `csv_text` makes it."""
    from untrain.core.spreadsheet import csv_text

    write_text(path, csv_text(table, exact, **options))


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that depend on the content of ``parts`` and nothing else.

    Parts are anything JSON can hold, `bytes` or NumPy arrays; dictionaries count irrespective of
    the order of their keys.
    """
    import numpy as np

    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            data = part
        elif isinstance(part, np.ndarray):
            data = f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
        else:
            text = json.dumps(part, sort_keys=True, ensure_ascii=False, default=str)
            data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def rng(*key: Any) -> np.random.Generator:
    """Return a generator that depends only on ``key``: the same key gives the same numbers.

    Keys are counted, not consumed in order, so that what is drawn for one prompt, generation or
    arm does not depend on what was drawn before (common random numbers).
    """
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int(fingerprint(*key), 16)))
