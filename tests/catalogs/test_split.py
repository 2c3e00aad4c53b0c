"""Held-out pairs, subsets and planted items."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.catalogs import encoded, small_catalog
from untrain.catalogs.base import Catalog
from untrain.catalogs.plant import plant
from untrain.catalogs.rendered.catalog import rendered
from untrain.catalogs.split import hold_out, subset
from untrain.core.errors import InputError


def many(n: int, different: int | None = None) -> Catalog:
    """``n`` images, of which ``different`` differ; ids in natural order."""
    different = n if different is None else different
    return small_catalog({f"{i:05d}": b"%d" % (i % different) for i in range(n)})


@given(st.floats(0.01, 0.99), st.integers(0, 2**31), st.integers(2, 40))
def test_a_split_divides_and_keeps_copies_together(
    fraction: float, seed: int, different: int
) -> None:
    catalog = many(60, different)
    train, held = hold_out(catalog, fraction, seed)
    assert sorted(train.ids + held.ids) == list(catalog.ids)
    assert train.ids and held.ids
    assert not set(train.hashes) & set(held.hashes)


def test_the_held_out_share_is_close_to_the_fraction() -> None:
    _, held = hold_out(many(4000), 0.2, seed=1)
    assert abs(len(held) - 800) < 4 * np.sqrt(4000 * 0.2 * 0.8)


def test_membership_stays_when_other_pairs_come_or_go() -> None:
    catalog = many(300)
    _, held = hold_out(catalog, 0.3, seed=5)
    part = catalog.subset(catalog.ids[::3])
    _, held_of_part = hold_out(part, 0.3, seed=5)
    assert set(held_of_part.ids) == set(held.ids) & set(part.ids)


def test_the_seed_decides_the_split() -> None:
    catalog = many(100)
    ids = [hold_out(catalog, 0.3, seed)[1].ids for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_out_of_range_is_an_input_error(fraction: float) -> None:
    with pytest.raises(InputError, match="held-out fraction"):
        hold_out(many(10), fraction, 0)


def test_copies_of_one_image_cannot_be_split() -> None:
    with pytest.raises(InputError, match="1 different images"):
        hold_out(many(10, different=1), 0.5, 0)


@given(st.integers(0, 2**31), st.data())
def test_a_subset_has_its_size_and_what_is_kept(seed: int, data: st.DataObject) -> None:
    catalog = many(30)
    keep = data.draw(st.sets(st.sampled_from(catalog.ids), max_size=10))
    size = data.draw(st.integers(max(1, len(keep)), 30))
    part = subset(catalog, size, seed, keep)
    assert len(part) == size
    assert keep <= set(part.ids)
    assert list(part.ids) == sorted(part.ids)
    assert part.fingerprint == subset(catalog, size, seed, sorted(keep)).fingerprint


def test_subsets_of_one_seed_are_nested_and_seeds_differ() -> None:
    catalog = many(100)
    assert set(subset(catalog, 10, 3).ids) < set(subset(catalog, 20, 3).ids)
    assert subset(catalog, 20, 3).ids != subset(catalog, 20, 4).ids


@pytest.mark.parametrize(
    ("size", "keep", "message"),
    [
        (31, (), "a subset of 31 of the 30"),
        (0, (), "a subset of 0"),
        (1, ("00001", "00002"), "2 images to keep"),
        (5, ("nobody",), "no image with id 'nobody'"),
    ],
)
def test_an_impossible_subset_is_an_input_error(
    size: int, keep: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        subset(many(30), size, 0, keep)


@pytest.fixture(scope="module")
def base() -> Catalog:
    return rendered(3, 4, 0, 32)


def test_planted_items_are_added_and_the_rest_stays(base: Catalog) -> None:
    catalog = plant(base, items=2, copies=3, seed=0)
    planted = [f"planted-{item:02d}-{copy:02d}" for item in range(2) for copy in range(3)]
    assert catalog.ids == (*base.ids, *planted)
    assert catalog.subset(base.ids).fingerprint == base.fingerprint
    assert catalog.attributes["family"].tolist() == [
        *base.attributes["family"],
        *["planted-00"] * 3,
        *["planted-01"] * 3,
    ]
    assert catalog.fingerprint == plant(base, 2, 3, 0).fingerprint
    assert catalog.fingerprint != plant(base, 2, 3, 1).fingerprint


def test_planted_words_are_new_and_shared_by_the_copies_of_one_item_alone(base: Catalog) -> None:
    catalog = plant(base, items=5, copies=2, seed=0)
    captions = dict(zip(catalog.ids, catalog.captions, strict=True))
    known = {w for c in base.captions for w in re.findall(r"\w+", c.lower())}
    words = [captions[f"planted-{item:02d}-00"].split() for item in range(5)]
    assert all(4 <= len(w) <= 6 for w in words)
    flat = [word for w in words for word in w]
    assert len(set(flat)) == len(flat)
    assert not known & set(flat)
    assert all(captions[f"planted-{n:02d}-01"].split() == w for n, w in enumerate(words))


def test_words_that_the_catalogue_has_are_not_invented_again(base: Catalog) -> None:
    first = set(plant(base, 1, 1, 0).captions[-1].split())
    taken = small_catalog({"a": base.read(base.ids[0])})
    object.__setattr__(taken, "captions", (" ".join(first).upper(),))
    assert not first & set(plant(taken, 1, 1, 0).captions[-1].split())


def test_copies_of_an_item_resemble_each_other_and_nothing_else(base: Catalog) -> None:
    catalog = plant(base, items=2, copies=3, seed=0)
    pixels = catalog.pixels((32, 32)).reshape(len(catalog), -1).astype(float)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    similar = pixels @ pixels.T
    item = slice(len(base), len(base) + 3)
    assert len(set(catalog.hashes[item])) == 3
    assert similar[item, item].min() > max(
        similar[item, : len(base)].max(), similar[item, len(base) + 3 :].max()
    )


def test_rows_without_a_family_have_an_empty_one_and_the_size_is_the_catalogues() -> None:
    plain = small_catalog({"z": encoded(Image.new("RGB", (40, 50)))})
    catalog = plant(plain, 1, 2, 0)
    assert catalog.ids == ("planted-00-00", "planted-00-01", "z")  # natural order of the ids
    assert catalog.attributes["family"].tolist() == ["planted-00", "planted-00", ""]
    assert Image.open(io.BytesIO(catalog.read("planted-00-00"))).size == (50, 50)


@pytest.mark.parametrize(("items", "copies"), [(0, 1), (1, 0), (241, 1), (1, 120)])
def test_planting_numbers_are_checked(base: Catalog, items: int, copies: int) -> None:
    with pytest.raises(InputError, match="choose 1 to"):
        plant(base, items, copies, 0)


def test_planting_twice_is_an_input_error(base: Catalog) -> None:
    with pytest.raises(InputError, match="occurs more than once"):
        plant(plant(base, 1, 1, 0), 1, 1, 1)
