"""What was done to a copy: read off where it lies in its original, and what differs there."""

from __future__ import annotations

import cv2
import numpy as np

from untrain.search.copy_detector.alignment import BLOCKS, Overlay, Picture, shown
from untrain.search.copy_detector.placements import Laid

KINDS = (
    "identical",  # the same bytes
    "same_pixels",  # other bytes
    "cropped",
    "padded",
    "mirrored",
    "rotated",
    "stretched",
    "resized",
    "recoloured",
    "overlaid",
    "blurred",
    "reencoded",  # nothing else can be seen
)

CROPPED = 0.95  # of each side of the image that a picture shows, at most
PADDED = 0.95  # share of a picture that lies on the image, at most
TURNED = 1.5  # degrees
STRETCHED = 1.06  # one side by more than the other
COLOUR = 7.0  # of 255: mean difference of colours (Cb, Cr)
TONE = 12.0  # and of brightness
COVERED = 0.06  # share of a picture's blocks that show something else
BLURRED = 0.6  # of the image's sharpness


def name_edits(laid: Laid, picture: Picture, image: Picture, found: Overlay) -> tuple[str, ...]:
    """Return the names in `KINDS` of what was done, in that order; never none.

    A picture that is smaller or larger than its original by more than a crop explains is
    ``resized``. Several edits at a time are told apart as far as they can be.
    """
    own, other = picture.pixels, image.pixels
    plain = not laid.bordered and not laid.mirrored
    if plain and own.shape == other.shape and np.array_equal(own, other):
        return ("same_pixels",)
    told: set[str] = set()
    height, width = picture.small.shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], float)
    at = corners @ found.motion.T
    sides = np.array(image.small.shape[1::-1], float)
    inside = np.clip(at, 0, sides)
    if ((inside.max(axis=0) - inside.min(axis=0)) / sides < CROPPED).any():
        told.add("cropped")
    linear = found.motion[:, :2]
    turned = np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    if abs(turned) > TURNED:
        told.add("rotated")
    if laid.bordered or (found.covered < PADDED and "rotated" not in told):
        told.add("padded")
    if laid.mirrored:
        told.add("mirrored")
    large, little = np.linalg.svd(linear, compute_uv=False)
    if large > STRETCHED * little:
        told.add("stretched")
    scale = np.sqrt(large * little) * max(other.shape[:2]) / max(own.shape[:2])
    if max(scale, 1 / max(scale, 1e-6)) > 1.04 + 2 / max(own.shape[:2]) * ("cropped" in told):
        told.add("resized")
    told |= _differences(picture, image, found)
    return tuple(kind for kind in KINDS if kind in (told or {"reencoded"}))


def _differences(picture: Picture, image: Picture, found: Overlay) -> set[str]:
    """Return what differs where the two lie on each other."""
    told: set[str] = set()
    width, height = found.size
    own = cv2.resize(picture.fine, found.size, interpolation=cv2.INTER_AREA)
    under, mask = shown(image, found.motion, found.size)
    agrees = _spread(found.blocks, height, width) & mask
    pair = [
        cv2.cvtColor(cv2.GaussianBlur(each, (0, 0), 1.5), cv2.COLOR_RGB2YCrCb).astype(float)
        for each in (own, under)
    ]
    where = agrees if agrees.any() else mask
    if not where.any():
        return told
    off = np.abs(pair[0] - pair[1])[where].mean(axis=0)
    if off[0] > TONE or off[1:].max() > COLOUR:
        told.add("recoloured")
    covered = 1 - found.blocks.mean()
    if covered > COVERED and found.share < 1 - COVERED:
        told.add("overlaid")
    sharp = [
        np.abs(cv2.Laplacian(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), cv2.CV_32F))[where].mean()
        for each in (own, under)
    ]
    if sharp[0] < BLURRED * sharp[1]:
        told.add("blurred")
    return told


def _spread(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return blocks as pixels."""
    size = -(-max(height, width) // BLOCKS)
    return np.kron(blocks, np.ones((size, size), bool))[:height, :width]
