"""The fuzzer finds a reader that breaks, keeps what broke it, and tries that first next time."""

from __future__ import annotations

from pathlib import Path

import pytest

import fuzz
import fuzz_changes
from untrain.core.errors import InputError


def test_what_breaks_a_reader_is_found_kept_and_tried_again(tmp_path: Path) -> None:
    def breaks(path: Path) -> None:
        if len(path.read_bytes()) < 3:
            raise KeyError("short")

    reader = ("x.txt", b"abc", breaks)
    tally, number = fuzz.fuzz("mine", reader, tmp_path, tmp_path / "kept", 0.5, 0)
    assert tally.inputs and number and "mine: KeyError: 'short'" in str(tally.found)
    (kept,) = (tmp_path / "kept" / "mine").iterdir()
    assert len(kept.read_bytes()) < 3
    tally, _ = fuzz.fuzz("mine", reader, tmp_path, tmp_path / "kept", 0, 0)
    assert tally.inputs == 1 and str(kept) in str(tally.found)


def test_a_message_for_the_user_is_no_find(tmp_path: Path) -> None:
    def refuses(path: Path) -> None:
        raise InputError(f"{path} is refused here")

    kept = tmp_path / "kept"
    tally, _ = fuzz.fuzz("mine", ("x.txt", b"abc", refuses), tmp_path, kept, 0.2, 0)
    assert tally.inputs == tally.refused and not kept.exists()


def test_a_message_without_words_is_a_find(tmp_path: Path) -> None:
    def refuses(path: Path) -> None:
        raise InputError("no")

    with pytest.raises(fuzz.Find, match="says little"):
        fuzz.tried(("x.txt", b"abc", refuses), b"abc", tmp_path)


def test_changes_leave_a_file_in_its_format() -> None:
    rows = b"id,url\n1,https://a.org/b\n"
    found = {
        fuzz_changes.retyped(rows, at, other, ".csv") for at in range(4) for other in range(40)
    }
    assert len(found) > 40
    assert fuzz_changes.retyped(b"no zip", 1, 2, ".zip") == b"no zip"


def test_counts_are_put_together_by_subject() -> None:
    counted = {"csv": [3, 1, 2, 0], "coco": [1, 0, 0, 1], "run/run.json": [2, 1, 1, 0]}
    rows = {subject: counts for subject, *counts in fuzz.rows_of(counted)}
    assert rows["catalogues"] == [4, 1, 2, 1] and rows["all"] == [6, 2, 3, 1]
