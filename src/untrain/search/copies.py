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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.search.calibration import (
    Calibration,
    ReadPicture,
    calibrate,
    is_reencoded,
    overlays,
)
from untrain.search.neighbours import Nearest, nearest
from untrain.search.proximity_test import proximity_test

SAME = 0.97  # agreement of a near copy: the same shapes and shades in the same places


@dataclass(frozen=True)
class PictureReaders:
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


def judge(
    calibration: Calibration,
    found: Nearest,
    laid: np.ndarray | None = None,
    alpha: float = 0.01,
) -> pd.DataFrame:
    """Flag near copies.

    A picture is one if it is its nearest training image saved again, or if p ≤ alpha and the two
    agree, laid over each other (where ``laid`` tells that, as `overlays` gives it).

    Returns
    -------
    DataFrame
        One row a query: ``query`` and ``nearest`` (positions), ``distance``, ``ratio``,
        ``p_value``, ``agreement`` and ``difference`` (NaN where nothing was laid over),
        ``near_copy``.
    """
    if laid is None:
        laid = np.full((len(found.position), 2), np.nan)
    p_values = calibration.p_values(found.ratio)
    unlikely = (p_values <= alpha) & ~(laid[:, 0] < SAME)
    return pd.DataFrame(
        {
            "query": np.arange(len(found.position)),
            "nearest": found.position,
            "distance": found.distance,
            "ratio": found.ratio,
            "p_value": p_values,
            "agreement": laid[:, 0],
            "difference": laid[:, 1],
            "near_copy": is_reencoded(laid) | unlikely,
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
        ``p`` of `proximity_test`. One by one: ``near_copies``, ``alpha``, ``threshold`` of the
        ratio, ``false_positive_rate`` among held-out pictures with its exact 95 % interval.
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
    pictures: PictureReaders | None = None,
    groups: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> CopyTest:
    """Compare generated pictures with training images, and with held-out pictures in that.

    Like must be compared with like. A generator that draws coarsely cannot come near a crisp photo
    even if it memorised it: give training and held-out pictures as its autoencoder redraws
    them, and a memorised picture is at distance 0. Then `PictureReaders` needs the originals too.

    Parameters
    ----------
    train, rows
        As in `nearest`.
    held_out, queries : ndarray of float, shapes (m, d) and (q, d)
        Features of held-out and of generated pictures; m may be 0.
    alpha : float
        Share of new pictures that may be flagged, in (0, 1).
    pictures : PictureReaders, optional
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
        laid = overlays(original_held, held["query"], original, held["nearest"])
        copies = is_reencoded(laid)
    others = held[~copies]
    auc, z, p = proximity_test(table["distance"].to_numpy(), others["distance"].to_numpy(), groups)
    wrong = int(others["near_copy"].sum())
    ends = binomtest(wrong, len(others)).proportion_ci() if len(others) else (math.nan, math.nan)
    numbers = {
        "auc": auc,
        "z": z,
        "p_value": p,
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


def _originals(pictures: PictureReaders) -> tuple[ReadPicture, ReadPicture]:
    return pictures.originals or (pictures.train, pictures.held_out)


def _judged(
    calibration: Calibration,
    train: np.ndarray,
    features: np.ndarray,
    rows: np.ndarray | None,
    pictures: PictureReaders | None,
    side: str,
    alpha: float,
) -> pd.DataFrame:
    found = nearest(train, features, rows)
    laid = None
    if pictures is not None:
        laid = overlays(
            getattr(pictures, side), range(len(features)), pictures.train, found.position
        )
    return judge(calibration, found, laid, alpha)
