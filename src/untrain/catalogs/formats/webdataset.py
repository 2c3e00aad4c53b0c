"""WebDataset: tar shards whose files share a name by pair, such as ``000123.jpg``, ``000123.txt``.

A shard is read once from its start to its end; then an image is read by its place in it. Members
are read as what they are by their suffix: images as bytes, text as text, JSON as JSON. Anything
else (``.npy``, ``.pyd``, ``.pickle``) is passed over, so nothing is ever unpickled.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from untrain.catalogs.base import Catalog
from untrain.catalogs.checked import stamp_of
from untrain.catalogs.choice import Choice
from untrain.catalogs.formats.shards import expand
from untrain.catalogs.intake import Row, Source, refuse, take_in
from untrain.core.errors import InputError
from untrain.core.given import open_tar
from untrain.core.outside import limit_of, open_regular, parse_json, too_large

SUFFIXES = (".tar",)
IMAGES = ("jpg", "jpeg", "png", "webp")
TEXTS = ("txt", "text", "caption", "cls", "id")
OWN_ID = "__id__"  # of a pair in its JSON, where its id cannot be the name of a member
LONGEST = 2**20  # bytes of a caption or JSON member
MIB = 2**20

Members = dict[str, tarfile.TarInfo]


class Piece(NamedTuple):
    """Where a file lies in a tar."""

    shard: int
    offset: int
    size: int


@dataclass(frozen=True, eq=False)
class TarReader:
    """``read(id) -> bytes`` over members of tar files, each read by itself."""

    paths: tuple[Path, ...]
    files: Mapping[str, Piece]

    def __call__(self, image_id: str) -> bytes:
        return read_piece(self.paths, self.files[image_id], image_id)


def from_webdataset(
    path: Path | str,
    choice: Choice,
    strict: bool = False,
    image: str | None = None,
) -> Catalog:
    """Read tar shards of image–caption pairs; every image is decoded once to check it.

    The columns of a pair are its text members by their suffix (``txt``, ``cls``, …) and the fields
    of its ``json`` member. Its id is the column ``id`` names, or else ``__id__`` of its JSON, or
    its key: the path in the tar up to the first dot of the file's name.

    Parameters
    ----------
    path : Path
        A shard, a folder of them, or a pattern such as ``train-{000..127}.tar``; not compressed.
    choice : Choice
        Which rows and captions.
    strict : bool
        Refuse the data if any pair cannot be used, instead of skipping it.
    image : str, optional
        Suffix of the images, such as ``"png"``; default: the first of jpg, jpeg, png, webp.

    Raises
    ------
    InputError
        No such shards, one that is no plain tar, and as `take_in`.
    """
    paths = tuple(expand(path, SUFFIXES))
    suffixes = (image.lstrip("."),) if image else IMAGES
    place = str(path) if isinstance(path, Path | str) else str(paths[0].parent)
    source = Source(
        name=Path(place).stem,
        where=place,
        columns=None,
        fields=Piece._fields,
        kind=Piece,
        reader=lambda files: TarReader(paths, files),
        label="reading shards, MiB",
        total=sum(p.stat().st_size // MIB for p in paths),
    )
    return take_in(_rows(paths, suffixes), source, choice, strict)


def read_piece(paths: tuple[Path, ...], piece: Piece, image_id: str) -> bytes:
    """Return the bytes of a member; opening the file for each costs 10 µs and no state."""
    try:
        if piece.size > limit_of("IMAGE"):
            raise too_large(piece.size, "IMAGE")
        with open_regular(paths[piece.shard]) as file:
            file.seek(piece.offset)
            data = file.read(piece.size)
    except OSError as error:
        raise InputError(f"image '{image_id}' cannot be read ({error.strerror})") from None
    if len(data) != piece.size:
        name = paths[piece.shard].name
        raise InputError(f"image '{image_id}' cannot be read ({name} is truncated)")
    return data


def _rows(paths: tuple[Path, ...], suffixes: tuple[str, ...]) -> Iterator[Row]:
    """Yield pairs in the order of the shards: files of one key stand next to each other."""
    for shard, path in enumerate(paths):
        done, state = 0, stamp_of(path)
        for key, members, values, fault in _samples(path):
            image = next((members[s] for s in suffixes if s in members), None)
            if OWN_ID in values:
                key = str(values.pop(OWN_ID))
            at = max(m.offset_data + m.size for m in members.values()) // MIB
            done, weight = at, at - done
            if image is None:
                fault = f"no image (of {', '.join(suffixes)})"
            piece = Piece(shard, image.offset_data, image.size) if image else Piece(shard, 0, 0)
            read = partial(refuse, fault) if fault else partial(read_piece, paths, piece)
            # Of a pair without image the caption stands in, so that its check says what it lacks.
            stamp = "" if fault or not state else f"{state}|{piece.offset}|{piece.size}"
            yield Row(key, values, piece, read, weight, stamp)


def _samples(path: Path) -> Iterator[tuple[str, Members, dict[str, Any], str]]:
    """Yield the key of each pair, its members, its columns, and what is wrong with them."""
    with open_regular(path) as file:
        for key, members in _grouped(path):
            yield key, members, *_values(file, members)


def _grouped(path: Path) -> Iterator[tuple[str, Members]]:
    """Yield key and members by suffix, of files that follow each other under one key."""
    key = ""
    members: dict[str, tarfile.TarInfo] = {}
    for info in _members(path):
        folder, slash, name = info.name.removeprefix("./").rpartition("/")
        stem, dot, suffix = name.partition(".")
        if not stem or not dot:  # hidden, or without a suffix: no part of a pair
            continue
        this = f"{folder}{slash}{stem}"
        if this != key and members:
            yield key, members
            members = {}
        key = this
        if suffix.lower() in members:
            raise InputError(f"{path} holds {info.name} twice; expected one of each in a pair")
        members[suffix.lower()] = info
    if members:
        yield key, members


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    try:
        with open_tar(path) as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every one
                if info.isreg():
                    yield info
    except OSError as error:
        packed = _begins(path) == b"\x1f\x8b"
        hint = "it is compressed: unpack it with gunzip; its images are compressed already"
        raise InputError(
            f"{path} is not a readable tar file ({hint if packed else error.strerror}); "
            "expected a WebDataset shard"
        ) from None


def _begins(path: Path) -> bytes:
    """Return the first two bytes of a file; none if it cannot be opened."""
    with suppress(OSError), open_regular(path) as file:
        return file.read(2)
    return b""


def _values(file: BinaryIO, members: Members) -> tuple[dict[str, Any], str]:
    """Return the columns of a pair, and what is wrong with them, if anything is."""
    values: dict[str, Any] = {}
    fault = ""
    for suffix, info in members.items():
        if suffix not in (*TEXTS, "json"):
            continue
        file.seek(info.offset_data)
        try:
            if info.size > LONGEST:
                raise ValueError(f"{info.size:,} bytes")
            text = file.read(info.size).decode("utf-8-sig")
            found = parse_json(text, halves=True) if suffix == "json" else {suffix: text}
            if not isinstance(found, dict):
                raise ValueError("not a JSON object")
            values |= found
        except ValueError as error:
            fault = f"{suffix} cannot be read ({error})"
    return values, fault
