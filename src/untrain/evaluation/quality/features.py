"""What the judge sees of a picture: shapes by the run's encoder, colours by histograms."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from untrain.catalogs.base import PAD, fit_into
from untrain.core.files import fingerprint
from untrain.encoders.base import Encoder, levels
from untrain.encoders.layout import LayoutEncoder

BINS = (6, 9, 9)  # of the colour histogram, along L, a and b of CIE Lab
AB = 60.0  # a and b beyond this are counted as this
VERSION = 1  # raise it when the numbers change


class JudgeEncoder:
    """An encoder that first brings every picture to the size of the generated ones.

    A photograph has more detail than a generator of a small size can draw; a judge that has only
    seen crisp photos would find fault with the size. Its features are those of several layers of
    the run's encoder (`untrain.encoders.base.levels`), of the layout encoder (what is where), and a
    fine colour histogram, for neural encoders are trained to overlook colour.

    Parameters
    ----------
    encoder : Encoder
        That of the run.
    size : tuple of int
        Height and width of generated pictures.
    resize : str
        As of `untrain.catalogs.base.Catalog`.
    """

    non_negative = False

    def __init__(self, encoder: Encoder, size: tuple[int, int], resize: str = PAD) -> None:
        self.layout = LayoutEncoder()
        self.size, self.resize = size, resize
        body = levels(encoder)
        self.body = None if body.fingerprint == self.layout.fingerprint else body
        own = encoder.fingerprint if self.body is None else self.body.fingerprint
        self.fingerprint = fingerprint(
            "judge", VERSION, own, self.layout.fingerprint, BINS, AB, size, resize
        )
        self.description = f"of the judge, at {size[1]} × {size[0]} pixels"

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return features, float32 (n, d), of images, each uint8 H×W×3 RGB of any size."""
        small = [fit_into(Image.fromarray(image), self.size, self.resize) for image in images]
        blocks = [self.layout.encode(small), colour_histograms(small)]
        if self.body is not None:
            blocks.append(self.body.encode(small))
        return np.concatenate(blocks, axis=1)


def colour_histograms(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return joint histograms of CIE Lab, float32 (n, 486): square roots of shares, as Hellinger's.

    Each pixel is shared by the eight bins nearest to it.
    """
    bins = int(np.prod(BINS))
    found = np.zeros((len(images), bins), np.float32)
    top = np.array(BINS) - 1
    for row, image in enumerate(images):
        lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
        unit = np.stack([lab[:, 0] / 100, *((lab[:, i] + AB) / (2 * AB) for i in (1, 2))], 1)
        place = np.clip(unit, 0, 1) * top
        low = np.minimum(place.astype(np.int64), top - 1)
        share = place - low
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, share, 1 - share), axis=1)
            where = np.ravel_multi_index(tuple((low + corner).T), BINS)
            found[row] += np.bincount(where, weight, bins).astype(np.float32)
        found[row] /= max(1, len(lab))
    return np.sqrt(found)
