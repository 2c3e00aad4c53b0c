"""What a process does for a ladder: one method, at one budget, on one model and set; measure it."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from untrain.banks.ladder.items import Values, read_items
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError, fault_number
from untrain.core.files import write_json, write_parquet
from untrain.core.unlearning_tables import LADDER_OUTCOMES
from untrain.core.vocabulary import Reference
from untrain.generators.base import Generator
from untrain.generators.queries import Queries
from untrain.generators.spec import GeneratorSpec
from untrain.runs.queries import read_queries
from untrain.training.index import read_index
from untrain.training.job import Reopen, with_pictures
from untrain.training.worker import report
from untrain.unlearning.base import Task
from untrain.unlearning.registry import unlearn

MEASURED_ONLY = (Reference.FULL.value, Reference.TWIN.value, Reference.OTHER_SET.value)
"""What stands in the column ``method`` and is a trained model, to be measured as it is."""


@dataclass(frozen=True)
class Place:
    """Where the rungs of a ladder are climbed; picklable.

    Attributes
    ----------
    spec : GeneratorSpec
    reopen : callable or None
        Opens the catalogue with its pictures.
    folder, shared : Path
        The run folder, and that of the generator's frozen parts.
    key : str
        Of the data, the queries and the model: what a process keeps is of this key.
    """

    spec: GeneratorSpec
    reopen: Reopen | None
    folder: Path
    shared: Path
    key: str


class Rung(NamedTuple):
    """One model to be made and measured.

    Attributes
    ----------
    key : str
        What its rows are known by.
    model_id, set_id, kind : str
        As in `untrain.core.tables.LADDER_OUTCOMES`.
    method : str
        With its options; or one of `MEASURED_ONLY`.
    budget : float
    seed : int
    forget : tuple of str
    model, twin : str
        Folders of the model that is begun with and of its exact twin, from the run folder.
    items : str
        The folder of what is measured, from the run folder.
    work : int
        Units of progress: pairs passed, and some for the measuring.
    seconds : float or None
        What training it took, of a twin, where that is known.
    """

    key: str
    model_id: str
    set_id: str
    kind: str
    method: str
    budget: float
    seed: int
    forget: tuple[str, ...]
    model: str
    twin: str
    items: str
    work: int
    seconds: float | None = None


def climb(place: Place, rung: Rung) -> None:
    """Make the model of a rung, measure it, and write its rows: ``ladder/rungs/<key>.parquet``.

    Where the method cannot do it (the generator lacks what it needs, the budget is too small for
    a single step, or it fails), ``<key>.json`` says why.
    """
    told = 0

    def progress(pairs: int) -> None:
        nonlocal told
        step = min(pairs, rung.work - told)  # never beyond what the bar expects
        told += step
        report(step)

    folder = place.folder / "ladder" / "rungs"
    here = _at(place)
    start = here.load(rung.model)
    spent: float | None = None
    seconds: float | None = None
    try:
        if rung.method in MEASURED_ONLY:
            model = start
            spent, seconds = rung.budget, rung.seconds
        else:
            twin = here.load(rung.twin)
            task = Task(
                start,
                here.catalog,
                rung.forget,
                rung.budget,
                rung.seed,
                progress,
                here.queries,
                twin,
            )
            done = unlearn(rung.method, task)
            model, spent, seconds = done.generator, done.spent.share, done.spent.seconds
    except Exception as error:  # the fault of one method must not keep the others from the table
        if fault_number(error):
            raise
        told_why = str(error) if isinstance(error, InputError) else f"a fault in it: {error!r}"
        write_json(folder / f"{rung.key}.json", {"method": rung.method, "because": told_why})
    else:
        values = read_items(place.folder / rung.items).measure(model, here.queries)
        _write(folder, rung, values, spent, seconds)
    progress(rung.work - told)


def _write(
    folder: Path, rung: Rung, values: Values, spent: float | None, seconds: float | None
) -> None:
    common = (rung.model_id, rung.set_id, rung.kind, rung.method, rung.budget, spent, seconds)
    rows = [
        (*common, group, item, value if np.isfinite(value) else None)
        for group, item, value in values
    ]
    write_parquet(folder / f"{rung.key}.parquet", LADDER_OUTCOMES.of(rows))


class _Here:
    """What a process keeps between rungs: the catalogue, the queries, a prepared generator."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.blank: Generator = place.spec.make()
        index: Catalog = read_index(place.folder)
        self.catalog = with_pictures(index, place.reopen) if place.reopen else index
        self.blank.prepare(self.catalog, place.shared, lambda n: None)
        self.queries: Queries = read_queries(place.folder)

    def load(self, path: str) -> Any:
        """Return a fitted generator that shares nothing it learnt with another."""
        return copy(self.blank).load(self.place.folder / path)


_here: list[_Here] = []  # at most one: of the ladder that this process last worked for


def _at(place: Place) -> _Here:
    if not _here or (_here[0].place.folder, _here[0].place.key) != (place.folder, place.key):
        _here[:] = [_Here(place)]
    return _here[0]


def forget_place() -> None:
    """Let go of what this process keeps between rungs: files may change before the next ladder."""
    _here.clear()
