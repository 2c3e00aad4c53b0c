"""Tables, arrays and archives from outside: opened here, each up to its limit.

Whatever a library says of what it cannot read is an `OSError` with the words in ``strerror``, as in
`untrain.core.outside`, so that each format has one thing to turn into its own message.
"""

from __future__ import annotations

import errno
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from untrain.core.errors import InputError
from untrain.core.outside import limit_of, open_regular, require_regular, too_large

if TYPE_CHECKING:  # most commands need none of these to start
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch

SEPARATORS = {".tsv": "\t", ".tab": "\t"}
SAFE_TORCH = "2.10"
"""Files of ``torch.save`` can have older versions run code, in spite of ``weights_only``."""


def unreadable(error: object) -> OSError:
    """Return the error that something is not in its format, with what a library says of it."""
    words = str(error).strip().splitlines()
    return OSError(errno.EINVAL, words[0] if words else type(error).__name__)


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a table as its suffix says: Parquet, or text with commas or (``.tsv``) tabs.

    Parameters
    ----------
    path : Path
    **options
        Of ``pandas.read_csv``; Parquet has types of its own.

    Raises
    ------
    OSError
        It cannot be opened, see `untrain.core.outside.open_regular`, or is no such table.
    """
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    return read_csv(path, **{"sep": SEPARATORS.get(path.suffix.lower(), ","), **options})


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a table in text, perhaps one of ours (`from_csv`); `OSError` as `read_table`."""
    import pandas as pd

    from untrain.core.spreadsheet import from_csv

    with open_regular(path, "TABLE") as file, readable():
        return from_csv(pd.read_csv(file, **{"encoding": "utf-8-sig", **options}))


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a whole Parquet file; `OSError` as `read_table`."""
    with open_parquet(path) as file:
        return whole(file).to_pandas()


def whole(file: pq.ParquetFile) -> pa.Table:
    """Return all of a Parquet file.

    `OSError` if two columns have one name, or it is larger unpacked than a table may be.
    """
    names = file.schema_arrow.names
    if twice := [name for name in names if names.count(name) > 1]:
        raise unreadable(f"it has more than one column {twice[0]}")
    meta = file.metadata
    size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    size = max(size, 8 * meta.num_rows)  # what repeats takes next to nothing in the file
    if size > limit_of("TABLE"):
        raise too_large(size, "TABLE")
    return file.read()


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; what reading it raises inside the block is `OSError`, too.

    One of whose row groups, which are read whole, any is larger than a table may be, is refused.
    """
    import pyarrow.parquet as pq

    require_regular(path)
    with readable(), pq.ParquetFile(path) as file:
        sizes = (file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        if (largest := max(sizes, default=0)) > limit_of("TABLE"):
            raise too_large(largest, "TABLE")
        yield file


def read_array(path: Path) -> np.ndarray:
    """Return an array in NumPy's format, memory-mapped; one of objects is not read."""
    require_regular(path)
    with readable():
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file by name; `OSError` as `read_table`."""
    from safetensors.torch import load_file

    require_regular(path)
    with readable():
        return load_file(path)


def read_pickled_tensors(path: Path) -> Any:
    """Return what ``torch.save`` wrote, if it is tensors in plain containers.

    Raises
    ------
    OSError
        As `read_table`.
    pickle.UnpicklingError
        It holds more, and would run code.
    InputError
        PyTorch is older than `SAFE_TORCH` (CVE-2025-32434, CVE-2026-24747).
    """
    import torch
    from packaging.version import Version

    require_regular(path)
    if Version(torch.__version__) < Version(SAFE_TORCH):
        raise InputError(
            f"{path}: files of torch.save are read with PyTorch {SAFE_TORCH} or newer only (here: "
            f"{torch.__version__}), as older ones can be made to run a stranger's code by them; "
            "install a newer one, or save the numbers with numpy.save or safetensors"
        )
    with readable(pickle.UnpicklingError):
        return torch.load(path, map_location="cpu", weights_only=True)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip; what reading it raises inside the block is `OSError`, too."""
    with open_regular(path) as file, readable(), zipfile.ZipFile(file) as archive:
        yield archive


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar file that is not packed; what reading it raises is `OSError`, too."""
    with (
        open_regular(path) as file,
        readable(),
        tarfile.open(fileobj=file, mode="r:") as archive,
    ):
        yield archive


@contextmanager
def readable(but: type[Exception] = InputError) -> Iterator[None]:
    """Turn whatever a library raises of what it cannot read into `OSError`, with its words."""
    try:
        yield
    except (InputError, but):
        raise
    except OSError as error:
        if error.strerror is None:  # pyarrow's own
            raise unreadable(error) from None
        raise
    except Exception as error:
        raise unreadable(error) from None
