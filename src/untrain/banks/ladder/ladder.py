"""The ladder: every method of unlearning at every budget, held against exact paired twins.

The folder ``ladder`` of a run holds

- ``twins.parquet``: the models that forget and their exact retrainings without each set;
- ``sets.parquet``: the forget sets, an image a row;
- ``items/<key>``: what is measured for a set, encoded;
- ``rungs/<key>.parquet``: the rows of one method at one budget on one model and set, written as
  soon as it was measured, so that a kill costs what was in the making;
- ``outcomes.parquet``: all of them together, `untrain.core.tables.LADDER_OUTCOMES`;
- ``ladder.json``: what everything depends on, and which rungs the table is made of.

A rung is known by everything that it depends on. What is there is not made again, and asking for
less takes nothing away.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from untrain.banks.ladder.asked import Asked, LadderPlan
from untrain.banks.ladder.items import NEIGHBOURS, SAMPLE, Features, items_of
from untrain.banks.ladder.job import Place, Rung, climb, forget_place
from untrain.banks.ladder.rungs import ITEMS, Rungs, rung_path
from untrain.banks.ladder.sets import LadderSet, read_sets, sets_of_run
from untrain.core import disk
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, read_parquet, write_json
from untrain.core.printing import escape
from untrain.core.progress import console
from untrain.core.unlearning_tables import LADDER_OUTCOMES, LADDER_SETS, LADDER_TWINS
from untrain.core.verifying import clear
from untrain.generators.base import has_likelihood
from untrain.runs.evidence import has_fitted_model
from untrain.runs.queries import SAMPLES, queries_key, read_queries
from untrain.runs.run import Run
from untrain.training.base import ModelRequest
from untrain.training.worker import default_workers, run_jobs
from untrain.unlearning.meter import THIRDS


@dataclass(frozen=True, eq=False)
class Ladder:
    """What a ladder found.

    Attributes
    ----------
    outcomes : DataFrame
        `untrain.core.tables.LADDER_OUTCOMES`.
    sets : DataFrame
        `untrain.core.tables.LADDER_SETS`.
    skipped : tuple of dict
        What could not be done: ``method``, ``budgets`` and ``because``, a sentence.
    """

    outcomes: pd.DataFrame
    sets: pd.DataFrame
    skipped: tuple[dict[str, Any], ...] = ()


def climb_ladder(run: Run, asked: Asked | None = None) -> Ladder:
    """Make and measure every rung that is missing; write and return the outcomes.

    Parameters
    ----------
    run : Run
        Finished up to ``remove`` at least; up to ``generate`` if own sets are given.
    asked : Asked, optional

    Raises
    ------
    InputError
        The run has no model, other data than when it was made, or no likelihood; or a set, a
        method or a budget is impossible.
    """
    asked = asked or Asked()
    sets = check(run, asked)
    with run.lock():
        run.trainer.prepare()
        clear(run.path("ladder"))
        rungs = Rungs.of(run, asked, sets)
        requests = rungs.requests
        trained, seconds = _train(run, requests)
        _keep_sets(run, sets, trained)
        _keep_items(run, rungs)
        paths = dict(zip(trained["model_id"], trained["path"], strict=True))
        wanted = [rungs.rung(step, paths, seconds) for step in rungs.steps()]
        due = [rung for rung in wanted if not rung_path(run.folder, rung.key).exists()]
        _climb_all(run, rungs, due)
        skipped = _skipped(run, due)
        outcomes = _collect(run, rungs, wanted, skipped)
    return Ladder(outcomes, LADDER_SETS.read(run.folder), skipped)


def plan_ladder(run: Run, asked: Asked | None = None) -> LadderPlan:
    """Return what `climb_ladder` would make and what that would cost.

    Raises
    ------
    InputError
        As `climb_ladder`, before anything is made.
    """
    asked = asked or Asked()
    sets = check(run, asked)
    run.trainer.prepare()
    rungs = Rungs.of(run, asked, sets)
    steps = list(rungs.steps())
    due = [step for step in steps if not rung_path(run.folder, rungs.key(step)).exists()]
    methods = [step.budget for step in due if step.method in asked.chosen]
    cost = run.generator.cost(run.catalog)
    passed = (2 * SAMPLE + NEIGHBOURS + len(read_queries(run.folder))) / THIRDS
    measuring = len(due) * passed / max(run.generator.fit_work(run.catalog), 1)
    return LadderPlan(
        models=asked.seeds,
        sets=len(sets),
        twins=len(rungs.requests),
        missing=sum(not run.trainer.has(request) for request in rungs.requests),
        rungs=sum(step.method in asked.chosen for step in steps),
        due=len(methods),
        trainings=sum(methods),
        measuring=measuring,
        workers=run.config.workers or default_workers(),
        seconds_per_model=cost.seconds if cost else None,
        kinds=[each.kind for each in sets],
    )


def check(run: Run, asked: Asked) -> list[LadderSet]:
    """Return the sets that are to be forgotten; raise `InputError` for what cannot be."""
    asked.check()
    if run.given_pictures:
        raise InputError(
            "the pictures were given (generations.path): there is no model that could forget"
        )
    if not has_fitted_model(run) or not run.path(SAMPLES).is_file():
        raise InputError(
            f"{run.folder} has no trained model with pictures yet: run the experiment first "
            "(`untrain run FILE`)"
        )
    then = run.record.get("fingerprints", {}).get("catalog")
    if then is not None and then != run.catalog.fingerprint:
        raise InputError(
            f"the data of {run.folder} are not what they were when it was made "
            f"({len(run.catalog)} training images now): run the experiment again "
            "(`untrain run FILE`), or put the data back"
        )
    if not has_likelihood(run.generator):
        raise InputError(
            f"the generator '{run.config.generator.name}' does not say how likely a picture is, "
            "and a ladder measures nothing else: give it a method log_likelihood"
        )
    if not run.paired:
        raise InputError(
            "the models of this run are not paired: a retraining would differ from its model by "
            "luck, too, and there is no exact twin to hold a method against"
        )
    if not asked.sets:
        return sets_of_run(run, asked.targeted, asked.random, asked.family)
    found = [each for file in asked.sets for each in read_sets(file, run.catalog)]
    names = [each.set_id for each in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two sets are called '{min(twice)}': give each a name of its own")
    return found


def read_ladder(folder: Path) -> Ladder:
    """Read what a ladder found.

    Raises
    ------
    InputError
        There is none, or the pictures have changed since.
    """
    if not LADDER_OUTCOMES.path(folder).is_file():
        raise InputError(f"{folder} has no ladder: make it with `untrain ladder {folder}`")
    told = _told(folder)
    if told["depends"]["queries"] != queries_key(folder):
        raise InputError(
            f"the ladder in {folder} was measured on pictures that have changed since: run "
            f"`untrain ladder {folder}` again"
        )
    outcomes, sets = LADDER_OUTCOMES.read(folder), LADDER_SETS.read(folder)
    return Ladder(outcomes, sets, tuple(told["skipped"]))


def _train(run: Run, requests: Sequence[ModelRequest]) -> tuple[pd.DataFrame, float | None]:
    """Train what is missing; return all, and the seconds of a training, None if none was needed."""
    missing = sum(not run.trainer.has(request) for request in requests)
    start = time.perf_counter()
    trained = run.trainer.train(requests, f"{len(requests)} models and exact twins")
    took = time.perf_counter() - start
    at_once = min(run.config.workers or default_workers(), missing)
    return trained, took * at_once / missing if missing else None


def _keep_sets(run: Run, sets: Sequence[LadderSet], trained: pd.DataFrame) -> None:
    """Add to the tables of sets and of twins; what was there under the same name is replaced."""
    names = trained["model_id"].str.partition("/")
    twins = trained.assign(model_id=names[0], set_id=names[2].where(names[1] == "/"))
    rows = [(s.set_id, s.kind, s.prompt_id, image_id) for s in sets for image_id in s.ids]
    for table, new, by in (
        (LADDER_TWINS, LADDER_TWINS.conform(twins), ["model_id", "set_id"]),
        (LADDER_SETS, LADDER_SETS.of(rows), ["set_id"]),
    ):
        old = table.read(run.folder) if table.path(run.folder).is_file() else table.empty()
        same = pd.MultiIndex.from_frame(old[by]).isin(pd.MultiIndex.from_frame(new[by]))
        table.write(run.folder, pd.concat([old[~same], new], ignore_index=True))


def _keep_items(run: Run, rungs: Rungs) -> None:
    """Encode what is measured for each set, where that was not done."""
    features = Features(run.catalog, run.encoder)
    for each in rungs.sets:
        folder = run.folder / ITEMS / rungs.items[each.set_id]
        if not folder.exists():
            items_of(run, each, features).write(folder)


def _climb_all(run: Run, rungs: Rungs, due: Sequence[Rung]) -> None:
    """Make and measure models side by side, a thread each, as models are trained."""
    trainer = run.trainer
    place = Place(
        trainer.spec.settled(trainer.generator),
        trainer.reopen,
        run.folder,
        trainer.shared,
        fingerprint(dict(rungs.depends)),
    )
    # A generator that only this process has is not found by others.
    workers = (run.config.workers or default_workers()) if trainer.spec.address else 1
    label, work = f"{len(due)} rungs of the ladder", sum(rung.work for rung in due)
    disk.make_folder(rung_path(run.folder, "").parent)
    try:
        run_jobs(climb, [(place, rung) for rung in due], workers, 1, label, work)
    finally:
        forget_place()


def _skipped(run: Run, due: Iterable[Rung]) -> tuple[dict[str, Any], ...]:
    """Return and tell what could not be done, and why; it is tried again next time."""
    found: dict[tuple[str, str], list[float]] = {}
    for rung in due:
        told = rung_path(run.folder, rung.key).with_suffix(".json")
        if told.exists():
            budgets = found.setdefault((rung.method, read_json(told)["because"]), [])
            budgets += [rung.budget] * (rung.budget not in budgets)
            disk.delete_file(told)
    for (method, because), budgets in found.items():
        where = ", ".join(f"{budget:g}" for budget in budgets)
        console.print(
            f"[yellow]skipped:[/] {escape(f'{method} at a budget of {where}: {because}')}",
            soft_wrap=True,
        )
    return tuple(
        {"method": method, "budgets": budgets, "because": because}
        for (method, because), budgets in found.items()
    )


def _collect(
    run: Run, rungs: Rungs, wanted: Sequence[Rung], skipped: Sequence[dict[str, Any]]
) -> pd.DataFrame:
    """Write and return the rows of all rungs: those asked for, and earlier ones that still hold."""
    entries = {
        rung.key: {
            "names": [rung.model_id, rung.set_id, rung.method, rung.budget],
            "items": rungs.items[rung.set_id],
        }
        for rung in wanted
        if rung_path(run.folder, rung.key).exists()
    }
    told = _told(run.folder)
    if told.get("depends") == dict(rungs.depends):
        replaced = [entry["names"] for entry in entries.values()]
        for key, entry in told["rungs"].items():
            same = rungs.items.get(entry["names"][1], entry["items"]) == entry["items"]
            here = rung_path(run.folder, key).exists()
            if same and here and entry["names"] not in replaced:
                entries[key] = entry
    tables = [read_parquet(rung_path(run.folder, key)) for key in entries]
    outcomes = LADDER_OUTCOMES.conform(pd.concat(tables, ignore_index=True))
    # The table first: it says all by itself, and the next ladder writes it anew.
    LADDER_OUTCOMES.write(run.folder, outcomes)
    kept = {"depends": dict(rungs.depends), "skipped": list(skipped), "rungs": entries}
    write_json(run.path("ladder", "ladder.json"), kept)
    return outcomes


def _told(folder: Path) -> dict[str, Any]:
    path = folder / "ladder" / "ladder.json"
    return read_json(path) if path.exists() else {}
