"""A descriptor of what is where in a picture: no weights, no network, about a millisecond.

It stands in for a neural encoder where none is available. Three blocks, each of length one and
weighted: a colour layout (what colour is where), a histogram of oriented gradients (Dalal &
Triggs, 2005: what shape is where) and a soft colour histogram (which colours, wherever).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from untrain.catalogs.base import fit_into
from untrain.core.files import fingerprint

SIDE = 32  # pixels a side, aspect kept, on white
CELLS = 8  # cells a side of the colour layout and of the gradients
ORIENTATIONS = 8
BINS = 4  # a colour axis of the histogram
WEIGHTS = {"colour_layout": 1.0, "gradients": 1.0, "histogram": 0.5}  # shares of the cosine
VERSION = 1  # raise it when the numbers change


class LayoutEncoder:
    """Colour layout, oriented gradients and colour histogram: 896 non-negative numbers per picture.

    Of two pictures, the cosine is the weighted mean of the three blocks' cosines.
    """

    fingerprint = fingerprint("layout", VERSION, SIDE, CELLS, ORIENTATIONS, BINS, WEIGHTS)
    non_negative = True
    description = "layout: colours, gradients and histogram, 896 numbers"

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return features, float32 (n, 896), of images, each uint8 H×W×3 RGB of any size."""
        if not len(images):
            return np.zeros((0, CELLS**2 * (5 + ORIENTATIONS) + BINS**3), np.float32)
        small = np.stack([fit_into(Image.fromarray(image), (SIDE, SIDE)) for image in images])
        lab = _lab(small)
        blocks = {
            "colour_layout": _colour_layout(lab),
            "gradients": _oriented_gradients(lab[..., 0]),
            "histogram": _soft_histogram(lab),
        }
        total = sum(WEIGHTS.values())
        weighted = [np.sqrt(WEIGHTS[name] / total) * _unit(block) for name, block in blocks.items()]
        return np.concatenate(weighted, axis=1).astype(np.float32)


def _lab(images: np.ndarray) -> np.ndarray:
    """CIE Lab as float32 (n, H, W, 3): L in 0–1, a and b in about −1–1."""
    n, height, width, _ = images.shape
    scaled = images.reshape(n * height, width, 3).astype(np.float32) / 255
    lab = cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB).reshape(images.shape)
    return lab / np.float32(100)


def _pool(values: np.ndarray) -> np.ndarray:
    """Mean over each of CELLS × CELLS cells: (n, H, W, c) → (n, CELLS · CELLS · c)."""
    n, height, width, channels = values.shape
    cells = values.reshape(n, CELLS, height // CELLS, CELLS, width // CELLS, channels)
    return cells.mean(axis=(2, 4)).reshape(n, -1)


def _unit(block: np.ndarray) -> np.ndarray:
    """Rows of length one; an empty row stays zero."""
    norm = np.linalg.norm(block, axis=1, keepdims=True)
    return block / np.maximum(norm, 1e-6)


def _colour_layout(lab: np.ndarray) -> np.ndarray:
    """Darkness, red, green, yellow and blue of each cell: opposites apart, so none is negative.

    White is zero everywhere: the background of a product photo says nothing.
    """
    lightness, a, b = np.moveaxis(lab, -1, 0)
    opponents = np.stack([1 - lightness, a, -a, b, -b], axis=-1)
    return _pool(np.maximum(opponents, 0))


def _oriented_gradients(lightness: np.ndarray) -> np.ndarray:
    """Strength of the edges of each cell by direction; a direction is shared by two bins."""
    padded = np.pad(lightness, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = np.sqrt(np.hypot(across, down))
    position = np.arctan2(down, across) / np.pi % 1 * ORIENTATIONS
    # A triangular window round each bin's centre; the circle closes, so distance wraps.
    distance = np.abs(position[..., None] - np.arange(ORIENTATIONS, dtype=np.float32))
    share = np.maximum(1 - np.minimum(distance, ORIENTATIONS - distance), 0)
    return _pool(share * strength[..., None])


def _soft_histogram(lab: np.ndarray) -> np.ndarray:
    """Joint histogram of Lab, each pixel shared by the nearest bins; roots, as Hellinger's."""
    n = len(lab)
    scaled = np.stack([lab[..., 0], (lab[..., 1] + 0.6) / 1.2, (lab[..., 2] + 0.6) / 1.2], -1)
    position = np.clip(scaled, 0, 1).reshape(n, -1, 3) * (BINS - 1)
    share = np.maximum(1 - np.abs(position[..., None] - np.arange(BINS, dtype=np.float32)), 0)
    pairs = share[:, :, 1, :, None] * share[:, :, 2, None, :]
    counts = np.einsum("npl,npq->nlq", share[:, :, 0], pairs.reshape(n, -1, BINS**2))
    return np.sqrt(counts.reshape(n, -1) / position.shape[1])
