"""A flat folder of ``<id>.jpg`` (or jpeg, png) beside ``<id>.txt``, as the seed study has it."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from untrain.catalogs.base import Catalog, Skipped
from untrain.catalogs.reading import FolderReader, check_images, natural_key, refuse_if_unusable
from untrain.core.errors import InputError
from untrain.core.outside import read_text
from untrain.core.text import is_text

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
NO_CAPTION = "picture"
"""Stands for every caption of a folder that has none, where no model is to be trained."""


def from_folder(
    path: Path | str, strict: bool = False, empty_caption: str | None = None
) -> Catalog:
    """Read a flat folder of image–caption pairs; every image is decoded once to check it.

    Parameters
    ----------
    path : Path
        Folder with ``<id>.jpg``, ``<id>.jpeg`` or ``<id>.png`` beside ``<id>.txt`` (UTF-8).
        Other files, hidden files and sub-folders are ignored.
    strict : bool
        Refuse the folder if anything in it cannot be used, instead of skipping it.
    empty_caption : str, optional
        Stands for a caption that is empty or missing; by default such images are skipped.

    Returns
    -------
    Catalog
        In natural order of the ids, without attributes; what was left out is in ``skipped``.

    Raises
    ------
    InputError
        No such folder, nothing usable in it, an id with two images, or (strict) anything skipped.
    """
    folder = Path(path).expanduser()
    images, texts, skipped = _list_pairs(folder)
    if images and not texts and not empty_caption:
        raise InputError(
            f"{folder}: no usable image–caption pair: {len(images)} × image without caption; put "
            "<id>.txt beside each <id>.jpg, or give a table (CSV with columns image and caption)"
        )
    captions, unusable = _read_captions(folder, images, texts, empty_caption)
    files = {i: images[i] for i in sorted(captions, key=natural_key)}
    read = FolderReader(folder, files)
    hashes, broken = check_images(tuple(files), read)
    skipped = sorted([*skipped, *unusable, *broken], key=lambda s: natural_key(s.name))
    refuse_if_unusable(str(folder), len(hashes), skipped, strict)
    return Catalog(
        name=folder.resolve().name,
        ids=tuple(hashes),
        captions=tuple(captions[i] for i in hashes),
        hashes=tuple(hashes.values()),
        read=read,
        attributes=pd.DataFrame(index=range(len(hashes))),
        skipped=tuple(skipped),
    )


def _list_pairs(folder: Path) -> tuple[dict[str, str], dict[str, str], list[Skipped]]:
    """Return file names of images and of captions by id, and the names that are not text."""
    if not folder.is_dir():
        fault = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {fault}; expected a folder of <id>.jpg beside <id>.txt")
    images: dict[str, str] = {}
    texts: dict[str, str] = {}
    skipped: list[Skipped] = []
    for name in sorted(entry.name for entry in os.scandir(folder) if not _is_folder(entry)):
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a Path an entry is slow
        found = texts if suffix.lower() == ".txt" else images
        if name.startswith(".") or suffix.lower() not in (*IMAGE_SUFFIXES, ".txt"):
            continue
        if not is_text(name):
            skipped.append(Skipped(name, "file name is not UTF-8"))
        elif stem in found:
            raise InputError(
                f"{folder}: id '{stem}' occurs twice, as {found[stem]} and {name}; keep one of them"
            )
        else:
            found[stem] = name
    if not (images or texts or skipped):
        raise InputError(
            f"{folder} has no <id>.jpg, .jpeg or .png with <id>.txt beside it; "
            "files in sub-folders are not read (--format imagefolder reads a folder a class)"
        )
    return images, texts, skipped


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def lacks_captions(path: Path | str) -> bool:
    """Tell whether a folder has pictures, by their names, and not one caption.

    Raises
    ------
    InputError
        As `from_folder` for a folder that is not there or holds neither.
    """
    images, texts, _ = _list_pairs(Path(path).expanduser())
    return bool(images) and not texts


def _read_captions(
    folder: Path, images: dict[str, str], texts: dict[str, str], empty: str | None
) -> tuple[dict[str, str], list[Skipped]]:
    """Return the captions of the ids that have both an image and a caption, and the others."""
    skipped = [Skipped(texts[i], "caption without image") for i in texts.keys() - images.keys()]
    captions: dict[str, str] = {}
    for image_id, image_name in images.items():
        if image_id not in texts:
            if empty:
                captions[image_id] = empty
            else:
                skipped.append(Skipped(image_name, "image without caption"))
            continue
        try:
            caption = read_text(folder / texts[image_id]).strip()
        except (OSError, UnicodeDecodeError) as error:
            skipped.append(Skipped(texts[image_id], f"caption cannot be read ({error})"))
            continue
        if caption or empty:
            captions[image_id] = caption or str(empty)
        else:
            skipped.append(Skipped(texts[image_id], "empty caption"))
    return captions, skipped
