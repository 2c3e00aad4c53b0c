"""What was sent: a folder of picture files, and perhaps a letter that says who asks for what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import fingerprint
from untrain.core.images import read_image
from untrain.core.marks import JUNK
from untrain.core.outside import limit_of, parse_yaml, read_text
from untrain.takedowns.hashes import digest_of

LETTERS = ("request.yaml", "request.yml", "request.txt")
WORDS = {
    "from": "who asks",
    "received": "when it came",
    "reference": "reference",
    "asks": "what is asked",
}
"""What a letter in YAML may say."""


@dataclass(frozen=True)
class Asked:
    """A picture of the request.

    Attributes
    ----------
    name : str
        The path below the folder of the request, with slashes.
    path : Path
    sha256 : str
        Of the file's bytes, hexadecimal.
    pixels : str
        Fingerprint of the decoded picture, which a file saved again without loss keeps.
    width, height : int
        Pixels.
    """

    name: str
    path: Path
    sha256: str
    pixels: str
    width: int
    height: int


@dataclass(frozen=True)
class Unreadable:
    """A file of the request that is no picture, or none that can be read.

    ``sha256`` is empty of one that is too large to be looked at.
    """

    name: str
    sha256: str
    reason: str


@dataclass(frozen=True)
class Request(Mapping[str, np.ndarray]):
    """A request: by the name of each readable file its picture, uint8 H×W×3, read on access.

    Attributes
    ----------
    folder : Path
    pictures : tuple of Asked
        In the order of their names.
    unreadable : tuple of Unreadable
    letter : dict
        ``from``, ``received``, ``reference`` and ``asks``, as far as they were given.
    letter_file : tuple of str, or None
        Name and SHA-256 of the letter.
    """

    folder: Path
    pictures: tuple[Asked, ...]
    unreadable: tuple[Unreadable, ...]
    letter: dict[str, str] = field(default_factory=dict)
    letter_file: tuple[str, str] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        return read_image(self._by_name[name].path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def _by_name(self) -> dict[str, Asked]:
        return {asked.name: asked for asked in self.pictures}

    @property
    def fingerprint(self) -> str:
        """Of the files, whatever the folder is called."""
        return fingerprint([[asked.name, asked.sha256] for asked in self.pictures])

    @property
    def reference(self) -> str:
        """What the request is called: by its letter, or else its folder; fit for a folder."""
        return as_folder(self.letter.get("reference") or self.folder.resolve().name)


def read_request(folder: Path) -> Request:
    """Read the folder of a request, with the folders in it.

    A file that cannot be read as a picture is named and left out. ``request.yaml`` or
    ``request.txt`` is the letter.

    Raises
    ------
    InputError
        There is no such folder, it has no picture that can be read, or the letter has an unknown
        key.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}; expected the folder with the pictures of the request")
    pictures: list[Asked] = []
    unreadable: list[Unreadable] = []
    for path in files_of(folder):
        name = path.relative_to(folder).as_posix()
        if path.stat().st_size > limit_of("IMAGE"):
            unreadable.append(Unreadable(name, "", "too large for a picture"))
            continue
        digest = digest_of(path)
        try:
            picture = read_image(path)
        except InputError:
            reason = "empty" if not path.stat().st_size else "not a picture that can be read"
            unreadable.append(Unreadable(name, digest, reason))
            continue
        height, width = picture.shape[:2]
        pictures.append(Asked(name, path, digest, fingerprint(picture), width, height))
    if not pictures:
        named = ", ".join(each.name for each in unreadable[:5])
        found = (
            f"none of its {len(unreadable)} files can be read ({named})" if named else "it is empty"
        )
        raise InputError(
            f"{folder} holds no picture: {found}; expected the pictures of the request as files "
            "(JPEG, PNG, …)"
        )
    letter = next((folder / n for n in LETTERS if (folder / n).is_file()), None)
    return Request(
        folder,
        tuple(pictures),
        tuple(unreadable),
        read_letter(letter) if letter else {},
        (letter.name, digest_of(letter)) if letter else None,
    )


def as_folder(name: str) -> str:
    """Return a name that a folder can have: letters, digits, '.', '_' and '-'."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    if not cleaned:
        raise InputError(
            f"'{name}' names no folder: give the request a --reference, such as 2026-17"
        )
    return cleaned[:80]


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in the order of their names; not hidden ones or letters."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts) or path.name in JUNK
        if path.is_file() and not hidden and "/".join(parts) not in LETTERS:
            yield path


def read_letter(path: Path) -> dict[str, str]:
    """Return what a letter says, by the keys of `WORDS`.

    Raises
    ------
    InputError
        It is no text or no YAML, or has an unknown key.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read as text (UTF-8)") from None
    if path.suffix == ".txt":
        return {"asks": text.strip()} if text.strip() else {}
    try:
        found: Any = parse_yaml(text)[1]
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected keys such as {', '.join(WORDS)}")
    for key in found:
        if key not in WORDS:
            raise InputError(f"{path}: unknown key '{key}'{did_you_mean(str(key), WORDS)}")
    return {key: str(found[key]).strip() for key in WORDS if found.get(key) is not None}
