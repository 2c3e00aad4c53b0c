"""Files of untrain's own, read and written; fingerprints of content; counter-based randomness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.atomic import atomic_file
from untrain.core.errors import InputError, damaged
from untrain.core.outside import parse_json, parse_yaml, read_text, require_regular
from untrain.core.text import json_text

if TYPE_CHECKING:  # every command imports this file, and most need neither to start
    import numpy as np
    import pandas as pd


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json_text(value, 2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; one that holds no JSON is `Damaged`."""
    with opened_whole(path):
        return parse_json(read_text(path, "TABLE", "utf-8"))


def read_yaml(path: Path) -> Any:
    """Read a YAML file of untrain's own; one that holds none is `Damaged`."""
    with opened_whole(path):
        return parse_yaml(read_text(path))[1]


@contextmanager
def opened_whole(path: Path) -> Iterator[None]:
    """Turn what a library says of a broken file into `Damaged`, which names it.

    Raises
    ------
    FileNotFoundError, PermissionError
        As they are.
    Damaged
        For anything else that reading raises.
    """
    try:
        require_regular(path)
        yield
    except (FileNotFoundError, PermissionError, InputError):
        raise
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise damaged(path, getattr(error, "strerror", None) or error) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in (
            "pyarrow",
            "pandas",
            "safetensors",
            "yaml",
        ):
            raise
        raise damaged(path, error) from error


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet without its index, whole or not at all."""
    with atomic_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, whole or not at all."""
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False)


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
