"""How often a guard flags pictures that no model saw: measured on the data that it guards.

The pictures are those that were held out. Where there are none, training images stand in, each
against all others; a catalogue that holds a picture twice in other bytes makes the rate too high.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import read_json, rng, write_json
from untrain.core.progress import track

SAMPLE = 500  # pictures of a calibration
VERSION = 1  # of a saved calibration; raise it when the numbers change
HELD_OUT, TRAINING = "held-out pictures", "training images, each against all others"

Nearest = Callable[[np.ndarray, int], tuple[float, bool]]
"""Picture and position of the training image that it is (−1: none) → distance to the nearest other
one, and whether the two are the same picture saved again."""


@dataclass(frozen=True, eq=False)
class GuardCalibration:
    """How far pictures are from the training images that they are no copies of.

    Attributes
    ----------
    distances : ndarray of float64, shape (n,)
        Ascending.
    copies : int
        Pictures left out: a training image saved again.
    of : str
        `HELD_OUT` or `TRAINING`.
    """

    distances: np.ndarray
    copies: int
    of: str

    def p_value(self, distance: float) -> float:
        """Return (1 + number of pictures as near) / (1 + their number)."""
        near = np.searchsorted(self.distances, distance, side="right")
        return float((1 + near) / (1 + len(self.distances)))

    def false_positives(self, threshold: float) -> dict[str, Any]:
        """Return how many of the pictures are at most as far as a threshold.

        Returns
        -------
        dict
            ``rate`` with its exact 95 % interval, ``low`` and ``high`` (None without pictures);
            ``flagged`` of ``pictures``; ``of``: which; ``copies``: those left out.
        """
        from scipy.stats import binomtest  # slow to import

        pictures = len(self.distances)
        flagged = int((self.distances <= threshold).sum())
        ends = binomtest(flagged, pictures).proportion_ci() if pictures else (math.nan, math.nan)
        return {
            "rate": flagged / pictures if pictures else None,
            "low": float(ends[0]) if pictures else None,
            "high": float(ends[1]) if pictures else None,
            "flagged": flagged,
            "pictures": pictures,
            "of": self.of,
            "copies": self.copies,
        }

    def save(self, path: Path) -> None:
        """Write JSON."""
        about = {"version": VERSION, "copies": self.copies, "of": self.of}
        write_json(path, {**about, "distances": self.distances.tolist()})

    @classmethod
    def load(cls, path: Path) -> GuardCalibration:
        """Read what `save` wrote; `InputError` if it is something else."""
        saved = read_json(path)
        if saved.get("version") != VERSION:
            raise InputError(f"{path} is of version {saved.get('version')}; expected {VERSION}")
        distances = np.array(saved["distances"], dtype=float)
        return cls(distances, int(saved["copies"]), str(saved["of"]))


def calibrate_guard(
    train: Catalog, held_out: Catalog | None, nearest: Nearest, sample: int = SAMPLE
) -> GuardCalibration:
    """Measure the distances of pictures that are no copies, at most ``sample``, drawn at random."""
    own = held_out is None or not len(held_out)
    catalog = train if own or held_out is None else held_out
    first = np.flatnonzero(catalog.same_as == np.arange(len(catalog)))
    drawn = rng("guard", 0).permutation(first)[:sample].tolist()
    distances, copies = [], 0
    for row in track(drawn, "measuring how often the guard errs", len(drawn)):
        picture = np.asarray(catalog.image(catalog.ids[row]))
        distance, again = nearest(picture, row if own else -1)
        if again:
            copies += 1
        else:
            distances.append(distance)
    return GuardCalibration(np.sort(distances), copies, TRAINING if own else HELD_OUT)
