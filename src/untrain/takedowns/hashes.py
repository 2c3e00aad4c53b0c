"""Hashes of files and folders, and what the record of a model says of itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from untrain.core.files import read_json
from untrain.core.outside import open_regular


def hashes_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder by its name, hidden ones left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): digest_of(path)
        for path in files
        if not path.name.startswith(".")
    }


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def removed_by(model: Path) -> list[str]:
    """Return the ids that a model's own records say it was trained without, or has forgotten.

    Raises
    ------
    OSError
        It keeps no record.
    """
    exact, unlearned = model / "removed.json", model / "unlearned.json"
    ids = list(read_json(exact).get("removed", [])) if exact.is_file() else []
    if unlearned.is_file():
        record = read_json(unlearned)
        return [*ids, *record["absent"], *(each["image_id"] for each in record["forget"])]
    return ids if ids else list(read_json(exact)["removed"])
