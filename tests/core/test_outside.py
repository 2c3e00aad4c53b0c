"""Files from outside: nothing hangs, nothing fills the memory, and each is told by what it is."""

from __future__ import annotations

import os
import socket
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from untrain.core.outside import (
    inflate,
    open_regular,
    parse_json,
    parse_yaml,
    read_bytes,
    read_text,
    require_regular,
)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [pipe, listening, device, loop, Path.mkdir])
def test_only_regular_files_are_opened(tmp_path: Path, make: object) -> None:
    path = tmp_path / "x"
    make(path)  # type: ignore[operator]
    for read in (open_regular, read_bytes, read_text, require_regular):
        with pytest.raises(OSError, match=r".+") as caught:
            read(path)
        assert caught.value.strerror


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(OSError, match="a file can have"):
        read_bytes("a\0b")


def test_what_is_larger_than_its_kind_may_be_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**41)
    with pytest.raises(OSError, match=r"2,097,152 MiB, and 512 is the most; UNTRAIN_MAX_IMAGE=…"):
        read_bytes(path)
    os.truncate(path, 3 << 20)
    assert len(read_bytes(path)) == 3 << 20
    monkeypatch.setenv("UNTRAIN_MAX_IMAGE", "2")
    with pytest.raises(OSError, match="2 is the most"):
        read_bytes(path)


@given(st.binary(max_size=4096))
def test_what_was_deflated_is_inflated(data: bytes) -> None:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packing.compress(data) + packing.flush()
    assert inflate(packed) == data
    with pytest.raises(zlib.error, match="truncated"):
        inflate(packed[:-1] if len(packed) > 1 else b"")


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_MAX_IMAGE", "1")
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packing.compress(bytes(2 << 20)) + packing.flush()
    assert len(packed) < 4096
    with pytest.raises(OSError, match="1 is the most"):
        inflate(packed)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "", "\ud800"])
def test_json_beyond_reason_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "'a' is there twice"),
        ("a: &x [1, *x]", "stands inside itself"),
        ("[" * 30_000, "nests too deeply"),
        (BOMB, "written out"),
        ("a: !!int text", "is no whole number"),
        ("a: 2026-02-31", "is no date"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: " + "9" * 5000, "is no whole number"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: *nothing", "undefined alias"),
        ("\0", "special characters"),
    ],
)
def test_yaml_beyond_reason_is_no_yaml(text: str, words: str) -> None:
    with pytest.raises(yaml.YAMLError, match=words):
        parse_yaml(text)


def test_yaml_may_say_a_thing_once_and_mean_it_twice() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: *x")[1] == {"a": {"b": 1}, "c": {"b": 1}}
    assert parse_yaml("")[1] is None


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc: -#&*[]{}\n", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner),
    max_leaves=12,
)


@given(plain)
def test_yaml_that_was_written_is_read(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value))[1] == value


@given(st.text(max_size=60))
def test_any_text_is_yaml_or_a_yaml_error(text: str) -> None:
    with suppress(yaml.YAMLError):
        parse_yaml(text)
