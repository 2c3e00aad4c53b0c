"""Tables of paths: CSV or TSV with a file a row, and the caption files of COCO (JSON)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import Any

from untrain.catalogs.base import Catalog
from untrain.catalogs.checked import stamp_of
from untrain.catalogs.choice import Choice, require, there_are
from untrain.catalogs.intake import Row, Source, refuse, take_in
from untrain.catalogs.reading import FolderReader, folders_of
from untrain.core.errors import InputError
from untrain.core.outside import open_regular, parse_json, read_text

IMAGES = ("image", "image_path", "path", "file", "filename", "file_name", "filepath", "img")


def from_csv(
    path: Path | str,
    choice: Choice,
    strict: bool = False,
    image: str | None = None,
    root: Path | str | None = None,
    separator: str | None = None,
) -> Catalog:
    """Read a table with the paths of images; every image is decoded once to check it.

    An image's id is what the column ``id`` says, or else one called id, image_id or key, or its
    path as it stands, without the suffix.

    Parameters
    ----------
    path : Path
        CSV, or TSV by its suffix, UTF-8, with a line of names.
    choice : Choice
        Which rows and captions.
    strict : bool
        Refuse the data if any row cannot be used, instead of skipping it.
    image : str, optional
        Column of the paths; default: the first of `IMAGES` that is there.
    root : Path, optional
        What the paths are relative to, itself relative to the table's folder; that folder if left
        out.
    separator : str, optional
        Between the fields; default: a comma, in a ``.tsv`` a tab.

    Raises
    ------
    InputError
        No such file, no table, and as `take_in`.
    """
    table = _file(path, "a table (CSV, TSV)")
    names, rows = _read_csv(table, separator)
    column = _image_column(names, image, table)
    folder = _root(table, root)
    total = sum(1 for _ in _read_csv(table, separator)[1])
    found = (_csv_row(number, fields, names, column, folder) for number, fields in rows)
    return take_in(
        found,
        _source(table, folder, [name for name in names if name != column], total),
        choice,
        strict,
    )


def csv_folders(
    path: Path | str,
    image: str | None = None,
    root: Path | str | None = None,
    separator: str | None = None,
    **_: Any,
) -> set[Path]:
    """Return the folders that the images of a table lie in."""
    table = _file(path, "a table (CSV, TSV)")
    names, rows = _read_csv(table, separator)
    at = names.index(_image_column(names, image, table))
    folder = _root(table, root)
    return folders_of(folder, (fields[at] for _, fields in rows if len(fields) > at))


def _source(table: Path, folder: Path, columns: list[str], total: int) -> Source:
    return Source(
        name=table.stem,
        where=str(table),
        columns=columns,
        fields=("name",),
        kind=str,
        reader=partial(FolderReader, folder),
        label="checking images",
        total=total,
    )


def _file(path: Path | str, what: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        fault = "does not exist" if not file.exists() else "is not a regular file"
        raise InputError(f"{file} {'is a folder' if file.is_dir() else fault}; expected {what}")
    return file


def _root(table: Path, root: Path | str | None) -> Path:
    folder = (table.parent / Path(root or "").expanduser()).resolve()
    if not folder.is_dir():
        raise InputError(
            f"{table}: root {folder} is not a folder; expected the folder of the images"
        )
    return folder


def _read_csv(
    table: Path, separator: str | None
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the names of the columns, and the rows with the number of their last line."""
    mark = separator or ("\t" if table.suffix.lower() == ".tsv" else ",")
    if len(mark) != 1:
        raise InputError(f"{table}: separator is {mark!r}; expected one character")
    rows = _lines(table, mark)
    names = next(rows, (1, []))[1]
    if not names or len(set(names)) < len(names):
        twice = next((name for name in names if names.count(name) > 1), None)
        fault = f"names the column '{twice}' twice" if twice else "is empty"
        raise InputError(
            f"{table} {fault}; expected a line of column names, then one row per image"
        )
    return names, rows


def _lines(table: Path, mark: str) -> Iterator[tuple[int, list[str]]]:
    try:
        with (
            open_regular(table, "TABLE") as opened,
            TextIOWrapper(opened, encoding="utf-8-sig", newline="") as file,
        ):
            reader = csv.reader(file, delimiter=mark)
            yield from ((reader.line_num, fields) for fields in reader if fields)
    except OSError as error:
        raise InputError(f"{table} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{table} is not UTF-8 text ({error})") from None
    except csv.Error as error:
        raise InputError(f"{table} cannot be parsed ({error})") from None


def _image_column(names: list[str], image: str | None, table: Path) -> str:
    if image is not None:
        require(image, names, f"{table}: image")
        return image
    found = next((name for name in IMAGES if name in names), None)
    if found is None:
        raise InputError(
            f"{table}: no column that looks like the images' paths ({', '.join(IMAGES)}); name it "
            f"(image); {there_are(names)}"
        )
    return found


