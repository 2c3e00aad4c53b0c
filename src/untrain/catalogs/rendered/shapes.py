"""What the rendered catalogue draws with: paths, colours, motifs and brand marks, as data.

All coordinates are percent of the picture, x to the right and y down. A path is a short form of
SVG's: ``M``/``L`` points, ``Q`` quadratic and ``C`` cubic curves, ``E cx cy rx ry`` an ellipse, and
``X`` at the end adds the mirror image in the vertical line x = 50. The top left corner, to 18
percent, stays free in every silhouette: the brand mark stands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

Colour = tuple[int, int, int]
Point = tuple[float, float]


@cache
def outline(path: str) -> tuple[Point, ...]:
    """Return the points of a path, curves cut into straight pieces, in percent."""
    words = path.split()
    points: list[Point] = []
    at, command = 0, ""
    while at < len(words):
        if words[at].isalpha():
            command, at = words[at], at + 1
            if command == "X":
                points += [(100 - x, y) for x, y in reversed(points)]
                continue
        count = {"M": 2, "L": 2, "Q": 4, "C": 6, "E": 4}[command]
        numbers = [float(word) for word in words[at : at + count]]
        at += count
        if command == "E":
            cx, cy, rx, ry = numbers
            turn = np.linspace(0, 2 * np.pi, 49)
            curve = np.stack([cx + rx * np.cos(turn), cy + ry * np.sin(turn)], axis=1)
        elif command in "ML":
            curve = np.array([numbers])
        else:
            curve = _bezier(np.array([*points[-1], *numbers]).reshape(-1, 2))
        points += [(float(x), float(y)) for x, y in curve]
    return tuple(points)


def _bezier(control: np.ndarray, pieces: int = 16) -> np.ndarray:
    """Cut a Bézier curve into straight pieces by de Casteljau's construction."""
    t = np.linspace(0, 1, pieces + 1)[1:, None, None]
    level = np.broadcast_to(control, (pieces, *control.shape))
    while level.shape[1] > 1:
        level = (1 - t) * level[:, :-1] + t * level[:, 1:]
    return level[:, 0]


@dataclass(frozen=True)
class Layer:
    """One stroke of the brush: fill a path with a tone, or draw along it when ``width`` is set.

    Tones: ``cloth`` (colour and pattern), ``dark``, ``light``, ``seam``, ``edge`` (all derived from
    the colour), and the fixed ``white``, ``metal``, ``wood``, ``glass``.
    """

    tone: str
    path: str
    width: float = 0.0


@dataclass(frozen=True)
class Article:
    """One article type: its words, who wears it, its drawing and where a motif can sit on it."""

    name: str
    master: str
    sub: str
    genders: tuple[str, ...]
    layers: tuple[Layer, ...]
    left: Point
    centre: Point
    right: Point
    motif_size: float = 30.0
    shadow: tuple[float, float, float] = (50.0, 92.5, 36.0)  # x, y, half width


COLOURS: dict[str, tuple[Colour, Colour]] = {  # the colour and what its pattern is printed in
    "Red": ((206, 32, 41), (246, 178, 172)),
    "Orange": ((242, 124, 24), (255, 212, 160)),
    "Yellow": ((250, 212, 40), (216, 148, 0)),
    "Green": ((38, 150, 62), (178, 228, 170)),
    "Teal": ((0, 152, 158), (166, 234, 230)),
    "Blue": ((32, 80, 190), (164, 198, 246)),
    "Purple": ((120, 56, 168), (214, 180, 240)),
    "Pink": ((246, 140, 178), (255, 224, 234)),
    "Brown": ((122, 74, 40), (212, 172, 128)),
    "Grey": ((152, 156, 162), (222, 224, 228)),
    "Black": ((40, 41, 47), (142, 146, 156)),
}

MOTIF_COLOURS: dict[str, Colour] = {
    "Scarlet": (228, 22, 40),
    "Tangerine": (255, 128, 0),
    "Gold": (255, 208, 0),
    "Lime": (146, 224, 20),
    "Emerald": (0, 138, 72),
    "Aqua": (20, 208, 232),
    "Azure": (24, 92, 236),
    "Violet": (132, 40, 214),
    "Magenta": (236, 0, 150),
    "Ivory": (255, 253, 240),
}

MOTIFS: dict[str, str] = {  # in a box from 0 to 100
    "Disc": "E 50 50 44 44",
    "Square": "M 10 10 L 90 10 L 90 90 L 10 90",
    "Diamond": "M 50 0 L 92 50 L 50 100 L 8 50",
    "Triangle": "M 50 4 L 98 92 L 2 92",
    "Cross": "M 33 4 L 67 4 L 67 33 L 96 33 L 96 67 L 67 67 L 67 96 L 33 96 L 33 67 L 4 67 L 4 33 "
    "L 33 33",
    "Star": "M 50 0 L 63 34 L 99 36 L 71 59 L 81 95 L 50 75 L 19 95 L 29 59 L 1 36 L 37 34",
    "Heart": "M 50 95 C 20 70 2 54 3 30 C 4 6 38 -2 50 24 C 62 -2 96 6 97 30 C 98 54 80 70 50 95",
    "Moon": "M 72 4 C 4 -10 -22 68 32 92 C 56 104 86 98 96 74 C 60 82 40 44 72 4",
    "Hourglass": "M 8 4 L 92 4 L 60 50 L 92 96 L 8 96 L 40 50",
    "Bolt": "M 44 0 L 4 60 L 40 60 L 22 100 L 96 36 L 60 36 L 88 0",
}

PATTERNS = ("Solid", "Striped", "Dotted", "Checked")

PLACES = ("Left", "Centre", "Right")

BRANDS: dict[str, tuple[Colour, tuple[str, ...]]] = {  # colour and filled paths of the mark
    "Norvane": ((214, 30, 44), ("M 50 6 L 98 94 L 68 94 L 50 56 L 32 94 L 2 94",)),
    "Quillix": ((28, 84, 200), ("M 4 6 L 96 6 L 96 36 L 4 36", "M 4 62 L 96 62 L 96 92 L 4 92")),
    "Tavoro": ((22, 22, 26), ("E 50 50 47 47",)),
    "Zephrelle": (
        (18, 146, 84),
        ("M 34 2 L 66 2 L 66 98 L 34 98", "M 2 34 L 98 34 L 98 66 L 2 66"),
    ),
    "Lumbrix": ((244, 150, 0), ("M 4 4 L 96 4 L 4 96",)),
    "Kestrun": ((134, 44, 184), ("M 4 4 L 36 4 L 36 96 L 4 96", "M 64 4 L 96 4 L 96 96 L 64 96")),
    "Ostrelle": ((0, 168, 190), ("M 50 0 L 100 50 L 50 100 L 0 50",)),
    "Brindova": ((234, 70, 150), ("E 24 26 24 24", "E 76 26 24 24", "E 50 74 24 24")),
}
