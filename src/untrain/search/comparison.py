"""Comparison: each generated picture of a prompt against each of its candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from untrain.search.feature_metrics import FEATURE_METRICS, feature_metrics
from untrain.search.pixel_metrics import PIXEL_METRICS, pixel_metrics, resize_folder

METRICS = (
    *(f"pixel_{name}" for name in PIXEL_METRICS),
    *(f"feature_{name}" for name in FEATURE_METRICS),
)
COLUMNS = ("prompt_id", "generation", "image_id", *METRICS)


def compare(
    prompt_id: str,
    generated: Sequence[np.ndarray],
    candidate_ids: Sequence[str],
    candidates: Sequence[np.ndarray],
    generated_features: np.ndarray,
    candidate_features: np.ndarray,
) -> pd.DataFrame:
    """Return the eleven metrics of every pair of one prompt.

    Parameters
    ----------
    prompt_id : str
    generated, candidates : sequence of ndarray of uint8, each H×W×3
        RGB, of any size: all are resized to their common mean size for the pixel metrics.
    candidate_ids : sequence of str
        One a candidate.
    generated_features, candidate_features : ndarray of float, shapes (g, d) and (n, d)

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: ``prompt_id``, ``generation`` (from 0), ``image_id``, ``pixel_…`` and
        ``feature_…``; g·n rows, by generation, candidates in the order given.
    """
    if not (
        len(candidate_ids) == len(candidates) == len(candidate_features)
        and len(generated) == len(generated_features)
    ):
        raise ValueError("ids, pictures and features differ in number")
    folder = resize_folder([*generated, *candidates])
    by_pixels = pixel_metrics(folder[: len(generated)], folder[len(generated) :])
    by_features = feature_metrics(generated_features, candidate_features)
    table = {
        "prompt_id": prompt_id,
        "generation": np.repeat(np.arange(len(generated)), len(candidates)),
        "image_id": np.tile(np.array(candidate_ids, dtype=object), len(generated)),
        **{f"pixel_{name}": values.ravel() for name, values in by_pixels.items()},
        **{f"feature_{name}": values.ravel() for name, values in by_features.items()},
    }
    return pd.DataFrame(table, columns=list(COLUMNS))
