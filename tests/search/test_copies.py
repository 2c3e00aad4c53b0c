"""The copy test flags copies, and no more new pictures than it says; its numbers are SciPy's."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import mannwhitneyu

from untrain.catalogs.rendered.catalog import rendered
from untrain.core.errors import InputError
from untrain.encoders.layout import LayoutEncoder
from untrain.search.calibration import Calibration, calibrate, overlay
from untrain.search.copies import PictureReaders, copy_test, judge
from untrain.search.neighbours import NEIGHBOURS, Nearest, nearest
from untrain.search.proximity_test import proximity_test
from untrain.search.retrieve import vectors


def cloud(n: int, d: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, d)).astype(np.float32)


def angles(*degrees: float) -> np.ndarray:
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


# The nearest training image


def test_distance_and_ratio_by_hand() -> None:
    found = nearest(angles(90, 60, 0), angles(0, 30))
    assert found.position.tolist() == [2, 1]
    assert found.distance == pytest.approx([0, 1 - math.sqrt(3) / 2], abs=1e-6)
    # From 30°: 30°, 30° and 60° away.
    far, farther = 1 - math.sqrt(3) / 2, 0.5
    assert found.ratio == pytest.approx([0, far / ((2 * far + farther) / 3)], abs=1e-6)


def test_ratio_is_over_the_fifty_nearest() -> None:
    train, query = cloud(300), cloud(3, seed=1)
    unit = [f.astype(float) / np.linalg.norm(f, axis=1, keepdims=True) for f in (train, query)]
    distances = np.sort(1 - unit[1] @ unit[0].T, axis=1)
    found = nearest(train, query)
    assert found.distance == pytest.approx(distances[:, 0], abs=1e-6)
    assert found.ratio == pytest.approx(
        distances[:, 0] / distances[:, :NEIGHBOURS].mean(axis=1), rel=1e-4
    )


def test_neither_blocks_nor_a_memory_map_change_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, query = cloud(500).astype(np.float16), cloud(20, seed=1)
    whole = nearest(train, query)
    train.tofile(tmp_path / "features.bin")
    mapped = np.memmap(tmp_path / "features.bin", np.float16, "r", shape=train.shape)
    monkeypatch.setattr(vectors, "BLOCK", 24 * 7)
    blocks = nearest(mapped, query)
    assert (whole.position == blocks.position).all()
    assert whole.ratio == pytest.approx(blocks.ratio, rel=1e-5)


def test_byte_identical_images_count_once() -> None:
    train = cloud(80)
    rows = np.repeat(np.arange(80), 2)[::-1]  # every image twice, in another order
    once, twice = nearest(train, cloud(9, seed=1)), nearest(train, cloud(9, seed=1), rows)
    assert once.ratio == pytest.approx(twice.ratio)
    assert (rows[twice.position] == once.position).all()
    assert (twice.position % 2 == 0).all()  # the first of the two


def test_an_image_and_its_copies_are_left_out_of_its_own_neighbours() -> None:
    train, rows = cloud(60), np.r_[np.arange(60), 5]
    own = np.array([5, 60, 7])
    found = nearest(train, train[rows[own]], rows, own)
    assert (rows[found.position] != rows[own]).all()
    assert found.distance[0] == found.distance[1] > 0


def test_identical_neighbours_are_no_ground_for_suspicion() -> None:
    assert nearest(np.ones((60, 3)), np.ones((1, 3))).ratio == [1]
    assert nearest(np.zeros((3, 3)), np.ones((1, 3))).distance == [1]  # a picture of nothing


# Calibration


def test_p_values_and_threshold_by_hand() -> None:
    calibration = Calibration(np.linspace(0.01, 1.99, 199), copies=0)
    assert calibration.p_values(np.array([0, 0.01, 0.0101, 3])) * 200 == pytest.approx(
        [1, 2, 2, 200]
    )
    assert calibration.threshold(0.01) == pytest.approx(0.02)  # p ≤ 2/200 below the second
    assert math.isnan(Calibration(np.ones(98), 0).threshold(0.01))


@given(st.integers(1, 300), st.floats(0.001, 0.5))
def test_threshold_agrees_with_p_values(n: int, alpha: float) -> None:
    calibration = Calibration(np.arange(1.0, n + 1), 0)
    queries = np.arange(0, n + 2, 0.5)
    flagged = calibration.p_values(queries) <= alpha + 1e-12
    limit = calibration.threshold(alpha)
    assert (flagged == (queries < limit)).all()  # nothing is below NaN


def test_p_values_of_new_pictures_are_uniform() -> None:
    train, new = cloud(1500), cloud(1500, seed=5)
    p = calibrate(train).p_values(nearest(train, new).ratio)
    for level in (0.05, 0.2, 0.5, 0.8):
        assert (p <= level).mean() == pytest.approx(level, abs=0.04)


def test_the_sample_depends_on_the_seed_alone_not_on_the_order_of_rows() -> None:
    train = cloud(200)
    shuffle = np.random.default_rng(0).permutation(200)
    plain = calibrate(train, sample=50, seed=3)
    moved = calibrate(train[np.argsort(shuffle)], rows=shuffle, sample=50, seed=3)
    assert plain.ratios == pytest.approx(moved.ratios, rel=1e-4)
    assert len(plain.ratios) == 50
    assert plain.ratios.tolist() != calibrate(train, sample=50, seed=4).ratios.tolist()


def test_a_calibration_survives_saving(tmp_path: Path) -> None:
    made = calibrate(cloud(70))
    made.save(tmp_path / "copies.json")
    read = Calibration.load(tmp_path / "copies.json")
    assert (read.ratios == made.ratios).all() and read.copies == made.copies


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"version": 0, "ratios": []}'])
def test_a_broken_or_old_calibration_says_so(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "copies.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"copies\.json.*expected version 1"):
        Calibration.load(path)


# Pictures


def photo(seed: int = 0, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def test_overlay_is_blind_to_brightness_of_square_pictures_and_to_size() -> None:
    picture = photo()
    assert overlay(picture, picture) == pytest.approx((1, 0))
    agreement, difference = overlay(picture, (picture // 2 + 40).astype(np.uint8))
    assert agreement > 0.96 and difference > 20
    larger = np.asarray(Image.fromarray(picture).resize((128, 128)))
    assert overlay(picture, larger)[0] > 0.995
    assert abs(overlay(photo(1), photo(2))[0]) < 0.9
    white, grey = np.full((9, 9, 3), 255, np.uint8), np.full((9, 9, 3), 9, np.uint8)
    assert overlay(white, grey) == pytest.approx((0, 246))
    assert overlay(white, white) == (1, 0)


def test_a_flag_needs_a_small_p_and_agreement_or_the_very_picture() -> None:
    calibration = Calibration(np.linspace(0.1, 1, 500), 0)
    found = Nearest(np.arange(5), np.full(5, 0.1), np.array([0.01, 0.01, 0.01, 0.9, 0.9]))
    overlays = np.array([[0.98, 9], [0.9, 9], [np.nan, np.nan], [0.995, 2], [0.98, 2]])
    table = judge(calibration, found, overlays)
    assert table["near_copy"].tolist() == [True, False, True, True, False]
    assert judge(calibration, found)["near_copy"].tolist() == [True, True, True, False, False]


# All queries together


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.integers(0, 99))
def test_the_set_test_is_scipys(q: int, m: int, values: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    generated, held_out = random.integers(0, values, q), random.integers(0, values, m)
    auc, z, p = proximity_test(generated / 7, held_out / 7)
    if len({*generated.tolist(), *held_out.tolist()}) == 1:
        assert (auc, z, p) == (0.5, 0, 0.5)
        return
    theirs = mannwhitneyu(
        generated, held_out, alternative="less", method="asymptotic", use_continuity=False
    )
    assert auc == pytest.approx(1 - theirs.statistic / (q * m))
    assert p == pytest.approx(theirs.pvalue, abs=1e-12)


def test_the_auc_by_hand() -> None:
    assert proximity_test(np.array([1.0, 4.0]), np.array([2.0, 3.0, 4.0]))[0] == pytest.approx(
        3.5 / 6
    )
    assert all(math.isnan(x) for x in proximity_test(np.array([1.0]), np.array([])))


def test_pictures_of_one_prompt_do_not_count_as_many() -> None:
    random = np.random.default_rng(0)
    held_out = random.normal(size=400)
    prompts = random.normal(-0.3, 1, 12)
    single = proximity_test(prompts, held_out)
    five_times = np.repeat(prompts, 5)
    naive = proximity_test(five_times, held_out)
    groups = [str(i) for i in np.repeat(np.arange(12), 5)]
    heeded = proximity_test(five_times, held_out, groups)
    assert naive[0] == heeded[0] == pytest.approx(single[0])
    assert heeded[1] == pytest.approx(single[1], rel=0.01)
    assert naive[1] > 1.8 * single[1]
    alone = proximity_test(five_times, held_out, [str(i) for i in range(60)])
    assert alone[1] == pytest.approx(naive[1])
    assert proximity_test(five_times, held_out, ["one"] * 60)[1] < heeded[1]


def test_errors_of_the_set_test_with_groups_are_as_stated() -> None:
    random = np.random.default_rng(1)
    groups = [str(i) for i in np.repeat(np.arange(20), 5)]
    p_values = []
    for _ in range(400):
        generated = np.repeat(random.normal(0, 0.8, 20), 5) + random.normal(0, 0.6, 100)
        p_values.append(proximity_test(generated, random.normal(size=60), groups)[2])
    assert np.mean(np.array(p_values) <= 0.05) < 0.09


# Altogether, on rendered pictures


def jpeg(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


def half(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((32, 32), Image.Resampling.BICUBIC))


def noise(picture: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.clip(picture + random.normal(0, 5, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def shown() -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    catalog = rendered(families=40, size_of_family=10, seed=2)
    every = [np.asarray(catalog.image(i)) for i in catalog.ids]
    order = np.random.default_rng(0).permutation(len(every))
    train, held = ([every[i] for i in part] for part in (order[:330], order[330:]))
    return train, held, LayoutEncoder().encode(train), LayoutEncoder().encode(held)


@pytest.mark.parametrize("change", [jpeg, half, noise])
def test_copies_are_flagged_and_new_pictures_are_not(
    shown: tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray],
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    train, held, train_features, held_features = shown
    copies = [change(picture) for picture in train[:40]]
    queries = LayoutEncoder().encode(copies)
    pictures = PictureReaders(train.__getitem__, held.__getitem__, copies.__getitem__)
    test = copy_test(train_features, held_features, queries, pictures=pictures)
    assert test.table["nearest"].tolist() == list(range(40))
    assert test.table["near_copy"].mean() >= 0.95
    assert test.held_out["near_copy"].mean() <= 0.04
    assert test.summary["p_value"] < 1e-9 and test.summary["auc"] > 0.95
    assert test.summary["near_copies"] == test.table["near_copy"].sum()
    json.dumps(test.summary, allow_nan=False)


def test_true_copies_are_counted_apart(
    shown: tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray],
) -> None:
    train, held, train_features, held_features = shown
    again = [jpeg(picture) for picture in held[:6]]
    twice = [np.clip(picture.astype(int) + 1, 0, 255).astype(np.uint8) for picture in held[:6]]
    mixed, features = [*train, *twice], LayoutEncoder().encode(twice)
    pictures = PictureReaders(mixed.__getitem__, held.__getitem__, again.__getitem__)
    test = copy_test(
        np.concatenate([train_features, features]),
        held_features,
        LayoutEncoder().encode(again),
        pictures=pictures,
    )
    assert test.summary["held_out_copies"] == 6
    assert test.summary["false_positive_rate"] <= 0.04
    everything = [*train, *twice, *held[:6]]
    calibration = calibrate(
        np.concatenate([train_features, features, held_features[:6]]), read=everything.__getitem__
    )
    assert calibration.copies == 12


def coarse(picture: np.ndarray) -> np.ndarray:
    """Draw a picture again as a generator does that knows its mean colour alone, and that badly."""
    mean = picture.reshape(-1, 3).mean(axis=0) // 32 * 32
    return np.broadcast_to(mean.astype(np.uint8), picture.shape)


def test_pictures_that_a_coarse_generator_makes_equal_are_no_copies(
    shown: tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray],
) -> None:
    train, held, *_ = shown
    drawn, drawn_held = ([coarse(picture) for picture in side] for side in (train, held))
    features, held_features = LayoutEncoder().encode(drawn), LayoutEncoder().encode(drawn_held)
    redrawn = drawn.__getitem__, drawn_held.__getitem__, drawn_held.__getitem__
    originals = train.__getitem__, held.__getitem__
    pictures = PictureReaders(*redrawn, originals=originals)
    # What was generated are the held-out pictures themselves: as new, and as coarse.
    test = copy_test(features, held_features, held_features, pictures=pictures)
    summary = test.summary
    assert summary["held_out_copies"] == summary["calibration_copies"] == 0
    assert summary["auc"] == pytest.approx(0.5)
    assert test.held_out["near_copy"].mean() > 0.8  # by the one route: they look the same
    assert (test.held_out["p_value"] > 0.01).all()
    assert summary["false_positive_rate"] == pytest.approx(summary["near_copies"] / len(held))
    # Without the originals, all of these would pass for copies and none for an error.
    unknowing = copy_test(features, held_features, held_features, pictures=PictureReaders(*redrawn))
    assert unknowing.summary["held_out_copies"] > 0.8 * len(held)


def blurred(picture: np.ndarray) -> np.ndarray:
    small = Image.fromarray(picture).resize((16, 16), Image.Resampling.BOX)
    return np.asarray(small.resize(picture.shape[1::-1], Image.Resampling.BILINEAR))


def test_true_copies_are_known_by_their_originals(
    shown: tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray],
) -> None:
    train, held, *_ = shown
    train = [*train, *(np.maximum(picture, 1) - 1 for picture in held[:6])]
    drawn, drawn_held = ([blurred(picture) for picture in side] for side in (train, held))
    features, held_features = LayoutEncoder().encode(drawn), LayoutEncoder().encode(drawn_held)
    redrawn = drawn.__getitem__, drawn_held.__getitem__, drawn_held.__getitem__
    originals = train.__getitem__, held.__getitem__
    test = copy_test(
        features, held_features, held_features[6:], pictures=PictureReaders(*redrawn, originals)
    )
    assert test.summary["held_out_copies"] == 6
    assert test.summary["auc"] == pytest.approx(0.5)


def test_without_held_out_pictures_the_flags_still_stand(
    shown: tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray],
) -> None:
    _, _, train_features, held_features = shown
    test = copy_test(train_features, held_features[:0], train_features[:3])
    assert test.table["near_copy"].all()
    assert test.summary["auc"] is None and test.summary["false_positive_rate"] is None
    assert test.table["agreement"].isna().all()


def test_bad_input_says_what_to_do() -> None:
    with pytest.raises(InputError, match="alpha is 1"):
        copy_test(cloud(9), cloud(2), cloud(2), alpha=1)
    with pytest.raises(InputError, match="1 different training images"):
        calibrate(cloud(1))
