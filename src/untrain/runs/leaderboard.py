"""The leaderboard of a run: how well each attributor predicts what models do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import read_json, read_parquet, write_csv, write_json, write_parquet
from untrain.core.notebook import line_html, notes_html, table_html
from untrain.core.notes import Note

COLUMNS = [
    *("name", "kind", "lds", "lds_low", "lds_high", "lead", "lead_low", "lead_high"),
    *("effect", "effect_low", "effect_high", "family_precision"),
    *("seconds_per_query", "seconds_once", "filled"),
]
SHOWN = COLUMNS[:12]
"""What a notebook shows."""


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """A table with a row for each attributor, best first, and what it is based on.

    Attributes
    ----------
    table : DataFrame
        ``name``; ``kind``; ``lds``, ``lds_low``, ``lds_high`` (95 %; `untrain.evaluation.lds.lds`);
        ``lead`` and its limits, the LDS minus that of ``reference``, on the same models and
        queries; ``effect`` of the top k and its limits, in ``unit``
        (`untrain.evaluation.lds.removal_effect`); ``family_precision``, the share of the top k
        that is of the prompt's family, NaN where families are not known; ``seconds_per_query``, of
        this attributor by itself, NaN if unknown; ``seconds_once``, what it costs for a model and a
        catalogue before any query; ``filled``, the share of images without a score,
        which count as the lowest.
    name : str
        Of the run.
    k : int
        How many of the first images count for effect and family precision.
    models, queries, images : int
        The numbers of models trained on random halves, of prompts, and of training images.
    candidates : int
        How many images a prompt's pictures were compared with.
    reference : str
        The attributor that ``lead`` is relative to: the run's own ranking.
    unit : str
        Of the effect.
    notes : tuple of Note
    """

    table: pd.DataFrame
    name: str
    k: int
    models: int
    queries: int
    images: int
    candidates: int
    reference: str
    unit: str
    notes: tuple[Note, ...] = ()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the methods, best first, and what they were tested on."""
        told = (
            f"{self.name}: {self.models} models on random halves, {self.queries} prompts, "
            f"{self.images:,} images; effects of the first {self.k}, in {self.unit}"
        )
        notes = notes_html([str(note) for note in self.notes])
        return line_html(told) + notes + table_html(self.table, SHOWN)

    def save(self, folder: Path) -> None:
        """Write ``results/leaderboard`` of a run folder: Parquet, CSV and JSON."""
        about = {name: value for name, value in vars(self).items() if name != "table"}
        about["notes"] = [note.to_dict() for note in self.notes]
        results = folder / "results"
        write_json(results / "leaderboard.json", about)
        write_csv(results / "leaderboard.csv", self.table)
        write_parquet(results / "leaderboard.parquet", self.table)


def has_leaderboard(folder: Path) -> bool:
    """Tell whether a run folder has a leaderboard."""
    return (folder / "results" / "leaderboard.parquet").is_file()


def read_leaderboard(folder: Path) -> Leaderboard:
    """Read the leaderboard of a run folder.

    Raises
    ------
    InputError
        There is no leaderboard.
    """
    if not has_leaderboard(folder):
        raise InputError(f"found no leaderboard in {folder}: make it with `untrain leaderboard`")
    about = read_json(folder / "results" / "leaderboard.json")
    about["notes"] = tuple(Note.from_dict(note) for note in about["notes"])
    return Leaderboard(read_parquet(folder / "results" / "leaderboard.parquet"), **about)
