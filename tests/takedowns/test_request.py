"""A request is a folder of pictures; what cannot be read is named, never fatal by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.requests import stranger, write_request
from untrain.core.errors import InputError
from untrain.takedowns.request import as_folder, read_request


def test_pictures_letter_and_unreadable_files_are_told_apart(tmp_path: Path) -> None:
    folder = write_request(
        tmp_path / "letter", {"b.png": stranger(1), "a.jpg": b"no picture", "c.png": b""}
    )
    (folder / "more").mkdir()
    (folder / "more" / "d.png").write_bytes(stranger(2))
    (folder / ".hidden").write_bytes(b"x")
    found = read_request(folder)
    assert [asked.name for asked in found.pictures] == ["b.png", "more/d.png"]
    assert {each.name: each.reason for each in found.unreadable} == {
        "a.jpg": "not a picture that can be read",
        "c.png": "empty",
    }
    assert found.letter["from"] == "Jane Doe" and found.reference == "2026-17"
    assert found["b.png"].shape == (40, 40, 3)


def test_a_plain_text_letter_is_what_is_asked(tmp_path: Path) -> None:
    folder = write_request(tmp_path / "a letter", {"a.png": stranger()}, letter="")
    (folder / "request.txt").write_text("Take them out.\n")
    found = read_request(folder)
    assert found.letter == {"asks": "Take them out."}
    assert found.reference == "a-letter"


def test_the_fingerprint_is_of_the_files_not_the_folder(tmp_path: Path) -> None:
    a, b = (write_request(tmp_path / n, {"a.png": stranger()}) for n in "ab")
    c = write_request(tmp_path / "c", {"a.png": stranger(1)})
    assert read_request(a).fingerprint == read_request(b).fingerprint
    assert read_request(a).fingerprint != read_request(c).fingerprint


@pytest.mark.parametrize(
    ("files", "words"),
    [({}, "it is empty"), ({"a.jpg": b"x", "b.pdf": b"y"}, "none of its 2 files can be read")],
)
def test_a_folder_without_a_picture_is_refused(
    tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    folder = write_request(tmp_path / "letter", files)
    with pytest.raises(InputError, match=words):
        read_request(folder)


def test_no_folder_a_file_and_an_unknown_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_request(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        read_request(tmp_path / "file")
    folder = write_request(tmp_path / "letter", {"a.png": stranger()}, letter="form: Jane\n")
    with pytest.raises(InputError, match="did you mean 'from'"):
        read_request(folder)


def test_a_reference_becomes_the_name_of_a_folder() -> None:
    assert as_folder("Ref. 2026/17 (Doe)") == "Ref.-2026-17-Doe"
    with pytest.raises(InputError, match="names no folder"):
        as_folder("///")
