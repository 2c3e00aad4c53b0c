"""Small files that become gigabytes, or endless, for whom believes them; and commands that do not.

    python tests/helpers/bombs.py

In a process that may take a gigabyte more than untrain has taken when all is imported, it gives a
command for each bomb and prints JSON: how each ended, and what it said.
"""

from __future__ import annotations

import bz2
import contextlib
import io
import json
import os
import resource
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

GIB = 1 << 30
STYLES = (
    b"id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,"
    b"productDisplayName\n1,Men,Apparel,Topwear,Shirt,Red,Fall,2012,Casual,A shirt\n"
)


def deflated(size: int, letter: bytes) -> bytes:
    """Return a deflate stream of one letter again and again: 16 MiB of it, repeated."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packing.compress(letter * 999)
    packing.flush(zlib.Z_FULL_FLUSH)
    block = packing.compress(letter * (16 << 20)) + packing.flush(zlib.Z_FULL_FLUSH)
    return block * (size >> 24) + packing.flush(zlib.Z_FINISH)


def zipped(path: Path, members: dict[str, tuple[int, bytes]]) -> None:
    """Write a zip of members, by name method and packed bytes, that tells nothing of their size."""
    data, directory = b"", b""
    for name, (method, packed) in members.items():
        said = struct.pack("<HHHIIIHH", method, 0, 0, 0, len(packed), 9, len(name), 0)
        directory += b"PK\1\2" + struct.pack("<HHH", 20, 20, 0) + said
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(data)) + name.encode()
        data += b"PK\3\4" + struct.pack("<HH", 20, 0) + said + name.encode() + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(data), 0)
    path.write_bytes(data + directory + b"PK\5\6" + end)


def of_image(path: Path) -> None:
    zipped(path, {"styles.csv": (0, STYLES), "images/1.jpg": (8, deflated(3 * GIB, b"\0"))})


def of_table(path: Path) -> None:
    zipped(path, {"styles.csv": (8, deflated(2 * GIB, b",")), "images/1.jpg": (0, b"")})


def of_bzip2(path: Path) -> None:
    packed = bz2.compress(bytes(3 * GIB // 4))
    zipped(path, {"styles.csv": (0, STYLES), "images/1.jpg": (12, packed)})


def of_lzma(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("styles.csv", STYLES)
        archive.writestr("images/1.jpg", bytes(3 * GIB // 4))


def sparse_tar(path: Path) -> None:
    import tarfile

    info = tarfile.TarInfo("1.png")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[386:410] = b"%011o\0" % 0 + b"%011o\0" % 512
    head[483:495] = b"\x80" + (2**40).to_bytes(11, "big")
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    path.write_bytes(bytes(head) + bytes(2048))


def large_tar(path: Path) -> None:
    import tarfile

    info = tarfile.TarInfo("1.png")
    info.size = 2**40
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 2**40 + 2048)


def row_group(path: Path) -> None:
    """One text of 4 MiB, which a thousand rows point to."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), ["a" * (4 << 20)])
    table = pa.table({"id": texts, "caption": texts, "image": pa.array([b"a"] * 1000)})
    pq.write_table(table, path, compression="zstd", store_schema=False)


def many_rows(path: Path) -> None:
    table = pa.table({"id": np.zeros(1 << 24, np.int64)})
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(40):
            writer.write_table(table, row_group_size=1 << 24)


def wide_picture(path: Path) -> None:
    head = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1 << 20))),
        (b"IEND", b""),
    ):
        head += struct.pack(">I", len(data)) + kind + data
        head += struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(head)


def wide_array(path: Path) -> None:
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 10000000)}".ljust(117)
    path.write_bytes(b"\x93NUMPY\1\0v\0" + head.encode() + b"\n" + bytes(64))


