"""Some rows of an array in a safetensors file, without reading the rest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors import safe_open


def stored_rows(file: Path, name: str, rows: Iterable[int]) -> np.ndarray:
    """Return rows of the array ``name`` in their order, (len(rows), …)."""
    with safe_open(file, "numpy") as opened:
        array = opened.get_slice(name)
        found = [array[int(row) : int(row) + 1] for row in rows]
        return np.concatenate(found) if found else array[:0]
