"""The summary of a catalogue, against numbers counted by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers.catalogs import encoded, picture, small_catalog
from untrain.catalogs.base import Catalog, Skipped
from untrain.catalogs.inspect import _measure, inspect, inspect_sheet
from untrain.catalogs.sheet import contact_sheet


@pytest.fixture
def catalog() -> Catalog:
    one, other = picture(1), picture(2, "PNG", (30, 20))
    blank = encoded(Image.new("L", (12, 16), 250))
    files = {"1": one, "2": other, "3": one, "4": other, "5": one, "6": blank}
    return dataclasses.replace(
        small_catalog(files),
        captions=("a red shirt", "a hat", "a red shirt", "A hat", "a red shirt", "one two 3 4 5"),
        attributes=pd.DataFrame({"colour": ["red", "red", "blue", "red", "red", ""]}),
        skipped=(
            Skipped("7", "no image"),
            Skipped("8", "image cannot be decoded (broken here)"),
            Skipped("9", "image cannot be decoded (broken there)"),
        ),
    )


def test_the_summary_counts_what_is_there(catalog: Catalog) -> None:
    summary = inspect(catalog)
    assert summary["images"] == 6
    assert summary["fingerprint"] == catalog.fingerprint
    assert summary["sizes"] == {
        "distinct": 2,
        "width": {"min": 12, "median": 12.0, "max": 30},
        "height": {"min": 16, "median": 16.0, "max": 20},
        "common": {"12×16": 4, "30×20": 2},
    }
    assert summary["modes"] == {"RGB": 5, "L": 1}
    assert summary["captions"] == {
        "distinct": 4,
        "words": {"min": 2, "median": 3.0, "max": 5},
        "vocabulary": 9,
    }
    assert summary["skipped"] == {
        "image cannot be decoded": {"count": 2, "examples": ["8", "9"]},
        "no image": {"count": 1, "examples": ["7"]},
    }
    assert summary["duplicates"] == {
        "groups": 2,
        "files": 5,
        "different_captions": 1,
        "differing": {"colour": 1},
    }
    assert summary["near_blank"] == {"threshold": 3.0, "ids": ["6"]}
    assert summary["attributes"] == {"colour": {"distinct": 3, "top": {"red": 4, "blue": 1, "": 1}}}


def test_the_summary_is_json(catalog: Catalog) -> None:
    summary = inspect(catalog)
    assert json.loads(json.dumps(summary)) == summary


def test_the_spread_of_pixels_is_their_standard_deviation() -> None:
    data = picture(3, "PNG")
    pixels = np.asarray(small_catalog({"a": data}).image("a"))
    assert _measure(data, "a")[3] == pytest.approx(pixels.std(), rel=1e-12)


def test_the_sheet_shows_n_images_and_depends_on_the_seed_alone(
    catalog: Catalog, tmp_path: Path
) -> None:
    sheets = []
    for seed in (0, 0, 1, 2, 3):
        inspect_sheet(catalog, tmp_path / "sheet.png", n=3, seed=seed)
        sheets.append((tmp_path / "sheet.png").read_bytes())
    assert sheets[0] == sheets[1]
    assert len(set(sheets)) > 1
    inspect_sheet(catalog, tmp_path / "all.png", n=500)
    assert Image.open(tmp_path / "all.png").mode == "RGB"


def test_labels_break_between_words_and_are_cut_after_some_lines() -> None:
    label = "first\n" + "words " * 20

    def lines(wrap: int) -> int:
        sheet = contact_sheet([Image.new("RGB", (60, 60))], 1, 90, [label], wrap)
        return round((sheet.height - 90 - 8) / 14)

    assert [lines(wrap) for wrap in (1, 2, 3)] == [2, 3, 4]
