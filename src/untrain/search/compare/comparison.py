"""Comparison: each generated picture of a prompt against each of its candidates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd

from untrain.core.notes import Note
from untrain.core.threads import one_thread_a_product
from untrain.search.compare import extra, features, pixel
from untrain.search.compare.metrics import METRICS, Known, Sides, Step, measured

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
    known: Known | None = None,
    aside: bool = True,
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
    known : Known, optional
        Of the candidates: not computed again.
    aside : bool
        Use another thread beside this one. Whoever compares in several threads does not.

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
    sides = Sides(generated, candidates, features, pooled, text or {}, known)
    asked = [METRICS[name] for name in METRICS if sides.has(METRICS[name].needs)]
    steps = list(dict.fromkeys(metric.step for metric in asked))
    values = _done_aside(sides, steps) if aside else _done(sides, steps)
    shape = (len(generated), len(candidates))
    return pd.DataFrame(
        {
            "prompt_id": prompt_id,
            "generation": np.repeat(np.arange(len(generated)), len(candidates)),
            "image_id": np.tile(np.array(candidate_ids, dtype=object), len(generated)),
            **{m.name: np.broadcast_to(values[m.name], shape).ravel() for m in asked},
        }
    )


def _done_aside(sides: Sides, steps: Sequence[Step]) -> dict[str, np.ndarray]:
    """Return the values of each metric; each step is done once, in one of two threads.

    NumPy and OpenCV let go of the interpreter. Matrix products on all cores would only make the
    other thread wait.
    """
    _ = sides.histograms  # before two threads would both make them
    longest_first = sorted(steps, key=lambda step: step.needs != "features")
    tasks = [(step, part) for step in longest_first for part in _parts(sides, step)]
    found: dict[str, list[np.ndarray]] = {}
    with one_thread_a_product(), ThreadPoolExecutor(2) as pool:
        for values in pool.map(lambda task: task[0].compute(task[1]), tasks):
            for name, part in values.items():
                found.setdefault(name, []).append(part)
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}


def _parts(sides: Sides, step: Step) -> list[Sides]:
    """Return what a step is computed of: of whole maps, the candidates' features in two halves."""
    generated, candidates = sides.features
    if step.needs != "features" or len(candidates) < 2:
        return [sides]
    halves = np.array_split(candidates, 2)
    return [replace(sides, features=(generated, half)) for half in halves]


def _done(sides: Sides, steps: Iterable[Step]) -> dict[str, np.ndarray]:
    return {name: values for step in steps for name, values in step.compute(sides).items()}


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
            notes.append(undefined_note(name, int(missing.sum()), len(missing), where))
    return notes


def undefined_note(metric: str, missing: int, pairs: int, where: str = "") -> Note:
    """Return the note that a metric is undefined for some of the pairs."""
    why = METRICS[metric].why_undefined
    text = f"{metric} is undefined for {missing} of {pairs} pairs{where}: {why}"
    return Note("metric-undefined", text, (metric,))


def of_prompts(prompt_ids: Iterable[str]) -> str:
    """Return how many prompts these are, and the first three.

    Examples
    --------
    >>> of_prompts(["p2", "p0", "p2", "p1", "p3"])
    'for 4 of the prompts (p2, p0, p1 …)'
    """
    names = list(dict.fromkeys(prompt_ids))
    return f"for {len(names)} of the prompts ({', '.join(names[:3])}{' …' * (len(names) > 3)})"
