"""What was done to a copy: read off where it lies in its original, and what differs there."""

from __future__ import annotations

import cv2
import numpy as np

from untrain.search.copy_detector.comparison import Overlay, Picture, shown, spread
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

CROPPED = 0.94  # share of the image that a picture shows, at most
PADDED = 0.94  # share of a picture that lies on the image, at most
RESIZED = 0.06  # logarithm of the pixels of one along a pixel of the other, at least
FAINT = 1e-6
TURNED = 1.5  # degrees
STRETCHED = 1.06  # one side by more than the other
COVERED = 0.06  # share of a picture's blocks that show something else
BLURRED = 0.6  # of the image's sharpness


def name_edits(
    laid: Laid, picture: Picture, image: Picture, found: Overlay, recoloured: bool
) -> tuple[str, ...]:
    """Return the names in `KINDS` of what was done, in that order; never none.

    A picture that is smaller or larger than its original by more than a crop explains is
    ``resized``. Several edits at a time are told apart as far as they can be.
    """
    told = {"recoloured"} if recoloured else set()
    linear = found.motion[:, :2]
    turned = np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    if abs(turned) > TURNED:
        told.add("rotated")
    # The picture as a quadrangle on the image: what it leaves out, what it has beyond.
    corners = (laid.corners() @ linear.T + found.motion[:, 2]).astype(np.float32)
    across, down = image.small.shape[1::-1]
    sheet = np.array([[0, 0], [across, 0], [across, down], [0, down]], np.float32)
    common = cv2.intersectConvexConvex(corners, sheet)[0]
    if common < CROPPED * across * down:
        told.add("cropped")
    if common < PADDED * cv2.contourArea(corners) and "rotated" not in told:
        told.add("padded")
    if laid.mirrored:
        told.add("mirrored")
    large, little = np.linalg.svd(linear, compute_uv=False)
    if large > STRETCHED * little:
        told.add("stretched")
    zoom = np.sqrt(large * little) * image.side / picture.side
    if abs(np.log(max(zoom, FAINT))) > RESIZED:
        told.add("resized")
    told |= _differences(picture, image, found)
    return tuple(kind for kind in KINDS if kind in (told or {"reencoded"}))


def _differences(picture: Picture, image: Picture, found: Overlay) -> set[str]:
    """Return what differs where the two lie on each other."""
    told: set[str] = set()
    width, height = found.size
    own = cv2.resize(picture.fine, found.size, interpolation=cv2.INTER_AREA)
    under, mask = shown(image, found.motion, found.size)
    agrees = spread(found.blocks, height, width) & mask
    where = agrees if agrees.any() else mask
    if not where.any():
        return told
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
