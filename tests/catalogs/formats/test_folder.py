"""The study's folder format, and everything that can be wrong with one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.catalogs import picture
from untrain.catalogs import CATALOGS, load_catalog
from untrain.catalogs.formats.folder import from_folder
from untrain.catalogs.reading import natural_key
from untrain.core.errors import InputError


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Three good pairs of three suffixes."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number, name in enumerate(("2.jpg", "10.png", "7.JPEG")):
        (folder / name).write_bytes(picture(number, "PNG" if name == "10.png" else "JPEG"))
        (folder / name).with_suffix(".txt").write_text(f"a shirt, number {number}\n")
    return folder


def reasons(folder: Path) -> dict[str, str]:
    return {item.name: item.reason for item in from_folder(folder).skipped}


def test_pairs_are_read_in_natural_order(good: Path) -> None:
    catalog = from_folder(good)
    assert catalog.ids == ("2", "7", "10")
    assert catalog.captions == tuple(f"a shirt, number {n}" for n in (0, 2, 1))
    assert catalog.read("10") == (good / "10.png").read_bytes()
    assert catalog.image("2").size == (12, 16)
    assert catalog.name == "data" and catalog.skipped == ()


def test_fingerprint_depends_on_neither_path_nor_order_of_writing(
    good: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in sorted(good.iterdir(), reverse=True):
        shutil.copyfile(file, copy / file.name)
    assert from_folder(copy).fingerprint == from_folder(str(good)).fingerprint


def test_other_files_hidden_files_and_folders_are_ignored(good: Path) -> None:
    before = from_folder(good).fingerprint
    (good / "notes.md").write_text("not an image")
    (good / "Thumbs.db").write_bytes(b"\0")
    (good / "._2.jpg").write_bytes(b"what a Mac leaves behind")
    (good / "sub.jpg").mkdir()
    assert from_folder(good, strict=True).fingerprint == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("x"), "is not a folder"),
        (lambda path: path.mkdir(), "has no <id>.jpg"),
        (lambda path: (path / "sub").mkdir(parents=True), "sub-folders are not read"),
    ],
)
def test_no_folder_or_an_empty_one_is_an_input_error(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "data")
    with pytest.raises(InputError, match=message):
        from_folder(tmp_path / "data")


def test_the_same_id_twice_is_an_input_error(good: Path) -> None:
    (good / "2.png").write_bytes(picture(9, "PNG"))
    with pytest.raises(InputError, match=r"'2' occurs twice, as 2.jpg and 2.png"):
        from_folder(good)


TRUNCATED = picture(5, size=(64, 64))[:-900]
BAD = {
    "image without caption": ({"bad.jpg": picture(5)}, "bad.jpg"),
    "caption without image": ({"bad.txt": b"words"}, "bad.txt"),
    "empty caption": ({"bad.jpg": picture(5), "bad.txt": b" \n\t"}, "bad.txt"),
    "caption cannot be read": ({"bad.jpg": picture(5), "bad.txt": b"caf\xe9"}, "bad.txt"),
    "image is not in an image format": ({"bad.jpg": b"<html>", "bad.txt": b"words"}, "bad"),
    "image is not in an image format that": ({"bad.png": b"", "bad.txt": b"words"}, "bad"),
    "image cannot be decoded": ({"bad.jpg": TRUNCATED, "bad.txt": b"words"}, "bad"),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_cannot_be_used_is_skipped_with_its_reason(good: Path, reason: str) -> None:
    before = from_folder(good)
    files, name = BAD[reason]
    for file, content in files.items():
        (good / file).write_bytes(content)
    after = from_folder(good)
    assert after.fingerprint == before.fingerprint
    (skipped,) = after.skipped
    assert skipped.name == name
    assert skipped.reason.startswith(reason)
    with pytest.raises(InputError, match=f"1 × {reason}"):
        from_folder(good, strict=True)


@pytest.mark.parametrize("size", [(20, 15), (40, 15)], ids=["above the limit", "above twice"])
def test_a_decompression_bomb_is_skipped(
    good: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    (good / "bomb.png").write_bytes(picture(5, "PNG", size))
    (good / "bomb.txt").write_text("words")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12 * 16)  # those of the good ones
    (bomb,) = from_folder(good).skipped
    assert bomb.name == "bomb"
    assert bomb.reason.startswith("image is too large to be decoded safely")


def test_if_everything_is_skipped_the_error_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "b.jpg").write_bytes(picture(0))
    with pytest.raises(InputError, match=r"no usable .* 1 × image without caption \(e.g. b.jpg\)"):
        from_folder(tmp_path)


def test_reasons_do_not_change_from_run_to_run(good: Path) -> None:
    (good / "bad.jpg").write_bytes(b"nothing")
    (good / "bad.txt").write_text("words")
    assert reasons(good) == reasons(good)


def test_a_byte_order_mark_is_no_part_of_a_caption(good: Path) -> None:
    (good / "2.txt").write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9 shirt\r\n")
    assert from_folder(good).captions[0] == "café shirt"


def test_a_file_that_vanishes_later_is_an_input_error(good: Path) -> None:
    catalog = from_folder(good)
    (good / "2.jpg").unlink()
    with pytest.raises(InputError, match="image '2' cannot be read"):
        catalog.image("2")


@given(st.permutations(["1", "2", "02", "10", "a2", "a10", "b", "ä", "²"]))
def test_natural_order_counts_digits_and_is_total(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == ["1", "02", "2", "10", "a2", "a10", "b", "²", "ä"]


def test_load_catalog_names_what_it_does_not_know(good: Path) -> None:
    assert load_catalog("folder", path=good).fingerprint == from_folder(good).fingerprint
    assert {"rendered", "folder", "fashion"} < set(CATALOGS)
    with pytest.raises(InputError, match="did you mean 'folder'"):
        load_catalog("foldr", path=good)
    with pytest.raises(InputError, match="did you mean 'path'"):
        load_catalog("folder", pth=good)
    with pytest.raises(InputError, match="needs the option 'path'"):
        load_catalog("folder")


def test_load_catalog_passes_strict_to_formats_that_can_skip(good: Path) -> None:
    (good / "lonely.txt").write_text("words")
    assert len(load_catalog("folder", path=good)) == 3
    with pytest.raises(InputError, match="caption without image"):
        load_catalog("folder", strict=True, path=good)
    assert len(load_catalog("rendered", strict=True, families=1, size_of_family=2)) == 2
