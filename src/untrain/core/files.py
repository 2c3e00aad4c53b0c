"""Files that are whole or absent, fingerprints of content, and counter-based randomness.

Every file of a run is written under a temporary name and renamed, so that a kill at any moment
leaves either the old file or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # every command imports this file, and most need neither to start
    import numpy as np
    import pandas as pd


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``path``; rename it onto ``path`` if the block succeeds.

    Works for files and for whole folders: the block creates whichever it needs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _discard(temporary)
    try:
        yield temporary
        if path.is_dir():
            _discard(path)
        temporary.replace(path)
    finally:
        _discard(temporary)


def discard_leftovers(folder: Path) -> None:
    """Discard what `atomic_path` was writing below ``folder`` when a process was killed."""
    for path in list(folder.rglob(".*.tmp")):
        _discard(path)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet without its index, whole or not at all."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


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
            data = json.dumps(part, sort_keys=True, ensure_ascii=False, default=str).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def rng(*key: Any) -> np.random.Generator:
    """Return a generator that depends on ``key`` alone: the same key gives the same numbers.

    Keys are counted, not consumed in order, so that what is drawn for one prompt, generation or
    arm does not depend on what was drawn before (common random numbers).
    """
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int(fingerprint(*key), 16)))
