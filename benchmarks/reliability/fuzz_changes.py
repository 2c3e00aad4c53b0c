"""How the fuzzer changes a sample: its bytes, or what they mean in the format of the file.

Bytes that are changed blindly rarely get beyond a checksum or a parser. So a change may also take
a value of JSON, YAML, CSV or Parquet, a member of an archive, or the heading of an array, and leave
a file that is in its format, and holds what nobody expects.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import strategies as st

Change = tuple[str, int, int]
"""What is done, where, and which of the things that may be done."""
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "splice", "drop", "zero", *["retype"] * 5]),
        st.integers(0, 2**16),
        st.integers(0, 2**16),
    ),
    min_size=1,
    max_size=6,
)
LONG = "9" * 5000
ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1.5, "", "\0", [], {}, {"a": [{}]}, 10**30, -(10**30)),
    *(float("nan"), float("inf"), 5e-324, "a", "-1", "nan", "NaT", "../../a", "/etc/passwd", LONG),
    *("\u202ea\u200b", "\x1b]0;a\x07", "=1+1", "[red]", "a\nb", "2026-02-31", ["a", 1], [[[]]]),
)
"""What takes the place of a value."""
NAMES = ("../a.png", "/a.png", "a/../../b", "", ".", "a\nb", "é" * 300, "con", "a\\b", "-a", " ")
"""What takes the place of the name of a member of an archive."""
HEADS = ("O", "|O8", "<f8,<i4", "<U9", "<f2", ">f8", "|V0", "<M8[ns]", "(2,)<f8", "|S99999999999")
SHAPES = ("()", "(0,)", "(-1,)", "(6,)", "(10**9, 10**9)", "(2, 3, 1)", "(None,)", "6", "(1.5,)")


def changed(data: bytes, changes: list[Change], suffix: str = "") -> bytes:
    """Return a sample with changes; ``suffix`` of its file says what format it is in."""
    for kind, at, other in changes:
        if not data:
            return data
        place, length = at % len(data), other % 64
        if kind == "flip":
            data = data[:place] + bytes([data[place] ^ (1 + other % 255)]) + data[place + 1 :]
        elif kind == "cut":
            data = data[:place]
        elif kind == "splice":
            start = other % len(data)
            data = data[:place] + data[start : start + 99] + data[place:]
        elif kind == "drop":
            data = data[:place] + data[place + length :]
        elif kind == "zero":
            data = data[:place] + bytes(len(data[place : place + length])) + data[place + length :]
        else:
            data = retyped(data, at, other, suffix)
    return data


def retyped(data: bytes, at: int, other: int, suffix: str = "") -> bytes:
    """Return a file in its format with one of its values changed; others as they are."""
    change = FORMATS.get(suffix) or (_json if data[:1] in b"{[" else _yaml)
    try:
        return change(data, at, other)
    except Exception:  # it is not in its format any more
        return data


def _value(found: Any, at: int, other: int) -> bool:
    """Change a value inside lists and mappings: another one, none, or under another key."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
            places.append((value, key))
            if isinstance(each, dict | list):
                walk(each)

    if not isinstance(found, dict | list):
        return False
    walk(found)
    if not places:
        return False
    holder, key = places[at % len(places)]
    what = other % (len(ODD) + 6)
    if what < len(ODD):
        holder[key] = ODD[what]
    elif what < len(ODD) + 3:
        del holder[key]
    elif isinstance(holder, dict):
        holder[str(ODD[at % len(ODD)])] = holder.pop(key)
    else:
        holder.append(holder[key])
    return True


def _json(data: bytes, at: int, other: int) -> bytes:
    found = json.loads(data)
    return json.dumps(found).encode() if _value(found, at, other) else data


