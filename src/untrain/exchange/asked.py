"""What is passed on to attribution libraries: scores, and what models do without the images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.banks.bank import read_bank
from untrain.banks.benchmark.read import Benchmark
from untrain.banks.leaderboard import of_halves
from untrain.core.errors import InputError
from untrain.core.tables import CATALOG, PROMPTS, RANKING
from untrain.evaluation.lds import LEAST_MODELS, fill
from untrain.runs.find import find_run

BENCHMARK = "benchmark.json"


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Scores of methods, and a bank where there is one.

    Attributes
    ----------
    name : str
    images : DataFrame
        image_id, caption: the columns of scores.
    prompts : DataFrame
        prompt_id, prompt: the rows of scores.
    scores : dict of str to ndarray of float32, shape (prompts, images)
        By method. Higher: removing the image makes the prompt's pictures worse. Images that a
        method gave no score have its lowest of the prompt.
    filled : dict of str to float
        The share of such images.
    kept : ndarray of bool, shape (models, images), or None
        Which model was trained on which image.
    outcomes : ndarray of float64, shape (models, prompts), or None
        The mean measure of each prompt's pictures; higher is worse.
    """

    name: str
    images: pd.DataFrame
    prompts: pd.DataFrame
    scores: dict[str, np.ndarray]
    filled: dict[str, float]
    kept: np.ndarray | None = None
    outcomes: np.ndarray | None = None


Asked = Mapping[str, pd.DataFrame]
"""Further scores by method: rows are prompt ids, columns image ids."""


def read_exchanged(given: Path, further: Asked | None = None) -> Exchanged:
    """Read what a run or a benchmark has to pass on.

    Parameters
    ----------
    given : Path
        As `untrain.runs.find.find_run` takes it, or what `untrain benchmark export` wrote.
    further : mapping of str to DataFrame, optional
        Scores of a run's prompts that are not among its rankings, such as those of `attribute`.

    Raises
    ------
    InputError
        It is neither, or has neither scores nor a bank.
    """
    if (given / BENCHMARK).is_file():
        if further:
            raise InputError("a benchmark has scores of its own: methods are asked of a run")
        return _of_benchmark(Benchmark(given))
    return _of_run(find_run(given), further or {})


def slug(method: str) -> str:
    """Return a method's name as a file can have it; of scores from a file, no more than its name.

    Examples
    --------
    >>> slug("metric:feature_cosine"), slug("scores:/home/me/trak.parquet")
    ('metric-feature_cosine', 'scores-trak')
    """
    kind, _, argument = method.partition(":")
    plain = f"{kind}-{Path(argument).stem}" if kind in ("scores", "fitted") else method
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain)


def _of_benchmark(benchmark: Benchmark) -> Exchanged:
    catalog = benchmark.catalog
    images = pd.DataFrame({"image_id": list(catalog.ids), "caption": list(catalog.captions)})
    found = {name: scores.values for name, scores in benchmark.baselines.items()}
    scores, filled = _filled(found)
    return Exchanged(
        str(benchmark.about["name"]),
        images,
        benchmark.prompts[["prompt_id", "prompt"]],
        scores,
        filled,
        benchmark.kept,
        benchmark.outcomes,
    )


def _of_run(folder: Path, further: Asked) -> Exchanged:
    if not RANKING.path(folder).is_file() or not CATALOG.path(folder).is_file():
        raise InputError(f"{folder} has no ranking yet: go on with `untrain run`")
    images = CATALOG.read(folder)[["image_id", "caption"]]
    prompts = PROMPTS.read(folder)
    prompts = prompts.loc[prompts["role"] == "query", ["prompt_id", "prompt"]]
    prompts = prompts.reset_index(drop=True)
    ranking = RANKING.read(folder)
    found = {
        str(method): table.pivot(index="prompt_id", columns="image_id", values="score")
        .reindex(index=prompts["prompt_id"], columns=images["image_id"])
        .to_numpy(np.float32)
        for method, table in ranking.groupby("method", sort=False)
    }
    found |= {
        method: table.reindex(index=prompts["prompt_id"], columns=images["image_id"]).to_numpy(
            np.float32
        )
        for method, table in further.items()
    }
    kept, outcomes = _bank(folder, list(prompts["prompt_id"]))
    return Exchanged(folder.name, images, prompts, *_filled(found), kept, outcomes)


def _bank(folder: Path, prompts: list[str]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return masks and outcomes of a run's random halves; nothing where it has too few."""
    if not (folder / "bank" / "models.parquet").is_file():
        return None, None
    bank = read_bank(folder)
    half = of_halves(bank)
    if half.sum() < LEAST_MODELS:
        return None, None
    means = bank.outcomes.groupby(["model_id", "prompt_id"])["value"].mean().unstack()
    return bank.kept[half], means.loc[bank.models["model_id"][half], prompts].to_numpy(np.float64)


def _filled(found: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    scores, shares = {}, {}
    for method, values in found.items():
        complete, shares[method] = fill(values.astype(np.float64))
        scores[method] = np.ascontiguousarray(complete, np.float32)
    return scores, shares
