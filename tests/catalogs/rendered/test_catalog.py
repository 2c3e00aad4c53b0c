"""The embedded catalogue is reproducible, balanced, and really made of families."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered import catalog as catalog_module
from untrain.catalogs.rendered.articles import ARTICLES
from untrain.catalogs.rendered.catalog import (
    COLUMNS,
    MAX_FAMILIES,
    family_prompt,
    make_families,
    rendered,
)
from untrain.catalogs.rendered.shapes import BRANDS, COLOURS, MOTIFS, PATTERNS, outline
from untrain.catalogs.sheet import contact_sheet
from untrain.core.errors import InputError

SHARED = ["brand", "article", "colour", "pattern", "motif", "gender"]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return rendered(families=44, size_of_family=4, resolution=32)


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    one = rendered(families=6, size_of_family=3, seed=5, resolution=32)
    same = rendered(families=6, size_of_family=3, seed=5, resolution=32)
    other = rendered(families=6, size_of_family=3, seed=6, resolution=32)
    assert one.fingerprint == same.fingerprint
    assert [one.read(i) for i in one.ids] == [same.read(i) for i in one.ids]
    pd.testing.assert_frame_equal(one.attributes, same.attributes)
    assert not set(one.hashes) & set(other.hashes)
    assert set(one.captions) != set(other.captions)


def test_pictures_are_rgb_png_of_the_asked_size_and_hashes_are_of_their_bytes() -> None:
    for resolution in (32, 50):
        catalog = rendered(families=3, size_of_family=2, resolution=resolution)
        for image_id, content in zip(catalog.ids, catalog.hashes, strict=True):
            data = catalog.read(image_id)
            opened = Image.open(io.BytesIO(data))
            assert (opened.format, opened.mode) == ("PNG", "RGB")
            assert opened.size == (resolution, resolution)
            assert hashlib.sha256(data).hexdigest() == content


def test_no_two_pictures_are_identical(catalog: Catalog) -> None:
    assert catalog.duplicates() == []
    assert len({catalog.image(i).tobytes() for i in catalog.ids}) == len(catalog)


def test_there_are_enough_kinds_of_everything() -> None:
    assert len(ARTICLES) >= 12
    assert len(COLOURS) >= 10
    assert len(PATTERNS) == 4
    assert len(BRANDS) == 8


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, MAX_FAMILIES), seed=st.integers(0, 10_000))
def test_families_are_distinct_balanced_and_prefixes_of_larger_sets(count: int, seed: int) -> None:
    families = make_families(count, seed)
    assert len({f.motif for f in families}) == count
    assert len({(f.article.name, f.colour, f.pattern, f.brand) for f in families}) == count
    for values, known, slack in (
        ([f.article.name for f in families], [a.name for a in ARTICLES], 1),
        ([f.colour for f in families], list(COLOURS), 3),
        ([f.pattern for f in families], list(PATTERNS), 1),
    ):
        counts = [Counter(values)[value] for value in known]
        assert max(counts) - min(counts) <= slack
    assert families == make_families(MAX_FAMILIES, seed)[:count]


def test_pictures_of_a_family_share_its_attributes_and_a_motif_only_it_has(
    catalog: Catalog,
) -> None:
    table = catalog.attributes
    assert list(table.columns) == list(COLUMNS)
    assert table.groupby("family").size().eq(4).all()
    assert table.groupby("family")[SHARED].nunique().eq(1).all(axis=None)
    assert table.groupby("motif")["family"].nunique().eq(1).all()


def test_captions_share_the_family_words_and_differ_in_season_year_and_usage(
    catalog: Catalog,
) -> None:
    assert len(set(catalog.captions)) == len(catalog)
    for caption, row in zip(catalog.captions, catalog.attributes.itertuples(), strict=True):
        assert 15 <= len(caption.split()) <= 18
        noise = f" {row.season} {row.year} {row.usage} "
        assert noise in caption
        shared = caption.replace(noise, " ")
        start = f"{row.brand} Adults-{row.gender} {row.gender} {row.colour} {row.pattern} "
        assert shared.startswith(f"{start}{row.motif} Fashion {row.article} ")


def test_order_does_not_reveal_families(catalog: Catalog) -> None:
    families = catalog.attributes["family"].to_numpy()
    assert list(catalog.ids) == sorted(catalog.ids)
    # 176 pictures in families of 4: by chance 3 neighbours in 175 are of one family.
    assert (families[1:] == families[:-1]).sum() < 12


def test_a_family_is_nearer_to_itself_than_to_others(catalog: Catalog) -> None:
    pixels = catalog.pixels((32, 32)).reshape(len(catalog), -1).astype(float) / 255
    square = (pixels**2).sum(axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square - 2 * pixels @ pixels.T, 0))
    families = catalog.attributes["family"].to_numpy()
    same = families[:, None] == families
    np.fill_diagonal(distance, np.inf)
    assert distance[same & np.isfinite(distance)].mean() < 0.5 * distance[~same].mean()
    nearest = families[distance.argmin(axis=1)]
    assert (nearest == families).mean() > 0.95


def test_a_prompt_is_a_caption_that_its_family_never_had(catalog: Catalog) -> None:
    for family in ("f000", "f017", "f043"):
        prompt = family_prompt(catalog, family)
        assert prompt == family_prompt(catalog, family)
        assert prompt not in catalog.captions
        members = catalog.attributes.index[catalog.attributes["family"] == family]
        for words in (catalog.captions[i].split() for i in members):
            differing = [a for a, b in zip(prompt.split(), words, strict=True) if a != b]
            assert 1 <= len(differing) <= 3


def test_a_prompt_is_the_same_for_a_part_of_the_catalogue(catalog: Catalog) -> None:
    families = catalog.attributes["family"]
    part = catalog.subset([catalog.ids[families[families == "f005"].index[0]]])
    assert family_prompt(part, "f005") == family_prompt(catalog, "f005")
    full = rendered(families=1, size_of_family=119, resolution=16)
    assert family_prompt(full, "f000") not in full.captions


def test_what_cannot_be_is_an_input_error(catalog: Catalog) -> None:
    with pytest.raises(InputError, match="families is 241; choose 1 to 240"):
        rendered(families=241)
    with pytest.raises(InputError, match="size_of_family is 0"):
        rendered(size_of_family=0)
    with pytest.raises(InputError, match="resolution is 8"):
        rendered(resolution=8)
    with pytest.raises(InputError, match="no picture of a family 'f999'"):
        family_prompt(catalog, "f999")


def test_corners_are_white_but_for_the_brand_mark(catalog: Catalog) -> None:
    pixels = catalog.pixels((32, 32))
    assert (pixels[:, :3, -3:] > 240).mean() > 0.95
    marks = pixels[:, 1:6, 1:6].reshape(len(catalog), -1)
    brands = catalog.attributes["brand"].to_numpy()
    means = {brand: np.median(marks[brands == brand], axis=0) for brand in BRANDS}
    centres = np.stack(list(means.values()))
    nearest = np.abs(marks[:, None] - centres).sum(axis=2).argmin(axis=1)
    assert (np.array(list(means))[nearest] == brands).mean() > 0.99


@pytest.mark.parametrize("shape", MOTIFS)
def test_motifs_fill_their_box(shape: str) -> None:
    points = np.array(outline(MOTIFS[shape]))
    assert points.min() > -3 and points.max() < 103
    assert np.all(np.ptp(points, axis=0) > 70)


def test_paths_follow_curves_and_mirrors() -> None:
    assert outline("M 10 20 L 40 60 X") == ((10, 20), (40, 60), (60, 60), (90, 20))
    quarter = np.array(outline("M 0 0 Q 50 100 100 0"))
    assert quarter[8] == pytest.approx((50, 50))  # t = ½: a quarter, a half and a quarter
    circle = np.array(outline("E 50 50 10 10"))
    assert np.hypot(*(circle - 50).T) == pytest.approx(np.full(len(circle), 10.0))


def test_a_sheet_has_room_for_every_picture_and_label() -> None:
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    sheet = contact_sheet([red] * 5, columns=3, cell=32)
    assert sheet.size == (4 + 3 * 36, 4 + 2 * 36)
    array = np.asarray(sheet)
    assert (array[4:36, 4:36] == (255, 0, 0)).all()
    assert (array[40:, -36:] == 255).all()  # the sixth cell is empty
    wide = Image.new("RGB", (100, 50), "blue")
    labelled = contact_sheet([wide], 1, 40, labels=["a very long label that cannot fit"])
    assert labelled.width == 48 and labelled.height > 48
    assert (np.asarray(labelled)[14:34, 4:44] == (0, 0, 255)).all()
    with pytest.raises(ValueError, match="1 images but 2 labels"):
        contact_sheet([wide], 1, 40, labels=["a", "b"])


def test_a_label_runs_on_under_pictures_that_have_none() -> None:
    red, text = np.full((8, 8, 3), (255, 0, 0), np.uint8), "a label for three pictures"
    below = [
        np.asarray(contact_sheet([red] * 4, 4, 40, labels=labels))[46:, 48:]
        for labels in ([text, "", "", "x"], [text, "y", "", "x"], ["", "", "", "x"])
    ]
    assert (below[0][:, :80] < 255).any()  # under the second and the third
    assert not np.array_equal(below[0][:, :40], below[1][:, :40])
    np.testing.assert_array_equal(below[0][:, 90:], below[2][:, 90:])  # the fourth has its own


def test_it_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    small = {"families": 3, "size_of_family": 2, "resolution": 16}
    drawn = rendered(**small)
    first = load_catalog("rendered", **small)
    with monkeypatch.context() as patch:
        patch.setattr(catalog_module, "pictures", lambda *arguments: pytest.fail("drawn again"))
        again = load_catalog("rendered", **small)
    for catalog in (first, again):
        for name in ("name", "ids", "captions", "hashes", "skipped", "fingerprint"):
            assert getattr(catalog, name) == getattr(drawn, name)
        pd.testing.assert_frame_equal(catalog.attributes, drawn.attributes)
        assert [catalog.read(i) for i in catalog.ids] == [drawn.read(i) for i in drawn.ids]
    assert type(again).__dict__["content"].func(again) == drawn.fingerprint
    assert len(load_catalog("rendered", **small | {"seed": 1})) == 6
    assert len(list((tmp_path / "catalogs").iterdir())) == 2


def test_settings_out_of_range_are_refused_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="families is 0; choose 1 to 240"):
        load_catalog("rendered", families=0)
    assert not list((tmp_path / "catalogs").iterdir())
