"""How well a picture agrees with what an image shows where it lies: edge by edge, colour by colour.

Edges tell shapes whatever their colours, but hardly tell one black wallet from another. So colours
are compared too, place by place: as they are, and after the one smooth map of all colours that
brings those of the image nearest to those of the picture, which undoes a change of hue or tone.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from untrain.search.copy_detector.placements import SIDE
from untrain.search.copy_detector.structure import over_channels, sized, structure

FINE = 128  # most pixels of the longer side of what is compared
COARSE = 32  # least
BLUR = 1.5  # pixels, of the edges that are laid over each other
SMOOTHINGS = (0.8, 1.6)  # pixels: a picture that was saved coarsely has noise for its finest edges
BLURS = (0.0, 0.8, 1.6, 2.4)  # pixels, by which a picture may have been blurred
BLOCKS = 8  # along the longer side: each agrees or does not
AGREES = 0.7  # least correlation of the edges of a block
BEST = 0.7  # share of the edges by which a picture is judged that something may lie on
FLAT = 0.05  # blocks with fewer edges than this, of the most in one, tell nothing
MARGIN = 2  # pixels inside the image's border that do not count
RIDGE = 1e-3  # keeps the map of colours near the identity where colours are few
WORTH = 0.6  # least agreement of edges for colours to be compared
FAINT = 1e-6
RECOLOURED = 2.5  # of 255: how far apart colours are before they were changed, at least
QUANTILES = (0.5, 0.8, 1.0)  # of blocks, ordered by how far apart their colours are


class Picture:
    """A picture and what is needed of it to lay it over others.

    Parameters
    ----------
    pixels : ndarray of uint8, H×W×3
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.side = max(pixels.shape[:2])
        self._sized: dict[int, np.ndarray] = {}
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

    def sized(self, side: int) -> np.ndarray:
        """Return it in float32, 0–255, the longer side of ``side`` pixels."""
        if side not in self._sized:
            self._sized[side] = sized(self.fine, side).astype(np.float32)
        return self._sized[side]

    def fields(self, side: int) -> list[np.ndarray]:
        """Return its edges for each of `SMOOTHINGS`, the longer side of ``side`` pixels."""
        if side not in self._fields:
            own = self.sized(side)
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
    detail : float
        Edges of the picture there, the sum of their squared strengths: of a plain part of a
        picture there is little to tell.
    apart, refitted : tuples of three floats
        By how much colours differ, 0–255, in half of the blocks, in four of five and in all, at
        most: as they are, and after the map of colours. 255 where edges agree too little.
    blocks : ndarray of bool, shape (rows, columns)
        Those whose edges agree, or which have hardly any.
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
    detail: float
    apart: tuple[float, float, float]
    refitted: tuple[float, float, float]
    blocks: np.ndarray
    size: tuple[int, int]

    @property
    def recoloured(self) -> bool:
        """Whether the map of colours brings the two much nearer to each other."""
        before, after = self.apart[1], self.refitted[1]
        return before > RECOLOURED and after < before / 2

    def evidence(self, colours: bool) -> np.ndarray:
        """Return the numbers that a verdict is made of, float64 (8,), logarithmic.

        ``colours``: compared as they are, or else after the map of colours.
        """
        edges = self.agreement, self.smooth, self.best, min(self.share, 0.999)
        apart = self.apart if colours else self.refitted
        logarithms = *(-math.log(1.0005 - e) for e in edges), *map(math.log1p, apart)
        return np.array([*logarithms, math.log1p(self.detail)])


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
    side = max(COARSE, int(min(picture.side, zoom * image.side, FINE)) // 8 * 8)
    own = picture.sized(side)
    height, width = own.shape[:2]
    under, mask = shown(image, warp, (width, height))
    square = np.ones((2 * MARGIN + 1,) * 2, np.uint8)
    counts = cv2.erode(mask.astype(np.uint8), square, borderValue=1).astype(np.float32)
    # In other colours, what looks blurred need not be: edges decide.
    ways = [under.astype(np.float32)]
    if (blurred := _as_blurred(ways[0], own, counts)) is not ways[0]:
        ways.append(blurred)
    told = [
        [
            _agreement(each, structure(way, smoothing).field, counts)
            for each, smoothing in zip(picture.fields(side), SMOOTHINGS, strict=True)
        ]
        for way in ways
    ]
    nearer = int(np.argmax([smooth[0] for _, smooth in told]))
    under = ways[nearer]
    (fine, _, _, detail, _), (smooth, best, share, _, blocks) = told[nearer]
    apart = refitted = (255.0, 255.0, 255.0)
    if best >= WORTH and counts.sum() > FAINT:
        where = counts * spread(blocks, height, width) if blocks.any() else counts
        if where.sum() <= FAINT:  # what agrees lies on the border, where nothing is counted
            where = counts
        apart = _apart(own, under, counts)
        refitted = _apart(own, _recoloured(under, own, where), counts)
    covered = float(mask.mean())
    numbers = correlation, fine, smooth, best, share, covered, detail
    return Overlay(warp, *numbers, apart, refitted, blocks, (width, height))


def _as_blurred(under: np.ndarray, own: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return what an image shows, blurred as the picture seems to be."""
    ways = [cv2.GaussianBlur(under, (0, 0), blur) if blur else under for blur in BLURS]
    off = [float((over_channels(np.abs(own - way)) * counts).sum()) for way in ways]
    return ways[int(np.argmin(off))]


def _recoloured(under: np.ndarray, own: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return what an image shows in the colours of the picture, by one map of all colours.

    Each of the new channels is a polynomial of degree two of the old ones, by least squares.
    """
    r, g, b = np.moveaxis(under / 255, -1, 0)
    terms = np.stack([r, g, b, r * r, g * g, b * b, r * g, g * b, r * b, np.ones_like(r)], -1)
    known = counts > 0
    x, y = terms[known], own[known] / 255
    identity = np.zeros((10, 3))
    identity[:3] = np.eye(3)
    ridge = RIDGE * len(x) * np.eye(10)
    weights = np.linalg.solve(x.T @ x + ridge, x.T @ y + ridge @ identity)
    return (255 * (terms @ weights.astype(np.float32))).clip(0, 255)


def _apart(own: np.ndarray, under: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """Return by how much colours differ, as `Overlay.apart`.

    A pixel counts by how far it lies outside the range of the other picture's 3 × 3 pixels round
    that place, so that a shift of less than a pixel counts little.
    """
    off = np.maximum(_outside(own, under), _outside(under, own)).mean(axis=-1)
    area = _blocks(counts)
    known = area > area.max() / 2
    values = _blocks(off * counts)[known] / area[known]
    first, second, last = np.quantile(values, QUANTILES)
    return float(first), float(second), float(last)


def _outside(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    near = np.ones((3, 3), np.uint8)
    return np.maximum(np.maximum(a - cv2.dilate(b, near), cv2.erode(b, near) - a), 0)


def _agreement(
    a: np.ndarray, b: np.ndarray, counts: np.ndarray
) -> tuple[float, float, float, float, np.ndarray]:
    """Return agreement, best, share, detail and blocks of `Overlay` of fields where they count."""
    both, own, other = (_blocks(over_channels(x * y) * counts) for x, y in ((a, b), (a, a), (b, b)))
    total = math.sqrt(own.sum() * other.sum())
    weight = np.maximum(own, other)
    blocks = (both > AGREES * np.sqrt(own * other)) | (weight <= FLAT * weight.max())
    order = np.argsort(-(both / (weight + FAINT)), axis=None)
    first = order[: 1 + np.searchsorted(np.cumsum(weight.ravel()[order]), BEST * weight.sum())]
    kept = [each.ravel()[first].sum() for each in (both, own, other)]
    best = kept[0] / (math.sqrt(kept[1] * kept[2]) + FAINT)
    share = weight[blocks].sum() / (weight.sum() + FAINT)
    return float(both.sum() / (total + FAINT)), float(best), float(share), float(own.sum()), blocks


def _blocks(values: np.ndarray) -> np.ndarray:
    """Return sums over blocks, `BLOCKS` along the longer side."""
    size = -(-max(values.shape) // BLOCKS)
    rows, columns = (np.arange(0, n, size) for n in values.shape)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)


def spread(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return blocks as pixels."""
    size = -(-max(height, width) // BLOCKS)
    return np.kron(blocks, np.ones((size, size), bool))[:height, :width]
