"""Every metric equals an independent calculation to 1e-6 relative, pair by pair, end to end.

OpenCV, scikit-image and scipy on one pair at a time, in float64 on the same float32 features,
against the table that `compare` returns: on real photos of mixed size and on drawn ones.
"""

import io
import zipfile

import cv2
import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial import distance
from scipy.special import rel_entr
from skimage.metrics import structural_similarity

from tests.helpers.places import SHARED
from untrain.catalogs.rendered.catalog import rendered
from untrain.encoders import load_encoder
from untrain.search.compare.comparison import compare
from untrain.search.compare.metrics import METRICS

ODD = (1799, 1800, 2311, 5408, 11151, 11160, 14776, 25299, 28092, 35915, 44101, 56128, 59593)
COMMON = (1163, 1525, 10000, 12000, 15000, 20000, 30000, 44998)  # 60×80; the last nearly blank


def pixels_of_pair(a_rgb: np.ndarray, b_rgb: np.ndarray) -> dict[str, float]:
    """The study's definitions to the letter, in OpenCV's channel order, and the standard ones."""
    a, b = cv2.cvtColor(a_rgb, cv2.COLOR_RGB2BGR), cv2.cvtColor(b_rgb, cv2.COLOR_RGB2BGR)
    x, y = a.astype(float), b.astype(float)
    bins = [0, 1, 2], None, [8, 8, 8], [0, 256] * 3
    counts_a, counts_b = (cv2.calcHist([picture], *bins).ravel() for picture in (a, b))
    shares_a, shares_b = counts_a / counts_a.sum(), counts_b / counts_b.sum()
    grey_a, grey_b = (cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (a, b))
    excess = cv2.cvtColor(cv2.subtract(a, b), cv2.COLOR_BGR2GRAY)
    return {
        "pixel_mse": ((x - y) ** 2).sum() / (x.shape[0] * x.shape[1]),
        "pixel_mae": np.abs(x - y).mean(),
        "pixel_cross_correlation": np.cov(x.ravel(), y.ravel(), bias=True)[0, 1],
        "pixel_histogram": cv2.compareHist(counts_a, counts_b, cv2.HISTCMP_CORREL),
        "pixel_cosine": 1 - distance.cosine(x.ravel(), y.ravel()),
        "pixel_ssim": structural_similarity(excess, np.zeros_like(excess)),
        "pixel_ssim_standard": structural_similarity(grey_a, grey_b),
        "pixel_histogram_intersection": cv2.compareHist(shares_a, shares_b, cv2.HISTCMP_INTERSECT),
    }


def features_of_pair(e: np.ndarray, f: np.ndarray) -> dict[str, float]:
    """The five metrics by scipy, in float64."""
    x, y = e.astype(float), f.astype(float)
    return {
        "feature_cosine": 1 - distance.cosine(x, y),
        "feature_mse": distance.sqeuclidean(x, y) / x.size,
        "feature_kl": rel_entr(x, np.maximum(y, 1e-10)).sum(),
        "feature_manhattan": distance.cityblock(x, y),
        "feature_minkowski": distance.minkowski(x, y, 2),
    }


def resized(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """The folder's mean width and height, truncated."""
    height = int(np.mean([len(picture) for picture in pictures]))
    width = int(np.mean([picture.shape[1] for picture in pictures]))
    return [cv2.resize(picture, (width, height)) for picture in pictures]


def assert_parity(
    generated: list[np.ndarray], candidates: list[np.ndarray], e: np.ndarray, f: np.ndarray
) -> None:
    ids = [str(i) for i in range(len(candidates))]
    table = compare("p", generated, ids, candidates, e, f).set_index(["generation", "image_id"])
    folder = resized([*generated, *candidates])
    hashes = [imagehash.phash(Image.fromarray(picture)) for picture in [*generated, *candidates]]
    g = len(generated)
    for i in range(g):
        for j, image_id in enumerate(ids):
            expected = pixels_of_pair(folder[i], folder[g + j]) | features_of_pair(e[i], f[j])
            expected["pixel_phash"] = hashes[i] - hashes[g + j]
            pairwise = {m for m in METRICS if METRICS[m].needs in ("pixels", "features")}
            assert set(expected) == pairwise
            found = table.loc[(i, image_id), list(expected)].astype(float)
            # Equal pictures differ by nothing, or by the rounding of numbers of this size.
            size = pd.Series(0.0, found.index)
            size[["pixel_cross_correlation", "pixel_histogram", "pixel_cosine"]] = 1e-6
            size["feature_kl"] = 1e-9 * e[i].sum()
            np.testing.assert_array_less(
                (found - pd.Series(expected)).abs(),
                1e-6 * pd.Series(expected).abs() + 1e-6 * size + 1e-15,
                err_msg=f"{i}, {image_id}",
            )


def wide_features(count: int, seed: int, d: int = 20_000) -> np.ndarray:
    """As the last map of a convolutional net: half of it zero, some of it large."""
    drawn = np.random.default_rng(seed).normal(size=(count, d))
    return np.maximum(drawn**3, 0).astype(np.float32)


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    archive = SHARED / "data" / "fashion-product-images-small.zip"
    if not archive.is_file():
        pytest.skip("the photos are not here (shared/data)")
    with zipfile.ZipFile(archive) as file:
        encoded = [file.read(f"images/{name}.jpg") for name in (*ODD, *COMMON)]
    return [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in encoded]


def test_on_photos_of_mixed_size(photos: list[np.ndarray]) -> None:
    assert len({photo.shape for photo in photos}) >= 6
    noise = np.random.default_rng(0).normal(0, 12, (256, 256, 3))
    drawn = [
        (cv2.resize(photo, (256, 256)) + noise).clip(0, 255).astype(np.uint8)
        for photo in photos[::9]
    ]
    generated = [*drawn, photos[3]]  # the last is one of the candidates
    encoder = load_encoder("layout")
    assert_parity(generated, photos, encoder.encode(generated), encoder.encode(photos))


def test_on_photos_by_the_real_weights(photos: list[np.ndarray]) -> None:
    weights = SHARED / "weights" / "mobilenet_v2"
    if not weights.is_dir():
        pytest.skip("the weights are not here (shared/weights)")
    encoder = load_encoder("transformers", path=str(weights), pooling="flatten")
    generated, candidates = photos[:2], [*photos[2:5], photos[0]]
    e, f = encoder.encode(generated), encoder.encode(candidates)
    assert e.min() >= 0 and e.shape[1] == 7 * 7 * 1280
    assert_parity(generated, candidates, e, f)


@pytest.mark.parametrize("resolution", [16, 57])
def test_on_rendered_items_and_wide_features(resolution: int) -> None:
    catalog = rendered(families=4, size_of_family=3, seed=1, resolution=resolution)
    pictures = [np.asarray(catalog.image(image_id)) for image_id in catalog.ids]
    black = np.zeros((19, 12, 3), np.uint8)
    black[5, 5] = 1, 0, 0  # one pixel, or its cosine would be undefined
    generated, candidates = [*pictures[:2], black], pictures[1:]
    features = wide_features(len(pictures) + 1, seed=0)
    e, f = features[[0, 1, -1]], features[1 : len(pictures)]
    e[2] = f[3] * np.float32(1.0001)  # nearly the same
    assert_parity(generated, candidates, e, f)
