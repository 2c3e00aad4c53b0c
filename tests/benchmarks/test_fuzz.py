"""The fuzzer finds a reader that breaks, keeps what broke it, and tries that first next time."""

from __future__ import annotations

from pathlib import Path

import fuzz
from untrain.core.errors import InputError


def test_what_breaks_a_reader_is_found_kept_and_tried_again(tmp_path: Path) -> None:
    def breaks(path: Path) -> None:
        if len(path.read_bytes()) < 3:
            raise KeyError("short")

    reader = ("x.txt", b"abc", breaks)
    count, found = fuzz.fuzz("mine", reader, tmp_path, tmp_path / "kept", 0.5, 0)
    assert count and found == ["mine: KeyError: 'short'"]
    (kept,) = (tmp_path / "kept" / "mine").iterdir()
    assert len(kept.read_bytes()) < 3
    count, found = fuzz.fuzz("mine", reader, tmp_path, tmp_path / "kept", 0, 0)
    assert count == 1 and str(kept) in found[0]


def test_a_message_for_the_user_is_no_find(tmp_path: Path) -> None:
    def refuses(path: Path) -> None:
        raise InputError(f"{path} is refused")

    _, found = fuzz.fuzz("mine", ("x.txt", b"abc", refuses), tmp_path, tmp_path / "kept", 0.2, 0)
    assert found == []
