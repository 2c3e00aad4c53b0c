"""The bank of random subsets: paired models, each trained without a random share of the data.

It compares attributions with what training does (`untrain leaderboard`), and targeted removals with
random ones (`untrain.evaluation.equivalent`). The folder ``bank`` of a run holds

- ``models.parquet``: model_id, share (of the data removed), draw, seed, fingerprint, path;
- ``kept.safetensors``: ``kept``, uint8 (models, images), rows as that table, columns as the run's
  ``catalog.parquet``;
- ``outcomes.parquet``: model_id, prompt_id, generation, measure, value: the primary measure of
  every query;
- ``bank.json``: what the models and the measures depend on.

Rows are only ever added, so a bank can grow and an interrupted one can be resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from untrain.banks.subsets import (
    RandomSubset,
    check_bank,
    copy_groups,
    kept_without,
    requested_subsets,
)
from untrain.core import disk
from untrain.core.bank_tables import BANK_MODELS, BANK_OUTCOMES
from untrain.core.errors import InputError
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.progress import console, track
from untrain.core.schema import Table
from untrain.core.tensors import read_arrays, write_arrays
from untrain.core.verifying import clear
from untrain.evaluation import measures as ms
from untrain.evaluation.equivalent import equivalent_table
from untrain.experiment.pipeline import run_stages
from untrain.generators.base import has_likelihood
from untrain.generators.queries import Queries, draw
from untrain.runs.queries import queries_key, read_queries
from untrain.runs.run import Run
from untrain.training.base import ModelRequest

Measure = Callable[[str, Any], list[tuple[Any, ...]]]


@dataclass(frozen=True, eq=False)
class Bank:
    """Models trained without random subsets of the data, and their measures of A's pictures.

    Attributes
    ----------
    models : DataFrame
        `untrain.core.tables.BANK_MODELS`.
    kept : ndarray of bool, shape (models, images)
        True where the model of that row was trained on the image of that column; columns are in the
        order of the run's ``catalog.parquet``.
    outcomes : DataFrame
        `untrain.core.tables.BANK_OUTCOMES`: the run's primary measure (``nll``, ``loss`` or
        ``dissimilarity``; higher is worse) of every query under every model.
    """

    models: pd.DataFrame
    kept: np.ndarray
    outcomes: pd.DataFrame


def train_bank(run: Run, models: int = 64, shares: Sequence[float] = (0.5,)) -> Bank:
    """Train the models of a bank that are missing, and measure those that are not measured.

    Stages up to ``generate`` that are not done are run first. Models have seed B, are paired, and
    are identified by their fingerprint, so a larger bank trains only the models that are missing.
    With several shares, the model trained on everything, ``full``, belongs to the bank too.

    Parameters
    ----------
    run : Run
    models : int
        How many of each share, at least 2.
    shares : sequence of float
        Shares of the training images to remove, each in (0, 1).

    Raises
    ------
    InputError
        A share or a number of models is impossible, or `run_stages` finds a fault.
    """
    if run.given_pictures:
        raise InputError(
            "the pictures were given (generations.path): there is no model to train a bank of"
        )
    check_bank(run.catalog, models, shares, run.config.seed)
    run.trainer.engine.check()
    run_stages(run, "generate")
    with run.lock():
        run.trainer.prepare()
        clear(run.path("bank"))
        _renew(run)
        groups = copy_groups(run.catalog)
        subsets = requested_subsets(known_models(run), models, shares, groups, run.config.seed)
        kept = np.stack([kept_without(subset, groups, run.config.seed) for subset in subsets])
        table = _train(run, subsets, kept)
        _keep(run, table, kept)
        _measure(run, table)
    return read_bank(run.folder)


def _train(run: Run, subsets: Sequence[RandomSubset], kept: np.ndarray) -> pd.DataFrame:
    """Train the models that are missing; return the table of the bank."""
    ids = np.array(run.catalog.ids, dtype=object)
    requests = [
        ModelRequest(subset.model_id, run.config.b_seed, tuple(ids[~row]))
        for subset, row in zip(subsets, kept, strict=True)
    ]
    table = run.trainer.train(requests, f"bank of {len(requests)} models")
    table["share"] = [subset.share for subset in subsets]
    table["draw"] = [subset.draw for subset in subsets]
    return BANK_MODELS.conform(table)


def _keep(run: Run, table: pd.DataFrame, kept: np.ndarray) -> None:
    """Write what the bank consists of; measures of models that have changed are dropped."""
    before = _read(BANK_MODELS, run.folder)
    same = before.merge(table, on=["model_id", "fingerprint"])["model_id"]
    outcomes = _read(BANK_OUTCOMES, run.folder)
    valid = outcomes["model_id"].isin(same)
    if not valid.all():
        BANK_OUTCOMES.write(run.folder, outcomes[valid])
    # The table comes last: rows beyond it do not count.
    write_arrays(run.path("bank", "kept.safetensors"), {"kept": kept.astype(np.uint8)})
    BANK_MODELS.write(run.folder, table)


def _measure(run: Run, models: pd.DataFrame) -> None:
    """Measure every query under every model that is not measured yet, and save after each model."""
    outcomes = _read(BANK_OUTCOMES, run.folder)
    known = set(outcomes["model_id"])
    measure = measure_of(run, read_queries(run.folder))
    due = models[~models["model_id"].isin(known)]
    for model in track(list(due.itertuples()), "measuring", len(due)):
        rows = measure(str(model.model_id), run.trainer.load(str(model.path)))
        outcomes = pd.concat([outcomes, BANK_OUTCOMES.of(rows)], ignore_index=True)
        BANK_OUTCOMES.write(run.folder, outcomes)


def measure_of(run: Run, queries: Queries) -> Measure:
    """Return what measures queries under a model: its id and itself → rows of outcomes."""
    return _likelihoods(queries) if has_likelihood(run.generator) else _likeness(run, queries)


def _likelihoods(queries: Queries) -> Measure:
    """Return how the queries are measured by a model that says how likely a picture is."""
    samples = queries.samples
    assert samples is not None

    def measure(model_id: str, model: Any) -> list[tuple[Any, ...]]:
        surprise = ms.Surprise(model.log_likelihood, model.unit)
        return surprise.rows(model_id, queries.keys, samples, queries.prompts)

    return measure


def _likeness(run: Run, queries: Queries) -> Measure:
    """Return how they are measured by one that does not: by its pictures from the same noise."""
    encoder, seed = run.encoder, run.config.seed
    features = encoder.encode(list(queries.pictures))

    def measure(model_id: str, model: Any) -> list[tuple[Any, ...]]:
        redrawn = draw(model, queries.keys, queries.texts, seed)
        again = encoder.encode(list(redrawn.pictures))
        return ms.dissimilarity_rows(model_id, queries.keys, features, again)

    return measure


def _renew(run: Run) -> None:
    """Discard what was made with other settings, or measured on other queries."""
    now, before = depends_on(run), remembered(run.path("bank"))
    if now == before:
        return
    if before:
        console.print("  bank: settings or pictures have changed; the bank is updated")
    disk.delete_file(run.path("bank", "outcomes.parquet"))
    # Where nothing is remembered, the fingerprints of the models tell which are of other settings.
    if before and now["models"] != before.get("models"):
        disk.delete_file(run.path("bank", "models.parquet"))
    write_json(run.path("bank", "bank.json"), now)


def depends_on(run: Run) -> dict[str, str]:
    """Return the fingerprints of what the models and their measures depend on."""
    recipe = fingerprint(run.generator.fingerprint(run.catalog), run.config.seed, run.config.b_seed)
    return {"models": recipe, "queries": queries_key(run.folder)}


def remembered(folder: Path) -> dict[str, str]:
    """Return the content of a bank's ``bank.json``; nothing where there is none."""
    path = folder / "bank.json"
    return read_json(path) if path.exists() else {}