def text(words: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(words)


INSPECT = ("data", "inspect")
TRACE = ("trace", "photo.png", "--catalog")
PLAN = ("plan", "mine.yaml", "--set")
BOMBS: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...]]] = {
    "zip of an image of 3 GiB": ("a.zip", of_image, INSPECT),
    "zip of a table of 2 GiB": ("b.zip", of_table, INSPECT),
    "zip of bzip2, 768 MiB": ("c.zip", of_bzip2, INSPECT),
    "zip of LZMA, 768 MiB": ("d.zip", of_lzma, INSPECT),
    "sparse member of 1 TiB": ("a.tar", sparse_tar, INSPECT),
    "member of 1 TiB": ("b.tar", large_tar, INSPECT),
    "row group of 8 GiB in zstd": ("a.parquet", row_group, INSPECT),
    "list of 671 million rows": ("b.parquet", many_rows, (*PLAN, "data.exclude={file}")),
    "list whose texts are 4 GiB": ("c.parquet", row_group, (*PLAN, "data.exclude={file}")),
    "scores of 4 GiB": ("d.parquet", row_group, (*PLAN, "ranking.method=scores:{file}")),
    "JSON nested 100,000": ("a.json", text(b'{"images":' + b"[" * 100_000), INSPECT),
    "number of 5,000 digits": ("b.json", text(b'{"images": ' + b"9" * 5000 + b"}"), INSPECT),
    "YAML of 30,000 brackets": ("a.yaml", text(b"a: " + b"[" * 30_000), ("plan",)),
    "YAML of a billion laughs": (
        "b.yaml",
        text(
            b"a0: &a0 [1,1,1,1,1,1,1,1,1]\n"
            + b"".join(
                b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9))
                for n in range(1, 10)
            )
        ),
        ("plan",),
    ),
    "ids of 5,000 digits": (
        "a.csv",
        text(b"id,path,caption\n%s,photo.png,a\n%s,gone.png,b\n" % (b"9" * 5000, b"8" * 5000)),
        INSPECT,
    ),
    "picture of 3,600 megapixels": (
        "wide.png",
        wide_picture,
        ("trace", "{file}", "--catalog", "a.csv"),
    ),
    "array of 8 TB": ("a.npy", wide_array, (*PLAN, "ranking.method=scores:{file}")),
    "/dev/zero": ("zero.csv", lambda path: path.symlink_to("/dev/zero"), INSPECT),
    "/dev/zero as settings": ("zero.yaml", lambda path: path.symlink_to("/dev/zero"), ("plan",)),
    "/dev/zero as a list": (
        "zero.txt",
        lambda path: path.symlink_to("/dev/zero"),
        (*PLAN, "data.exclude={file}"),
    ),
    "file of 2 TiB": ("c.csv", lambda path: (path.touch(), os.truncate(path, 2**41)), INSPECT),
}
"""Name of the file, what makes it, and the command, to which it is added if it is not in there."""


def met(command: tuple[str, ...]) -> tuple[int, str]:
    """Give a command in this process; return what it ended with and what it said."""
    from untrain.cli import main

    sys.argv = ["untrain", *command]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
    return 0, said.getvalue()


def main() -> None:
    """Make all bombs here, give the commands, and print how they ended."""
    Image.new("RGB", (16, 16), "red").save("photo.png")
    Path("mine.yaml").write_text(
        "name: mine\ndata: {format: rendered, families: 8}\nprompts: {texts: [a red shirt]}\n"
        "generator: {preset: micro}\n"
    )
    commands = {}
    for name, (file, make, command) in BOMBS.items():
        make(Path(file))
        words = tuple(word.format(file=file) for word in command)
        commands[name] = words if words != command else (*command, file)
    met(("plan", "mine.yaml"))  # imports what commands import
    met((*INSPECT, "a.csv"))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + GIB, resource.RLIM_INFINITY))
    found = {}
    for name, command in commands.items():
        began = time.process_time()
        code, said = met(command)
        found[name] = {"code": code, "said": said, "seconds": time.process_time() - began}
    print(json.dumps(found), file=sys.__stdout__)


if __name__ == "__main__":
    main()
