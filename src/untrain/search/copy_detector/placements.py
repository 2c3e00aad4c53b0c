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
    inside_border,
    square,
)

SIDE = CELLS * PIXELS
SCALES = (0.85, 0.72, 0.61, 0.52)  # of a part of an image, neighbours within a cell of each other
INNER_SCALES = (0.92, 0.8, 0.68, 0.58)  # of what is left without a border
STEP = 1.5  # cells between places
ANGLES = (-0.21, -0.14, -0.07, 0.07, 0.14, 0.21)  # radians: 4, 8, 12 degrees
FAINT = 0.05  # edges below this length say nothing
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


CENTRED = Placement(1.0, 0.5, 0.5, 0.0)


@dataclass(frozen=True, eq=False)
class Laid:
    """A picture, or it without its border, straight or mirrored, and where it is laid.

    Attributes
    ----------
    picture : ndarray of uint8, H×W×3
        All of it, not mirrored.
    part : two slices
        The rows and columns that are laid: all, or those inside its border.
    square : Square
        The edges of that part; in the mirror, if mirrored.
    mirrored : bool
    placements : sequence of Placement
    """

    picture: np.ndarray
    part: tuple[slice, slice]
    square: Square
    mirrored: bool
    placements: tuple[Placement, ...]

    def pixels(self) -> np.ndarray:
        """Return what is laid, uint8 H×W×3."""
        laid = self.picture[self.part]
        return np.ascontiguousarray(laid[:, ::-1] if self.mirrored else laid)

    def whole(self, placement: Placement) -> bool:
        """Tell whether all of the picture is laid in the middle, as large as it can be."""
        rows, columns = self.part
        entire = (rows.stop - rows.start, columns.stop - columns.start) == self.picture.shape[:2]
        return entire and placement == CENTRED

    def corners(self) -> np.ndarray:
        """Return the four corners of the whole picture, float64 (4, 2), x and y.

        In pixels of what is laid, if its longer side had `SIDE`.
        """
        (height, width), (rows, columns) = self.picture.shape[:2], self.part
        left, right = -columns.start, width - columns.start
        if self.mirrored:
            inner = columns.stop - columns.start
            left, right = inner - right, inner - left
        top, bottom = -rows.start, height - rows.start
        longer = max(rows.stop - rows.start, columns.stop - columns.start)
        at = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
        return at * SIDE / longer


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
    whole = slice(0, picture.shape[0]), slice(0, picture.shape[1])
    for part in (whole, inside_border(picture)):
        if part is None:
            continue
        bordered = part is not whole
        straight = square(picture[part], SIDE)
        scales = () if not thorough else INNER_SCALES if bordered else SCALES
        at = tuple(_placements(straight, extent, scales, thorough and not bordered))
        for mirrored in (False, True):
            laid = straight.mirrored() if mirrored else straight
            ways.append(Laid(picture, part, laid, mirrored, at))
    return ways


def _placements(
    own: Square, extent: tuple[float, float], scales: tuple[float, ...], turned: bool
) -> Iterator[Placement]:
    yield CENTRED
    for angle in ANGLES if turned else ():
        for scale in TURNED_SCALES:
            yield Placement(scale, 0.5, 0.5, angle)
    for scale in (1.0, *scales):
        room = [e - scale * of / SIDE for e, of in zip(extent, own[3:5], strict=True)]
        if scale < 1 and min(room) < -1 / CELLS:
            continue
        xs, ys = (
            0.5
            + max(0.0, r) * np.linspace(-0.5, 0.5, 1 + max(0, int(np.ceil(r * CELLS / STEP - 0.2))))
            for r in room
        )
        for x in xs:
            for y in ys:
                if (placement := Placement(scale, float(x), float(y), 0.0)) != CENTRED:
                    yield placement


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
