"""Opt-out lists: files that say which images must not be trained on, by whatever they are known.

A list names images by id, by the SHA-256 or MD5 of their bytes, by URL, by the domain of the URL,
or by the path of the file. What a text file's lines are is told line by line; of a table, by the
names of its columns.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from untrain.core.errors import InputError
from untrain.core.given import open_parquet, whole
from untrain.core.outside import read_bytes

COLUMNS = {
    "id": ("id", "image_id", "key"),
    "sha256": ("sha256", "sha_256", "sha-256", "hash", "content_hash"),
    "md5": ("md5",),
    "url": ("url", "image_url", "uri", "link"),
    "domain": ("domain", "host"),
    "path": ("path", "file", "file_name", "filename"),
}
"""What an entry may be, and the names of columns that hold it, whatever the case."""
KINDS = tuple(COLUMNS)
LENGTHS = {"sha256": 64, "md5": 32}  # in hexadecimal digits
OTHERS = {40: "SHA-1", 56: "SHA-224", 96: "SHA-384", 128: "SHA-512"}
TABLES = (".csv", ".tsv", ".parquet")
EXPECTED = "expected some of id, sha256, md5, url, domain, path"

Key = tuple[str, str]
"""A kind of `KINDS`, and the value as the list has it."""


@dataclass(frozen=True)
class OptOutList:
    """What a file lists.

    Attributes
    ----------
    path : Path
    digest : str
        SHA-256 of the file.
    entries : tuple of tuples of (kind, value)
        One a line or row, in order: by each of its keys an image may be found. A line of text that
        is 64 hexadecimal digits is both an id and a hash.
    where : tuple of int
        The line or row of each, counted from 1 with the heading.
    unread : tuple of str
        Columns that say nothing of which image is meant.
    """

    path: Path
    digest: str
    entries: tuple[tuple[Key, ...], ...]
    where: tuple[int, ...]
    unread: tuple[str, ...] = ()


def read_opt_out(path: Path | str) -> OptOutList:
    """Read a list: ``.csv``, ``.tsv``, ``.parquet``, or text with one entry a line.

    In text, a line with ``://`` is a URL, one that begins with ``sha256:``, ``md5:``, ``domain:``,
    ``path:``, ``url:`` or ``id:`` what that says, and any other an id (or a hash, if it looks like
    one); ``#`` begins a comment line.

    Raises
    ------
    InputError
        No such file, nothing in it, no column that names images, a hash in the wrong form, or a
        row that names nothing.
    """
    path = Path(path).expanduser()
    try:
        data = read_bytes(path, "TABLE")
    except OSError as error:
        raise InputError(
            f"cannot read the opt-out list {path}: {error.strerror}; expected a file of ids, "
            "hashes or URLs (.txt, .csv or .parquet)"
        ) from None
    unread: list[str] = []
    if path.suffix.lower() not in TABLES:
        found = list(_lines(path, data))
    else:
        table = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path, data)
        found = list(_rows(path, table, unread))
    if not found:
        raise InputError(
            f"the opt-out list {path} is empty: write one image a line (its id, SHA-256 or URL), "
            "or leave the list out"
        )
    where, entries = zip(*found, strict=True)
    return OptOutList(path, hashlib.sha256(data).hexdigest(), entries, where, tuple(unread))


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            f"the opt-out list {path} is not text (UTF-8); a table is known by its suffix, "
            f"{', '.join(TABLES)}"
        ) from None


def _lines(path: Path, data: bytes) -> Iterator[tuple[int, tuple[Key, ...]]]:
    for number, line in enumerate(_text(path, data).splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield number, _line(path, number, text)


def _line(path: Path, number: int, text: str) -> tuple[Key, ...]:
    """Return the keys of a line of text."""
    kind, colon, value = text.partition(":")
    if colon and kind in KINDS and value.strip():
        return (_key(path, f"line {number}", kind, value.strip()),)
    if "://" in text:
        return (("url", text),)
    if re.fullmatch(r"[0-9a-fA-F]{32,}", text):
        named = next((k for k, length in LENGTHS.items() if length == len(text)), "")
        return (("id", text), (named or "hex", text.lower()))
    return (("id", text),)


def _key(path: Path, where: str, kind: str, value: str) -> Key:
    """Return a key; `InputError` for a hash that cannot be one."""
    if kind not in LENGTHS:
        return kind, value
    text = value.lower().removeprefix(f"{kind}:")
    if not re.fullmatch(rf"[0-9a-f]{{{LENGTHS[kind]}}}", text):
        raise InputError(
            f"{path}, {where}: '{_short(value)}' is no {_NAMES[kind]}{_instead(text)}; expected "
            f"{LENGTHS[kind]} hexadecimal digits"
        )
    return kind, text


_NAMES = {"sha256": "SHA-256", "md5": "MD5"}


def _short(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:37]}…"


def _instead(text: str) -> str:
    """Say what a hash is instead, as far as its length tells."""
    if not re.fullmatch(r"[0-9a-f]+", text):
        return ""
    others = OTHERS | {length: _NAMES[kind] for kind, length in LENGTHS.items()}
    kind = others.get(len(text))
    return f" but, by its {len(text)} digits, a {kind}" if kind else f" ({len(text)} digits)"


def wrong_hash(listed: OptOutList, at: int) -> InputError:
    """Return the error of a line of text that looks like a hash of a kind that is not compared."""
    text = next(value for kind, value in listed.entries[at] if kind == "hex")
    return InputError(
        f"{listed.path}, line {listed.where[at]}: '{_short(text)}' is no image id, and as a hash "
        f"it is{_instead(text).removeprefix(' but')}; expected a SHA-256 (64 hexadecimal digits) "
        "or an MD5 (32)"
    )


Table = tuple[Sequence[str], Iterable[tuple[int, Sequence[str]]]]
"""Names of columns; and number and fields of each row."""


def _csv(path: Path, data: bytes) -> Table:
    """Return the table in a CSV file, whose separator is told by its heading."""
    text = _text(path, data)
    first = text.partition("\n")[0]
    marks = ("\t",) if path.suffix.lower() == ".tsv" else (",", ";", "\t")
    mark = max(marks, key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))
    except csv.Error as error:
        raise InputError(f"the opt-out list {path} cannot be parsed as CSV ({error})") from None
    names = rows[0] if rows else []
    return names, ((number, row) for number, row in enumerate(rows[1:], 2) if any(row))


def _parquet(path: Path) -> Table:
    try:
        with open_parquet(path) as file:
            table = whole(file)
    except OSError as error:
        fault = error.strerror
        raise InputError(f"the opt-out list {path} is not a Parquet file ({fault})") from None
    columns = [
        ["" if v is None else _cell(v) for v in table[n].to_pylist()] for n in table.schema.names
    ]
    return table.schema.names, enumerate(zip(*columns, strict=True), 1)


def _cell(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _rows(path: Path, table: Table, unread: list[str]) -> Iterator[tuple[int, tuple[Key, ...]]]:
    names, rows = table
    kinds = {at: kind for at, name in enumerate(names) if (kind := _kind(name))}
    unread += [name for at, name in enumerate(names) if at not in kinds]
    if not kinds:
        found = ", ".join(map(repr, names)) or "none"
        raise InputError(f"the opt-out list {path} has the columns {found}; {EXPECTED}")
    for number, row in rows:
        if len(row) > len(names):
            raise InputError(
                f"{path}, row {number} has {len(row)} fields under {len(names)} columns; quote a "
                "value that holds a separator"
            )
        given = ((kinds[at], text.strip()) for at, text in enumerate(row) if at in kinds)
        keys = tuple(_key(path, f"row {number}", k, text) for k, text in given if text)
        if not keys:
            raise InputError(
                f"{path}, row {number} names no image: {', '.join(names[at] for at in kinds)} "
                "is empty; delete the row, or write what is missing"
            )
        yield number, keys


def _kind(name: str) -> str:
    folded = name.strip().casefold()
    return next((kind for kind, names in COLUMNS.items() if folded in names), "")
