"""Fashion Product Images as Kaggle gives them: the zip, read in place, or its unpacked folder."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from untrain.catalogs.base import Catalog, ReadBytes, Skipped
from untrain.catalogs.formats.zipped import Member, ZipReader, members
from untrain.catalogs.reading import FolderReader, check_images, natural_key, refuse_if_unusable
from untrain.core.errors import InputError

COLUMNS = (
    "id",
    "gender",
    "masterCategory",
    "subCategory",
    "articleType",
    "baseColour",
    "season",
    "year",
    "usage",
    "productDisplayName",
)
AGE_GROUPS = {
    "Men": "Adults-Men",
    "Women": "Adults-Women",
    "Unisex": "Adults-Unisex",
    "Boys": "Kids-Boys",
    "Girls": "Kids-Girls",
}
MISSING = {"", "na", "nan", "n/a", "null", "none"}

Row = dict[str, str]


def from_fashion(
    path: Path | str, strict: bool = False, ids: Collection[str] | None = None
) -> Catalog:
    """Read Fashion Product Images (Kaggle, full or small); every image is decoded once.

    Parameters
    ----------
    path : Path
        The zip as downloaded, or the folder it was unpacked to: ``styles.csv`` beside
        ``images/<id>.jpg``, at the top or inside a folder (the topmost ``styles.csv`` counts).
    strict : bool
        Refuse the data set if any row or image cannot be used, instead of skipping it.
        (As published it has rows without an image.)
    ids : collection of str, optional
        Read only these.

    Returns
    -------
    Catalog
        In natural order of the ids; ``attributes`` are the columns of ``styles.csv`` except the
        id, as they stand there; what was left out is in ``skipped``.

    Raises
    ------
    InputError
        No such file, neither zip nor folder, no ``styles.csv``, an id twice or unknown, nothing
        usable, or (strict) anything skipped.
    """
    source = Path(path).expanduser()
    table, read = _open(source)
    rows, skipped = _parse(table, source)
    if ids is not None:
        wanted = {str(i) for i in ids}
        unknown = wanted - rows.keys()
        if unknown:
            raise InputError(f"{source}: styles.csv has no row with id '{min(unknown)}'")
        rows = {i: row for i, row in rows.items() if i in wanted}
        skipped = []
    else:
        skipped += [Skipped(i, "no row in styles.csv") for i in read.files.keys() - rows.keys()]
    captions = {i: caption(row) for i, row in rows.items()}
    skipped += [Skipped(i, "no image") for i in rows if i not in read.files]
    skipped += [Skipped(i, "empty caption") for i in rows if i in read.files and not captions[i]]
    usable = sorted((i for i in rows if i in read.files and captions[i]), key=natural_key)
    hashes, broken = check_images(usable, read)
    skipped = sorted([*skipped, *broken], key=lambda s: natural_key(s.name))
    refuse_if_unusable(str(source), len(hashes), skipped, strict)
    return Catalog(
        name=source.resolve().stem,
        ids=tuple(hashes),
        captions=tuple(captions[i] for i in hashes),
        hashes=tuple(hashes.values()),
        read=read,
        attributes=pd.DataFrame([rows[i] for i in hashes], dtype=str).drop(columns="id"),
        skipped=tuple(skipped),
    )


def caption(row: Mapping[str, str]) -> str:
    """Return a row's attributes strung together in the word order of the study's captions.

    "Fashion" stands where the study has the item's fashion type, which ``styles.csv`` lacks; a
    missing value (empty, NA, nan) leaves no word, not even inside a name. Empty if nothing is
    known about the item.
    """
    known = {key: "" if v.strip().lower() in MISSING else v.strip() for key, v in row.items()}
    if not any(known[key] for key in COLUMNS[1:]):
        return ""
    words = [
        known["productDisplayName"],
        AGE_GROUPS.get(known["gender"], ""),
        known["gender"],
        known["baseColour"],
        "Fashion",
        *(known[key] for key in ("season", "year", "usage")),
        *(known[key] for key in ("articleType", "masterCategory", "subCategory")),
    ]
    return " ".join(word for word in " ".join(words).split() if word not in ("NA", "nan"))


def _open(source: Path) -> tuple[str, ZipReader | FolderReader]:
    """Return the text of ``styles.csv`` and a reader of the images beside it, by id."""
    names: Collection[str]
    inside: dict[str, Member] = {}
    if source.is_dir():
        patterns = ("styles.csv", "*/styles.csv", "*/*/styles.csv")
        names = [p.relative_to(source).as_posix() for n in patterns for p in source.glob(n)]
    elif source.exists():
        try:
            names = inside = members(source)
        except OSError as error:
            raise InputError(
                f"{source} is not a readable zip file ({error.strerror}); expected Fashion Product "
                "Images as downloaded from Kaggle, or its unpacked folder"
            ) from None
    else:
        raise InputError(
            f"{source} does not exist; expected the zip of Fashion Product Images "
            "(Kaggle, paramaggarwal/fashion-product-images-small) or its unpacked folder"
        )
    tables = [n for n in names if PurePosixPath(n).name == "styles.csv"]
    if not tables:
        raise InputError(
            f"{source} has no styles.csv; expected styles.csv beside images/<id>.jpg, as in "
            "Fashion Product Images from Kaggle"
        )
    table = min(tables, key=lambda name: (name.count("/"), name))
    folder = PurePosixPath(table).parent / "images"
    if source.is_dir():
        names = [f"{folder}/{name}" for name in _list(source / folder)]
    images = {
        p.stem: str(p)
        for p in map(PurePosixPath, names)
        if p.parent == folder and p.suffix.lower() == ".jpg" and not p.name.startswith(".")
    }

    def reader(files: dict[str, str]) -> ZipReader | FolderReader:
        if source.is_dir():
            return FolderReader(source, files)
        return ZipReader(source, {i: inside[name] for i, name in files.items()})

    return _text(reader({"styles.csv": table}), source), reader(images)


def _list(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []  # noqa: PTH208 - only names


def _text(read: ReadBytes, source: Path) -> str:
    try:
        return read("styles.csv").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: styles.csv is not UTF-8 text ({error})") from None


def _parse(text: str, source: Path) -> tuple[dict[str, Row], list[Skipped]]:
    """Return the rows of ``styles.csv`` by id, and those that do not parse.

    As published some names have commas without quotes: the surplus fields belong to the name.
    """
    rows: dict[str, Row] = {}
    skipped: list[Skipped] = []
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise InputError(f"{source}: styles.csv cannot be parsed ({error})") from None
    header = lines[0] if lines else []
    if tuple(header) != COLUMNS:
        raise InputError(
            f"{source}: styles.csv has the columns {', '.join(header) or '(none)'}; "
            f"expected {', '.join(COLUMNS)}"
        )
    for number, line in enumerate(lines[1:], start=2):
        if len(line) < len(COLUMNS) or not line[0].strip():
            found = f"{len(line)} fields, expected {len(COLUMNS)} and an id"
            skipped.append(Skipped(f"styles.csv, row {number}", f"row is incomplete ({found})"))
            continue
        fields = [*line[: len(COLUMNS) - 1], ",".join(line[len(COLUMNS) - 1 :])]
        row = dict(zip(COLUMNS, fields, strict=True))
        if row["id"] in rows:
            raise InputError(f"{source}: styles.csv has id '{row['id']}' twice; keep one row of it")
        rows[row["id"]] = row
    return rows, skipped
