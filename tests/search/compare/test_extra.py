"""Standard SSIM, perceptual hash and histogram intersection are the libraries', pair by pair."""

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import structural_similarity

from tests.helpers.pictures import noise, smooth
from untrain.search.compare import extra as module
from untrain.search.compare.extra import (
    hamming,
    histogram_intersection,
    perceptual_hashes,
    standard_ssim,
)


@settings(max_examples=15, derandomize=True, deadline=None)
@given(st.integers(7, 24), st.integers(7, 24), st.integers(0, 10**6))
def test_standard_ssim_is_scikit_images_at_any_size(h: int, w: int, seed: int) -> None:
    extremes = np.stack([np.zeros((h, w, 3), np.uint8), np.full((h, w, 3), 255, np.uint8)])
    generated = np.concatenate([smooth(2, h, w, seed), extremes])
    candidates = np.concatenate([generated, noise(2, h, w, seed + 1)])
    grey_a, grey_b = (
        [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in side]
        for side in (generated, candidates)
    )
    expected = [[structural_similarity(a, b) for b in grey_b] for a in grey_a]
    found = standard_ssim(generated, candidates)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.diag(found), 1)


def test_standard_ssim_is_undefined_below_a_window() -> None:
    assert np.isnan(standard_ssim(noise(2, 6, 20), noise(3, 6, 20))).all()


def test_ssim_does_not_depend_on_how_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    generated, candidates = smooth(2, 15, 12), noise(9, 15, 12)
    whole = standard_ssim(generated, candidates)
    monkeypatch.setattr(module, "BLOCK", 700)
    np.testing.assert_array_equal(standard_ssim(generated, candidates), whole)


def test_hashes_and_distances_are_imagehashs() -> None:
    flat = [np.full((4, 4, 3), grey, np.uint8) for grey in range(0, 256, 5)]
    images = [*smooth(3, 40, 30), *noise(2, 9, 70), np.zeros((1, 1, 3), np.uint8), *flat]
    hashes = perceptual_hashes(images)
    assert hashes.shape == (len(images), 64)
    assert perceptual_hashes([]).shape == (0, 64)
    expected = [imagehash.phash(Image.fromarray(image)) for image in images]
    distances = hamming(hashes, hashes)
    for i, a in enumerate(expected):
        for j, b in enumerate(expected):
            assert distances[i, j] == a - b


def test_a_hash_bears_a_smaller_and_brighter_copy() -> None:
    original = smooth(1, 80, 60)[0]
    copy = cv2.convertScaleAbs(cv2.resize(original, (30, 40)), alpha=1, beta=8)
    other = smooth(1, 80, 60, seed=9)[0]
    distances = hamming(perceptual_hashes([original]), perceptual_hashes([copy, other]))[0]
    assert distances[0] <= 6 < 16 < distances[1]


def test_intersection_is_opencvs_on_shares_of_pixels() -> None:
    generated, candidates = smooth(2, 12, 9), noise(3, 12, 9)
    found = histogram_intersection(generated, candidates)
    shares_a, shares_b = (
        [cv2.calcHist([x], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3).ravel() / 108 for x in side]
        for side in (generated, candidates)
    )
    expected = [[cv2.compareHist(a, b, cv2.HISTCMP_INTERSECT) for b in shares_b] for a in shares_a]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(np.diag(histogram_intersection(generated, generated)), 1)


def test_pictures_without_a_colour_in_common_do_not_intersect() -> None:
    black, white = np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8, 3), 255, np.uint8)
    assert histogram_intersection(black, white).item() == 0
