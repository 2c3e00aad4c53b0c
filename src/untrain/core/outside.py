"""Files that come from outside: opened here, so that none of them hangs, or fills the memory.

Only regular files are opened: a pipe would be waited for, and a device never ends. What has a size
is looked at before it is read, and what is packed is unpacked up to a limit. Failures are `OSError`
with words in ``strerror``, which every format turns into the message that it has for a file that
cannot be read; text that nests too deeply is a `ValueError`, as text that is no JSON is.

The limits (`LIMITS`, in MiB) can be raised by environment variables: ``UNTRAIN_MAX_IMAGE=2048``.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import yaml

LIMITS = {"IMAGE": 512, "TABLE": 4096, "TEXT": 64}
"""MiB of an encoded image; of a table of captions, packed or not; of a list, a letter, settings."""
VARIABLE = "UNTRAIN_MAX_"
PIECE = 16 << 20
"""Bytes that are unpacked at a time: what turns out to be too large takes no more than allowed."""
DEEPEST = 100
"""Levels that settings may nest."""
MOST_NODES = 100_000
"""Values that settings may have."""
HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
"""In JSON: what may be half of a letter that UTF-8, and so every table, cannot hold."""
NOT_OF_ITS_KIND = (ValueError, OverflowError, KeyError, AttributeError, TypeError, IndexError)
"""What PyYAML raises where a value is not what its tag says."""
IN_WORDS = {"int": "whole number", "float": "number", "bool": "flag", "timestamp": "date"}
NO_SETTINGS = ("binary", "set", "omap", "pairs")
"""Kinds that YAML knows and no setting takes."""
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def limit_of(kind: str) -> int:
    """Return the most bytes that something may have: one of `LIMITS`, or what the user set."""
    given = os.environ.get(f"{VARIABLE}{kind}", "")
    return (int(given) if given.isdecimal() else LIMITS[kind]) << 20


def too_large(size: int, kind: str) -> OSError:
    """Return the error of something that has more bytes than it may."""
    limit = limit_of(kind) >> 20
    words = f"{size / 2**20:,.0f} MiB, and {limit:,} is the most; {VARIABLE}{kind}=… allows more"
    return OSError(errno.EFBIG, words)


def open_regular(path: Path | str, kind: str | None = None) -> io.BufferedReader:
    """Open a regular file for reading; without waiting, whatever is there.

    Parameters
    ----------
    path : path
        Links are followed.
    kind : str, optional
        One of `LIMITS`: refuse what is larger.

    Raises
    ------
    OSError
        There is no file, it is no regular one, it may not be read, or it is too large.
    """
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | os.O_CLOEXEC)
    except ValueError:  # NUL in the name
        raise OSError(errno.EINVAL, "the name is not one that a file can have") from None
    try:
        state = os.fstat(number)
        check_regular(state)
        if kind is not None and state.st_size > limit_of(kind):
            raise too_large(state.st_size, kind)
        return io.BufferedReader(io.FileIO(number))
    except BaseException:
        os.close(number)
        raise


def check_regular(state: os.stat_result) -> None:
    """Raise `OSError` unless a state is that of a regular file."""
    if not stat.S_ISREG(state.st_mode):
        found = next((name for test, name in KINDS.items() if test(state.st_mode)), "no file")
        raise OSError(errno.EINVAL, f"it is {found}; expected a regular file")


def resolved(path: Path) -> Path:
    """Return a path with all links followed; itself if they lead in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def is_file(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry of a folder is a file; a link in a circle is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def require_regular(path: Path | str) -> None:
    """Raise `OSError` unless a library may open a path: it is a regular file, or leads to one."""
    check_regular(os.stat(path))  # noqa: PTH116 - its errors say the same


def read_bytes(path: Path | str, kind: str | None = "IMAGE") -> bytes:
    """Return the bytes of a regular file; `OSError` as `open_regular`."""
    with open_regular(path, kind) as file:
        if kind is None:
            return file.read()
        most = limit_of(kind)
        # Not `read(most)`, which takes as much memory before it reads.
        data = file.read(os.fstat(file.fileno()).st_size + 1)
        while len(data) <= most and (more := file.read(1 << 20)):  # it grows, or is one of /proc
            data += more
    if len(data) > most:
        raise too_large(len(data), kind)
    return data


def read_text(path: Path | str, kind: str = "TEXT", encoding: str = "utf-8-sig") -> str:
    """Return the text of a regular file.

    Raises
    ------
    OSError
        As `open_regular`.
    UnicodeDecodeError
        It is not text of this encoding.
    """
    return read_bytes(path, kind).decode(encoding)


def parse_json(text: str | bytes, halves: bool = False, names: bool = False) -> Any:
    """Return what JSON says; `ValueError` also where it nests too deeply, or is no text.

    With ``halves``, halves of letters are taken: who asks for it deals with each of them. With
    ``names``, those that stand for bytes of a file's name that are not UTF-8 (`os.fsdecode`).
    """
    try:
        found = json.loads(text)
        if not halves and isinstance(text, str) and HALF_ESCAPED.search(text):
            errors = "surrogateescape" if names else "strict"
            json.dumps(found, ensure_ascii=False).encode(errors=errors)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"{half_letter(error)} is half of a letter") from None
    return found


