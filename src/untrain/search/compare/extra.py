"""Three metrics that the study lacks and people would add today, for all pairs at once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from untrain.search.compare.pixel import BLOCK, C1, C2, WINDOW, colour_histograms, window_sums

PIXELS = WINDOW**2
HASH_SIDE = 32  # pixels a side of a picture that is hashed


def standard_ssim(generated: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the structural similarity of the grey pictures of every pair (Wang et al., 2004).

    As scikit-image's `structural_similarity` by default: windows of 7×7 pixels inside the picture,
    uniform, sample covariance, values in 0–255.

    Parameters
    ----------
    generated, candidates : ndarray of uint8, shapes (g, H, W, 3) and (n, H, W, 3)

    Returns
    -------
    ndarray of float64, shape (g, n)
        At most 1, for equal pictures; NaN if a picture is smaller than a window.
    """
    values = np.full((len(generated), len(candidates)), np.nan)
    if min(generated.shape[1:3]) < WINDOW:
        return values
    greys = _grey(generated)
    step = max(1, BLOCK // generated[0].size)
    for start in range(0, len(candidates), step):
        other = _grey(candidates[start : start + step])
        sums, spread = _moments(other)
        for row, grey in enumerate(greys):
            own_sums, own_spread = _moments(grey[None])
            products = window_sums(np.multiply(grey, other, dtype=np.uint16))
            # Sums of whole numbers: each term below is exact, and below 2³¹.
            covariance = PIXELS * products - own_sums * sums
            # Over a window, means are sums/49 and covariances these/(49·48): the constants follow.
            c1, c2 = C1 * PIXELS**2, C2 * PIXELS * (PIXELS - 1)
            likeness = (2 * own_sums * sums + c1) * (2 * covariance + c2)
            bound = (own_sums**2 + sums**2 + c1) * (own_spread + spread + c2)
            values[row, start : start + step] = (likeness / bound).mean(axis=(1, 2))
    return values


def perceptual_hashes(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return 64 bits of each image that survive another size or compression, bool (n, 64).

    Which of the 8×8 lowest frequencies of the grey picture, at 32×32 pixels, are above their
    median: ``phash`` of the library imagehash, to the bit. Images are uint8 H×W×3 of any size.
    """
    from scipy.fft import dct

    small = (HASH_SIDE, HASH_SIDE)
    greys = np.empty((len(images), *small))
    for row, image in enumerate(images):
        grey = Image.fromarray(image).convert("L")
        greys[row] = np.asarray(grey.resize(small, Image.Resampling.LANCZOS))
    low = dct(dct(greys, axis=1), axis=2)[:, :8, :8].reshape(-1, 64)
    return low > np.median(low, axis=1, keepdims=True)


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how many bits differ, float64 (g, n), between bool rows (g, bits) and (n, bits)."""
    return (a[:, None] != b[None]).sum(axis=2).astype(float)


def histogram_intersection(generated: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the share of pixels that the 8×8×8 colour histograms of every pair have in common.

    As Swain & Ballard (1991), on equal numbers of pixels.

    Parameters
    ----------
    generated, candidates : ndarray of uint8, shapes (g, H, W, 3) and (n, H, W, 3)

    Returns
    -------
    ndarray of float64, shape (g, n)
        From 0 to 1.
    """
    a, b = colour_histograms(generated), colour_histograms(candidates)
    area = generated.shape[1] * generated.shape[2]
    return np.minimum(a[:, None], b[None]).sum(axis=2) / area


def _grey(images: np.ndarray) -> np.ndarray:
    """Return grey pictures, uint8 (n, H, W)."""
    n, height, width, _ = images.shape
    tall = images.reshape(n * height, width, 3)
    return cv2.cvtColor(tall, cv2.COLOR_RGB2GRAY).reshape(n, height, width)


def _moments(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each window's sum, and 49·48 times its variance, int32."""
    sums = window_sums(grey)
    squares = window_sums(np.multiply(grey, grey, dtype=np.uint16))
    return sums, PIXELS * squares - sums**2
