"""The retained data as a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.catalogs import picture, small_catalog
from untrain.catalogs.base import Catalog
from untrain.catalogs.export import export_folder
from untrain.catalogs.formats.folder import from_folder
from untrain.catalogs.plant import plant
from untrain.catalogs.rendered.catalog import rendered
from untrain.core.errors import InputError


@pytest.fixture
def catalog() -> Catalog:
    return small_catalog({"2": picture(2), "10": picture(10, "PNG"), "a.b": picture(3)})


@pytest.mark.parametrize("removed", [(), ("10",), {"2", "a.b"}])
def test_a_folder_written_is_the_catalogue_without_the_removed(
    catalog: Catalog, tmp_path: Path, removed: tuple[str, ...]
) -> None:
    written = export_folder(catalog, removed, tmp_path / "out")
    kept = [i for i in catalog.ids if i not in removed]
    again = from_folder(tmp_path / "out", strict=True)
    assert written == len(kept) == len(again)
    assert again.fingerprint == catalog.subset(kept).fingerprint


def test_rendered_and_planted_catalogues_come_back_the_same(tmp_path: Path) -> None:
    catalog = plant(rendered(2, 3, 0, 16), 1, 2, 0)
    export_folder(catalog, [], tmp_path / "out")
    assert from_folder(tmp_path / "out").fingerprint == catalog.fingerprint


def test_files_are_named_as_they_are_stored(catalog: Catalog, tmp_path: Path) -> None:
    export_folder(catalog, ["a.b"], tmp_path / "new" / "out")
    names = sorted(p.name for p in (tmp_path / "new" / "out").iterdir())
    assert names == ["10.png", "10.txt", "2.jpg", "2.txt"]
    assert (tmp_path / "new" / "out" / "2.jpg").read_bytes() == catalog.read("2")


def test_an_empty_folder_is_filled_and_anything_else_is_refused(
    catalog: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert export_folder(catalog, [], tmp_path / "empty") == 3
    before = {p.name: p.read_bytes() for p in (tmp_path / "empty").iterdir()}
    with pytest.raises(InputError, match="not an empty folder"):
        export_folder(catalog, ["2"], tmp_path / "empty")
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "empty").iterdir()}
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"not an empty folder|is a file, not a folder"):
            export_folder(catalog, [], path)


@pytest.mark.parametrize(
    ("removed", "message"),
    [(["nobody"], "no image with id 'nobody'"), (["2", "10", "a.b"], "all 3 images")],
)
def test_removing_what_is_not_there_or_everything_is_an_input_error(
    catalog: Catalog, tmp_path: Path, removed: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        export_folder(catalog, removed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("image_id", ["../outside", "/root", ".hidden", "a\0b", "..", ""])
def test_an_id_that_is_no_file_name_is_an_input_error(tmp_path: Path, image_id: str) -> None:
    with pytest.raises(InputError, match="cannot be a file name"):
        export_folder(small_catalog({image_id: picture(0)}), [], tmp_path / "out")


def test_a_failure_half_way_leaves_nothing(catalog: Catalog, tmp_path: Path) -> None:
    def read(image_id: str) -> bytes:
        if image_id == "10":
            raise InputError("gone")
        return picture(2)

    object.__setattr__(catalog, "read", read)
    with pytest.raises(InputError, match="gone"):
        export_folder(catalog, [], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
