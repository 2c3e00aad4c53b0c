"""The shares of groups in what a model learnt: a table, and what it is based on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from untrain.core.bank_tables import SHARES
from untrain.core.errors import InputError, did_you_mean
from untrain.core.files import read_json, write_csv, write_json, write_parquet
from untrain.core.notebook import line_html, notes_html, table_html
from untrain.core.notes import Note

UNTRAINED, UNIFORM = "untrained", "uniform"
"""What nothing is: the model before any training, or all codes equally likely."""
OVERALL, THESE, HELD_OUT = "overall", "these_prompts", "held_out"
PROMPT, PICTURE = "prompt", "picture"
SEPARABLE, NOT_SEPARABLE = "separable", "not-separable"
UNKNOWN, NOTHING_LEARNT = "unknown", "nothing-learnt"

PREFIX = "shares-"


@dataclass(frozen=True, eq=False)
class Shares:
    """What each group is worth to a model.

    Attributes
    ----------
    table : DataFrame
        `untrain.core.tables.SHARES`: a row for each group and thing asked about.
    by, key : str
        What makes the groups, as given, and as part of a file name.
    name : str
        Of the run.
    unit : str
        Of all values but shares.
    images, prompts : int
        The numbers of training images, and of prompts that ``overall`` is the mean over.
    models : dict of str to int
        How many models of each kind: draw, full, empty, leave-one-out. Empty without a bank.
    shares : tuple of float
        The chances of groups to leave, of the draws.
    baseline : {'untrained', 'uniform'}
        What v0 is: the worth of the untrained model, or of one to which all codes are alike.
    totals : DataFrame
        For each scope (with prompt_id and generation): ``full`` and ``empty``, the measure with
        everything and with nothing (higher is worse); ``learnt``, their difference;
        ``banzhaf_remainder`` and ``owen_remainder``, ``learnt`` minus the sum of those values.
    checks : dict of str to dict
        How one way agrees with another, over groups (``overall``) and over prompts and groups
        (``prompts``): n, pearson, spearman, slope of the second on the first through zero, and
        rmse, in the unit.
    scores : dict
        Of the estimate from scores: method, scale (``calibration`` or ``proportion``); or nothing.
    notes : tuple of Note
    """

    table: pd.DataFrame
    by: str
    key: str
    name: str
    unit: str
    images: int
    prompts: int
    models: Mapping[str, int] = field(default_factory=dict)
    shares: tuple[float, ...] = ()
    baseline: str = UNTRAINED
    totals: pd.DataFrame = field(default_factory=pd.DataFrame)
    checks: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the groups, the largest first."""
        told = f"{self.name}: what each {self.by} adds, in {self.unit}; {self.images:,} images"
        columns = ["group", "images", *("shapley", "shapley_low", "shapley_high", "p_holm")]
        notes = notes_html([str(note) for note in self.notes])
        return line_html(told) + notes + table_html(self.shown, [*columns, "status", "share"])

    @property
    def overall(self) -> pd.DataFrame:
        """The rows of ``overall``, the largest value first."""
        return self.of(OVERALL)

    @property
    def shown(self) -> pd.DataFrame:
        """The rows that are shown first: of these prompts, overall where there is no bank."""
        measured = (self.table["scope"] == THESE).any()
        return self.of(THESE if measured else OVERALL)

    def of(self, scope: str, prompt_id: str | None = None) -> pd.DataFrame:
        """Return the rows of a scope, and of a prompt, the largest value first."""
        rows = self.table[self.table["scope"] == scope]
        if prompt_id is not None:
            rows = rows[rows["prompt_id"] == prompt_id]
        by = "shapley" if rows["shapley"].notna().any() else "share_from_scores"
        return rows.sort_values(by, ascending=False, kind="stable", ignore_index=True)

    def total(self, scope: str = OVERALL) -> dict[str, float]:
        """Return the numbers of ``totals`` of overall or the held-out pairs; empty if none."""
        if self.totals.empty:
            return {}
        rows = self.totals[self.totals["scope"] == scope]
        names = ("full", "empty", "learnt", "banzhaf_remainder", "owen_remainder")
        return {name: float(rows[name].iloc[0]) for name in names} if len(rows) else {}

    def save(self, folder: Path) -> None:
        """Write ``results/shares-<key>`` of a run folder: Parquet, CSV and JSON."""
        table = SHARES.conform(self.table)
        place = folder / "results" / f"{PREFIX}{self.key}"
        about: dict[str, Any] = {k: v for k, v in vars(self).items() if k != "table"}
        about["notes"] = [note.to_dict() for note in self.notes]
        totals = self.totals.astype(object)
        about["totals"] = totals.where(totals.notna(), None).to_dict("records")
        write_parquet(place.with_name(f"{place.name}.parquet"), table)
        write_csv(place.with_name(f"{place.name}.csv"), table)
        write_json(place.with_name(f"{place.name}.json"), about)


def known_shares(folder: Path) -> list[str]:
    """Return by what the shares that a run folder has were made: the keys of their files."""
    files = sorted((folder / "results").glob(f"{PREFIX}*.json"))
    return [path.stem.removeprefix(PREFIX) for path in files]


def read_shares(folder: Path, by: str | None = None) -> Shares:
    """Read the shares of a run folder.

    Parameters
    ----------
    folder : Path
    by : str, optional
        What makes the groups, or its key; not needed where there is only one.

    Raises
    ------
    InputError
        There are none, or several and ``by`` says not which.
    """
    keys = known_shares(folder)
    if not keys:
        raise InputError(
            f"found no shares of groups in {folder}: make them with "
            f"`untrain bank FILE --by {by or 'ATTRIBUTE'}`"
        )
    found = [_read(folder, key) for key in keys]
    chosen = [shares for shares in found if by is None or by in (shares.by, shares.key)]
    if len(chosen) != 1:
        words = f"not by {by}" if by else "say by which"
        hint = did_you_mean(by, keys) if by else ""
        raise InputError(f"{folder} has shares of groups by {', '.join(keys)}: {words}{hint}")
    return chosen[0]


def _read(folder: Path, key: str) -> Shares:
    about = read_json(folder / "results" / f"{PREFIX}{key}.json")
    about["notes"] = tuple(Note.from_dict(note) for note in about["notes"])
    about["totals"] = pd.DataFrame(about["totals"])
    about["shares"] = tuple(about["shares"])
    return Shares(replace(SHARES, name=f"results/{PREFIX}{key}").read(folder), **about)
