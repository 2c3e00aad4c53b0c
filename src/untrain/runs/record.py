"""``run.json``, the record of a run, and its copy: one of the two is whole, whatever happens."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from untrain.core.errors import Damaged
from untrain.core.files import read_json, write_json, write_text
from untrain.core.manifest import RECORD, check

COPY = ".run.json"
CONFIG = "config.yaml"


def is_record(path: Path) -> bool:
    """Tell whether a file is the record of a run of any version."""
    try:
        return {"schema_version", "stages"} <= read_json(path).keys()
    except (OSError, ValueError, AttributeError):
        return False


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a run, and its copy."""
    write_json(folder / RECORD, record)
    write_json(folder / COPY, record)


def restore(folder: Path) -> list[str]:
    """Put back what is damaged or missing of a run's record and settings; return their names.

    What the one lost the other has: the record is there twice, and has the settings in it.
    """
    back = []
    record, copy = folder / RECORD, folder / COPY
    if not is_record(record) and is_record(copy):
        write_json(record, read_json(copy))
        back.append(RECORD)
    elif copy.exists() and is_record(record):
        damaged = not is_record(copy)
        # A stop between the two writes leaves an older copy, which is nobody's damage.
        if damaged or read_json(copy) != read_json(record):
            write_json(copy, read_json(record))
        back += [COPY] * damaged
    config = None
    with suppress(OSError, ValueError):
        config = read_json(folder / RECORD).get("config")
    if config and not _is_whole(folder / CONFIG):
        write_text(folder / CONFIG, as_yaml(config))
        back.append(CONFIG)
    return back


def as_yaml(config: dict[str, Any]) -> str:
    """Return settings as ``config.yaml`` has them."""
    import yaml

    text: str = yaml.safe_dump(config, sort_keys=False)
    return text


def _is_whole(path: Path) -> bool:
    try:
        check(path)
    except (FileNotFoundError, Damaged):
        return False
    return path.is_file()
