"""How near training images are to each other: what the copy test reads chance from.

See `untrain.search.copies` for what is done with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from untrain.catalogs.base import fit_into
from untrain.core.errors import InputError
from untrain.core.files import read_json, rng, write_json
from untrain.core.progress import track
from untrain.search.neighbours import nearest

SAMPLE = 2000  # training images in a calibration: at 1 %, the threshold is the 20th smallest
SIDE = 32  # pixels a side at which two pictures are laid over each other
REENCODED = 0.99, 3.0  # agreement and RMS difference (of 255) that saving again does not exceed
VERSION = 1  # of a saved calibration; raise it when the numbers change

ReadPicture = Callable[[int], np.ndarray]
"""Position → picture, uint8 H×W×3."""


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """Return a picture, uint8 H×W×3, at 32×32 pixels, aspect kept, on white."""
    return fit_into(Image.fromarray(picture), (SIDE, SIDE))


def overlay(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Lay two pictures over each other: their `thumbnail`s, which may be given instead.

    Returns
    -------
    agreement : float
        Correlation of all their numbers, −1 to 1; 0 if one is a single grey, and the other not
        the same.
    difference : float
        Root mean square difference, 0 to 255.
    """
    a, b = thumbnail(one).astype(float), thumbnail(other).astype(float)
    difference = math.sqrt(((a - b) ** 2).mean())
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt((a**2).sum() * (b**2).sum())
    return (float((a * b).sum()) / length if length else float(difference == 0)), difference


def overlays(
    read: ReadPicture, positions: Iterable[int], read_other: ReadPicture, others: Iterable[int]
) -> np.ndarray:
    """Return `overlay` of each pair, float64 (n, 2)."""
    pairs = zip(positions, others, strict=True)
    laid = [overlay(read(int(i)), read_other(int(j))) for i, j in pairs]
    return np.array(laid, dtype=float).reshape(-1, 2)


@dataclass(frozen=True)
class Calibration:
    """How near training images are to each other.

    Attributes
    ----------
    ratios : ndarray of float64, shape (n,)
        Of training images, each against all others, ascending.
    copies : int
        Images left out since their nearest is the same picture, saved again.
    """

    ratios: np.ndarray
    copies: int

    def p_values(self, ratios: np.ndarray) -> np.ndarray:
        """Return (1 + number of training images as near) / (1 + their number), float64 (q,)."""
        return (1 + np.searchsorted(self.ratios, ratios, side="right")) / (1 + len(self.ratios))

    def threshold(self, alpha: float) -> float:
        """Return the ratio below which p ≤ alpha; NaN if there are too few images for that."""
        rank = math.floor(alpha * (1 + len(self.ratios)) + 1e-9)
        return float(self.ratios[rank - 1]) if rank else math.nan

    def save(self, path: Path) -> None:
        """Write JSON."""
        about = {"version": VERSION, "copies": self.copies}
        write_json(path, {**about, "ratios": self.ratios.tolist()})

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote; `InputError` if it is something else, or of another version."""
        try:
            saved = read_json(path)
            if saved["version"] == VERSION:
                return cls(np.array(saved["ratios"], dtype=float), int(saved["copies"]))
            found = f"of version {saved['version']}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            found = f"not readable ({error!r})"
        raise InputError(
            f"the copy test's calibration {path} is {found}; expected version {VERSION}: "
            "delete it, and it is made anew"
        )


def calibrate(
    train: np.ndarray,
    rows: np.ndarray | None = None,
    read: ReadPicture | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
) -> Calibration:
    """Measure how near training images are to each other: each against all others.

    Parameters
    ----------
    train, rows
        As in `nearest`; byte-identical copies are left out.
    read : callable, optional
        position → picture as it was, not drawn again. Without it, pictures that are in the
        catalogue twice but not byte for byte stay in, and the test sees less.
    sample : int
        At most so many images, drawn at random.
    seed : int
    """
    rows = np.arange(len(train)) if rows is None else np.asarray(rows)
    different = np.sort(np.unique(rows, return_index=True)[1])
    draw = rng("copy test", seed).permutation(different)[:sample]
    found = nearest(train, train[rows[draw]], rows, own=draw)
    ratios = found.ratio
    if read is not None:
        shown = track(draw, "calibrating the copy test", len(draw))
        ratios = ratios[~is_reencoded(overlays(read, shown, read, found.position))]
    return Calibration(np.sort(ratios), len(draw) - len(ratios))


def is_reencoded(laid: np.ndarray) -> np.ndarray:
    """Tell where two pictures differ no more than one saved again, bool (n,), of `overlay` (n, 2).

    False where an overlay is NaN.
    """
    agreement, difference = laid.T
    return (agreement >= REENCODED[0]) & (difference <= REENCODED[1])
