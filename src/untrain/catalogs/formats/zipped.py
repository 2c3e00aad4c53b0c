"""Single members of a zip by their place in it: its directory is read once, when listed."""

from __future__ import annotations

import bz2
import errno
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from untrain.core.errors import InputError
from untrain.core.given import open_zip
from untrain.core.outside import inflate, limit_of, open_regular, too_large, unpack

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
OTHERS = (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENCRYPTED = 1
STRONG_OR_PATCHED = 0x60
HEADER = struct.Struct("<4s22xHH")  # signature, then length of the name and of the extra field
SIGNATURE = b"PK\3\4"
UNKNOWN_LENGTH = b"\xff" * 8
MOST_MEMORY = 256 << 20
"""Bytes that LZMA may take to unpack: a heading can ask for 4 GiB."""


class Member(NamedTuple):
    """Where a file lies in a zip, as its directory has it; a method below 0 is looked up."""

    name: str
    offset: int
    size: int
    method: int
    crc: int


@dataclass(frozen=True, eq=False)
class ZipReader:
    """``read(id) -> bytes`` over members of a zip; usable from any thread and process."""

    path: Path
    files: Mapping[str, Member]

    def __call__(self, image_id: str) -> bytes:
        try:
            return _read(self.path, self.files[image_id])
        except (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, KeyError) as error:
            fault = getattr(error, "strerror", None) or error
            raise InputError(f"image '{image_id}' cannot be read ({fault})") from None

    def stamps(self, ids: Iterable[str]) -> list[str]:
        """Return the stamps of images, see `untrain.catalogs.checked`: by their checksums."""
        members = [self.files[image_id] for image_id in ids]
        return [f"{m.name}|{m.crc}|{m.size}|{m.method}" for m in members]


def members(path: Path) -> dict[str, Member]:
    """Return the files of a zip by name, from its directory.

    Raises
    ------
    OSError
        It cannot be opened, or is no zip.
    """
    with open_zip(path) as archive:
        return {
            info.filename: Member(
                info.filename,
                info.header_offset,
                info.compress_size,
                _method(info),
                info.CRC,
            )
            for info in archive.infolist()
            if not info.is_dir()
        }


def _method(info: zipfile.ZipInfo) -> int:
    plain = not info.flag_bits & (ENCRYPTED | STRONG_OR_PATCHED)
    return info.compress_type if plain and info.compress_type in METHODS else -1


def _other_method(path: Path, name: str) -> int:
    """Return how a member is packed that was listed as packed in no common way."""
    with open_zip(path) as archive:
        info = archive.getinfo(name)
    if info.flag_bits & (ENCRYPTED | STRONG_OR_PATCHED):
        raise OSError(errno.EINVAL, "it is encrypted")
    if info.compress_type not in OTHERS:
        raise OSError(errno.EINVAL, f"packed by method {info.compress_type}, which is not read")
    return info.compress_type


def _read(path: Path, member: Member) -> bytes:
    """Return the bytes of a member, checked; opening the file for each costs 10 µs and no state."""
    if member.size > limit_of("IMAGE"):
        raise too_large(member.size, "IMAGE")
    method = member.method if member.method >= 0 else _other_method(path, member.name)
    with open_regular(path) as file:
        file.seek(member.offset)
        header = file.read(HEADER.size)
        if len(header) < HEADER.size or not header.startswith(SIGNATURE):
            raise zipfile.BadZipFile(f"{path.name} is no longer the file that was listed")
        _, name, extra = HEADER.unpack(header)
        file.seek(name + extra, 1)
        data = file.read(member.size)
    if method == zipfile.ZIP_DEFLATED:
        data = inflate(data)
    elif method == zipfile.ZIP_BZIP2:
        data = unpack(data, bz2.BZ2Decompressor())
    elif method == zipfile.ZIP_LZMA:
        # Its heading is that of a file of its own, but for a version before and a length behind.
        data = data[4:9] + UNKNOWN_LENGTH + data[9:]
        data = unpack(data, lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MOST_MEMORY))
    if zlib.crc32(data) != member.crc:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file '{member.name}'")
    return data
