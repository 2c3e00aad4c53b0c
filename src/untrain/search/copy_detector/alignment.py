"""Two pictures laid over each other as well as they go, and how well that is.

A placement says roughly where a picture lies in an image. From there, the affine map under which
their edges correlate most is searched for (Evangelidis and Psarakis, 2008; `cv2.findTransformECC`),
and what the image shows there is compared with the picture, edge by edge.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from untrain.search.copy_detector.placements import SIDE, Laid, Placement, motion
from untrain.search.copy_detector.structure import sized, structure

FINE = 128  # most pixels of the longer side of what is compared
COARSE = 32  # least
BLUR = 1.5  # pixels, of the edges that are laid over each other
STEPS = 30
SMOOTHINGS = (0.8, 1.6)  # pixels: a picture that was blurred has lost its finest edges
BLOCKS = 8  # along the longer side: each agrees or does not
AGREES = 0.7  # least correlation of the edges of a block
BEST = 0.7  # share of the edges by which a picture is judged that something may lie on
MARGIN = 2  # pixels inside the image's border that do not count
FAINT = 1e-6


class Picture:
    """A picture and what is needed of it to lay it over others.

    Parameters
    ----------
    pixels : ndarray of uint8, H×W×3
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.side = max(pixels.shape[:2])
        self._fields: dict[int, list[np.ndarray]] = {}

    @cached_property
    def small(self) -> np.ndarray:
        """The picture with a longer side of `SIDE` pixels, in which motions are told."""
        return sized(self.pixels, SIDE)

    @cached_property
    def strength(self) -> np.ndarray:
        """Strength of edges, blurred so that two such maps attract each other."""
        return cv2.GaussianBlur(structure(self.small).strength, (0, 0), BLUR)

    @cached_property
    def fine(self) -> np.ndarray:
        """The picture with as many pixels as are ever compared."""
        return sized(self.pixels, min(FINE, self.side))

    def fields(self, side: int) -> list[np.ndarray]:
        """Return its edges for each of `SMOOTHINGS`, the longer side of ``side`` pixels."""
        if side not in self._fields:
            own = sized(self.fine, side)
            self._fields[side] = [structure(own, smoothing).field for smoothing in SMOOTHINGS]
        return self._fields[side]


class Overlay(NamedTuple):
    """How well a picture and an image agree where they were laid over each other.

    Attributes
    ----------
    motion : ndarray of float64, shape (2, 3)
        From pixels of the picture (longer side `SIDE`) to those of the image (likewise).
    correlation : float
        Of the strengths of edges, as the search left it; −1 if it found no way.
    agreement : float
        Normalised correlation of the edges, with their directions; 1 for the same picture.
    smooth : float
        The same of the picture without its finest edges.
    best : float
        The same of the blocks that agree best and hold `BEST` of the edges.
    share : float
        Of the edges, those in blocks that agree.
    covered : float
        Share of the picture that lies on the image.
    edges : float
        Mean strength of the edges compared: little of it, little to tell two images apart.
    blocks : ndarray of bool, shape (rows, columns)
        Those that agree.
    size : two ints
        Width and height of the picture as it was compared.
    """

    motion: np.ndarray
    correlation: float
    agreement: float
    smooth: float
    best: float
    share: float
    covered: float
    edges: float
    blocks: np.ndarray
    size: tuple[int, int]

    @property
    def score(self) -> float:
        """How sure it is that one is a copy of the other, 0–1."""
        return min(self.smooth, self.share) if self.correlation >= 0 else 0.0


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


def shown(image: Picture, warp: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what an image shows where a picture lies, and where it shows anything.

    Parameters
    ----------
    warp : ndarray of float64, shape (2, 3)
        As `Overlay.motion`.
    size : two ints
        Width and height of the picture as it is to be compared.

    Returns
    -------
    two ndarrays, uint8 H×W×3 and bool H×W
    """
    into, out = max(size) / SIDE, max(image.fine.shape[:2]) / SIDE
    # A pixel at p is centred at p + ½, whatever the size of pixels.
    moved = warp * (out / into)
    centre = np.full(2, 0.5 / into - 0.5)
    moved[:, 2] = out * (warp[:, 2] + warp[:, :2] @ centre + 0.5) - 0.5
    source = image.fine
    if (zoom := math.sqrt(abs(np.linalg.det(moved[:, :2])))) > 1.2:
        source = cv2.GaussianBlur(source, (0, 0), 0.5 * zoom)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    under = cv2.warpAffine(source, moved, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(np.ones(source.shape[:2], np.float32), moved, size, flags=flags) > 0.5
    return under, mask


def compare(picture: Picture, image: Picture, warp: np.ndarray, correlation: float) -> Overlay:
    """Compare a picture with what an image shows where it lies."""
    zoom = math.sqrt(abs(np.linalg.det(warp[:, :2])))
    side = int(min(picture.side, zoom * image.side, FINE)) // 8 * 8
    own = picture.fields(max(side, COARSE))
    height, width = own[0].shape[:2]
    under, mask = shown(image, warp, (width, height))
    square = np.ones((2 * MARGIN + 1,) * 2, np.uint8)
    counts = cv2.erode(mask.astype(np.uint8), square, borderValue=1).astype(np.float32)
    told = [
        _agreement(each, structure(under, smoothing).field, counts)
        for each, smoothing in zip(own, SMOOTHINGS, strict=True)
    ]
    (fine, *_), (smooth, best, share, edges, blocks) = told
    return Overlay(
        *(warp, correlation, fine, smooth, best, share),
        *(float(mask.mean()), edges, blocks, (width, height)),
    )


def _agreement(
    a: np.ndarray, b: np.ndarray, counts: np.ndarray
) -> tuple[float, float, float, float, np.ndarray]:
    """Return agreement, best, share, edges and blocks of `Overlay` of fields where they count."""
    both, own, other = (_blocks((x * y).sum(-1) * counts) for x, y in ((a, b), (a, a), (b, b)))
    total = math.sqrt(own.sum() * other.sum())
    weight = np.maximum(own, other)
    blocks = both > AGREES * np.sqrt(own * other)
    order = np.argsort(-(both / (weight + FAINT)), axis=None)
    first = order[: 1 + np.searchsorted(np.cumsum(weight.ravel()[order]), BEST * weight.sum())]
    kept = [each.ravel()[first].sum() for each in (both, own, other)]
    best = kept[0] / (math.sqrt(kept[1] * kept[2]) + FAINT)
    share = weight[blocks].sum() / (weight.sum() + FAINT)
    edges = math.sqrt(total / max(float(counts.sum()), 1.0))
    return float(both.sum() / (total + FAINT)), float(best), float(share), edges, blocks


def _blocks(values: np.ndarray) -> np.ndarray:
    """Return sums over blocks, `BLOCKS` along the longer side."""
    size = -(-max(values.shape) // BLOCKS)
    rows, columns = (np.arange(0, n, size) for n in values.shape)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
