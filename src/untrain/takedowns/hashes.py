"""Hashes of files and folders, and what the record of a model says of itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from untrain.core.files import read_json


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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def removed_by(model: Path) -> list[str]:
    """Return the ids that the record of a model says it was made without."""
    return list(read_json(model / "removed.json").get("removed", []))
