"""The copy test: are generated pictures nearer to training images than new pictures would be?

A picture's *distance* is one minus the cosine of its features with those of the nearest training
image; its *ratio* sets that against the mean distance to the `NEIGHBOURS` nearest, so that a plain
shirt among a hundred plain shirts is no copy (Carlini et al., 2023, Extracting training data from
diffusion models). How small a ratio is by chance is read off training images, each
against all others: the share of them that are as near is a conformal p-value (Vovk, Gammerman and
Shafer, 2005). Held-out pictures, which no model saw, take no part in that: they measure how often
the flag is wrong, and are what all generated pictures together are compared with (Meehan,
Chaudhuri and Dasgupta, 2020, A non-parametric test to detect data-copying in generative models).

A flag is a reason to look at two pictures side by side, not a proof of where one comes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs.base import fit_into
from untrain.core.errors import InputError
from untrain.core.files import read_json, rng, write_json
from untrain.core.progress import track
from untrain.search.neighbours import Nearest, nearest
from untrain.search.proximity_test import nearer

SAMPLE = 2000  # training images in a calibration: at 1 %, the threshold is the 20th smallest
SIDE = 32  # pixels a side at which two pictures are laid over each other
SAME = 0.97  # agreement of a near copy: the same shapes and shades in the same places
REENCODED = 0.99, 3.0  # agreement and RMS difference (of 255) that saving again does not exceed
VERSION = 1  # of a saved calibration; raise it when the numbers change

ReadPicture = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Pictures:
    """How to get the pictures behind features: each a function position → uint8 H×W×3.

    Attributes
    ----------
    train, held_out, queries
        What is laid over each other.
    originals : two functions, optional
        Training and held-out pictures as they were, if those above were drawn again: they tell
        whether two are the same picture saved again. A coarse autoencoder makes different
        pictures equal.
    """

    train: ReadPicture
    held_out: ReadPicture
    queries: ReadPicture
    originals: tuple[ReadPicture, ReadPicture] | None = None


def overlay(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Lay two pictures over each other at 32×32 pixels, aspect kept, on white.

    Returns
    -------
    agreement : float
        Correlation of all their numbers, −1 to 1; 0 if one is a single grey, and the other not
        the same.
    difference : float
        Root mean square difference, 0 to 255.
    """
    a, b = (
        fit_into(Image.fromarray(picture), (SIDE, SIDE)).astype(float) for picture in (one, other)
    )
    difference = math.sqrt(((a - b) ** 2).mean())
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt((a**2).sum() * (b**2).sum())
    return (float((a * b).sum()) / length if length else float(difference == 0)), difference


