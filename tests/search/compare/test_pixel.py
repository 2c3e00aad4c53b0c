"""The vectorised pixel metrics are OpenCV's, scikit-image's and the formulas', pair by pair."""

import io
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import structural_similarity

from tests.helpers.pictures import noise, smooth
from tests.helpers.places import REAL
from untrain.search.compare import pixel as module
from untrain.search.compare.pixel import pixel_metrics, resize_folder


def one_pair(a_rgb: np.ndarray, b_rgb: np.ndarray) -> dict[str, float]:
    """The study's definitions to the letter, in OpenCV's channel order."""
    a = np.ascontiguousarray(a_rgb[..., ::-1])
    b = np.ascontiguousarray(b_rgb[..., ::-1])
    x, y = a.astype(float), b.astype(float)
    bins = [0, 1, 2], None, [8, 8, 8], [0, 256] * 3
    grey = cv2.cvtColor(cv2.subtract(a, b), cv2.COLOR_BGR2GRAY)
    with np.errstate(invalid="ignore"):
        cosine = (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())
    return {
        "mse": ((x - y) ** 2).sum() / (x.shape[0] * x.shape[1]),
        "mae": np.abs(x - y).mean(),
        "cross_correlation": ((x - x.mean()) * (y - y.mean())).sum() / x.size,
        # Flat: OpenCV takes an 8×8×8 array for 8×8 pixels of 8 channels and divides by 64.
        "histogram": cv2.compareHist(
            cv2.calcHist([a], *bins).ravel(), cv2.calcHist([b], *bins).ravel(), cv2.HISTCMP_CORREL
        ),
        "cosine": cosine,
        "ssim": structural_similarity(grey, np.zeros_like(grey)),
    }


def assert_equal_to_pairs(generated: np.ndarray, candidates: np.ndarray) -> None:
    found = pixel_metrics(generated, candidates)
    names = ("mse", "mae", "cross_correlation", "histogram", "cosine", "ssim")
    assert tuple(found) == names
    for i, a in enumerate(generated):
        for j, b in enumerate(candidates):
            for name, expected in one_pair(a, b).items():
                np.testing.assert_allclose(
                    found[name][i, j],
                    expected,
                    rtol=1e-9,
                    atol=1e-12 if name == "ssim" else 1e-10,
                    err_msg=name,
                )


@settings(max_examples=15, derandomize=True, deadline=None)
@given(st.integers(7, 24), st.integers(7, 24), st.integers(0, 10**6))
def test_metrics_equal_the_pairwise_reference_at_any_size(h: int, w: int, seed: int) -> None:
    assert_equal_to_pairs(noise(2, h, w, seed), smooth(3, h, w, seed + 1))


def test_metrics_equal_the_pairwise_reference_on_photos() -> None:
    if not REAL.is_file():
        pytest.skip("the photos are not here (shared/data)")
    with zipfile.ZipFile(REAL) as file:
        names = [name for name in file.namelist() if name.endswith(".jpg")][:2000:150]
        photos = resize_folder(
            [np.asarray(Image.open(io.BytesIO(file.read(name))).convert("RGB")) for name in names]
        )
    assert_equal_to_pairs(smooth(1, *photos.shape[1:3]), photos)
    assert_equal_to_pairs(photos[:3], photos)


def test_a_picture_compared_with_itself() -> None:
    pictures = smooth(2, 20, 16)
    found = pixel_metrics(pictures, pictures)
    for name, expected in {"mse": 0, "mae": 0, "histogram": 1, "cosine": 1, "ssim": 1}.items():
        np.testing.assert_allclose(np.diag(found[name]), expected, atol=1e-12)


def test_small_pictures_by_hand() -> None:
    white, grey = np.full((1, 7, 7, 3), 255, np.uint8), np.full((1, 7, 7, 3), 155, np.uint8)
    found = {name: value.item() for name, value in pixel_metrics(white, grey).items()}
    c1 = (0.01 * 255) ** 2
    assert found["mse"] == 3 * 100**2  # summed over channels
    assert found["mae"] == 100
    assert found["cross_correlation"] == pytest.approx(0, abs=1e-9)
    assert found["cosine"] == pytest.approx(1)
    assert found["ssim"] == pytest.approx(c1 / (100**2 + c1), rel=1e-12)
    assert found["histogram"] == pytest.approx(-1 / 511)


def test_black_has_no_cosine_and_nothing_else_is_undefined() -> None:
    black = np.zeros((1, 8, 8, 3), np.uint8)
    found = pixel_metrics(black, smooth(2, 8, 8))
    assert np.isnan(found.pop("cosine")).all()
    assert all(np.isfinite(values).all() for values in found.values())


def test_results_do_not_depend_on_how_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    generated, candidates = smooth(2, 15, 12), noise(9, 15, 12)
    whole = pixel_metrics(generated, candidates)
    monkeypatch.setattr(module, "BLOCK", 700)
    for name, values in pixel_metrics(generated, candidates).items():
        np.testing.assert_array_equal(values, whole[name])


def test_only_ssim_is_undefined_for_pictures_below_its_window() -> None:
    found = pixel_metrics(noise(2, 6, 9), noise(3, 6, 9))
    assert np.isnan(found.pop("ssim")).all()
    assert all(np.isfinite(values).all() for values in found.values())


def test_a_folder_is_resized_to_its_truncated_mean() -> None:
    images = [noise(1, 10, 7)[0], noise(1, 13, 8)[0], noise(1, 13, 9)[0]]
    resized = resize_folder(images)
    assert resized.shape == (3, 12, 8, 3)  # 36 / 3 and 24 / 3
    assert resize_folder([*images, noise(1, 13, 10)[0]]).shape == (4, 12, 8, 3)  # 12.25 and 8.5
    np.testing.assert_array_equal(
        resized[0], cv2.resize(images[0], (8, 12), interpolation=cv2.INTER_LINEAR)
    )
