"""Reading a finished run folder: the contract between the experiment and its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import read_json, read_yaml
from untrain.core.manifest import not_as_written
from untrain.core.schema import Kind, Table
from untrain.core.shapes import misfit
from untrain.core.tables import (
    CAPTIONS,
    CATALOG,
    COMPARISON,
    COPIES,
    EFFECTS,
    FORGET_SETS,
    GROUPS,
    MEASURES,
    MODELS,
    PROMPTS,
    RANKING,
    REMOVALS,
    RETRIEVAL,
    SIMILARITY,
    VERDICTS,
)
from untrain.core.vocabulary import Doubt
from untrain.evaluation.measurement import BITS
from untrain.evaluation.summary import first_verdicts
from untrain.evaluation.trust import doubts_about, withhold, withholds
from untrain.runs.record import read_record

DEFAULT_ALPHA = 0.05
"""The level of a run whose folder does not state one."""

_TABLES = (
    *(PROMPTS, RANKING, COPIES, FORGET_SETS, MODELS, REMOVALS, CAPTIONS),
    *(MEASURES, EFFECTS, VERDICTS, SIMILARITY, GROUPS),
)
"""The tables that are read immediately, in the order of the fields of `RunResults`."""


@dataclass(frozen=True)
class RunResults:
    """The contents of a finished run folder: a table or value for each file, empty if absent.

    Tables have the columns of `untrain.core.tables`; verdicts are those on the sets of the first
    ranking and of controls, withheld where the run cannot be trusted (`doubts`).
    """

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
        """The run's record of its generator: name, unit, measure, margin, frozen parts."""
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
        """The level of the run's tests and verdicts."""
        return float((self.config.get("evaluation") or {}).get("alpha", DEFAULT_ALPHA))

    @cached_property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why the run cannot be trusted, most serious first; see `untrain.evaluation.trust`."""
        return doubts_about(self.meta.get("quality"), self.effects, self.alpha)

    @property
    def withheld(self) -> bool:
        """Whether no verdict is given: the model cannot draw, or the control was not seen."""
        return withholds(self.doubts)

    @cached_property
    def texts(self) -> dict[str, str]:
        """The text of each prompt by its id."""
        return dict(zip(self.prompts["prompt_id"], self.prompts["prompt"], strict=True))

    @cached_property
    def further_verdicts(self) -> pd.DataFrame:
        """The verdicts on sets of rankings beside the first, with their ``arm``; mostly none."""
        found = _read(VERDICTS, self.folder)
        if "arm" not in found:
            return found.iloc[:0].assign(arm="")
        found = found[~found.index.isin(first_verdicts(found).index)]
        return withhold(found, self.effects, self.doubts)

    @property
    def equivalent(self) -> list[dict[str, Any]]:
        """``results/equivalent.json``: what `untrain.evaluation.equivalent` found on a bank."""
        path = self.folder / "results" / "equivalent.json"
        return list(read_json(path)) if path.is_file() else []

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """Every metric of every generated picture against its candidates; the largest table."""
        return _read(COMPARISON, self.folder)

    @cached_property
    def retrieval(self) -> pd.DataFrame:
        """The candidates of each prompt and how well their captions match it."""
        return _read(RETRIEVAL, self.folder)

    @cached_property
    def catalog(self) -> pd.DataFrame:
        """Ids, captions and content hashes of all training images."""
        return _read(CATALOG, self.folder)


def rows(table: pd.DataFrame) -> Iterator[Any]:
    """Iterate over a table's rows as named tuples of unknown types."""
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
    if (folder / "run.json").is_file() and read_record(folder).get("given"):
        needed[-1] = "ranking.parquet"  # without a model there are no effects
    for name in needed:
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: found no {name}; expected the folder of a finished run. "
                "Run the experiment to its end (it resumes where it stopped), then report again"
            )
    config = folder / "config.yaml"
    found = RunResults(
        folder,
        _settings(config) if config.is_file() else {},
        _record(folder),
        *(_read(table, folder) for table in _TABLES),
    )
    # Runs of earlier versions did not withhold theirs.
    verdicts = withhold(first_verdicts(found.verdicts), found.effects, found.doubts)
    return replace(found, verdicts=verdicts)


def _settings(path: Path) -> dict[str, Any]:
    """Read ``config.yaml``; `untrain.core.errors.Damaged` if it holds no settings."""
    found = read_yaml(path) or {}
    sections = dict.fromkeys(("data", "generator", "removal", "ranking", "design"), dict)
    if fault := misfit(found, {**sections, "evaluation": {"alpha": float}}):
        raise not_as_written(path, fault)
    return dict(found)


def _record(folder: Path) -> dict[str, Any]:
    """Read ``run.json``; the p-value of the copy test was called ``p`` in older ones."""
    record = read_record(folder)
    copies = record.get("copies")
    if isinstance(copies, dict) and "p" in copies:
        copies["p_value"] = copies.pop("p")
    return record


def _read(table: Table, folder: Path) -> pd.DataFrame:
    """Read a table, empty if there is none; missing numbers are NaN."""
    found = table.read(folder) if table.path(folder).is_file() else table.empty()
    nullable = [c.name for c in table.columns if c.kind == Kind.INTEGER and c.nullable]
    return found.astype(dict.fromkeys(nullable, float))