def _overlays(
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
        ratios = ratios[~is_reencoded(_overlays(read, shown, read, found.position))]
    return Calibration(np.sort(ratios), len(draw) - len(ratios))


def is_reencoded(overlays: np.ndarray) -> np.ndarray:
    """Tell where two pictures differ no more than one saved again, bool (n,), of `overlay` (n, 2).

    False where an overlay is NaN.
    """
    agreement, difference = overlays.T
    return (agreement >= REENCODED[0]) & (difference <= REENCODED[1])


def judge(
    calibration: Calibration,
    found: Nearest,
    overlays: np.ndarray | None = None,
    alpha: float = 0.01,
) -> pd.DataFrame:
    """Flag near copies.

    A picture is one if it is its nearest training image saved again, or if p ≤ alpha and the two
    agree, laid over each other (where ``overlays`` tells that, see `overlay`).

    Returns
    -------
    DataFrame
        One row a query: ``query`` and ``nearest`` (positions), ``distance``, ``ratio``,
        ``p_value``, ``agreement`` and ``difference`` (NaN without overlays), ``near_copy``.
    """
    if overlays is None:
        overlays = np.full((len(found.position), 2), np.nan)
    p_values = calibration.p_values(found.ratio)
    unlikely = (p_values <= alpha) & ~(overlays[:, 0] < SAME)
    return pd.DataFrame(
        {
            "query": np.arange(len(found.position)),
            "nearest": found.position,
            "distance": found.distance,
            "ratio": found.ratio,
            "p_value": p_values,
            "agreement": overlays[:, 0],
            "difference": overlays[:, 1],
            "near_copy": is_reencoded(overlays) | unlikely,
        }
    )


@dataclass(frozen=True)
class CopyTest:
    """What `copy_test` found.

    Attributes
    ----------
    table, held_out : DataFrame
        As `judge`, of the queries and of the held-out pictures.
    summary : dict
        Numbers that JSON can hold, None where undefined. All queries together: ``auc``, ``z``,
        ``p`` of `nearer`. One by one: ``near_copies``, ``alpha``, ``threshold`` of the ratio,
        ``false_positive_rate`` among held-out pictures with the ends of its exact 95 % interval.
        ``queries``, ``held_out``, ``training``, ``calibration``: how many; ``held_out_copies``,
        ``calibration_copies``: left out as they are a training image saved again, which their
        originals tell. All other held-out pictures count, whatever the reason for a flag.
    """

    table: pd.DataFrame
    held_out: pd.DataFrame
    summary: dict[str, Any]


def copy_test(
    train: np.ndarray,
    held_out: np.ndarray,
    queries: np.ndarray,
    rows: np.ndarray | None = None,
    alpha: float = 0.01,
    pictures: Pictures | None = None,
    groups: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> CopyTest:
    """Compare generated pictures with training images, and with held-out pictures in that.

    Like must be compared with like. A generator that draws coarsely cannot come near a crisp photo
    even if it knows it by heart: give training and held-out pictures as its autoencoder redraws
    them, and a memorised picture is at distance 0. Then `Pictures` needs the originals too.

    Parameters
    ----------
    train, rows
        As in `nearest`.
    held_out, queries : ndarray of float, shapes (m, d) and (q, d)
        Features of held-out and of generated pictures; m may be 0.
    alpha : float
        Share of new pictures that may be flagged, in (0, 1).
    pictures : Pictures, optional
        With them, a flag needs the pictures to agree, and true copies are told apart. Without
        them, there are none.
    groups : sequence of str, length q, optional
        Prompt of each query: pictures of one prompt are not independent, which ``p`` heeds.
    calibration : Calibration, optional
        As `calibrate` gives; made if left out.
    """
    from scipy.stats import binomtest  # slow to import

    if not 0 < alpha < 1:
        raise InputError(f"the copy test's alpha is {alpha}; expected more than 0, less than 1")
    if calibration is None:
        calibration = calibrate(train, rows, _originals(pictures)[0] if pictures else None)
    table, held = (
        _judged(calibration, train, features, rows, pictures, side, alpha)
        for features, side in ((queries, "queries"), (held_out, "held_out"))
    )
    copies = np.zeros(len(held), dtype=bool)
    if pictures is not None:
        original, original_held = _originals(pictures)
        laid = _overlays(original_held, held["query"], original, held["nearest"])
        copies = is_reencoded(laid)
    others = held[~copies]
    auc, z, p = nearer(table["distance"].to_numpy(), others["distance"].to_numpy(), groups)
    wrong = int(others["near_copy"].sum())
    ends = binomtest(wrong, len(others)).proportion_ci() if len(others) else (math.nan, math.nan)
    numbers = {
        "auc": auc,
        "z": z,
        "p": p,
        "near_copies": int(table["near_copy"].sum()),
        "alpha": alpha,
        "threshold": calibration.threshold(alpha),
        "false_positive_rate": wrong / len(others) if len(others) else math.nan,
        "false_positive_low": float(ends[0]),
        "false_positive_high": float(ends[1]),
        "queries": len(table),
        "held_out": len(held),
        "held_out_copies": int(copies.sum()),
        "training": len(train) if rows is None else len(np.unique(rows)),
        "calibration": len(calibration.ratios),
        "calibration_copies": calibration.copies,
    }
    return CopyTest(table, held, {k: None if v != v else v for k, v in numbers.items()})


def _originals(pictures: Pictures) -> tuple[ReadPicture, ReadPicture]:
    return pictures.originals or (pictures.train, pictures.held_out)


def _judged(
    calibration: Calibration,
    train: np.ndarray,
    features: np.ndarray,
    rows: np.ndarray | None,
    pictures: Pictures | None,
    side: str,
    alpha: float,
) -> pd.DataFrame:
    found = nearest(train, features, rows)
    laid = None
    if pictures is not None:
        laid = _overlays(
            getattr(pictures, side), range(len(features)), pictures.train, found.position
        )
    return judge(calibration, found, laid, alpha)
