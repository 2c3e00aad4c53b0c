"""A flat folder of ``<id>.jpg`` (or jpeg, png) beside ``<id>.txt``, as the seed study has it."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import pandas as pd
from PIL import Image

from untrain.catalogs.base import Catalog, ReadBytes, Skipped, decode
from untrain.core.errors import InputError
from untrain.core.progress import bar
from untrain.core.threads import cores

S = TypeVar("S")
T = TypeVar("T")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
CHUNK = 64  # images a task: small photographs decode faster than a thread pool hands them out


def from_folder(path: Path | str, strict: bool = False) -> Catalog:
    """Read a flat folder of image–caption pairs; every image is decoded once to check it.

    Parameters
    ----------
    path : Path
        Folder with ``<id>.jpg``, ``<id>.jpeg`` or ``<id>.png`` beside ``<id>.txt`` (UTF-8).
        Other files, hidden files and sub-folders are ignored.
    strict : bool
        Refuse the folder if anything in it cannot be used, instead of skipping it.

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
    captions, unusable = _read_captions(folder, images, texts)
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


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that counts digits as numbers: ``"a2" < "a10"``, ``"9" < "10" < "a"``."""
    parts = [p for p in re.split(r"([0-9]+)", name) if p]
    return [(0, int(p), "") if p[0] in "0123456789" else (1, 0, p) for p in parts], name


def natural_bytes(name: str) -> bytes:
    """Return `natural_key` as bytes of the same order, for what sorts bytes alone."""
    pieces = []
    for part in re.split(r"([0-9]+)", name):
        if part and part[0] in "0123456789":
            digits = part.lstrip("0")
            pieces.append(b"\1" + len(digits).to_bytes(4, "big") + digits.encode())
        elif part:
            pieces.append(b"\2" + part.encode("utf-8", "surrogatepass") + b"\0")
    return b"".join([*pieces, b"\0", name.encode("utf-8", "surrogatepass")])


@dataclass(frozen=True, eq=False)
class FolderReader:
    """``read(id) -> bytes`` over files of a folder, given as names relative to it."""

    folder: Path
    files: Mapping[str, str]

    def __call__(self, image_id: str) -> bytes:
        try:
            return (self.folder / self.files[image_id]).read_bytes()
        except OSError as error:
            raise InputError(f"image '{image_id}' cannot be read ({error.strerror})") from None


def folders_of(root: Path, names: Iterable[str]) -> set[Path]:
    """Return the folders of files named relative to ``root``, and those above, up to it."""
    found = set()
    for parent in {PurePosixPath(name.rpartition("/")[0]) for name in names}:
        above = () if parent.is_absolute() else parent.parents
        found |= {root / folder for folder in (parent, *above)}
    return found


def check_images(ids: Sequence[str], read: ReadBytes) -> tuple[dict[str, str], list[Skipped]]:
    """Decode every image in full; return sha256 by id of the good ones, and the bad ones.

    An image above Pillow's pixel limit (a decompression bomb) is a bad one.
    """

    with bombs_refused():
        results = in_threads(lambda i: check_image(i, lambda: read(i)), ids, "checking images")
    pairs = list(zip(ids, results, strict=True))
    hashes = {image_id: result for image_id, result in pairs if isinstance(result, str)}
    return hashes, [result for result in results if isinstance(result, Skipped)]


def check_image(image_id: str, read: Callable[[], bytes]) -> str | Skipped:
    """Decode an image in full; return the sha256 of its bytes, or why it cannot be used."""
    try:
        data = read()
        decode(data, image_id)
    except InputError as error:
        return Skipped(image_id, str(error).replace(f"image '{image_id}'", "image", 1))
    return hashlib.sha256(data).hexdigest()


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Let Pillow refuse a picture above its pixel limit, of which it would only warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def in_threads(function: Callable[[S], T], ids: Sequence[S], label: str = "") -> list[T]:
    """Return ``[function(id) for id in ids]``, on all cores; with a label, behind a progress bar.

    Pillow lets go of the interpreter while it decodes, so threads pay off for large images.
    """
    threads = min(cores(), 8)
    size = max(1, min(CHUNK, len(ids) // (4 * threads)))
    chunks = [ids[start : start + size] for start in range(0, len(ids), size)]
    results: list[T] = []
    shown = bar(label, len(ids)) if label else nullcontext(lambda n: None)
    with ThreadPoolExecutor(threads) as pool, shown as advance:
        for part in pool.map(lambda chunk: [function(i) for i in chunk], chunks):
            results += part
            advance(len(part))
    return results


def by_reason(skipped: Collection[Skipped]) -> dict[str, list[str]]:
    """Group the names of what was skipped by reason (without its details), most frequent first."""
    groups: dict[str, list[str]] = {}
    for item in skipped:
        groups.setdefault(item.reason.partition(" (")[0], []).append(item.name)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def reasons(skipped: Collection[Skipped]) -> str:
    """Return what was skipped as words: how many for each reason, and some of their names."""
    return "; ".join(
        f"{len(names)} × {reason} (e.g. {', '.join(names[:3])})"
        for reason, names in by_reason(skipped).items()
    )


def refuse_if_unusable(where: str, kept: int, skipped: Sequence[Skipped], strict: bool) -> None:
    """Raise `InputError` that says why, if nothing was kept, or if anything was not and strict."""
    if strict and skipped:
        entries = "entry" if len(skipped) == 1 else "entries"
        raise InputError(
            f"{where}: {len(skipped)} {entries} cannot be used: {reasons(skipped)}; "
            "repair or remove them, or turn strict off to skip them"
        )
    if not kept:
        why = reasons(skipped) or "it is empty"
        raise InputError(f"{where}: no usable image–caption pair: {why}")


def _list_pairs(folder: Path) -> tuple[dict[str, str], dict[str, str], list[Skipped]]:
    """Return file names of images and of captions by id, and the names that are not text."""
    if not folder.is_dir():
        fault = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {fault}; expected a folder of <id>.jpg beside <id>.txt")
    images: dict[str, str] = {}
    texts: dict[str, str] = {}
    skipped: list[Skipped] = []
    for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_file()):
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a Path an entry is slow
        found = texts if suffix.lower() == ".txt" else images
        if name.startswith(".") or suffix.lower() not in (*IMAGE_SUFFIXES, ".txt"):
            continue
        readable = name.encode("utf-8", "backslashreplace").decode()
        if readable != name:
            skipped.append(Skipped(readable, "file name is not UTF-8"))
        elif stem in found:
            raise InputError(
                f"{folder}: id '{stem}' occurs twice, as {found[stem]} and {name}; keep one of them"
            )
        else:
            found[stem] = name
    if not (images or texts or skipped):
        raise InputError(
            f"{folder} has no <id>.jpg, .jpeg or .png with <id>.txt beside it; "
            "files in sub-folders are not read"
        )
    return images, texts, skipped


def _read_captions(
    folder: Path, images: dict[str, str], texts: dict[str, str]
) -> tuple[dict[str, str], list[Skipped]]:
    """Return the captions of the ids that have both an image and a caption, and the others."""
    skipped = [Skipped(texts[i], "caption without image") for i in texts.keys() - images.keys()]
    captions: dict[str, str] = {}
    for image_id, image_name in images.items():
        if image_id not in texts:
            skipped.append(Skipped(image_name, "image without caption"))
            continue
        try:
            caption = (folder / texts[image_id]).read_bytes().decode("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            skipped.append(Skipped(texts[image_id], f"caption cannot be read ({error})"))
            continue
        if caption:
            captions[image_id] = caption
        else:
            skipped.append(Skipped(texts[image_id], "empty caption"))
    return captions, skipped
