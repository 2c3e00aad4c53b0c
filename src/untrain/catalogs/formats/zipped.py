"""Single members of a zip by their place in it: its directory is read once, when listed."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from untrain.core.errors import InputError
from untrain.core.given import open_zip
from untrain.core.outside import inflate, limit_of, open_regular, too_large

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # read here; others by `zipfile`
ENCRYPTED = 1
STRONG_OR_PATCHED = 0x60
HEADER = struct.Struct("<4s22xHH")  # signature, then length of the name and of the extra field
SIGNATURE = b"PK\3\4"


class Member(NamedTuple):
    """Where a file lies in a zip, as its directory has it; a method below zero asks `zipfile`."""

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
        except (OSError, zipfile.BadZipFile, zlib.error, KeyError) as error:
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


def _read(path: Path, member: Member) -> bytes:
    """Return the bytes of a member, checked; opening the file for each costs 10 µs and no state."""
    if member.method < 0:
        with open_zip(path) as archive, archive.open(member.name) as unpacked:
            data = unpacked.read(limit_of("IMAGE") + 1)
        if len(data) > limit_of("IMAGE"):
            raise too_large(len(data), "IMAGE")
        return data
    if member.size > limit_of("IMAGE"):
        raise too_large(member.size, "IMAGE")
    with open_regular(path) as file:
        file.seek(member.offset)
        header = file.read(HEADER.size)
        if len(header) < HEADER.size or not header.startswith(SIGNATURE):
            raise zipfile.BadZipFile(f"{path.name} is no longer the file that was listed")
        _, name, extra = HEADER.unpack(header)
        file.seek(name + extra, 1)
        data = file.read(member.size)
    if member.method == zipfile.ZIP_DEFLATED:
        data = inflate(data)
    if zlib.crc32(data) != member.crc:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file '{member.name}'")
    return data
