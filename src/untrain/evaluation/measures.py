"""Measures: what is measured of a model, for each query, before any statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from skimage.metrics import structural_similarity

from untrain.core.vocabulary import Measure
from untrain.evaluation.measurement import is_bits, measure_of

Row = tuple[str, str | None, int | None, str, float]
"""model_id, prompt_id, generation, measure, value: `untrain.core.tables.MEASURES`."""
LogLikelihood = Callable[[np.ndarray, Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Surprise:
    """How surprised a model is by pictures: minus its log-likelihood, or its loss.

    Attributes
    ----------
    log_likelihood : callable
        The generator's: samples (n, …) and n prompts → float (n, terms), larger is likelier.
    unit : str
        The generator's; for ``bits/…`` the terms are natural logarithms and are converted to bits.
    """

    log_likelihood: LogLikelihood
    unit: str

    def __call__(self, samples: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Return minus the mean over terms, in the unit, (n,)."""
        values = -self.log_likelihood(samples, prompts).mean(axis=1)
        return values / math.log(2) if is_bits(self.unit) else values

    def rows(
        self,
        model_id: str,
        keys: Sequence[tuple[str, int]],
        samples: np.ndarray,
        prompts: Sequence[str],
    ) -> list[Row]:
        """Return one row per query."""
        values, measure = self(samples, prompts), measure_of(self.unit)
        return [(model_id, *key, measure, float(v)) for key, v in zip(keys, values, strict=True)]

    def mean_row(
        self,
        model_id: str,
        prompt_id: str | None,
        samples: np.ndarray,
        captions: Sequence[str],
        name: Callable[[str], str],
    ) -> Row:
        """Return one row, the mean over many pairs; ``name`` gives the measure its name."""
        value = float(self(samples, captions).mean())
        return (model_id, prompt_id, None, name(measure_of(self.unit)), value)


def dissimilarity_rows(
    model_id: str,
    keys: Sequence[tuple[str, int]],
    original_features: np.ndarray,
    again_features: np.ndarray,
) -> list[Row]:
    """Return 1 − cosine of each query with what a model generates from the same noise."""
    lost = 1 - cosine_rows(original_features, again_features)
    return [
        (model_id, *key, Measure.DISSIMILARITY, float(v)) for key, v in zip(keys, lost, strict=True)
    ]


def deviation_rows(
    model_id: str,
    keys: Sequence[tuple[str, int]],
    original: np.ndarray,
    again: np.ndarray,
    original_features: np.ndarray,
    again_features: np.ndarray,
    reference_features: np.ndarray,
) -> list[Row]:
    """Return how far pictures generated again from the same noise are from the queries.

    Parameters
    ----------
    original, again : ndarray of uint8, (n, height, width, 3)
        The queries and what this model generates for them.
    original_features, again_features, reference_features : ndarray of float, (n, d)
        Of the query, of the new picture, and of the reference picture of the query's prompt.

    Returns
    -------
    list of rows
        regeneration_mse (mean over pixels and channels, 0–255²), regeneration_ssim and
        regeneration_cosine against the query, reference_cosine against the reference (the study's).
    """
    rows: list[Row] = []
    with_query = cosine_rows(original_features, again_features)
    with_reference = cosine_rows(reference_features, again_features)
    for i, (prompt_id, generation) in enumerate(keys):
        a, b = original[i].astype(np.float64), again[i].astype(np.float64)
        values = {
            Measure.REGENERATION_MSE: float(np.square(a - b).mean()),
            Measure.REGENERATION_SSIM: float(
                structural_similarity(a, b, channel_axis=2, data_range=255.0)
            ),
            Measure.REGENERATION_COSINE: float(with_query[i]),
            Measure.REFERENCE_COSINE: float(with_reference[i]),
        }
        rows += [(model_id, prompt_id, generation, name, value) for name, value in values.items()]
    return rows


def cosine_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of ``a`` with the same row of ``b``; 0 for a zero vector."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    dots = np.einsum("nd,nd->n", a, b)
    return np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
