"""Arrays in safetensors files: the one way that they are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from untrain.core.files import opened_whole

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