def _csv_row(number: int, fields: list[str], names: list[str], image: str, folder: Path) -> Row:
    values: dict[str, Any] = dict(zip(names, fields, strict=False))
    name = str(values.pop(image, ""))
    if len(fields) != len(names):
        fault = f"row is incomplete ({len(fields)} fields, expected {len(names)})"
        return Row(f"line {number}", values, (name,), partial(refuse, fault))
    return _row(values, name, folder, "")


def _row(values: dict[str, Any], name: str, folder: Path, image_id: str) -> Row:
    """Return the row of an image file, named relative to a folder."""
    if "://" in name:
        fault = "image is a URL (download it first; untrain fetches no images)"
        return Row(image_id or name, values, (name,), partial(refuse, fault))
    path = PurePosixPath(name.replace("\\", "/"))
    stem = image_id or (str(path.with_suffix("")) if path.name else name)
    if not name:
        return Row(stem or "row without path", values, (name,), partial(refuse, "no path"))
    return Row(
        stem, values, (name,), partial(_read, folder, name), stamp=stamp_of(f"{folder}/{name}")
    )


def _read(folder: Path, name: str, image_id: str) -> bytes:
    return FolderReader(folder, {image_id: name})(image_id)


def from_coco(
    path: Path | str,
    choice: Choice,
    strict: bool = False,
    root: Path | str | None = None,
) -> Catalog:
    """Read the captions of COCO, ``captions_*.json``; every image is decoded once to check it.

    An image's id is its ``id`` in the file; of its captions, in the order of their own ids, the
    first is taken unless ``captions`` says otherwise: then byte-identical images that several
    pairs share leave together, as all copies do.

    Parameters
    ----------
    path : Path
        JSON with ``images`` (id, file_name, …) and ``annotations`` (image_id, caption).
    choice : Choice
        Which rows and captions; columns are ``caption`` and the fields of images.
    strict : bool
        Refuse the data if any image cannot be used, instead of skipping it.
    root : Path, optional
        Folder of the images, relative to the JSON's; default: that folder, ``images`` in it, or
        the one that COCO has for it, ``../train2017`` for ``captions_train2017.json``.

    Raises
    ------
    InputError
        No such file, another kind of JSON, no folder of images, and as `take_in`.
    """
    file = _file(path, "the captions of COCO (JSON)")
    images, texts = _read_coco(file)
    folder = _coco_root(file, images, root)
    columns = dict.fromkeys([*(name for image in images for name in image), "caption"])
    del columns["file_name"]
    found = (_coco_row(image, texts.get(image["id"], []), folder) for image in images)
    source = _source(file, folder, list(columns), len(images))
    return take_in(found, source, choice, strict)


def _coco_row(image: Mapping[str, Any], captions: list[str], folder: Path) -> Row:
    values = {name: value for name, value in image.items() if name != "file_name"}
    return _row(values | {"caption": captions}, str(image["file_name"]), folder, str(image["id"]))


def coco_folders(path: Path | str, root: Path | str | None = None, **_: Any) -> set[Path]:
    """Return the folders that the images of a caption file lie in."""
    file = _file(path, "the captions of COCO (JSON)")
    images, _texts = _read_coco(file)
    folder = _coco_root(file, images, root)
    return folders_of(folder, (str(image["file_name"]) for image in images))


def _read_coco(file: Path) -> tuple[list[dict[str, Any]], dict[Any, list[str]]]:
    """Return the images, and the captions of each by its id, in the order of their own ids."""
    try:
        found = parse_json(read_text(file, "TABLE"), halves=True)
        images = [i for i in found["images"] if {"id", "file_name"} <= i.keys()]
        said = [a for a in found["annotations"] if {"image_id", "caption"} <= a.keys()]
        texts: dict[Any, list[str]] = {i["id"]: [] for i in images}
        for item in sorted(said, key=_annotation_order):
            texts.setdefault(item["image_id"], []).append(str(item["caption"]))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} holds no captions as COCO has them ({error}); expected JSON with images "
            "(id, file_name) and annotations (image_id, caption)"
        ) from None
    if not images or (found["annotations"] and not said):
        raise InputError(
            f"{file} has {len(images)} images and {len(said)} captions; expected annotations with "
            "a caption, as in captions_*.json of COCO (instances_*.json has none)"
        )
    return images, texts


def _annotation_order(item: Mapping[str, Any]) -> tuple[bool, int, str]:
    number = item.get("id")
    whole = isinstance(number, int)
    return (not whole, number if isinstance(number, int) else 0, str(number))


def _coco_root(file: Path, images: Iterable[Mapping[str, Any]], root: Path | str | None) -> Path:
    if root is not None:
        return _root(file, root)
    here = file.parent
    part = file.stem.rpartition("_")[2]
    places = [here, here / "images", here.parent / part, here.parent / "images", here / part]
    first = [str(image["file_name"]) for image in images][:20]  # some may be missing
    for place in places:
        if any((place / name).is_file() for name in first):
            return place.resolve()
    raise InputError(
        f"{file}: no image {first[0]} in {', '.join(map(str, places))}; name the folder of the "
        "images (root)"
    )
