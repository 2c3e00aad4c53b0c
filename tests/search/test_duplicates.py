"""Copies: exact ones by bytes, near ones by three tests, copies of copies in one group."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy.sparse.csgraph import connected_components

from tests.helpers.catalogs import encoded
from tests.helpers.places import REAL
from untrain.catalogs import Catalog, from_fashion, load_catalog, rendered
from untrain.encoders.layout import LayoutEncoder
from untrain.search import duplicates, near_copies
from untrain.search.duplicates import (
    COLUMNS,
    describe,
    duplicate_groups,
    duplicates_sheet,
)
from untrain.search.near_copies import differences, thumbnail


@pytest.fixture(scope="module")
def items() -> Catalog:
    """40 pictures that all differ, some within a family."""
    return rendered(families=20, size_of_family=2, resolution=96)


def catalog_of(files: dict[str, bytes]) -> Catalog:
    return Catalog(
        "made",
        tuple(files),
        tuple(f"caption of {i[0]}" for i in files),
        tuple(hashlib.sha256(data).hexdigest() for data in files.values()),
        files.__getitem__,
        pd.DataFrame(index=range(len(files))),
    )


def resized(image: Image.Image, scale: float) -> Image.Image:
    size = round(image.width * scale), round(image.height * scale)
    return image.resize(size, Image.Resampling.LANCZOS)


def swapped(image: Image.Image) -> Image.Image:
    red, green, blue = image.split()
    return Image.merge("RGB", (blue, red, green))


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": lambda i: encoded(i, "JPEG", quality=90, subsampling=0),
    "half": lambda i: encoded(resized(i, 0.5)),
    "double": lambda i: encoded(resized(i, 2)),
    "webp": lambda i: encoded(i, "WEBP", lossless=True),
    "alpha": lambda i: encoded(i.convert("RGBA")),
}
OTHERS: dict[str, Callable[[Image.Image], bytes]] = {
    "mirrored": lambda i: encoded(ImageOps.mirror(i)),
    "recoloured": lambda i: encoded(swapped(i)),
    "inverted": lambda i: encoded(ImageOps.invert(i)),
    "upside down": lambda i: encoded(ImageOps.flip(i)),
}


def with_changed(items: Catalog, change: Callable[[Image.Image], bytes]) -> Catalog:
    files = {i: items.read(i) for i in items.ids}
    return catalog_of(files | {f"{i}-changed": change(items.image(i)) for i in items.ids[:20]})


@pytest.mark.parametrize("change", COPIES)
def test_the_same_picture_stored_another_way_is_a_near_copy(items: Catalog, change: str) -> None:
    groups = duplicate_groups(with_changed(items, COPIES[change]))
    near = groups[groups["kind"] == "near"]
    assert len(near) >= 19  # of 20
    first = groups.groupby("group")["image_id"].first()
    assert (near["image_id"] == near["group"].map(first) + "-changed").all()
    assert near["hash_distance"].max() <= near_copies.HASH_BITS
    assert near["cosine"].min() >= near_copies.COSINE


@pytest.mark.parametrize("change", OTHERS)
def test_another_picture_is_no_copy(items: Catalog, change: str) -> None:
    assert duplicate_groups(with_changed(items, OTHERS[change])).empty


def test_members_of_a_family_are_hardly_ever_copies() -> None:
    groups = duplicate_groups(rendered(families=60, size_of_family=6))
    assert (groups["kind"] == "near").sum() <= 5  # of 360 images, 900 pairs of a family
    assert len(groups) == 2 * groups["group"].nunique()


def test_exact_groups_are_those_of_equal_bytes(items: Catalog) -> None:
    a, b, c = (items.read(i) for i in items.ids[:3])
    catalog = catalog_of({"a": a, "b": b, "a2": a, "c": c, "b2": b, "a3": a})
    groups = duplicate_groups(catalog, near=False)
    assert list(groups.columns) == COLUMNS
    assert groups["group"].tolist() == [1, 1, 1, 2, 2]
    assert groups["image_id"].tolist() == ["a", "a2", "a3", "b", "b2"]
    assert set(groups["kind"]) == {"exact"}
    assert set(groups["hash_distance"]) == {0} and set(groups["cosine"]) == {1.0}
    assert groups["copy_of"].tolist() == ["", "a", "a", "", "b"]


def test_a_group_holds_exact_and_near_copies_together(items: Catalog) -> None:
    image, other = items.image(items.ids[0]), items.read(items.ids[1])
    whole, half = encoded(image), encoded(resized(image, 0.5))
    groups = duplicate_groups(
        catalog_of({"h": half, "x": other, "w": whole, "h2": half, "w2": whole})
    )
    assert groups["image_id"].tolist() == ["h", "w", "h2", "w2"]
    assert groups["kind"].tolist() == ["exact", "near", "exact", "near"]
    assert groups["cosine"].iloc[1] == groups["cosine"].iloc[3] < 1
    assert groups["copy_of"].tolist() == ["", "h", "h", "h"]


def grouped(names: str, *near: str) -> pd.DataFrame:
    """The groups of images that all differ, where the pairs ``near`` are near copies."""
    catalog = catalog_of({i: i.encode() for i in names})
    pairs = pd.DataFrame(
        [(*sorted(map(names.index, pair)), n, 0.99, 1.0, 0.5) for n, pair in enumerate(near)],
        columns=["a", "b", *duplicates.DISTANCES],
    )
    return duplicates._groups(catalog, np.arange(len(names)), pairs)


def test_copies_of_copies_are_in_one_group_and_say_what_they_are_copies_of() -> None:
    groups = grouped("abcdefgh", "bc", "cd", "ac", "fg", "de")
    assert groups.groupby("group")["image_id"].agg("".join).tolist() == ["abcde", "fg"]
    assert "".join(groups["copy_of"]) == "cacd" + "f"
    assert groups["hash_distance"].tolist() == [0, 0, 2, 1, 4, 0, 3]
    assert groups["kind"].tolist() == ["exact", *4 * ["near"], "exact", "near"]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=14))
def test_groups_are_closed_and_as_small_as_that_allows(drawn: list[tuple[int, int]]) -> None:
    names = "abcdefghijkl"
    pairs = sorted({(min(pair), max(pair)) for pair in drawn if pair[0] != pair[1]})
    graph = np.zeros((12, 12))
    graph[tuple(np.array(pairs, int).reshape(-1, 2).T)] = 1
    _, component = connected_components(graph, directed=False)
    groups = grouped(names, *(names[a] + names[b] for a, b in pairs))
    expected = [
        "".join(names[i] for i in np.flatnonzero(component == c)) for c in np.unique(component)
    ]
    found = groups.groupby("group")["image_id"].agg("".join).tolist()
    assert sorted(found) == sorted(group for group in expected if len(group) > 1)
    linked = groups[groups["kind"] == "near"]
    for copy, of in zip(linked["image_id"], linked["copy_of"], strict=True):
        assert tuple(sorted((names.index(copy), names.index(of)))) in pairs


def test_what_was_found_is_remembered_by_content(
    items: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    catalog = with_changed(items, COPIES["half"])
    first = duplicate_groups(catalog)
    monkeypatch.setattr(near_copies, "perceptual_hashes", lambda images: pytest.fail("done again"))
    pd.testing.assert_frame_equal(duplicate_groups(catalog), first)
    monkeypatch.undo()
    features = LayoutEncoder().encode([np.asarray(catalog.image(i)) for i in catalog.ids])
    given = duplicate_groups(catalog, features=features)
    assert given["image_id"].tolist() == first["image_id"].tolist()
    np.testing.assert_allclose(given["cosine"], first["cosine"], atol=1e-3)


def test_one_image_or_none_has_no_copies(items: Catalog) -> None:
    for ids in ((), items.ids[:1]):
        groups = duplicate_groups(items.subset(ids))
        assert groups.empty and list(groups.columns) == COLUMNS


def test_differences_by_hand() -> None:
    grey = np.full((1, 32, 32, 3), 100, np.uint8)
    np.testing.assert_allclose(differences(grey, grey), 0, atol=1e-4)
    np.testing.assert_allclose(differences(grey, grey + 7), [[7], [0]], atol=1e-4)
    dot = grey.copy()
    dot[0, 16, 16] = 190
    np.testing.assert_allclose(differences(grey, dot), [[10], [0]], atol=1e-4)  # 90 / 9
    edge = grey.copy()
    edge[:, :, 16:] = 200
    shifted = np.roll(edge, 1, axis=2)
    shifted[:, :, 0] = 100
    np.testing.assert_allclose(differences(edge, shifted), 0, atol=1e-4)
    border = grey.copy()
    border[:, 0] = 0
    np.testing.assert_allclose(differences(grey, border), 0, atol=1e-4)
    red = grey.copy()
    red[0, 8:12, 8:12] = [200, 58, 60]  # Y = 0.299·200 + 0.587·58 + 0.114·60 = 100.7
    y = 0.299 * 200 + 0.587 * 58 + 0.114 * 60
    colour = np.hypot(0.564 * (60 - y), 0.713 * (200 - y))
    brightness, found = differences(grey, red)
    np.testing.assert_allclose(found, colour, rtol=1e-5)
    np.testing.assert_allclose(brightness, y - 100, atol=1e-4)


def test_differences_are_symmetric(items: Catalog) -> None:
    small = np.stack([thumbnail(items.image(i)) for i in items.ids[:8]])
    forth, back = differences(small[:4], small[4:]), differences(small[4:], small[:4])
    np.testing.assert_array_equal(forth, back)


def test_groups_in_words_and_pictures(items: Catalog, tmp_path: Path) -> None:
    files = {f"{n}{i}": items.read(i) for i in items.ids[:2] for n in "ab"}
    found = describe(catalog := catalog_of(files), groups := duplicate_groups(catalog))
    assert json.loads(json.dumps(found)) == found
    assert found["exact"] == {"groups": 2, "images": 4}
    assert found["near"] == {"images": 0}
    assert found["all"] == {"groups": 2, "images": 4, "largest": 2}
    assert found["different_captions"] == 2
    assert [i["caption"] for i in found["groups"][0]["images"]] == ["caption of a", "caption of b"]
    duplicates_sheet(catalog, groups, tmp_path / "sheet.png", most=1)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 6 * 96 and sheet.height < 2 * 96 + 40
    duplicates_sheet(catalog, groups.iloc[:0], tmp_path / "none.png")


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the Fashion Product Images zip is not there")
def test_the_real_data_has_its_known_copies() -> None:
    catalog = load_catalog("fashion", path=REAL)
    exact = duplicate_groups(catalog, near=False)
    assert exact["group"].nunique() == 651 and len(exact) == 1_429
    near = duplicate_groups(catalog)
    assert 150 <= (near["kind"] == "near").sum() <= 260
    assert near["image_id"].is_unique
    assert set(exact["image_id"]) <= set(near["image_id"])
    assert near.groupby("group").size().max() <= 20  # shades of one lipstick


@pytest.mark.skipif(not REAL.exists(), reason="the Fashion Product Images zip is not there")
def test_copies_of_real_photos_are_found() -> None:
    ids = ["15970", "39386", "59263", "1163", "1525", "1526", "1528", "1529", "1530", "1531"]
    photos = from_fashion(REAL, ids=ids)
    files = {i: photos.read(i) for i in photos.ids}
    again = {f"{i}-75": encoded(photos.image(i), "JPEG", quality=75) for i in photos.ids}
    groups = duplicate_groups(catalog_of(files | again))
    assert groups["group"].nunique() == 10 and len(groups) == 20
