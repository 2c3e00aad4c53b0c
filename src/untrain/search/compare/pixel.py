"""The study's six pixel metrics, for all pairs at once.

Sums over pixels of products of whole numbers are exact in float64, so the squared error, cosine
and covariance of all pairs follow from one matrix product without loss. The structure needs the
saturated difference max(A − B, 0) of each pair, made for a whole batch by each OpenCV call, and
stays in whole numbers up to its last step.
Formulas: Aivalis et al. (2025), Stage 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

WINDOW = 7  # pixels a side of the SSIM window, scikit-image's default
PIXELS = WINDOW**2
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # constants of SSIM for values in 0–255
BLOCK = 1 << 18  # numbers held at a time: few enough to stay in the cache


def resize_folder(images: Sequence[np.ndarray]) -> np.ndarray:
    """Resize images, each uint8 H×W×3, to their mean width and height, truncated; bilinear.

    Returns
    -------
    ndarray of uint8, shape (n, height, width, 3)
    """
    heights, widths = zip(*(image.shape[:2] for image in images), strict=True)
    size = sum(widths) // len(images), sum(heights) // len(images)
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in images])


def pixel_metrics(
    generated: np.ndarray,
    candidates: np.ndarray,
    histograms: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Compare every generated picture A with every candidate B.

    Parameters
    ----------
    generated : ndarray of uint8, shape (g, H, W, 3)
    candidates : ndarray of uint8, shape (n, H, W, 3)
    histograms : pair of ndarray, shapes (g, 512) and (n, 512), optional
        `colour_histograms` of both sides, where they are known.

    Returns
    -------
    dict of str to ndarray of float64, shape (g, n)
        ``mse`` Σ(A−B)² / (H·W), a sum over channels; ``mae`` mean of \\|A−B\\|;
        ``cross_correlation`` the covariance; ``histogram`` correlation of the 8×8×8 colour
        histograms; ``cosine``, NaN where a picture is black; ``ssim`` of grey(max(A−B, 0))
        against black, near 1 where nothing of A sticks out of B, NaN if the pictures are smaller
        than 7 pixels a side.
    """
    if generated.shape[1:] != candidates.shape[1:]:
        raise ValueError(f"pictures differ in size: {generated.shape}, {candidates.shape}")
    height, width = generated.shape[1:3]
    area, count = height * width, height * width * 3
    a, b = (images.reshape(len(images), count) for images in (generated, candidates))
    products, squares_a, squares_b = _exact_products(a, b)
    sum_a = a.sum(axis=1, dtype=np.int64).astype(float)[:, None]
    sum_b = b.sum(axis=1, dtype=np.int64).astype(float)[None, :]
    histograms = histograms or (colour_histograms(generated), colour_histograms(candidates))
    with np.errstate(invalid="ignore"):
        cosine = products / (np.sqrt(squares_a)[:, None] * np.sqrt(squares_b)[None, :])
    return {
        "mse": (squares_a[:, None] + squares_b[None, :] - 2 * products) / area,
        "mae": _absolute(a, b) / count,
        "cross_correlation": (products - sum_a * sum_b / count) / count,
        "histogram": _correlation(*histograms),
        "cosine": cosine,
        "ssim": _excess_ssim(generated, candidates),
    }


def _exact_products(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Σab (g, n), Σa² (g,) and Σb² (n,) of rows of bytes, in float64 without rounding."""
    products = np.zeros((len(a), len(b)))
    squares_a, squares_b = np.zeros(len(a)), np.zeros(len(b))
    step = max(1, BLOCK // (len(a) + len(b)))
    for start in range(0, a.shape[1], step):
        part_a = a[:, start : start + step].astype(float)
        part_b = b[:, start : start + step].astype(float)
        products += part_a @ part_b.T
        squares_a += np.einsum("ip,ip->i", part_a, part_a)
        squares_b += np.einsum("ip,ip->i", part_b, part_b)
    return products, squares_a, squares_b


def _absolute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Σ|a−b| (g, n) of rows of bytes, exact."""
    pairs = [[cv2.norm(one, other, cv2.NORM_L1) for other in b] for one in a]
    return np.array(pairs).reshape(len(a), len(b))


def _excess_ssim(generated: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the SSIM (g, n) of the grey of max(A−B, 0) against black."""
    ssim = np.empty((len(generated), len(candidates)))
    step = max(1, BLOCK // generated[0].size)
    over = np.empty_like(candidates[:step])
    for start in range(0, len(candidates), step):
        batch = candidates[start : start + step]
        part = over[: len(batch)]
        for row, picture in enumerate(generated):
            np.maximum(picture, batch, out=part)
            np.subtract(part, batch, out=part)  # bytes, so saturated at 0
            ssim[row, start : start + len(batch)] = _ssim_against_black(part)
    return ssim


def _ssim_against_black(images: np.ndarray) -> np.ndarray:
    """Return the SSIM of the grey of each image (n, H, W, 3) against a black one, (n,).

    With a black second image its mean, variance and the covariance vanish, and SSIM is
    C1·C2 / ((μ² + C1)(σ² + C2)), averaged over windows that lie inside the image (Wang et al.,
    2004; sample variance and uniform window as scikit-image). NaN where no window does.
    """
    if min(images.shape[1:3]) < WINDOW:
        return np.full(len(images), np.nan)
    sums, spread = moments(grey_of(images))
    # Of a window of N pixels, sums² is N²μ² and spread N(N−1)σ²: the constants follow.
    c1, c2 = C1 * PIXELS**2, C2 * PIXELS * (PIXELS - 1)
    products = (np.square(sums) + c1) * (spread + c2)
    return np.divide(c1 * c2, products, out=products).mean(axis=(1, 2))


def grey_of(images: np.ndarray) -> np.ndarray:
    """Return the grey of images (n, H, W, 3), uint8 (n, H, W)."""
    n, height, width, _ = images.shape
    tall = images.reshape(n * height, width, 3)
    return cv2.cvtColor(tall, cv2.COLOR_RGB2GRAY).reshape(n, height, width)


def moments(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each window's sum, and 49·48 times its sample variance, int32: exact."""
    sums = window_sums(grey)
    squares = window_sums(np.square(grey.astype(np.uint16)))
    return sums, PIXELS * squares - np.square(sums)


def window_sums(images: np.ndarray) -> np.ndarray:
    """Return the sums over all 7×7 windows that lie inside each of (n, H, W), int32 (n, H−6, W−6).

    Images are uint8 or uint16, at least 7 pixels a side.
    """
    n, height, width = images.shape
    # The batch as one tall image: windows that reach from one image into the next are cut off.
    tall = images.reshape(n * height, width)
    sums = cv2.boxFilter(tall, cv2.CV_32S, (WINDOW, WINDOW), normalize=False)
    pad = WINDOW // 2
    return sums.reshape(n, height, width)[:, pad : height - pad, pad : width - pad]


def colour_histograms(images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return joint colour histograms, 8 bins a channel: float64 counts (n, 512)."""
    counts = np.empty((len(images), 512))
    bins = [0, 1, 2], None, [8, 8, 8], [0, 256] * 3
    for row, image in enumerate(images):
        counts[row] = cv2.calcHist([np.ascontiguousarray(image)], *bins).ravel()
    return counts


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of all pairs of rows; 1 where a row is constant, as OpenCV `HISTCMP_CORREL`."""
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    product = (a**2).sum(axis=1)[:, None] * (b**2).sum(axis=1)[None, :]
    defined = product > np.finfo(float).eps
    return np.where(defined, a @ b.T / np.sqrt(np.where(defined, product, 1)), 1.0)
