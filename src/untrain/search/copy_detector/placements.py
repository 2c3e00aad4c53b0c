"""Where a picture may lie in an image of the catalogue: all of it, a part of it, mirrored, turned.

A copy that was cropped is a part of its original, at an unknown place and scale. So a picture's
edges are laid on the square of an image at every place and scale of a grid, and each *placement* is
a vector of the size of the catalogue's features: one matrix product says how well each placement
agrees with each image, as the normalised cross-correlation under the picture (Lewis, 1995).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from untrain.search.copy_detector.structure import (
    CELLS,
    PIXELS,
    Square,
    in_cells,
    square,
    without_border,
)

SIDE = CELLS * PIXELS
SCALES = (0.85, 0.72, 0.61, 0.52)  # of a part of an image, neighbours within a cell of each other
INNER_SCALES = (0.92, 0.8, 0.68, 0.58)  # of what is left without a border
STEP = 1.5  # cells between places
ANGLES = (-0.21, -0.14, -0.07, 0.07, 0.14, 0.21)  # radians: 4, 8, 12 degrees
TURNED_SCALES = (1.0, 1.12)  # a sheet round a turned picture is larger than the picture


class Placement(NamedTuple):
    """How a picture lies in the square of an image.

    Attributes
    ----------
    scale : float
        1: its longer side is that of the image.
    x, y : float
        Its centre, shares of the square.
    angle : float
        Radians, clockwise.
    """

    scale: float
    x: float
    y: float
    angle: float


@dataclass(frozen=True, eq=False)
class Laid:
    """A picture, or it without its border, straight or mirrored, and where it is laid.

    Attributes
    ----------
    picture : ndarray of uint8, H×W×3
        Not mirrored.
    square : Square
        Its edges; of the mirrored picture, if it is.
    mirrored, bordered : bool
        Seen in a mirror; without a border that it had.
    placements : sequence of Placement
    """

    picture: np.ndarray
    square: Square
    mirrored: bool
    bordered: bool
    placements: tuple[Placement, ...]


def ways_to_lay(
    picture: np.ndarray, extent: tuple[float, float], thorough: bool = True
) -> list[Laid]:
    """Return all the ways in which a picture, uint8 H×W×3, may lie in images.

    Parameters
    ----------
    extent : two floats
        Width and height of the catalogue's images, shares of the square: no part of an image lies
        outside.
    thorough : bool
        Look for parts of images and for turned pictures; or else only for whole ones.
    """
    ways = []
    inner = without_border(picture)
    for own, bordered in ((picture, False), *([(inner, True)] if inner is not None else [])):
        straight = square(own, SIDE)
        scales = () if not thorough else INNER_SCALES if bordered else SCALES
        at = tuple(_placements(straight, extent, scales, thorough and not bordered))
        for mirrored in (False, True):
            laid = straight.mirrored() if mirrored else straight
            ways.append(Laid(own, laid, mirrored, bordered, at))
    return ways


def _placements(
    own: Square, extent: tuple[float, float], scales: tuple[float, ...], turned: bool
) -> Iterator[Placement]:
    yield Placement(1.0, 0.5, 0.5, 0.0)
    for angle in ANGLES if turned else ():
        for scale in TURNED_SCALES:
            yield Placement(scale, 0.5, 0.5, angle)
    for scale in scales:
        room = [e - scale * of / SIDE for e, of in zip(extent, own[3:5], strict=True)]
        if min(room) < -1 / CELLS:
            continue
        xs, ys = (
            0.5
            + max(0.0, r) * np.linspace(-0.5, 0.5, 1 + max(0, int(np.ceil(r * CELLS / STEP - 0.2))))
            for r in room
        )
        for x in xs:
            for y in ys:
                yield Placement(scale, float(x), float(y), 0.0)


def motion(of: Square, placement: Placement) -> np.ndarray:
    """Return the map, float64 (2, 3), from pixels of a picture's square to those of an image's."""
    centre = np.array([of.left + of.width / 2, of.top + of.height / 2]) - 0.5
    cos, sin = np.cos(placement.angle), np.sin(placement.angle)
    turn = placement.scale * np.array([[cos, -sin], [sin, cos]])
    to = np.array([placement.x, placement.y]) * SIDE - 0.5
    return np.column_stack([turn, to - turn @ centre])


def templates(laid: Laid) -> tuple[np.ndarray, np.ndarray]:
    """Return each placement as edges in an image's square, and how much of each cell it covers.

    Returns
    -------
    two ndarrays of float32, shapes (p, 2 · CELLS²) and (p, CELLS²)
        The edges are of length one over all cells.
    """
    own = laid.square
    inside = np.zeros((SIDE, SIDE, 1), np.float32)
    inside[own.top : own.top + own.height, own.left : own.left + own.width] = 1
    whole = np.concatenate([own.field, inside], axis=-1)
    edges, covered = [], []
    for placement in laid.placements:
        source = whole
        if placement.scale < 0.8:  # or else thin lines would fall between pixels
            source = cv2.GaussianBlur(whole, (0, 0), max(0.3, 0.5 / placement.scale - 0.5))
        moved = cv2.warpAffine(source, motion(own, placement), (SIDE, SIDE))
        if placement.angle:
            cos, sin = np.cos(2 * placement.angle), np.sin(2 * placement.angle)
            turn = np.array([[cos, sin], [-sin, cos]], np.float32)
            moved[..., :2] = moved[..., :2] @ turn
        cells = in_cells(moved)
        edges.append((cells[..., :2] * cells[..., 2:]).ravel())
        covered.append(cells[..., 2].ravel())
    vectors = np.array(edges)
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + FAINT), np.array(covered)


FAINT = 0.05  # edges below this length say nothing
