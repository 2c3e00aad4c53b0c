"""Comparison: each generated picture of a prompt against each of its candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pandas as pd
from threadpoolctl import ThreadpoolController

from untrain.search.compare.extra import (
    EXTRA_METRICS,
    hamming,
    histogram_intersection,
    perceptual_hashes,
    standard_ssim,
)
from untrain.search.compare.features import FEATURE_METRICS, cosine, feature_metrics
from untrain.search.compare.pixel import PIXEL_METRICS, pixel_metrics, resize_folder

METRICS = (
    *(f"pixel_{name}" for name in (*PIXEL_METRICS, *EXTRA_METRICS)),
    *(f"feature_{name}" for name in FEATURE_METRICS),
)
OPTIONAL_METRICS = ("pooled_cosine", "text_tfidf", "text_clip")
COLUMNS = ("prompt_id", "generation", "image_id", *METRICS)
METRIC_DIRECTION = {  # 1 where higher is nearer, −1 where lower is
    "pixel_mse": -1,
    "pixel_mae": -1,
    "pixel_cross_correlation": 1,
    "pixel_histogram": 1,
    "pixel_cosine": 1,
    "pixel_ssim": 1,
    "pixel_ssim_standard": 1,
    "pixel_phash": -1,
    "pixel_histogram_intersection": 1,
    "feature_cosine": 1,
    "feature_mse": -1,
    "feature_kl": -1,
    "feature_manhattan": -1,
    "feature_minkowski": -1,
    "pooled_cosine": 1,
    "text_tfidf": 1,
    "text_clip": 1,
}
# Why a metric can be undefined; what is missing here never is.
REASONS = {
    "pixel_cosine": "a picture is black",
    "pixel_ssim": "the pictures are smaller than 7×7 pixels",
    "pixel_ssim_standard": "the pictures are smaller than 7×7 pixels",
    "feature_cosine": "features are all zero, NaN or infinite",
    "feature_kl": "a feature of the generated picture is negative, or one is NaN or infinite",
    "feature_mse": "a feature is NaN or infinite",
    "feature_manhattan": "a feature is NaN or infinite",
    "feature_minkowski": "a feature is NaN or infinite",
    "pooled_cosine": "pooled features are all zero, NaN or infinite",
}


def compare(
    prompt_id: str,
    generated: Sequence[np.ndarray],
    candidate_ids: Sequence[str],
    candidates: Sequence[np.ndarray],
    generated_features: np.ndarray,
    candidate_features: np.ndarray,
    *,
    pooled: tuple[np.ndarray, np.ndarray] | None = None,
    text: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Return every metric of every pair of one prompt: the study's eleven, and others.

    Parameters
    ----------
    prompt_id : str
    generated, candidates : sequence of ndarray of uint8, each H×W×3
        RGB, of any size: all are resized to their common mean size for the pixel metrics, but for
        the perceptual hash.
    candidate_ids : sequence of str
        One a candidate.
    generated_features, candidate_features : ndarray of float, shapes (g, d) and (n, d)
    pooled : pair of ndarray of float, shapes (g, p) and (n, p), optional
        Pooled features of both sides, for ``pooled_cosine``.
    text : mapping of str to ndarray of float, shape (n,), optional
        Likeness of the prompt to each candidate, which is the same for every generation:
        ``tfidf`` (to its caption) and ``clip`` (to its picture), for ``text_tfidf``, ``text_clip``.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: ``prompt_id``, ``generation`` (from 0), ``image_id``, ``pixel_…`` and
        ``feature_…``; then those of `OPTIONAL_METRICS` that were given. g·n rows, by generation,
        candidates in the order given. An undefined value is NaN, and ``attrs["notes"]`` says so
        (`undefined_notes`). `METRIC_DIRECTION` says which way is nearer.
    """
    if not (
        len(candidate_ids) == len(candidates) == len(candidate_features)
        and len(generated) == len(generated_features)
    ):
        raise ValueError("ids, pictures and features differ in number")
    # Side by side: NumPy and OpenCV let go of the interpreter, and both take about as long. Matrix
    # products on all cores would only make the other half wait.
    with _pools().limit(limits=1, user_api="blas"), ThreadPoolExecutor(1) as pool:
        by_pixels = pool.submit(_pixel_columns, generated, candidates)
        by_features = feature_metrics(generated_features, candidate_features)
        metrics = by_pixels.result()
    metrics |= {f"feature_{name}": values for name, values in by_features.items()}
    shape = (len(generated), len(candidates))
    if pooled is not None:
        metrics["pooled_cosine"] = cosine(*pooled)
    for name, values in (text or {}).items():
        metrics[f"text_{name}"] = np.broadcast_to(values, shape)
    table = pd.DataFrame(
        {
            "prompt_id": prompt_id,
            "generation": np.repeat(np.arange(len(generated)), len(candidates)),
            "image_id": np.tile(np.array(candidate_ids, dtype=object), len(generated)),
            **{name: values.ravel() for name, values in metrics.items()},
        }
    )
    table.attrs["notes"] = undefined_notes(table)
    return table


@cache
def _pools() -> ThreadpoolController:
    """Return what limits the threads of the libraries at hand; finding them takes a while."""
    return ThreadpoolController()


def _pixel_columns(
    generated: Sequence[np.ndarray], candidates: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the pixel metrics of every pair, (g, n) each, by column name."""
    folder = resize_folder([*generated, *candidates])
    sides = folder[: len(generated)], folder[len(generated) :]
    metrics = pixel_metrics(*sides)
    metrics["ssim_standard"] = standard_ssim(*sides)
    # Of the pictures as they are: a hash should not depend on what else is in the folder.
    metrics["phash"] = hamming(perceptual_hashes(generated), perceptual_hashes(candidates))
    metrics["histogram_intersection"] = histogram_intersection(*sides)
    return {f"pixel_{name}": values for name, values in metrics.items()}


def undefined_notes(comparison: pd.DataFrame) -> list[str]:
    """Return a line for each metric that is undefined for some pairs of a prompt, and why.

    Parameters
    ----------
    comparison : DataFrame
        As `compare` returns it, for any number of prompts.

    Examples
    --------
    >>> undefined_notes(pd.DataFrame({"prompt_id": ["p"], "pixel_cosine": [np.nan]}))
    ['prompt p: pixel_cosine is undefined for 1 of 1 pairs: a picture is black']
    """
    columns = [name for name in METRIC_DIRECTION if name in comparison]
    notes = []
    for prompt, rows in comparison.groupby("prompt_id", sort=False):
        missing = rows[columns].isna().sum()
        notes += [
            f"prompt {prompt}: {name} is undefined for {missing[name]} of {len(rows)} pairs: "
            f"{REASONS.get(name, 'no value was given')}"
            for name in columns
            if missing[name]
        ]
    return notes
