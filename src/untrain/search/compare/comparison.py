"""Comparison: each generated picture of a prompt against each of its candidates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pandas as pd
from threadpoolctl import ThreadpoolController

from untrain.core.notes import Note
from untrain.search.compare import extra, features, pixel
from untrain.search.compare.metrics import METRICS, Metric, Sides, Step, measured

LOADED = pixel, features, extra
"""What the steps of metrics use: loaded with this module, not within the first comparison."""
KEYS = ("prompt_id", "generation", "image_id")


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
        RGB, of any size: all are resized to their common mean size for the pixel metrics, except
        for the perceptual hash.
    candidate_ids : sequence of str
        One per candidate.
    generated_features, candidate_features : ndarray of float, shapes (g, d) and (n, d)
    pooled : pair of ndarray of float, shapes (g, p) and (n, p), optional
        Pooled features of both sides, for ``pooled_cosine``.
    text : mapping of str to ndarray of float, shape (n,), optional
        Similarity of the prompt to each candidate, which is the same for every generation:
        ``tfidf`` (to its caption) and ``clip`` (to its picture), for ``text_tfidf``, ``text_clip``.

    Returns
    -------
    DataFrame
        Columns `KEYS`: ``prompt_id``, ``generation`` (from 0), ``image_id``; then, in the order of
        `untrain.search.compare.metrics.METRICS`, those for which the data were given. g·n rows, by
        generation, candidates in the order given. An undefined value is NaN
        (`undefined_notes` says why).
    """
    if not (
        len(candidate_ids) == len(candidates) == len(candidate_features)
        and len(generated) == len(generated_features)
    ):
        raise ValueError("ids, pictures and features differ in number")
    features = generated_features, candidate_features
    sides = Sides(generated, candidates, features, pooled, text or {})
    asked = [METRICS[name] for name in METRICS if sides.has(METRICS[name].needs)]
    values = _computed(sides, asked)
    shape = (len(generated), len(candidates))
    return pd.DataFrame(
        {
            "prompt_id": prompt_id,
            "generation": np.repeat(np.arange(len(generated)), len(candidates)),
            "image_id": np.tile(np.array(candidate_ids, dtype=object), len(generated)),
            **{m.name: np.broadcast_to(values[m.name], shape).ravel() for m in asked},
        }
    )


def _computed(sides: Sides, metrics: Iterable[Metric]) -> dict[str, np.ndarray]:
    """Return the values of each metric; each step is done once.

    Pixels and the rest side by side: NumPy and OpenCV let go of the interpreter, and both take
    about as long. Matrix products on all cores would only make the other half wait.
    """
    steps = list(dict.fromkeys(metric.step for metric in metrics))
    with _pools().limit(limits=1, user_api="blas"), ThreadPoolExecutor(1) as pool:
        of_pixels = pool.submit(_done, sides, [s for s in steps if s.needs == "pixels"])
        others = _done(sides, [s for s in steps if s.needs != "pixels"])
        return of_pixels.result() | others


def _done(sides: Sides, steps: Iterable[Step]) -> dict[str, np.ndarray]:
    return {name: values for step in steps for name, values in step.compute(sides).items()}


@cache
def _pools() -> ThreadpoolController:
    """Return what limits the threads of the loaded libraries; finding them takes a while."""
    return ThreadpoolController()


def undefined_notes(comparison: pd.DataFrame) -> list[Note]:
    """Return a note for each metric that is undefined for some pairs, and why.

    Parameters
    ----------
    comparison : DataFrame
        As `compare` returns it, for any number of prompts.

    Returns
    -------
    list of Note
        Of code ``metric-undefined``, about the metric.

    Examples
    --------
    >>> print(*undefined_notes(pd.DataFrame({"prompt_id": ["p"], "pixel_cosine": [np.nan]})))
    pixel_cosine is undefined for 1 of 1 pairs: a picture is black
    """
    several = comparison["prompt_id"].nunique() > 1
    notes = []
    for name in measured(comparison):
        missing = comparison[name].isna()
        if missing.any():
            where = f", {of_prompts(comparison['prompt_id'][missing])}" if several else ""
            notes.append(
                Note(
                    "metric-undefined",
                    f"{name} is undefined for {missing.sum()} of {len(missing)} pairs{where}: "
                    f"{METRICS[name].why_undefined}",
                    (name,),
                )
            )
    return notes


def of_prompts(prompt_ids: Iterable[str]) -> str:
    """Return how many prompts these are, and the first three.

    Examples
    --------
    >>> of_prompts(["p2", "p0", "p2", "p1", "p3"])
    'for 4 of the prompts (p2, p0, p1 …)'
    """
    names = list(dict.fromkeys(prompt_ids))
    return f"for {len(names)} of the prompts ({', '.join(names[:3])}{' …' * (len(names) > 3)})"
