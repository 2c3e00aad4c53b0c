"""Arrays of untrain's own, in safetensors and NumPy files: the one way they are read and written.

What is not whole is `untrain.core.errors.Damaged`; what cannot be written is `OSError`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from untrain.core import disk
from untrain.core.atomic import atomic_file
from untrain.core.files import opened_whole
from untrain.core.marks import beside

if TYPE_CHECKING:
    import torch


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name; `untrain.core.errors.Damaged` if it is not whole."""
    from safetensors.numpy import load_file

    with opened_whole(path):
        return load_file(path)


def read_torch(path: Path, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Return the arrays of a file as tensors by name; `Damaged` if it is not whole."""
    from safetensors.torch import load_file

    with opened_whole(path):
        return load_file(path, device=device)


def read_rows(path: Path, name: str, rows: Iterable[int]) -> np.ndarray:
    """Return rows of the array ``name`` in their order, (len(rows), …), and read no others."""
    from safetensors import safe_open

    with opened_whole(path), safe_open(path, "numpy") as opened:
        array = opened.get_slice(name)
        found = [array[int(row) : int(row) + 1] for row in rows]
        return np.concatenate(found) if found else array[:0]


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as safetensors, whole or not at all."""
    from safetensors.numpy import save_file

    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with _written(path) as passing:
        save_file(whole, passing)


def write_torch(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors by name as safetensors, whole or not at all."""
    from safetensors.torch import save_file

    with _written(path) as passing:
        save_file({n: each.detach().cpu().contiguous() for n, each in tensors.items()}, passing)


def read_array(path: Path, mapped: bool = True) -> np.ndarray:
    """Return the array of a ``.npy`` file, memory-mapped if wanted; `Damaged` if not whole."""
    with opened_whole(path):
        found: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    return found


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy``, whole or not at all."""
    with atomic_file(path) as temporary, disk.open_new(temporary) as file:
        np.save(_Plain(file), array, allow_pickle=False)


def read_numbers(path: Path, kind: type, count: int = -1, start: int = 0) -> np.ndarray:
    """Return ``count`` numbers of a file of nothing else, or all, from byte ``start`` on."""
    return np.fromfile(path, kind, count, offset=start)


def map_numbers(path: Path, kind: str | type, shape: tuple[int, ...]) -> np.ndarray:
    """Return the numbers of a file of nothing else, memory-mapped."""
    return np.memmap(path, kind, "r", shape=shape)


class _Plain:
    """A file that NumPy writes to as to any other, so that a full disk is said to be one."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """Yield where safetensors may write; what it says of a disk is the `OSError` that it was.

    It writes under a name of its own beside the file, which it leaves behind when it is killed, and
    lets nobody else read what it wrote: hence a folder that is known as a leftover, and the mode
    that other files have.
    """
    from safetensors import SafetensorError

    try:
        with atomic_file(path) as temporary:
            folder = beside(temporary)
            disk.make_new_folder(folder)
            try:
                yield folder / path.name
                disk.open_new(temporary).close()
                disk.take_place(folder / path.name, temporary)
            finally:
                disk.delete(folder)
    except SafetensorError as error:
        number = re.search(r"(?:code: |os error )(\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error
