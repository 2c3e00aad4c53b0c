"""What a ladder of unlearning came to: fidelity to exact twins, attacks, distances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import read_json, write_csv, write_json
from untrain.core.notes import Note
from untrain.core.unlearning_tables import DISTANCES, FIDELITY, MEMBERSHIP
from untrain.evaluation.distances import distances_table
from untrain.evaluation.fidelity import fidelity_table
from untrain.evaluation.membership import membership_table

TABLES = {"table": FIDELITY, "membership": MEMBERSHIP, "distances": DISTANCES}
"""The tables of a result, in its order."""


@dataclass(frozen=True, eq=False)
class LadderResult:
    """What a ladder came to.

    Attributes
    ----------
    table : DataFrame
        `untrain.core.tables.FIDELITY`: how near each method comes to exact retraining.
    membership : DataFrame
        `untrain.core.tables.MEMBERSHIP`: what an attacker still finds out.
    distances : DataFrame
        `untrain.core.tables.DISTANCES`: models against twins as distributions.
    name : str
        Of the run.
    unit : str
        Of the values.
    models, sets : int
        How many models, one a seed, and forget sets.
    images : int
        The training images; 0 if unknown.
    seconds : float
        What an exact twin took, mean; NaN if unknown.
    notes : tuple of Note
    """

    table: pd.DataFrame
    membership: pd.DataFrame
    distances: pd.DataFrame
    name: str
    unit: str
    models: int
    sets: int
    images: int = 0
    seconds: float = float("nan")
    notes: tuple[Note, ...] = ()

    def save(self, folder: Path) -> None:
        """Write ``results/fidelity`` (Parquet, CSV, JSON), ``membership`` and ``distances``."""
        about = {name: value for name, value in vars(self).items() if name not in TABLES}
        about["notes"] = [note.to_dict() for note in self.notes]
        about["seconds"] = None if pd.isna(self.seconds) else self.seconds
        write_json(folder / "results" / "fidelity.json", about)
        write_csv(folder / "results" / "fidelity.csv", self.table)
        for name, table in TABLES.items():
            table.write(folder, getattr(self, name))


def ladder_result(
    outcomes: pd.DataFrame, name: str, unit: str, images: int = 0, notes: tuple[Note, ...] = ()
) -> LadderResult:
    """Return what the outcomes of a ladder say.

    Parameters
    ----------
    outcomes : DataFrame
        Columns of `untrain.core.tables.LADDER_OUTCOMES`.
    name, unit, images, notes
        As of `LadderResult`.

    Raises
    ------
    InputError
        As for `untrain.evaluation.fidelity.fidelity_table`.
    """
    twins = outcomes[outcomes["method"] == "twin"]
    return LadderResult(
        fidelity_table(outcomes),
        membership_table(outcomes),
        distances_table(outcomes),
        name,
        unit,
        models=outcomes["model_id"].nunique(),
        sets=outcomes["set_id"].nunique(),
        images=images,
        seconds=float(twins.drop_duplicates(["model_id", "set_id"])["seconds"].mean()),
        notes=notes,
    )


def has_fidelity(folder: Path) -> bool:
    """Tell whether a run folder has the results of a ladder."""
    return FIDELITY.path(folder).is_file()


def read_fidelity(folder: Path) -> LadderResult:
    """Read the results of a run folder's ladder.

    Raises
    ------
    InputError
        There are none.
    """
    if not has_fidelity(folder):
        raise InputError(
            f"found no results of unlearning in {folder}: make them with `untrain ladder`"
        )
    about: dict[str, Any] = read_json(folder / "results" / "fidelity.json")
    about["notes"] = tuple(Note.from_dict(note) for note in about["notes"])
    about["seconds"] = float("nan") if about["seconds"] is None else about["seconds"]
    table, membership, distances = (schema.read(folder) for schema in TABLES.values())
    return LadderResult(table, membership, distances, **about)
