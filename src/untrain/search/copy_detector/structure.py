"""Where a picture's edges are and which way they run, whatever its colours.

The gradient of all colour channels together (Di Zenzo, 1986) is the same for a picture and for the
picture with its hues turned, its tones inverted or its colours taken away. Its direction is that of
a line, not of an arrow, so it is kept as a vector of twice the angle (Knutsson and Granlund, 1983);
its strength is divided by that of its surroundings, so that contrast does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from untrain.core.files import fingerprint

CELLS = 16  # a side, of the square that a picture is laid in the middle of, aspect kept
PIXELS = 4  # a side of a cell
SMOOTHING = 0.8  # pixels
FLOOR = 0.15  # gradients below this are faint, wherever they are
VERSION = 1  # raise it when the numbers change

PLAIN = 14  # of 255: how much the colours of a border may differ from each other
LEAST = 8  # pixels a side: below that there is nothing to see
KEPT = 0.97  # a border that takes less of the picture than the rest is none


class Structure(NamedTuple):
    """The edges of a picture.

    Attributes
    ----------
    field : ndarray of float32, shape (h, w, 2)
        Strength of each pixel's gradient times cosine and sine of twice its angle.
    strength : ndarray of float32, shape (h, w)
        Strength by itself.
    """

    field: np.ndarray
    strength: np.ndarray


def sized(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture, uint8 H×W×3, with a longer side of ``side`` pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    if size == (width, height):
        return picture
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=way)


def over_channels(values: np.ndarray) -> np.ndarray:
    """Return ``values.sum(axis=-1)``, the same to the last bit, in a fifth of the time.

    NumPy goes through an axis of two or three numbers one by one.
    """
    total = values[..., 0] + 0  # as NumPy begins, which makes −0 a 0
    for channel in range(1, values.shape[-1]):
        total += values[..., channel]
    return total


def structure(picture: np.ndarray, smoothing: float = SMOOTHING) -> Structure:
    """Return the edges of a picture, uint8 or float32 0–255, H×W×3."""
    x = cv2.GaussianBlur(
        picture.astype(np.float32) / 255, (0, 0), smoothing, borderType=cv2.BORDER_REPLICATE
    )
    across = cv2.Sobel(x, cv2.CV_32F, 1, 0, ksize=3, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(x, cv2.CV_32F, 0, 1, ksize=3, borderType=cv2.BORDER_REPLICATE)
    xx, yy = over_channels(across * across), over_channels(down * down)
    xy = over_channels(across * down)
    energy = xx + yy
    around = max(picture.shape[:2]) / 8
    around = cv2.GaussianBlur(energy, (0, 0), around, borderType=cv2.BORDER_REFLECT)
    magnitude = np.sqrt(energy) + 1e-9
    strength = magnitude / (np.sqrt(around) + FLOOR)
    factor = strength / (magnitude * magnitude)
    return Structure(np.stack([(xx - yy) * factor, 2 * xy * factor], -1), strength)


class Square(NamedTuple):
    """The edges of a picture in the middle of a square, nothing around it.

    Attributes
    ----------
    field : ndarray of float32, shape (s, s, 2)
    left, top, width, height : int
        Where the picture is, pixels.
    """

    field: np.ndarray
    left: int
    top: int
    width: int
    height: int

    def mirrored(self) -> Square:
        """Return that of the picture seen in a mirror."""
        field = self.field[:, ::-1] * np.array([1, -1], np.float32)
        left = len(field) - self.left - self.width
        return Square(np.ascontiguousarray(field), left, self.top, self.width, self.height)


def square(picture: np.ndarray, side: int = CELLS * PIXELS) -> Square:
    """Return the edges of a picture, uint8 H×W×3, in a square of ``side`` pixels."""
    small = sized(picture, side)
    height, width = small.shape[:2]
    top, left = (side - height) // 2, (side - width) // 2
    field = np.zeros((side, side, 2), np.float32)
    field[top : top + height, left : left + width] = structure(small).field
    return Square(field, left, top, width, height)


def in_cells(values: np.ndarray) -> np.ndarray:
    """Return means over cells, (n, n, c) of (n · PIXELS, n · PIXELS, c)."""
    n = len(values) // PIXELS
    return values.reshape(n, PIXELS, n, PIXELS, -1).mean((1, 3))


class StructureEncoder:
    """The edges of pictures as features, to be kept in the feature store: 512 numbers each."""

    fingerprint = fingerprint("structure", VERSION, CELLS, PIXELS, SMOOTHING, FLOOR)
    non_negative = False
    description = "structure: edges without colours, for copies, 512 numbers"

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return features, float32 (n, 512), of images, each uint8 H×W×3 RGB of any size."""
        if not len(images):
            return np.zeros((0, 2 * CELLS**2), np.float32)
        return np.stack([in_cells(square(image).field).ravel() for image in images])


def inside_border(picture: np.ndarray) -> tuple[slice, slice] | None:
    """Return the rows and columns of a picture inside a border of one colour; None if it has none.

    Each side may have a colour of its own, as where a picture was put on a larger sheet.
    """
    height, width = picture.shape[:2]
    rows = picture.astype(np.int16)
    if (top := _plain(rows)) == height:
        return None
    bottom = height - _plain(rows[::-1])
    columns = rows[top:bottom].transpose(1, 0, 2)
    left, right = _plain(columns), width - _plain(columns[::-1])
    inner = (bottom - top) * (right - left)
    if inner > KEPT * height * width or min(bottom - top, right - left) < LEAST:
        return None
    return slice(top, bottom), slice(left, right)


def _plain(lines: np.ndarray) -> int:
    """Return how many of the first lines, int16 (n, m, 3), have the colour of the very first."""
    colour = np.median(lines[0], axis=0)
    other = np.abs(lines - colour).max(axis=(1, 2)) > PLAIN
    return int(other.argmax()) if other.any() else len(lines)
