"""What every format needs: the order of ids, reading and checking images, what was skipped."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from PIL import Image

from untrain.catalogs import checked
from untrain.catalogs.base import Skipped
from untrain.core.errors import InputError
from untrain.core.images import decode
from untrain.core.outside import read_bytes
from untrain.core.parallel import in_threads
from untrain.core.progress import bar

AT_ONCE = 4096  # images checked at a time


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that counts digits as numbers: ``"a2" < "a10"``, ``"9" < "10" < "a"``."""
    parts = [p for p in re.split(r"([0-9]+)", name) if p]
    return [_piece(part) for part in parts], name


def _piece(part: str) -> tuple[int, int, str]:
    """Return the key of digits, which may be more than Python makes a number of, or of others."""
    if part[0] not in "0123456789":
        return 1, 0, part
    digits = part.lstrip("0")
    return 0, len(digits), digits


def natural_bytes(name: str) -> bytes:
    """Return `natural_key` as bytes of the same order, for code that can only sort bytes."""
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
            return read_bytes(self.folder / self.files[image_id])
        except OSError as error:
            raise InputError(f"image '{image_id}' cannot be read ({error.strerror})") from None

    def stamps(self, ids: Iterable[str]) -> list[str]:
        """Return the stamps of images, see `untrain.catalogs.checked`."""
        folder = os.path.realpath(self.folder)
        return [checked.stamp_of(f"{folder}/{self.files[image_id]}") for image_id in ids]


def folders_of(root: Path, names: Iterable[str]) -> set[Path]:
    """Return the folders of files named relative to ``root``, and those above, up to it."""
    found = set()
    for parent in {PurePosixPath(name.rpartition("/")[0]) for name in names}:
        above = () if parent.is_absolute() else parent.parents
        found |= {root / folder for folder in (parent, *above)}
    return found


class Stamped(Protocol):
    """A reader that can tell, without opening it, whether an image is the one it was."""

    def __call__(self, image_id: str) -> bytes: ...

    def stamps(self, ids: Iterable[str]) -> list[str]: ...


def check_images(ids: Sequence[str], read: Stamped) -> tuple[dict[str, str], list[Skipped]]:
    """Decode every image in full; return sha256 by id of the good ones, and the bad ones.

    An image above Pillow's pixel limit (a decompression bomb) is a bad one. Those that were found
    good before, by `untrain.catalogs.checked`, are not opened.
    """
    results: list[str | Skipped] = []
    with bombs_refused(), bar("checking images", len(ids)) as advance:
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            reads = [partial(read, image_id) for image_id in part]
            results += check_each(part, reads, read.stamps(part))
            advance(len(part))
    pairs = list(zip(ids, results, strict=True))
    hashes = {image_id: result for image_id, result in pairs if isinstance(result, str)}
    return hashes, [result for result in results if isinstance(result, Skipped)]


def check_each(
    ids: Sequence[str], reads: Sequence[Callable[[], bytes]], stamps: Sequence[str]
) -> list[str | Skipped]:
    """Return what `check_image` says of each, or said when an image of the same stamp was read.

    Stamps are taken before the images are read: of one that changes meanwhile, the old one is
    noted, which it will not have again.
    """
    results: list[str | Skipped] = list(checked.known(stamps))
    rest = [at for at, found in enumerate(results) if not found]
    found = in_threads(lambda at: check_image(ids[at], reads[at]), rest)
    for at, result in zip(rest, found, strict=True):
        results[at] = result
    good = [at for at in rest if isinstance(results[at], str)]
    checked.note([stamps[at] for at in good], [str(results[at]) for at in good])
    return results


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
    """Make Pillow reject a picture above its pixel limit instead of warning about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def by_reason(skipped: Collection[Skipped]) -> dict[str, list[str]]:
    """Group the names of what was skipped by reason (without its details), most frequent first."""
    groups: dict[str, list[str]] = {}
    for item in skipped:
        groups.setdefault(item.reason.partition(" (")[0], []).append(item.name)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def reasons(skipped: Collection[Skipped]) -> str:
    """Describe what was skipped: how many for each reason, with some of their names."""
    return "; ".join(
        f"{len(names)} × {reason} (e.g. {', '.join(names[:3])})"
        for reason, names in by_reason(skipped).items()
    )


def refuse_if_unusable(where: str, kept: int, skipped: Sequence[Skipped], strict: bool) -> None:
    """Raise `InputError` if nothing was kept or, where strict, if anything was skipped."""
    if strict and skipped:
        entries = "entry" if len(skipped) == 1 else "entries"
        raise InputError(
            f"{where}: {len(skipped)} {entries} cannot be used: {reasons(skipped)}; "
            "repair or remove them, or turn strict off to skip them"
        )
    if not kept:
        why = reasons(skipped) or "it is empty"
        raise InputError(f"{where}: no usable image–caption pair: {why}")
