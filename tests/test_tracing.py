"""Tracing in Python: whatever a picture comes as, the same training images come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import untrain
from tests.helpers.pages import png
from untrain.core.errors import InputError


@pytest.fixture(scope="module")
def photos() -> untrain.Catalog:
    return untrain.load_catalog("rendered", families=4, size_of_family=4, resolution=32)


@pytest.fixture
def file(photos: untrain.Catalog, tmp_path: Path) -> Path:
    path = tmp_path / "my picture.png"
    path.write_bytes(png(np.asarray(photos.image(photos.ids[5]))))
    return path


def test_a_picture_may_be_anything_that_is_one(photos: untrain.Catalog, file: Path) -> None:
    image = photos.image(photos.ids[5])
    pixels = np.asarray(image)
    for given in (file, str(file), file.as_uri(), image, image.convert("RGBA"), pixels,
                  pixels / 255.0, [image], {"x": file}):  # fmt: skip
        found = untrain.trace(given, photos, top=3)
        assert found.table["image_id"].iloc[0] == photos.ids[5]
    assert untrain.trace(file, photos).found.copies["query"].tolist() == ["my picture"]


def test_a_grey_array_is_a_picture(photos: untrain.Catalog) -> None:
    assert len(untrain.trace(np.zeros((8, 9), np.uint8), photos).table) == 10


@pytest.mark.parametrize("given", [7, np.zeros((4, 4, 4, 4)), np.zeros((0, 3, 3), np.uint8)])
def test_what_is_no_picture_is_told(photos: untrain.Catalog, given: object) -> None:
    with pytest.raises(InputError, match="expected a picture"):
        untrain.trace([given], photos)


def test_nothing_is_fetched(photos: untrain.Catalog) -> None:
    with pytest.raises(InputError, match="on the network"):
        untrain.trace("https://example.org/x.png", photos)


def test_a_catalogue_may_be_its_path(photos: untrain.Catalog, file: Path, tmp_path: Path) -> None:
    untrain.export_folder(photos, [], tmp_path / "photos")
    found = untrain.trace(file, tmp_path / "photos")
    assert found.table["distance"].iloc[0] == pytest.approx(0, abs=1e-5)
    assert len(untrain.load(tmp_path / "photos")) == len(photos)


def test_a_folder_and_a_table_are_pictures_too(
    photos: untrain.Catalog, file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "drawn"
    folder.mkdir()
    for row in (2, 1):
        (folder / f"{row}.png").write_bytes(png(np.asarray(photos.image(photos.ids[row]))))
    (folder / "3.png").write_bytes(b"")
    found = untrain.trace(folder, photos, top=2)
    assert found.summary["query"].tolist() == ["1", "2"] and len(found) == 2
    assert found.summary["image_id"].tolist() == [photos.ids[1], photos.ids[2]]
    assert set(found.summary["verdict"]) == {"near copy"}
    assert list(found.skipped) == ["3"] and "is empty" in found.skipped["3"]

    frame = pd.DataFrame(
        {"image": [photos.image(photos.ids[4]), str(file)], "prompt": ["a shirt", ""]}
    )
    found = untrain.trace(frame, photos, top=2)
    assert found.summary["image_id"].tolist() == [photos.ids[4], photos.ids[5]]
    assert found.summary["prompt"].tolist() == ["a shirt", ""]
    found.save(tmp_path / "answers")
    assert (tmp_path / "answers" / "index.html").is_file()

    both = [file, folder / "1.png"]
    told = untrain.trace(both, photos, prompt=["a shirt", "a bag"], top=1).found.prompts
    assert told == {"my picture": "a shirt", "1": "a bag"}
    with pytest.raises(InputError, match="1 prompts were given for 2 pictures"):
        untrain.trace(both, photos, prompt=["a shirt"])


def test_it_shows_itself(photos: untrain.Catalog, file: Path, tmp_path: Path) -> None:
    found = untrain.trace(file, photos)
    assert repr(found) == (
        f"Trace of 1 picture in {len(photos)} images of {photos.name}, near copies of 1"
    )
    assert found._repr_html_().count("<figure") == 9
    assert "data:image" in found.to_html()
    for kind in ("csv", "parquet", "json", "html"):
        found.save(tmp_path / f"x.{kind}")
    assert len(pd.read_parquet(tmp_path / "x.parquet")) == 10
    with pytest.raises(InputError, match="ending in"):
        found.save(tmp_path / "x.doc")


def test_a_catalogue_shows_itself_briefly(photos: untrain.Catalog) -> None:
    assert len(repr(photos)) < 200
    assert repr(photos).startswith("Catalog 'rendered")
    assert photos._repr_html_().count("<img") == 12


def test_the_public_names_are_listed() -> None:
    assert {"trace", "load", "Experiment", "attribute"} <= set(dir(untrain))
