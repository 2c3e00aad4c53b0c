"""``run.json``, the record of a run, and its copy: one of the two is whole, whatever happens."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from untrain.core.errors import Damaged, InputError
from untrain.core.files import read_json, write_json, write_text
from untrain.core.manifest import RECORD, check, not_as_written
from untrain.core.shapes import misfit
from untrain.core.vocabulary import Gate

COPY = ".run.json"
CONFIG = "config.yaml"
SCHEMA_VERSION = 1
_NOTES = [{"code!": str, "text!": str, "about": [str]}]
_FIGURES = {"*": float}
SHAPE = {
    "schema_version": float,
    "name": str,
    "stages": {"*": {"state": str, "key": str, "seconds": float, "warnings": _NOTES}},
    "warnings": _NOTES,
    "versions": {"*": str},
    "seeds": _FIGURES,
    "threads": _FIGURES,
    "design": str,
    "generator": {"name": str, "unit": str, "measure": str, "margin": float, "frozen": str},
    "catalog": {
        **dict.fromkeys(("images", "heldout", "skipped", "duplicate_groups"), float),
        "name": str,
        "excluded": [dict],
        "warnings": _NOTES,
    },
    "fingerprints": {"*": str},
    "quality": {
        "verdict": frozenset(Gate),
        "n": float,
        "attributes": {"*": {"verdict": str, "judge": _FIGURES, "*": float}},
        "distance": _FIGURES,
        "told": {"verdict": str, "*": (float, str, bool)},
        "summary": str,
    },
    "copies": _FIGURES,
    "config": dict,
}
"""What ``run.json`` has, as far as anything reads it."""


def is_record(path: Path) -> bool:
    """Tell whether a file is the record of a run of any version."""
    try:
        return {"schema_version", "stages"} <= read_json(path).keys()
    except (OSError, ValueError, AttributeError):
        return False


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record of a run.

    Raises
    ------
    Damaged
        It is no record, whoever wrote it.
    InputError
        It is of a later version of untrain.
    FileNotFoundError
        There is none.
    """
    path = folder / RECORD
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("stages"), dict):
        raise not_as_written(path, "it is no record of a run")
    version = found.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{path} was written by a later version of untrain (schema {version}, this one reads "
            f"up to {SCHEMA_VERSION}): install that version"
        )
    if fault := misfit(found, SHAPE):
        raise not_as_written(path, fault)
    return found


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