def known_models(run: Run) -> pd.DataFrame:
    """Return the models that the bank of a run has."""
    return _read(BANK_MODELS, run.folder)


def _read(table: Table, folder: Path) -> pd.DataFrame:
    """Return a table of the bank, empty where there is none."""
    return table.read(folder) if table.path(folder).exists() else table.empty()


def read_bank(folder: Path) -> Bank:
    """Read the bank of a run: its measured models.

    Parameters
    ----------
    folder : Path
        The run folder.

    Raises
    ------
    InputError
        There is no bank, none of its models is measured yet, or the pictures have changed since.
    """
    remedy = "make it with `untrain bank FILE`"
    if not (folder / "bank" / "models.parquet").exists():
        raise InputError(f"found no bank of random subsets in {folder}: {remedy}")
    if remembered(folder / "bank").get("queries") != queries_key(folder):
        raise InputError(
            f"the bank in {folder} was measured on pictures that have changed since: "
            "measure it again with `untrain bank FILE`"
        )
    models, outcomes = BANK_MODELS.read(folder), _read(BANK_OUTCOMES, folder)
    measured = models["model_id"].isin(outcomes["model_id"]).to_numpy()
    if not measured.any():
        raise InputError(f"no model of the bank in {folder} is measured yet: {remedy}")
    kept = read_arrays(folder / "bank" / "kept.safetensors")["kept"][: len(models)].astype(bool)
    return Bank(
        models[measured].reset_index(drop=True),
        kept[measured],
        outcomes[outcomes["model_id"].isin(models["model_id"])].reset_index(drop=True),
    )


def keep_equivalent(run: Run, found: Bank) -> list[dict[str, Any]]:
    """Write how many random images have the same effect as the run's removals, with a figure.

    Writes ``results/equivalent.json`` and ``results/figures/equivalent.*``. Returns nothing where
    the bank has a single share, or the run no effects yet.
    """
    several = found.models["share"].nunique() > 2  # one is 0: the model trained on everything
    if not several or not run.path("results", "effects.parquet").exists():
        return []
    from untrain.report.figures.equivalent import equivalent_figure

    effects = run.table("results/effects")
    draws = run.config.evaluation.draws
    rows = equivalent_table(found, effects, run.table("forget_sets"), draws, run.config.seed)
    if rows:
        write_json(run.path("results", "equivalent.json"), rows)
        equivalent_figure(rows, run.unit).save(run.path("results", "figures"))
    return rows
