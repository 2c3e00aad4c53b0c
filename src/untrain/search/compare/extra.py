"""Three metrics that the study lacks and people would add today, for all pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image

from untrain.search.compare.pixel import (
    BLOCK,
    C1,
    C2,
    PIXELS,
    WINDOW,
    colour_histograms,
    grey_of,
    moments,
    window_sums,
)

HASH_SIDE = 32  # pixels a side of a picture that is hashed
HASH_WAVES = 8  # lowest frequencies a side that are its bits
ROUNDING = 1e-6  # frequencies of whole grey values that are as near are equal


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
    step = max(1, BLOCK // generated[0].size)
    # Over a window, means are sums/49 and covariances these/(49·48): the constants follow.
    c1, c2 = C1 * PIXELS**2, C2 * PIXELS * (PIXELS - 1)
    own = [(grey.astype(np.uint16), *moments(grey[None])) for grey in grey_of(generated)]
    for start in range(0, len(candidates), step):
        grey = grey_of(candidates[start : start + step])
        wide = grey.astype(np.uint16)
        sums, spread = moments(grey)
        squares = np.square(sums)
        for row, (own_wide, own_sums, own_spread) in enumerate(own):
            products = window_sums(own_wide * wide)
            # Sums of whole numbers: each term below is exact, and below 2³¹.
            means = own_sums * sums
            covariance = PIXELS * products - means
            likeness = (2 * means + c1) * (2 * covariance + c2)
            likeness /= (np.square(own_sums) + squares + c1) * (own_spread + spread + c2)
            values[row, start : start + step] = likeness.mean(axis=(1, 2))
    return values


def perceptual_hashes(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return 64 bits of each image that survive another size or compression, bool (n, 64).

    Which of the 8×8 lowest frequencies of the grey picture, at 32×32 pixels, are above their
    median: ``phash`` of the library imagehash. Frequencies that are equal but for rounding
    count as equal. Images are uint8 H×W×3 of any size.
    """
    small = (HASH_SIDE, HASH_SIDE)
    greys = np.empty((len(images), *small))
    for row, image in enumerate(images):
        grey = Image.fromarray(image).convert("L")
        greys[row] = np.asarray(grey.resize(small, Image.Resampling.LANCZOS))
    waves = _cosine_waves()
    low = (waves @ greys @ waves.T).reshape(-1, HASH_WAVES**2)
    return low - np.median(low, axis=1, keepdims=True) > ROUNDING


@cache
def _cosine_waves() -> np.ndarray:
    """Return the lowest waves of the cosine transform of type II, as scipy scales it, (8, 32)."""
    wave, pixel = np.arange(HASH_WAVES)[:, None], np.arange(HASH_SIDE)
    return 2 * np.cos(np.pi * wave * (2 * pixel + 1) / (2 * HASH_SIDE))


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how many bits differ, float64 (g, n), between bool rows (g, bits) and (n, bits)."""
    return (a[:, None] != b[None]).sum(axis=2).astype(float)


def histogram_intersection(
    generated: np.ndarray,
    candidates: np.ndarray,
    histograms: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Return the share of pixels that the 8×8×8 colour histograms of every pair have in common.

    As Swain & Ballard (1991), on equal numbers of pixels.

    Parameters
    ----------
    generated, candidates : ndarray of uint8, shapes (g, H, W, 3) and (n, H, W, 3)
    histograms : pair of ndarray, shapes (g, 512) and (n, 512), optional
        `colour_histograms` of both sides, where they are known.

    Returns
    -------
    ndarray of float64, shape (g, n)
        From 0 to 1.
    """
    a, b = histograms or (colour_histograms(generated), colour_histograms(candidates))
    area = generated.shape[1] * generated.shape[2]
    shared = [np.minimum(one, b).sum(axis=1) for one in a]
    return np.array(shared).reshape(len(a), len(b)) / area
