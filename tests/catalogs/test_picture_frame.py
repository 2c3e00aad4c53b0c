"""Tables with pictures stay pandas, are shown safely, and become Arrow and `datasets`."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import untrain
from untrain.catalogs.base import Catalog

COLOURS = ("red", "green", "blue")


@pytest.fixture
def frame() -> untrain.PictureFrame:
    pictures = [Image.new("RGB", (8, 4), colour) for colour in COLOURS]
    return untrain.PictureFrame(
        {"picture": pictures, "caption": [f"a {c} <b>" for c in COLOURS], "score": [0.1, np.nan, 3]}
    )


def test_a_notebook_shows_pictures_and_nothing_unescaped(frame: untrain.PictureFrame) -> None:
    frame.attrs["caption"] = "<script>"
    page = frame.rename(columns={"caption": "<i>"})._repr_html_()
    assert page.count('<img src="data:image/png;base64,') == 3
    assert "<b>" not in page and "<script>" not in page and "<i>" not in page
    assert "a red &lt;b&gt;" in page and "0.1" in page and "nan" not in page.lower()


def test_what_is_filtered_and_sorted_still_shows_pictures(frame: untrain.PictureFrame) -> None:
    kept = frame[frame["score"] > 0].sort_values("score", ascending=False).reset_index(drop=True)
    assert isinstance(kept, untrain.PictureFrame) and kept.picture_columns == ["picture"]
    assert kept._repr_html_().count("<img") == 2
    assert frame.head(0)._repr_html_().count("<img") == 0


def test_arrow_has_the_pictures_whole(frame: untrain.PictureFrame) -> None:
    table = frame.to_arrow()
    assert table.schema.names == list(frame.columns)
    data = table["picture"][1].as_py()["bytes"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(frame["picture"][1]))
    assert table["score"].to_pylist() == [0.1, None, 3.0]


def test_datasets_has_the_pictures_whole(frame: untrain.PictureFrame) -> None:
    pytest.importorskip("datasets")
    data = frame.to_datasets()
    assert np.array_equal(np.asarray(data[2]["picture"]), np.asarray(frame["picture"][2]))
    back = untrain.load(data)
    assert list(back.captions) == list(frame["caption"])


def alike(catalog: Catalog, frame: pd.DataFrame) -> bool:
    """Whether a catalogue has the captions and the pixels of a table."""
    pictures = zip(catalog.ids, frame["picture"], strict=True)
    return list(catalog.captions) == list(frame["caption"]) and all(
        np.array_equal(np.asarray(catalog.image(i)), np.asarray(p)) for i, p in pictures
    )


def test_tables_in_memory_are_catalogues(frame: untrain.PictureFrame) -> None:
    assert alike(untrain.load(frame), frame)
    assert alike(untrain.load(frame.to_arrow()), frame)
    arrays = frame.assign(picture=[np.asarray(p) for p in frame["picture"]])
    coded = frame.assign(picture=[c.as_py()["bytes"] for c in frame.to_arrow()["picture"]])
    assert alike(untrain.load(pd.DataFrame(arrays)), frame)
    catalog = untrain.load(coded, caption="{score}", name="mine")
    assert catalog.name == "mine" and list(catalog.captions) == ["0.1", "3.0"]
    assert [each.name for each in catalog.skipped] == ["1"]  # it has no caption


def test_paths_in_a_table_are_read(frame: untrain.PictureFrame, tmp_path: Path) -> None:
    files = [tmp_path / f"{colour}.png" for colour in COLOURS]
    for file, picture in zip(files, frame["picture"], strict=True):
        picture.save(file)
    table = pd.DataFrame({"file": files, "caption": list(frame["caption"])}, index=list(COLOURS))
    catalog = untrain.load(table)
    assert set(catalog.ids) == set(COLOURS)
    assert catalog.image("blue").getpixel((0, 0)) == (0, 0, 255)


def test_the_frame_of_a_catalogue_goes_back_and_forth() -> None:
    catalog = untrain.load_catalog("rendered", families=2, resolution=16)
    frame = catalog.frame(catalog.ids[3:6])
    again = untrain.load(frame)
    assert list(again.ids) == list(catalog.ids[3:6])
    assert "colour" in again.attributes and "picture" not in again.attributes


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda f: f.drop(columns="picture"), "columns that hold images: none"),
        (lambda f: f.assign(other=f["picture"]).rename(columns={"picture": "x"}), "x, other"),
        (lambda f: f.drop(columns="caption"), "caption"),
        (lambda f: 42, "expected a path, or a table with a column of images.*found int"),
        (lambda f: pa.table({"text": ["a"]}), "0 columns hold bytes"),
    ],
)
def test_what_cannot_be_taken_is_explained(
    frame: untrain.PictureFrame, given: object, words: str
) -> None:
    with pytest.raises(untrain.InputError, match=words):
        untrain.load(given(frame))  # type: ignore[operator]


def test_an_option_that_a_table_does_not_have(frame: untrain.PictureFrame) -> None:
    with pytest.raises(untrain.InputError, match=r"no option 'captoin'.*'caption'"):
        untrain.load(frame, captoin="caption")
