"""Scores held to a bank of dattri's: its models without random subsets, by untrain's statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from untrain.attribution.base import Scores
from untrain.banks.judging import Truth, judge, limits
from untrain.core.errors import InputError
from untrain.runs.leaderboard import COLUMNS, Leaderboard
from untrain.search.rank.arrays import read_array, read_torch

TARGETS, INDICES = "target_values_lds.pt", "indices_lds.pt"


def is_truth(folder: Path) -> bool:
    """Tell whether a folder has the ground truth of a dattri benchmark."""
    return (folder / TARGETS).is_file()


def read_truth(folder: Path, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Read what ``dattri.benchmark.load_benchmark`` downloads as its ground truth for LDS.

    Parameters
    ----------
    folder : Path
        With ``target_values_lds.pt`` (models, queries), higher is better, and ``indices_lds.pt``
        (models, images kept). An index that is the number of images stands for none, as
        `untrain.exchange.libraries.dattri` writes it.
    images : int
        The number of training images.

    Returns
    -------
    kept : ndarray of bool, shape (models, images)
        Which model was trained on which image.
    outcomes : ndarray of float64, shape (models, queries)
        Minus the target values: higher is worse.

    Raises
    ------
    InputError
        A file is absent, no tensor, or does not fit the other or the number of images.
    """
    targets, indices = (read_torch(folder / name) for name in (TARGETS, INDICES))
    if targets.ndim != 2 or indices.ndim != 2 or len(targets) != len(indices):
        raise InputError(
            f"{folder}: {TARGETS} is {targets.shape} and {INDICES} {indices.shape}; expected "
            "(models, queries) and (models, images kept)"
        )
    rows = indices.astype(np.int64)
    if rows.min() < 0 or rows.max() > images:
        raise InputError(
            f"{folder}: {INDICES} goes from {rows.min()} to {rows.max()}, and the scores are of "
            f"{images} images"
        )
    kept = np.zeros((len(rows), images + 1), bool)
    np.put_along_axis(kept, rows, True, axis=1)
    return kept[:, :images], -targets.astype(np.float64)


def score_truth(folder: Path, scores: Path, k: int = 10, name: str = "scores") -> Leaderboard:
    """Judge scores by the models of a dattri benchmark.

    Parameters
    ----------
    folder : Path
        As `read_truth` takes it.
    scores : Path
        As `untrain.search.rank.arrays.read_array` takes it, for as many queries as the benchmark
        has. The number of images is the other side of the array.
    k : int
        How many of the first images the effect is of.
    name : str
        What the scores are called.

    Returns
    -------
    Leaderboard
        With one row: LDS and effect, each with an interval over models and queries.

    Raises
    ------
    InputError
        As `read_truth` and `read_array` do.
    """
    queries = read_torch(folder / TARGETS).shape[-1]
    values = read_array(scores, queries, None)
    kept, outcomes = read_truth(folder, values.shape[1])
    if not 1 <= k <= values.shape[1]:
        raise InputError(f"k is {k}; choose 1 to {values.shape[1]}, the number of images")
    estimate, row = judge(
        name, "scores", [Scores(values)], Truth(kept, outcomes, np.arange(len(kept[0])), None, k)
    )
    return Leaderboard(
        pd.DataFrame([row | limits("lead", estimate - estimate, 2.0)], columns=COLUMNS),
        name=folder.name,
        k=k,
        models=len(kept),
        queries=queries,
        images=values.shape[1],
        candidates=values.shape[1],
        reference=name,
        unit="of the target values",
    )
