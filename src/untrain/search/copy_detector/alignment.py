"""Two pictures laid over each other as well as they go.

A placement says roughly where a picture lies in an image. From there, the affine map under which
their edges correlate most is searched for (Evangelidis and Psarakis, 2008; `cv2.findTransformECC`),
and `untrain.search.copy_detector.comparison` says how well they agree there.
"""

from __future__ import annotations

import cv2
import numpy as np

from untrain.search.copy_detector.comparison import Overlay, Picture, compare
from untrain.search.copy_detector.placements import SIDE, Laid, Placement, motion

STEPS = 30


def overlay(laid: Laid, picture: Picture, image: Picture, placement: Placement) -> Overlay:
    """Lay a picture (mirrored, if ``laid`` is) over an image, from a placement on."""
    start = motion(laid.square, placement)
    height, width = image.small.shape[:2]
    # From pixels of the square to those of the pictures themselves.
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    start[:, 2] += start[:, :2] @ [laid.square.left, laid.square.top] - [left, top]
    try:
        correlation, warp = cv2.findTransformECC(
            picture.strength,
            image.strength,
            start.astype(np.float32),
            cv2.MOTION_AFFINE,
            (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, STEPS, 1e-4),
            np.ones(image.strength.shape, np.uint8),
            1,  # no more blur
        )
    except cv2.error:  # no common edges, or it went astray
        return compare(picture, image, start, -1.0)
    return compare(picture, image, np.asarray(warp, float), float(correlation))
