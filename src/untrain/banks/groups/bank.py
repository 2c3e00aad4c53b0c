"""The bank of groups: paired models that whole groups of images have left.

It says what each group is worth (`untrain shares`). The folder ``groups/<attribute>`` of a run
holds

- ``groups.parquet``: image_id, group;
- ``models.parquet``: model_id, kind, share, draw, seed, fingerprint, path;
- ``kept.safetensors``: ``kept``, uint8 (models, groups), rows as that table, columns as the names
  of the groups in ``groups.json``;
- ``outcomes.parquet``: the primary measure of every query, and of the held-out pairs;
- ``groups.json``: names and notes of the groups, and what models and measures depend on.

As in the bank of random subsets, rows are only ever added. The two banks share no file but the
models that both happen to have, such as the one trained on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from untrain.banks.bank import depends_on, measure_of
from untrain.banks.groups.draws import SHARES, GroupDraw, default_models, draw_sets
from untrain.catalogs.groups import Groups, groups_of
from untrain.core import disk, vocabulary
from untrain.core.bank_tables import GROUP_MODELS, GROUP_OF_IMAGE, GROUP_OUTCOMES
from untrain.core.errors import InputError
from untrain.core.files import read_json, write_json
from untrain.core.progress import console, track
from untrain.core.schema import Table
from untrain.core.tensors import read_arrays, write_arrays
from untrain.core.verifying import clear
from untrain.evaluation.measures import Surprise
from untrain.experiment.pipeline import run_stages
from untrain.experiment.stages.evaluate import pairs_of
from untrain.generators.base import has_likelihood
from untrain.runs.queries import queries_key, read_queries
from untrain.runs.run import Run
from untrain.training.base import ModelRequest

DRAW, FULL, EMPTY, ONE_OUT = "draw", "full", "empty", "leave-one-out"
MOST_HELD_OUT = 500  # pairs; each is measured in every model


@dataclass(frozen=True, eq=False)
class GroupBank:
    """Models that groups have left, and their measures.

    Attributes
    ----------
    groups : Groups
    models : DataFrame
        `untrain.core.tables.GROUP_MODELS`; those that are measured.
    kept : ndarray of bool, shape (models, groups)
        True where the model was trained on the group.
    outcomes : DataFrame
        `untrain.core.tables.GROUP_OUTCOMES`.
    """

    groups: Groups
    models: pd.DataFrame
    kept: np.ndarray
    outcomes: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Wanted:
    """The models that a bank is to have.

    Attributes
    ----------
    table : DataFrame
        Columns model_id, kind, share, draw.
    kept : ndarray of bool, shape (models, groups)
    """

    table: pd.DataFrame
    kept: np.ndarray


def folder_of(run: Path, groups: Groups) -> Path:
    """Return the folder of a bank of groups in a run folder."""
    return run / "groups" / groups.key


def train_group_bank(
    run: Run,
    by: str,
    models: int | None = None,
    shares: Sequence[float] = SHARES,
    leave_one_out: int = 0,
    least: int = 1,
) -> GroupBank:
    """Train the models of a bank of groups that are missing, and measure those not measured.

    Stages up to ``generate`` that are not done are run first. Models have seed B and are paired.

    Parameters
    ----------
    run : Run
    by : str
        What makes the groups; see `untrain.catalogs.groups.groups_of`.
    models : int, optional
        How many of each share; left out, 16, or enough for four models a group.
    shares : sequence of float
        Chances of each group to leave, each in (0, 1).
    leave_one_out : int
        For how many groups, from the largest to the smallest, to train a model without that group
        only, as a check.
    least : int
        Groups with fewer images are pooled.

    Raises
    ------
    InputError
        The groups or their numbers are impossible, there would be too few models, or `run_stages`
        finds a fault.
    """
    if run.given_pictures:
        raise InputError(
            "the pictures were given (generations.path): there is no model to train a bank of"
        )
    groups = groups_of(run.catalog, by, least)
    folder = folder_of(run.folder, groups)
    if folder.is_dir():
        with run.lock():
            clear(folder)
    wanted_models(run, groups, models, shares, leave_one_out)
    run.trainer.engine.check()
    run_stages(run, "generate")
    with run.lock():
        for note in groups.notes:
            run.warn(note)
        run.trainer.prepare()
        _renew(run, folder, groups)
        wanted = wanted_models(run, groups, models, shares, leave_one_out)
        _keep(folder, _train(run, groups, wanted), wanted.kept)
        _measure(run, folder)
    return read_group_bank(run, groups)


def wanted_models(
    run: Run, groups: Groups, models: int | None, shares: Sequence[float], leave_one_out: int
) -> Wanted:
    """Return the models that the bank has, then those that it is to get.

    Raises
    ------
    InputError
        A number or a share is impossible, or there would be too few models for the groups.
    """
    n = len(groups)
    if not 0 <= leave_one_out <= n:
        raise InputError(f"leave one out of {leave_one_out} groups: there are {n}; choose 0 to {n}")
    before = known_models(run, groups)
    known = before[before["kind"] == DRAW]
    had = [
        GroupDraw(float(share), int(draw))
        for share, draw in zip(known["share"], known["draw"], strict=True)
    ]
    asked = tuple(float(share) for share in shares)
    each = default_models(n, asked) if models is None else models
    draws, kept = draw_sets(n, each, asked, run.config.seed, had)
    out = {*before["draw"][before["kind"] == ONE_OUT], *_spread(groups.sizes, leave_one_out)}
    rows: list[tuple[str, str, float | None, int]] = [
        (FULL, FULL, None, 0),
        (EMPTY, EMPTY, None, 0),
    ]
    rows += [(draw.model_id, DRAW, draw.share, draw.draw) for draw in draws]
    rows += [(f"without-{int(one):03d}", ONE_OUT, None, int(one)) for one in sorted(out)]
    singles = [np.arange(n) != one for one in sorted(out)]
    ends = np.repeat([[True], [False]], n, axis=1)
    table = pd.DataFrame(rows, columns=["model_id", "kind", "share", "draw"])
    return Wanted(table, np.vstack([ends, kept, *singles]))


def known_models(run: Run, groups: Groups) -> pd.DataFrame:
    """Return the models that the bank of these groups has; none if its groups were others."""
    folder = folder_of(run.folder, groups)
    path = folder / "groups.json"
    if not path.exists() or read_json(path).get("groups") != groups.fingerprint:
        return GROUP_MODELS.empty()
    return _read(GROUP_MODELS, folder)


def _spread(sizes: np.ndarray, many: int) -> list[int]:
    """Return so many groups, from the largest to the smallest at even steps."""
    order = np.argsort(-sizes, kind="stable")
    return [int(order[i]) for i in np.linspace(0, len(order) - 1, many).round().astype(int)]


def _train(run: Run, groups: Groups, wanted: Wanted) -> pd.DataFrame:
    """Train the models that are missing; return the table of the bank."""
    ids = np.array(run.catalog.ids, dtype=object)
    requests = [
        ModelRequest(name, run.config.b_seed, tuple(ids[~row[groups.of]]))
        for name, row in zip(wanted.table["model_id"], wanted.kept, strict=True)
    ]
    trained = run.trainer.train(requests, f"{len(requests)} models without groups")
    return GROUP_MODELS.conform(trained.merge(wanted.table, on="model_id", how="left"))


def _renew(run: Run, folder: Path, groups: Groups) -> None:
    """Discard what was made with other groups or settings, or measured on other queries."""
    now: dict[str, Any] = {**depends_on(run), "groups": groups.fingerprint}
    path = folder / "groups.json"
    before = read_json(path) if path.exists() else {}
    parts = ("models", "groups", "queries")
    if before and any(now[part] != before.get(part) for part in parts):
        console.print("  groups: settings, groups or pictures have changed; the bank is updated")
        disk.delete_file(folder / "outcomes.parquet")
        if any(now[part] != before.get(part) for part in parts[:2]):
            disk.delete_file(folder / "models.parquet")
    about = {"by": groups.by, "least": groups.least, "names": list(groups.names)}
    write_json(path, {**now, **about, "notes": [note.to_dict() for note in groups.notes]})
    table = {"image_id": list(run.catalog.ids), "group": [groups.names[i] for i in groups.of]}
    GROUP_OF_IMAGE.write(folder, pd.DataFrame(table))


def _keep(folder: Path, table: pd.DataFrame, kept: np.ndarray) -> None:
    """Write what the bank consists of; measures of models that have changed are dropped."""
    before, outcomes = _read(GROUP_MODELS, folder), _read(GROUP_OUTCOMES, folder)
    same = before.merge(table, on=["model_id", "fingerprint"])["model_id"]
    valid = outcomes["model_id"].isin(same)
    if not valid.all():
        GROUP_OUTCOMES.write(folder, outcomes[valid])
    # The table comes last, as in the bank of random subsets.
    write_arrays(folder / "kept.safetensors", {"kept": np.asarray(kept, np.uint8)})
    GROUP_MODELS.write(folder, table)


def _measure(run: Run, folder: Path) -> None:
    """Measure every query and the held-out pairs in every model, and save after each model."""
    models, outcomes = GROUP_MODELS.read(folder), _read(GROUP_OUTCOMES, folder)
    due = models[~models["model_id"].isin(set(outcomes["model_id"]))]
    if due.empty:
        return
    queries, held_out = measure_of(run, read_queries(run.folder)), _held_out(run)
    for model in track(list(due.itertuples()), "measuring", len(due)):
        loaded = run.trainer.load(str(model.path))
        rows = queries(str(model.model_id), loaded) + held_out(str(model.model_id), loaded)
        outcomes = pd.concat([outcomes, GROUP_OUTCOMES.of(rows)], ignore_index=True)
        GROUP_OUTCOMES.write(folder, outcomes)


def _held_out(run: Run) -> Callable[[str, Any], list[tuple[Any, ...]]]:
    """Return what measures the held-out pairs in a model; nothing where there are none."""
    if not len(run.held_out) or not has_likelihood(run.generator):
        return lambda model_id, model: []
    held = pairs_of(run.generator, run.held_out, list(run.held_out.ids[:MOST_HELD_OUT]))

    def measure(model_id: str, model: Any) -> list[tuple[Any, ...]]:
        surprise = Surprise(model.log_likelihood, model.unit)
        name = vocabulary.held_out
        return [surprise.mean_row(model_id, None, held.samples, held.captions, name)]

    return measure


def read_group_bank(run: Run, groups: Groups) -> GroupBank:
    """Read a bank of groups: its measured models.

    Raises
    ------
    InputError
        There is none, it is of other groups or pictures than now, or not measured.
    """
    folder = folder_of(run.folder, groups)
    remedy = f"make it with `untrain bank FILE --by {groups.by}`"
    if not (folder / "models.parquet").exists():
        raise InputError(f"found no bank of the groups by {groups.by} in {run.folder}: {remedy}")
    about = read_json(folder / "groups.json")
    if about.get("groups") != groups.fingerprint:
        raise InputError(f"the groups in {folder} are others than those of now: {remedy} again")
    if about.get("queries") != queries_key(run.folder):
        raise InputError(
            f"the bank in {folder} was measured on pictures that have changed since: {remedy} again"
        )
    models, outcomes = GROUP_MODELS.read(folder), _read(GROUP_OUTCOMES, folder)
    measured = models["model_id"].isin(outcomes["model_id"]).to_numpy()
    if not measured[models["kind"].isin([FULL, EMPTY])].all():
        raise InputError(f"the bank in {folder} is not measured yet: {remedy}")
    kept = read_arrays(folder / "kept.safetensors")["kept"][: len(models)].astype(bool)
    return GroupBank(groups, models[measured].reset_index(drop=True), kept[measured], outcomes)


def _read(table: Table, folder: Path) -> pd.DataFrame:
    """Return a table of the bank, empty where there is none."""
    return table.read(folder) if table.path(folder).exists() else table.empty()