def half_letter(error: UnicodeEncodeError) -> str:
    """Return what could not be encoded, half of a surrogate pair, as JSON writes it."""
    return f"\\u{ord(error.object[error.start]):04x}"


def inflate(data: bytes, kind: str = "IMAGE") -> bytes:
    """Unpack a raw deflate stream up to the limit of its kind.

    Raises
    ------
    OSError
        What is packed is larger.
    zlib.error
        It is damaged or cut off.
    """
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)

    def pieces() -> Iterator[bytes]:
        rest = data
        while not unpacking.eof and (piece := unpacking.decompress(rest, PIECE)):
            rest = unpacking.unconsumed_tail
            yield piece

    found = gathered(pieces(), kind)
    if not unpacking.eof:
        raise zlib.error("incomplete or truncated stream")
    return found


def unpack(data: bytes, unpacking: Unpacking, kind: str = "IMAGE") -> bytes:
    """Unpack what ``bz2`` or ``lzma`` does, as far as it goes; `OSError` as `inflate`."""

    def pieces() -> Iterator[bytes]:
        rest = data
        while not unpacking.eof and (piece := unpacking.decompress(rest, PIECE)):
            rest = b""  # it keeps what it has not unpacked yet
            yield piece

    return gathered(pieces(), kind)


class Unpacking(Protocol):
    """What is left of a packed stream: `bz2.BZ2Decompressor`, `lzma.LZMADecompressor`."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def gathered(pieces: Iterable[bytes], kind: str) -> bytes:
    """Return pieces as one; `OSError` as soon as they are more than their kind may have."""
    found, size, most = [], 0, limit_of(kind)
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise too_large(most + 1, kind)
        found.append(piece)
    return b"".join(found)


class _Strict(yaml.SafeLoader):
    """Plain YAML: no key twice, no alias inside what it stands for, nothing beyond reason."""

    def __init__(self, stream: Any, names: bool = False) -> None:
        super().__init__(stream)
        self.errors = "surrogateescape" if names else "strict"
        self._within: list[str | None] = []  # the anchors of the nodes that are being read

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if self.check_event(yaml.events.AliasEvent) and event.anchor in self._within:
            raise yaml.composer.ComposerError(
                None, None, f"*{event.anchor} stands inside itself", event.start_mark
            )
        if len(self._within) >= DEEPEST:
            raise yaml.composer.ComposerError(None, None, "it nests too deeply", event.start_mark)
        self._within.append(getattr(event, "anchor", None))
        try:
            return super().compose_node(parent, index)
        finally:
            self._within.pop()

    def construct_scalar(self, node: Any) -> Any:
        found = super().construct_scalar(node)
        try:
            found.encode(errors=self.errors)
        except UnicodeEncodeError as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"{half_letter(error)} is half of a letter", node.start_mark
            ) from None
        return found

    def refuse(self, node: Any) -> Any:
        kind = str(node.tag).rpartition(":")[2]
        raise yaml.constructor.ConstructorError(
            None,
            None,
            f"!!{kind} is not taken; expected text, numbers, lists and mappings",
            node.start_mark,
        )

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except NOT_OF_ITS_KIND:  # a date that does not exist, a number too long, a wrong tag
            kind = str(node.tag).rpartition(":")[2]
            what = f"'{str(node.value)[:40]}' is no {IN_WORDS.get(kind, kind)}"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from None

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"'{key.value}' is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


for _kind in NO_SETTINGS:
    _Strict.add_constructor(f"tag:yaml.org,2002:{_kind}", _Strict.refuse)


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Return how many nodes there are with every alias written out."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        inside = node.value if isinstance(node, yaml.SequenceNode) else sum(node.value, ())
        known[id(node)] = 1 + sum(_size(each, known) for each in inside)
    return known[id(node)]


def parse_yaml(text: str, names: bool = False) -> tuple[yaml.Node | None, Any]:
    """Return YAML as nodes, which know their lines, and as values; ``names`` as `parse_json`.

    Raises
    ------
    yaml.YAMLError
        It is not valid; a key is there twice; an alias stands inside itself; it nests too deeply.
    """
    loader = _Strict(text, names)
    try:
        node = loader.get_single_node()
        if _size(node, {}) > MOST_NODES:
            raise yaml.YAMLError(f"with its aliases written out it has over {MOST_NODES:,} values")
        value = None if node is None else loader.construct_document(node)
    except (*NOT_OF_ITS_KIND, RecursionError) as error:  # and no place is known
        raise yaml.YAMLError(str(error).splitlines()[0] if str(error) else "not valid") from None
    finally:
        loader.dispose()
    return node, value