def _lines(data: bytes, at: int, other: int) -> bytes:
    """JSON a line."""
    lines = data.splitlines()
    place = at % len(lines)
    lines[place] = _json(lines[place], at // len(lines), other)
    return b"\n".join(lines) + b"\n"


def _yaml(data: bytes, at: int, other: int) -> bytes:
    found = yaml.safe_load(data)
    return yaml.safe_dump(found, allow_unicode=True).encode() if _value(found, at, other) else data


def _csv(data: bytes, at: int, other: int) -> bytes:
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    row = rows[at % len(rows)]
    place = at // len(rows) % len(row)
    what = other % (len(ODD) + 9)
    if what < len(ODD):
        row[place] = "" if ODD[what] is None else str(ODD[what])
    elif what < len(ODD) + 3:
        for each in rows:
            del each[place : place + 1]
    elif what < len(ODD) + 6:
        rows.append(list(row))
    else:
        rows.remove(row)
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue().encode("utf-8", "surrogatepass")


KINDS: tuple[Callable[[Any], Any], ...] = (
    str,
    lambda value: None,
    lambda value: [value],
    lambda value: {"a": value},
    lambda value: str(value).encode(),
    lambda value: value is None,
    lambda value: float("nan"),
    lambda value: float("inf"),
    lambda value: -(2**63),
    lambda value: 2**53 + 1,
    lambda value: "",
    lambda value: LONG,
)


def _parquet(data: bytes, at: int, other: int) -> bytes:
    table = pq.read_table(pa.BufferReader(data))
    place = at % table.num_columns
    name, what = table.column_names[place], other % 8
    values = table[place].to_pylist()
    if what == 0:
        table = table.remove_column(place)
    elif what == 1:
        table = table.slice(0, 0 if at % 3 else 1)
    elif what == 2:
        table = pa.concat_tables([table, table])
    elif what == 3:
        table = table.append_column(name, table[place])
    elif what == 4:
        names = list(table.column_names)
        names[place] = str(ODD[at % len(ODD)])
        table = table.rename_columns(names)
    elif what == 5:
        made = KINDS[at % len(KINDS)]
        table = table.set_column(place, name, pa.array([made(value) for value in values]))
    else:
        kind, row = table.schema.field(place).type, at // 7 % max(len(values), 1)
        odd = [value for value in ODD if _fits(value, kind)]
        values[row] = odd[other // 8 % len(odd)]
        table = table.set_column(place, name, pa.array(values, kind))
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _members(
    members: list[tuple[Any, bytes]], at: int, other: int, renamed: Callable[[Any, str], Any]
) -> list[tuple[Any, bytes]]:
    """Change a member of an archive: its name, what is in it, or whether and how often it is."""
    place = at % len(members)
    info, inside = members[place]
    what = other % 6
    if what == 0:
        members[place] = renamed(info, NAMES[at // 7 % len(NAMES)]), inside
    elif what == 1:
        del members[place]
    elif what == 2:
        members.append(members[place])
    elif what == 3:
        members[place] = info, members[other // 6 % len(members)][1]
    else:
        name = getattr(info, "name", None) or info.filename
        again = [("retype" if what == 4 else "flip", at // 7, other // 6)]
        members[place] = info, changed(inside, again, f".{name.rpartition('.')[2]}")
    return members


def _zip(data: bytes, at: int, other: int) -> bytes:
    def renamed(info: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
        return zipfile.ZipInfo(name)

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for info, inside in _members(members, at, other, renamed):
            archive.writestr(info, inside)
    return written.getvalue()


def _tar(data: bytes, at: int, other: int) -> bytes:
    def renamed(info: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
        return info.replace(name=name)

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = [(info, file.read()) for info in archive if (file := archive.extractfile(info))]
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for info, inside in _members(members, at, other, renamed):
            kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
            again = info.replace(linkname="/etc/passwd")
            again.type = kinds[at % 4] if other % 30 == 1 else info.type
            again.size = len(inside)
            archive.addfile(again, io.BytesIO(inside))
    return written.getvalue()


def _npy(data: bytes, at: int, other: int) -> bytes:
    start = data.index(b"{")
    end = data.index(b"\n", start)
    head = (
        f"{{'descr': '{HEADS[at % len(HEADS)]}', 'fortran_order': False, 'shape': (2, 3)}}"
        if other % 2
        else f"{{'descr': '<f8', 'fortran_order': True, 'shape': {SHAPES[at % len(SHAPES)]}}}"
    )
    return data[:start] + head.encode().ljust(end - start) + data[end:]


def _safetensors(data: bytes, at: int, other: int) -> bytes:
    length = int.from_bytes(data[:8], "little")
    head = _json(data[8 : 8 + length], at, other)
    return len(head).to_bytes(8, "little") + head + data[8 + length :]


FORMATS: dict[str, Callable[[bytes, int, int], bytes]] = {
    ".json": _json,
    ".jsonl": _lines,
    ".yaml": _yaml,
    ".csv": _csv,
    ".parquet": _parquet,
    ".zip": _zip,
    ".tar": _tar,
    ".npy": _npy,
    ".mmap": _npy,
    ".safetensors": _safetensors,
}
