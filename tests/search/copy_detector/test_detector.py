"""The copy detector finds what was edited, says how, and calls nothing else a copy."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers.catalogs import encoded
from tests.helpers.places import REAL
from untrain.catalogs import Catalog, from_fashion, rendered
from untrain.core.errors import InputError
from untrain.search.copy_detector import KINDS, CopyDetector
from untrain.search.copy_detector.detector import highest
from untrain.search.copy_detector.edits import EDITS, Edit
from untrain.search.copy_detector.structure import over_channels

CATALOG = {"families": 12, "size_of_family": 2, "resolution": 96}
FLAGGED = ("copy", "copy_or_variant")


@pytest.fixture(scope="module")
def items() -> Catalog:
    """24 pictures, two a family."""
    return rendered(**CATALOG)


@pytest.fixture(scope="module")
def detector(items: Catalog) -> CopyDetector:
    return CopyDetector(items)


def edited(catalog: Catalog, image_id: str, edit: Edit) -> np.ndarray:
    return edit(np.asarray(catalog.image(image_id)), np.random.default_rng(3))


EVERY_KIND = [e for i, e in enumerate(EDITS) if not i or e.kind != EDITS[i - 1].kind]


@pytest.mark.parametrize("edit", EVERY_KIND, ids=lambda edit: edit.kind)
def test_a_copy_is_found_whatever_was_done(
    detector: CopyDetector, items: Catalog, edit: Edit
) -> None:
    image_id = items.ids[7]
    found = detector.find({"mine": edited(items, image_id, edit)}).iloc[0]
    assert found["image_id"] == image_id
    kinds = found["kinds"].split()
    assert set(kinds) <= set(KINDS)
    if edit.kind not in ("overlaid", "combined"):  # of which some are missed
        assert found["verdict"] in FLAGGED and kinds
    if edit.kind in ("same_pixels", "mirrored", "padded", "rotated", "cropped"):
        assert edit.kind in kinds


def test_the_same_file_is_told_from_the_same_pixels(
    detector: CopyDetector, items: Catalog, tmp_path: Path
) -> None:
    data = items.read(items.ids[3])
    (tmp_path / "same.png").write_bytes(data)
    items.image(items.ids[3]).save(tmp_path / "again.bmp")
    found = detector.find([tmp_path / "same.png", tmp_path / "again.bmp"])
    first = found.drop_duplicates("query").set_index("query")
    assert first.loc["same.png", "kinds"] == "identical"
    assert first.loc["again.bmp", "kinds"] == "same_pixels"
    assert set(first["image_id"]) == {items.ids[3]}


def test_other_pictures_are_similar_at_most(detector: CopyDetector) -> None:
    others = rendered(families=6, size_of_family=1, resolution=96, seed=77)
    images = {image_id: np.asarray(others.image(image_id)) for image_id in others.ids}
    found = detector.find(images)
    assert list(found["query"]) == list(others.ids)
    assert (found["verdict"] != "copy").all()


def test_of_a_picture_without_a_copy_the_nearest_is_shown(detector: CopyDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    blank = np.full((50, 80, 3), 255, np.uint8)
    found = detector.find({"noise": noise, "blank": blank, "tiny": blank[:1, :1]})
    assert list(found["verdict"]) == ["similar"] * 3
    assert (found["kinds"] == "").all()
    assert found["score"].between(0, 1).all()


def test_a_blank_picture_is_a_copy_of_itself(items: Catalog) -> None:
    shown = Image.new("RGB", (8, 8), "white")
    digest = hashlib.sha256(encoded(shown)).hexdigest()
    blank = Catalog("blank", ("a",), ("white",), (digest,), lambda i: encoded(shown), frame(1))
    found = CopyDetector(blank).find({"white": np.asarray(shown)}).iloc[0]
    assert (found["verdict"], found["kinds"]) == ("copy", "same_pixels")


def test_byte_identical_images_are_all_named(items: Catalog) -> None:
    first = items.ids[0]
    twice = Catalog(
        "twice",
        (*items.ids, "again"),
        (*items.captions, "again"),
        (*items.hashes, items.hashes[0]),
        lambda image_id: items.read(first if image_id == "again" else image_id),
        frame(len(items) + 1),
    )
    found = CopyDetector(twice).find({"mine": np.asarray(items.image(first))})
    assert {first, "again"} <= set(found.loc[found["verdict"] == "copy", "image_id"])


def test_what_is_found_depends_on_no_other_picture(detector: CopyDetector, items: Catalog) -> None:
    images = {str(n): edited(items, items.ids[n], EDITS[-1]) for n in range(4)}
    together = detector.find(images)
    for name, picture in images.items():
        own = together[together["query"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, detector.find({name: picture}))


def test_the_fast_mode_finds_whole_pictures(items: Catalog) -> None:
    fast = CopyDetector(items, "fast")
    for kind in ("reencoded", "mirrored", "recoloured", "padded"):
        edit = next(e for e in EDITS if e.kind == kind)
        found = fast.find({"mine": edited(items, items.ids[5], edit)}).iloc[0]
        assert (found["image_id"], found["verdict"] in FLAGGED) == (items.ids[5], True), kind


def test_wrong_input_is_a_clear_error(
    detector: CopyDetector, items: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"note\.txt.*not in an image format"):
        detector.find([tmp_path / "note.txt"])
    with pytest.raises(InputError, match="does not exist"):
        detector.find([tmp_path / "absent.png"])
    with pytest.raises(InputError, match="no picture to look for"):
        detector.find({})
    with pytest.raises(InputError, match="thorough"):
        CopyDetector(items, "quick")


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not there")
def test_copies_of_photos_are_found() -> None:
    photos = from_fashion(REAL)
    photos = photos.rows(np.arange(0, len(photos), len(photos) // 150))
    detector = CopyDetector(photos)
    image_id = photos.ids[40]
    found = [detector.find({"mine": edited(photos, image_id, e)}).iloc[0] for e in EVERY_KIND]
    named = [row["image_id"] == image_id and row["verdict"] in FLAGGED for row in found]
    assert sum(named) >= len(EVERY_KIND) - 2  # some edits are missed


def frame(n: int) -> pd.DataFrame:
    return pd.DataFrame(index=range(n))


def test_quicker_ways_give_the_same_to_the_last_bit() -> None:
    chance = np.random.default_rng(0)
    for channels in (2, 3):
        values = chance.normal(size=(40, 30, channels)).astype(np.float32)
        values[0] = -0.0
        for laid in (values, values.transpose(1, 0, 2), values[:, ::-1]):
            assert over_channels(laid).tobytes() == laid.sum(axis=-1).tobytes()
    scores = chance.integers(0, 40, 500).astype(np.float32)
    for n in (1, 10, 60, 499, 500, 900):
        assert highest(scores, n).tolist() == np.argsort(-scores, kind="stable")[:n].tolist()
