"""What has been measured of the copy detector: how many copies it finds, how often it errs."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

THRESHOLD = 0.5


@cache
def measured() -> dict[str, Any]:
    """Return the record that `benchmarks/bench_copies.py` wrote, see docs/results/copies.md.

    Returns
    -------
    dict
        ``command``, ``catalog``, ``images``, ``seed``; under ``models``, for the verdicts ``copy``
        and ``copy_or_variant``, the ``weights`` and ``bias`` of a logistic regression; under
        ``modes``, by name: ``pictures``, how many were looked for; ``false_positives``: of ``n``
        photos without a copy, ``wrong`` were said to have one, ``rate`` with its 95 % interval
        ``low``–``high`` (Wilson, 1927); ``copy_or_variant``: the same of photos that got only
        that verdict; ``recall``: a list with, for each ``kind`` and ``label`` of its strength, of
        ``n`` edited photos the number ``found`` with either verdict, ``rate``, ``low``, ``high``;
        ``processor_seconds`` of one picture.
    """
    text = files("untrain.search.copy_detector").joinpath("measured.json").read_text("utf-8")
    return dict(json.loads(text))


def score(evidence: np.ndarray, verdict: str) -> float:
    """Return how much speaks for a verdict, 0–1, by a logistic regression of `Overlay.evidence`.

    From `THRESHOLD` on it is given. It is a score, not the share of such cases that are copies.
    """
    model = measured()["models"][verdict]
    return float(1 / (1 + math.exp(-(model["bias"] + evidence @ np.array(model["weights"])))))


def threshold(mode: str = "thorough") -> float:
    """Return the score from which on an image is flagged, in any mode."""
    return THRESHOLD


def rates(mode: str) -> pd.DataFrame:
    """Return how many copies are found: kind, label, n, found, rate, low, high."""
    columns = ["kind", "label", "n", "found", "rate", "low", "high"]
    return pd.DataFrame(measured()["modes"][mode]["recall"], columns=columns)


def rates_by_kind(mode: str) -> pd.DataFrame:
    """Return, for each kind of edit, the lowest and the highest rate of its strengths."""
    table = rates(mode).groupby("kind", sort=False)["rate"].agg(lowest="min", highest="max")
    return table.reset_index()
