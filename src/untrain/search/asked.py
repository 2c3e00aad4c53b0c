"""Pictures to ask about, as people have them: files, folders, tables of paths and prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs.base import Skipped
from untrain.catalogs.choice import CAPTIONS, as_text, as_texts, require, there_are
from untrain.catalogs.formats.tables import IMAGES
from untrain.catalogs.pictures import local_path, pixels_of
from untrain.catalogs.reading import natural_key
from untrain.core.errors import InputError
from untrain.core.given import read_table
from untrain.core.images import decode
from untrain.core.outside import read_bytes
from untrain.core.text import readable

TABLES = (".csv", ".tsv", ".parquet")
OF_PICTURES = (*IMAGES, "picture")
OF_PROMPTS = ("prompt", *(name for name in CAPTIONS if name != "prompt"))
NO_PICTURES = (".pdf", ".eps", ".ps")  # which Pillow has names for, too


@dataclass(frozen=True)
class Asked(Mapping[str, np.ndarray]):
    """Pictures by name, each read on access; some have a prompt of their own.

    Attributes
    ----------
    pictures : mapping of str to path, Pillow image, ndarray or bytes of a file
    prompts : mapping of str to str
        Of those pictures that have one.
    skipped : tuple of Skipped
        What cannot be asked about, and why.
    """

    pictures: Mapping[str, Any]
    prompts: Mapping[str, str]
    skipped: tuple[Skipped, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[str]:
        return iter(self.pictures)

    def __getitem__(self, name: str) -> np.ndarray:
        """Read a picture; `InputError` if it is none."""
        given = self.pictures[name]
        return np.array(decode(given, name)) if isinstance(given, bytes) else pixels_of(given)

    def __contains__(self, name: object) -> bool:
        return name in self.pictures  # without reading it

    @property
    def files(self) -> dict[str, Path]:
        """Those that are files."""
        named = self.pictures.items()
        return {name: Path(each) for name, each in named if isinstance(each, (str, Path))}


def is_several(path: Path) -> bool:
    """Tell whether a path holds several pictures: a folder, or a table by its ending."""
    return path.is_dir() or path.suffix.lower() in TABLES


def asked_in(
    paths: Sequence[Path], image_column: str | None = None, prompt_column: str | None = None
) -> Asked:
    """Return the pictures that files, folders and tables hold.

    Parameters
    ----------
    paths : sequence of Path
        A picture; a folder, whose pictures are taken with those in its sub-folders (of a picture
        with a text file of its name beside it, the text is the prompt); or a table (CSV, TSV,
        Parquet) with a column of paths, relative to it, and perhaps one of prompts.
    image_column, prompt_column : str, optional
        Of tables; else the first of `OF_PICTURES` and of `OF_PROMPTS` that is there.

    Raises
    ------
    InputError
        Something is not there or holds no picture, or a table has no such column.
    """
    found: list[_Given] = []
    skipped: list[Skipped] = []
    for path in paths:
        if path.is_dir():
            found += _in_folder(path)
        elif not path.is_file():
            raise InputError(
                f"{path} does not exist; expected a picture (JPEG, PNG, …), a folder of pictures, "
                f"or a table of them ({', '.join(TABLES)})"
            )
        elif is_several(path):
            columns = image_column, prompt_column
            rows, bad = _in_table(_read(path), *columns, path.parent, str(path))
            found += rows
            skipped += bad
        else:
            found.append(_Given(path, path.name, ""))
    return _asked(found, skipped, ", ".join(map(str, paths)))


def asked_of_table(
    table: pd.DataFrame, image_column: str | None = None, prompt_column: str | None = None
) -> Asked:
    """Return the pictures of a table: paths, Pillow images, arrays, or ``{bytes, path}``.

    Parameters
    ----------
    table : DataFrame
    image_column, prompt_column : str, optional
        As of `asked_in`.

    Raises
    ------
    InputError
        There is no such column, or no picture.
    """
    return _asked(*_in_table(table, image_column, prompt_column, Path(), "the table"), "the table")


@dataclass(frozen=True)
class _Given:
    """A picture, what it is called where it was found, and its prompt."""

    picture: Any
    place: str
    prompt: str


def _asked(found: Sequence[_Given], skipped: Sequence[Skipped], source: str) -> Asked:
    if not found:
        why = f": {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise InputError(f"{source}: there is no picture to ask about{why}")
    names = _names(found)
    pictures = {name: given.picture for name, given in zip(names, found, strict=True)}
    prompts = {n: given.prompt for n, given in zip(names, found, strict=True) if given.prompt}
    return Asked(pictures, prompts, tuple(skipped))


def _names(found: Sequence[_Given]) -> list[str]:
    """Return a name for each: of its file, of its place, with the ending, or in full."""
    places = [Path(given.place) for given in found]
    ways = (
        [place.stem for place in places],
        [place.with_suffix("").as_posix() for place in places],
        [place.as_posix() for place in places],
        [str(g.picture) if isinstance(g.picture, Path) else g.place for g in found],
    )
    for way in ways:
        names = list(map(readable, way))
        if len(set(names)) == len(names):
            return names
    twice = next(name for name in ways[-1] if ways[-1].count(name) > 1)
    raise InputError(f"the same picture was given twice ({twice}); give each only once")


def _in_folder(folder: Path) -> list[_Given]:
    """Return the pictures below a folder in natural order, each with the text beside it."""
    endings = {e for e in Image.registered_extensions() if e not in NO_PICTURES}
    found = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in endings and not hidden and path.is_file():
            text = path.with_suffix(".txt")
            prompt = _words(text) if text.is_file() else ""
            found.append(_Given(path, inside.as_posix(), prompt))
    if not found:
        raise InputError(f"{folder} holds no picture (JPEG, PNG, …), nor do its sub-folders")
    return sorted(found, key=lambda given: natural_key(given.place))


def _words(path: Path) -> str:
    """Return the text beside a picture."""
    try:
        return read_bytes(path, "TEXT").decode("utf-8-sig", "replace").strip()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None


def _read(path: Path) -> pd.DataFrame:
    try:
        return read_table(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read as a table ({error.strerror}); expected a line of "
            "column names, then a row for each picture"
        ) from None


def _in_table(
    table: pd.DataFrame, image: str | None, prompt: str | None, folder: Path, source: str
) -> tuple[list[_Given], list[Skipped]]:
    columns = [str(name) for name in table.columns]
    image = _column(columns, image, OF_PICTURES, source, "image")
    if image is None:
        raise InputError(
            f"{source}: no column that looks like the pictures ({', '.join(OF_PICTURES)}); name "
            f"it (--picture-column); {there_are(columns)}"
        )
    prompt = _column(columns, prompt, OF_PROMPTS, source, "prompt")
    texts = table[prompt].tolist() if prompt else [""] * len(table)
    found: list[_Given] = []
    skipped: list[Skipped] = []
    for label, cell, text in zip(table.index, table[image].tolist(), texts, strict=True):
        said = " ".join(as_texts(text))
        if not isinstance(cell, (str, Path)):
            inside = isinstance(cell, Mapping) and "bytes" in cell
            path = as_text(cell.get("path")) if inside else ""
            found.append(_Given(cell["bytes"] if inside else cell, path or str(label), said))
        elif not as_text(str(cell)):
            skipped.append(Skipped(f"row {label}", "no path"))
        else:
            try:
                file = folder / local_path(cell).expanduser()
                found.append(_Given(file, str(cell), said))
            except InputError as error:
                skipped.append(Skipped(str(cell), str(error)))
    return found, skipped


def _column(
    columns: Sequence[str], asked: str | None, known: Sequence[str], source: str, what: str
) -> str | None:
    if asked is not None:
        require(asked, columns, f"{source}: {what}")
        return asked
    return next((name for name in known if name in columns), None)
