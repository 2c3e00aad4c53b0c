"""Files of rows that grow: a row is added at its place or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def append_at(path: Path, start: int, array: np.ndarray) -> None:
    """Write ``array`` at byte ``start``, in place of whatever is there, and see it on the disk."""
    import numpy as np

    with path.open("ab") as file:
        file.truncate(start)
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        os.fsync(file.fileno())


def bytes_in(path: Path) -> int:
    """Return the size of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
