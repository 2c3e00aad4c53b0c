"""Archives: zips of pictures and tar shards whose members are named, packed or linked oddly.

Nothing is ever unpacked to a disk, so no name leads anywhere; what cannot be read is named and
skipped, or the archive is refused.
"""

from __future__ import annotations

import bz2
import io
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.catalogs import picture
from untrain.catalogs import Catalog, load_catalog
from untrain.catalogs.formats.fashion import COLUMNS
from untrain.core.errors import InputError

PICTURE = picture(1)
ROWS = [f"{n},Men,Apparel,Topwear,Shirt,Red,Fall,2012,Casual,A shirt" for n in (1, 2)]
STYLES = "\n".join([",".join(COLUMNS), *ROWS]).encode()
GOOD = [("styles.csv", STYLES), ("images/1.jpg", PICTURE), ("images/2.jpg", PICTURE)]
Members = list[tuple[str, bytes]]


def zipped(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def with_name(old: bytes, new: bytes) -> bytes:
    """Return the good zip with a member's name replaced by bytes, as long, that need be no text."""
    assert len(old) == len(new)
    return zipped(GOOD).replace(old, new)


def in_directory(offset: int, value: bytes, member: bytes = b"images/2.jpg") -> bytes:
    """Return the good zip with a field of a member in its directory replaced."""
    data = zipped(GOOD)
    at = data.rindex(member) - 46 + offset
    return data[:at] + value + data[at + len(value) :]


def packed_large(size: int) -> bytes:
    """Return a zip whose second picture unpacks to ``size`` bytes."""
    return zipped([*GOOD[:2], ("images/2.jpg", bytes(size))])


def link(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for each, data in GOOD[:2]:
            archive.writestr(each, data)
        info = zipfile.ZipInfo("images/2.jpg")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, name)
    return file.getvalue()


ZIPS: dict[str, tuple[Callable[[], bytes], int | None]] = {
    "good": (lambda: zipped(GOOD), 2),
    "stored": (lambda: zipped(GOOD, zipfile.ZIP_STORED), 2),
    "bzip2": (lambda: zipped(GOOD, zipfile.ZIP_BZIP2), 2),
    "lzma": (lambda: zipped(GOOD, zipfile.ZIP_LZMA), 2),
    "in a folder": (lambda: zipped([(f"a/{n}", d) for n, d in GOOD]), 2),
    "in folders": (lambda: zipped([(f"{'a/' * 99}{n}", d) for n, d in GOOD]), 2),
    "above": (lambda: zipped([*GOOD, ("images/../../../3.jpg", PICTURE)]), 2),
    "table above": (lambda: zipped([(f"../../{n}", d) for n, d in GOOD]), 2),
    "absolute": (lambda: zipped([*GOOD, ("/etc/3.jpg", PICTURE)]), 2),
    "all absolute": (lambda: zipped([(f"/{n}", d) for n, d in GOOD]), 2),
    "drive": (lambda: zipped([*GOOD, ("C:\\images\\3.jpg", PICTURE)]), 2),
    "backslashes": (lambda: zipped([(n.replace("/", "\\"), d) for n, d in GOOD]), None),
    "only a dot": (lambda: zipped([*GOOD, ("images/.jpg", PICTURE)]), 2),
    "line": (lambda: zipped([*GOOD, ("images/a\nb.jpg", PICTURE)]), 2),
    "escape": (lambda: zipped([*GOOD, ("images/\x1b[31m.jpg", PICTURE)]), 2),
    "long name": (lambda: zipped([*GOOD, (f"images/{'a' * 60_000}.jpg", PICTURE)]), 2),
    "not utf-8": (lambda: with_name(b"images/2.jpg", b"images/\xff.jpg"), 1),
    "picture twice": (lambda: zipped([*GOOD, GOOD[1]]), 2),
    "table twice": (lambda: zipped([*GOOD, GOOD[0]]), 2),
    "two endings": (lambda: zipped([*GOOD, ("images/1.JPG", PICTURE)]), 2),
    "folder as picture": (lambda: zipped([*GOOD[:2], ("images/2.jpg/", b"")]), 1),
    "no pictures": (lambda: zipped(GOOD[:1]), None),
    "no table": (lambda: zipped(GOOD[1:]), None),
    "empty": (lambda: zipped([]), None),
    "table empty": (lambda: zipped([("styles.csv", b""), *GOOD[1:]]), None),
    "table of zeros": (lambda: zipped([("styles.csv", bytes(999)), *GOOD[1:]]), None),
    "table not text": (lambda: zipped([("styles.csv", b"\xff\xfe"), *GOOD[1:]]), None),
    "zip in a zip": (lambda: zipped([*GOOD[:2], ("images/2.jpg", zipped(GOOD))]), 1),
    "itself a picture": (lambda: PICTURE, None),
    "picture of text": (lambda: zipped([*GOOD[:2], ("images/2.jpg", STYLES)]), 1),
    "picture empty": (lambda: zipped([*GOOD[:2], ("images/2.jpg", b"")]), 1),
    "link": (lambda: link("/etc/passwd"), 1),
    "link to a picture": (lambda: link("1.jpg"), 1),
    "encrypted": (lambda: in_directory(8, b"\1\0"), 1),
    "strongly encrypted": (lambda: in_directory(8, b"\x41\0"), 1),
    "unknown method": (lambda: in_directory(10, b"\x63\0"), 1),
    "wrong checksum": (lambda: in_directory(16, b"\1\2\3\4"), 1),
    "wrong size": (lambda: in_directory(20, struct.pack("<I", 7)), 1),
    "size of 4 GiB": (lambda: in_directory(20, b"\xfe\xff\xff\xff"), 1),
    "place beyond the end": (lambda: in_directory(42, b"\xfe\xff\xff\x7f"), 1),
    "place of another": (lambda: in_directory(42, bytes(4)), 1),
    "cut": (lambda: zipped(GOOD)[:-30], None),
    "half": (lambda: zipped(GOOD)[: len(zipped(GOOD)) // 2], None),
    "only its end": (lambda: zipped(GOOD)[-22:], None),
    "words before it": (lambda: b"#!/bin/sh\n" + zipped(GOOD), None),
    "words behind it": (lambda: zipped(GOOD) + bytes(99), None),
    "bomb": (lambda: packed_large(3 << 20), 1),
    "bomb of bzip2": (
        lambda: zipped([*GOOD[:2], ("images/2.jpg", bytes(3 << 20))], zipfile.ZIP_BZIP2),
        1,
    ),
    "bomb of a table": (lambda: zipped([("styles.csv", b"," * (3 << 20)), *GOOD[1:]]), None),
}
"""A zip, and how many pictures are read of it; None: it is refused, or read, whichever."""


def opened(format: str, path: Path) -> Catalog | None:
    """Open an archive, and read all pictures; None if it is refused in a sentence."""
    try:
        found = load_catalog(format, path=path, fresh=True)
        assert all(found.read(image_id) == PICTURE for image_id in found.ids)
        return found
    except InputError as error:
        assert len(str(error).split()) > 3
        assert "root:" not in str(error)  # of the passwords
        return None


@pytest.mark.parametrize("kind", ZIPS)
def test_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("UNTRAIN_MAX_IMAGE", "1")
    make, count = ZIPS[kind]
    path = tmp_path / "in" / "x.zip"
    path.parent.mkdir()
    path.write_bytes(make())
    found = opened("fashion", path)
    assert count is None or (found is not None and len(found) == count), found
    assert [each.name for each in path.parent.iterdir()] == ["x.zip"]


PAIR = [("1.png", PICTURE), ("1.txt", b"a shirt")]


def tarred(members: Members, format: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def special(kind: bytes, name: str = "2.png", target: str = "/etc/passwd", size: int = 0) -> bytes:
    """Return a shard with a member that is no file beside a good pair, and its caption."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for each, data in [*PAIR, ("2.txt", b"a bag")]:
            info = tarfile.TarInfo(each)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, target, size
        archive.addfile(info, io.BytesIO(bytes(min(size, 512))))
    return file.getvalue()


def headed(offset: int, value: bytes) -> bytes:
    """Return a shard with a field of its first heading replaced, the checksum put right."""
    data = bytearray(tarred(PAIR))
    data[offset : offset + len(value)] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def sparse(size: int) -> bytes:
    """Return a shard with a member of GNU's sparse kind, which says that it has ``size`` bytes."""
    info = tarfile.TarInfo("2.png")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[386:410] = b"%011o\0" % 0 + b"%011o\0" % 512
    head[483:495] = b"\x80" + size.to_bytes(11, "big")
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return tarred(PAIR)[: 4 * 512] + bytes(head) + bytes(512) + bytes(1024)


def of_json(text: bytes) -> bytes:
    return tarred([*PAIR, ("2.json", text), ("2.png", PICTURE), ("2.txt", b"a bag")])


TARS: dict[str, tuple[Callable[[], bytes], int | None]] = {
    "good": (lambda: tarred(PAIR), 1),
    "ustar": (lambda: tarred(PAIR, tarfile.USTAR_FORMAT), 1),
    "gnu": (lambda: tarred([("a" * 200 + n, d) for n, d in PAIR], tarfile.GNU_FORMAT), 1),
    "above": (lambda: tarred([(f"../../{n}", d) for n, d in PAIR]), 1),
    "absolute": (lambda: tarred([(f"/etc/{n}", d) for n, d in PAIR]), 1),
    "home": (lambda: tarred([(f"~/{n}", d) for n, d in PAIR]), 1),
    "dots": (lambda: tarred([(f"./././{n}", d) for n, d in PAIR]), 1),
    "hidden": (lambda: tarred([*PAIR, (".2.png", PICTURE), (".2.txt", b"a")]), 1),
    "no ending": (lambda: tarred([*PAIR, ("2", PICTURE)]), 1),
    "empty name": (lambda: tarred([*PAIR, ("", b"")]), 1),
    "line": (lambda: tarred([(f"a\nb{n}", d) for n, d in PAIR]), None),
    "escape": (lambda: tarred([(f"\x1b[31m{n}", d) for n, d in PAIR]), 1),
    "long name": (lambda: tarred([("a" * 60_000 + n, d) for n, d in PAIR]), 1),
    "not utf-8": (lambda: headed(0, b"\xff.png"), None),
    "not utf-8, both": (lambda: tarred(PAIR).replace(b"1.", b"\xff."), None),
    "picture twice": (lambda: tarred([*PAIR, PAIR[0]]), None),
    "pair twice": (lambda: tarred([*PAIR, ("2.cls", b"0"), *PAIR]), None),
    "picture twice, capitals": (lambda: tarred([*PAIR, ("1.PNG", PICTURE)]), None),
    "no picture": (lambda: tarred([*PAIR, ("2.txt", b"a bag")]), 1),
    "no caption": (lambda: tarred([*PAIR, ("2.png", PICTURE)]), None),
    "pickle": (lambda: tarred([*PAIR, ("1.pkl", b"cos\nsystem\n(S'false'\ntR.")]), 1),
    "python": (lambda: tarred([*PAIR, ("1.py", b"raise SystemExit(9)")]), 1),
    "symbolic link": (lambda: special(tarfile.SYMTYPE), 1),
    "hard link": (lambda: special(tarfile.LNKTYPE), 1),
    "link to a picture": (lambda: special(tarfile.SYMTYPE, target="1.png"), 1),
    "link as caption": (lambda: special(tarfile.SYMTYPE, "3.txt"), 1),
    "pipe": (lambda: special(tarfile.FIFOTYPE), 1),
    "device": (lambda: special(tarfile.CHRTYPE), 1),
    "block device": (lambda: special(tarfile.BLKTYPE), 1),
    "folder": (lambda: special(tarfile.DIRTYPE), 1),
    "unknown kind": (lambda: special(b"Z"), None),
    "sparse, 1 TiB": (lambda: sparse(2**40), None),
    "sparse, 8 EiB": (lambda: sparse(2**63), None),
    "size of 8 GiB": (lambda: headed(124, b"77777777777\0"), None),
    "size of 8 EiB": (lambda: headed(124, b"\x80" + (2**63).to_bytes(11, "big")), None),
    "size below zero": (lambda: headed(124, b"\xff" * 12), None),
    "size no number": (lambda: headed(124, b"nonsense\0\0\0\0"), None),
    "wrong checksum": (lambda: tarred(PAIR).replace(b"ustar", b"vstar"), None),
    "compressed": (lambda: zlib.compress(tarred(PAIR), wbits=31), None),
    "bzip2": (lambda: bz2.compress(tarred(PAIR)), None),
    "zip": (lambda: zipped(PAIR), None),
    "empty": (lambda: b"", None),
    "zeros": (lambda: bytes(10_240), None),
    "cut": (lambda: tarred(PAIR)[:700], None),
    "cut within a heading": (lambda: tarred(PAIR)[:1100], None),
    "words": (lambda: b"#!/bin/sh\n" + tarred(PAIR), None),
    "json": (lambda: of_json(b'{"year": 2012}'), 2),
    "json nested": (lambda: of_json(b"[" * 100_000), None),
    "json a list": (lambda: of_json(b"[1]"), None),
    "json twice": (lambda: of_json(b'{"a": 1}{"b": 2}'), None),
    "json not text": (lambda: of_json(b"\xff\xfe"), None),
    "json half a letter": (lambda: of_json(b'{"a": "\\ud800"}'), None),
    "json id a list": (lambda: of_json(b'{"__id__": [1, 2]}'), None),
    "json id a path": (lambda: of_json(b'{"__id__": "../../a"}'), None),
    "json id empty": (lambda: of_json(b'{"__id__": ""}'), None),
    "json of 5,000 digits": (lambda: of_json(b'{"a": ' + b"9" * 5000 + b"}"), None),
    "caption of 2 MiB": (lambda: tarred([*PAIR, ("2.png", PICTURE), ("2.txt", b"a" * 2**21)]), 1),
    "picture of 2 MiB": (lambda: tarred([*PAIR, ("2.png", bytes(2**21)), ("2.txt", b"a")]), 1),
}
"""A shard, and how many pairs are read of it; None: it is refused, or read, whichever."""


@pytest.mark.parametrize("kind", TARS)
def test_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("UNTRAIN_MAX_IMAGE", "1")
    make, count = TARS[kind]
    path = tmp_path / "in" / "x.tar"
    path.parent.mkdir()
    path.write_bytes(make())
    found = opened("webdataset", path)
    assert count is None or (found is not None and len(found) == count), found
    assert [each.name for each in path.parent.iterdir()] == ["x.tar"]
