"""Reading a finished run folder: the contract between the experiment and its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.counterfactual.design import SAMPLER as SAMPLER
from untrain.evaluation.measurement import BITS

DEFAULT_ALPHA = 0.05
"""The level of a run whose folder does not say."""

COLUMNS = {
    "prompts.csv": ("prompt_id", "prompt", "family", "role"),
    "ranking.parquet": ("method", "prompt_id", "image_id", "score", "rank"),
    "copies.parquet": ("prompt_id", "generation", "image_id", "near_copy"),
    "forget_sets.parquet": ("forget_set_id", "arm", "prompt_id", "draw", "k", "image_id"),
    "models.parquet": ("model_id", "seed", "fingerprint"),
    "removals.parquet": ("model_id", "forget_set_id"),
    "captions.parquet": ("image_id", "caption"),
    "results/measures.parquet": ("model_id", "prompt_id", "measure", "value"),
    "results/effects.parquet": (
        *("design", "arm", "prompt_id", "measure", "estimate", "low", "high", "p_value"),
        *("k", "two_sided_p", "null_sd", "n_units"),
    ),
    "results/verdicts.parquet": ("prompt_id", "verdict", "reason", "p_holm"),
    "results/similarity_results.csv": (
        *("Folder", "Mean_1", "Min_1", "Max_1"),
        *("Mean_2", "Min_2", "Max_2"),
    ),
    "results/groups.parquet": (
        *("group", "design", "arm", "prompt_id", "measure", "estimate", "low", "high", "p_value"),
        *("k", "two_sided_p", "null_sd", "n_units"),
    ),
}
_TEXT = {"prompt_id", "prompt", "family", "role", "method", "image_id", "forget_set_id", "arm"}
_TEXT |= {"model_id", "fingerprint", "caption", "design", "measure", "verdict", "reason", "Folder"}
_TEXT |= {"group", "content"}


@dataclass(frozen=True)
class RunResults:
    """A finished run folder, read: a table or value for each file, empty where there is none."""

    folder: Path
    config: dict[str, Any]
    meta: dict[str, Any]
    prompts: pd.DataFrame
    ranking: pd.DataFrame
    copies: pd.DataFrame
    forget_sets: pd.DataFrame
    models: pd.DataFrame
    removals: pd.DataFrame
    captions: pd.DataFrame
    measures: pd.DataFrame
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    similarity: pd.DataFrame
    groups: pd.DataFrame

    @property
    def generator(self) -> dict[str, Any]:
        """What the run says of its generator: name, unit, measure, margin, frozen parts."""
        return self.meta.get("generator") or {}

    @property
    def given(self) -> bool:
        """Whether its pictures were given: there is no model, and no counterfactual."""
        return bool(self.meta.get("given"))

    @property
    def unit(self) -> str:
        """Of the primary measure."""
        return str(self.generator.get("unit") or BITS)

    @property
    def alpha(self) -> float:
        """The level of the run's tests, by which verdicts were given."""
        return float((self.config.get("evaluation") or {}).get("alpha", DEFAULT_ALPHA))

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """Every metric of every generated picture against its candidates; larger than the rest."""
        return _read_table(
            self.folder / "comparison.parquet", ("prompt_id", "generation", "image_id")
        )

    @cached_property
    def retrieval(self) -> pd.DataFrame:
        """The candidates of each prompt and how well their captions fit it."""
        return _read_table(
            self.folder / "retrieval.parquet", ("prompt_id", "image_id", "rank", "score")
        )

    @cached_property
    def catalog(self) -> pd.DataFrame:
        """Ids, captions and content hashes of all training images."""
        return _read_table(self.folder / "catalog.parquet", ("image_id", "caption", "content"))


def rows(table: pd.DataFrame) -> Iterator[Any]:
    """Iterate over a table's rows as named tuples, whose types nobody can know."""
    return table.itertuples()


def read_results(folder: Path) -> RunResults:
    """Read the tables of a finished run.

    Raises
    ------
    InputError
        If ``run.json``, ``prompts.csv`` or ``results/effects.parquet`` is absent; of a run whose
        pictures were given, ``ranking.parquet``.
    """
    needed = ["run.json", "prompts.csv", "results/effects.parquet"]
    if (folder / "run.json").is_file() and read_json(folder / "run.json").get("given"):
        needed[-1] = "ranking.parquet"  # without a model there are no effects
    for name in needed:
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: found no {name}; expected the folder of a finished run. "
                "Run the experiment to its end (it resumes where it stopped), then report again"
            )
    config = folder / "config.yaml"
    tables = {name: _read_table(folder / name, columns) for name, columns in COLUMNS.items()}
    return RunResults(
        folder,
        (yaml.safe_load(config.read_text(encoding="utf-8")) or {}) if config.is_file() else {},
        read_json(folder / "run.json"),
        *tables.values(),
    )


def _read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table with at least ``columns``; ids and words as `str`, missing ones empty."""
    if not path.is_file():
        table = pd.DataFrame(columns=list(columns))
    elif path.suffix == ".csv":
        # An id such as 007 stays one, a prompt such as "nan" too.
        text = dict.fromkeys(_TEXT, str)
        table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    else:
        table = pd.read_parquet(path)
    for column in columns:
        if column not in table:
            table[column] = float("nan")
    for column in table.columns:
        if column in _TEXT:
            words = table[column].astype(object)
            table[column] = words.where(words.notna(), "").map(str)
        elif column in columns:
            table[column] = pd.to_numeric(table[column], errors="coerce")
    return table
