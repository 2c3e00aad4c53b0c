"""What an engine calls to train a group of models, in this process or another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from untrain.catalogs.base import Catalog
from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError, UntrainError
from untrain.core.files import write_json
from untrain.generators.base import Generator
from untrain.generators.spec import GeneratorSpec
from untrain.training.base import Group, TrainingMode
from untrain.training.index import read_index
from untrain.training.worker import report

Reopen = Callable[[], Catalog]
"""Opens the training catalogue with its pictures; picklable, for other processes."""


def train_group(
    generator: GeneratorSpec,
    reopen: Reopen | None,
    folder: Path,
    shared: Path,
    group: Group,
    mode: TrainingMode,
) -> None:
    """Train the models of a group and save each in ``folder/models/<model_id>``.

    Parameters
    ----------
    generator : GeneratorSpec
    reopen : callable or None
        Called where the generator reads pictures; None where none of them does.
    folder, shared, group, mode
        See `untrain.training.base.Batch`.

    Raises
    ------
    InputError
        The pictures are not those of the run: they have changed, or differ on this machine.
    UntrainError
        The GPU has too little memory.
    """
    made = generator.make()
    catalog = read_index(folder)
    if made.reads_pictures and reopen is not None:
        catalog = with_pictures(catalog, reopen)
    made.prepare(catalog, shared, lambda n: None)
    fitted = _fit(made, catalog, group, mode)
    for model, each in zip(group, fitted, strict=False):  # not those that only filled up a stack
        with atomic_folder(folder / "models" / model.model_id) as temporary:
            each.save(temporary)
            if not (temporary / "model.json").exists():
                told = {"losses": list(map(float, each.losses)), "precision": each.precision}
                write_json(temporary / "model.json", told)
            removed = {"seed": model.seed, "removed": sorted(model.removed)}
            write_json(temporary / "removed.json", removed)


def with_pictures(index: Catalog, reopen: Reopen) -> Catalog:
    """Return the catalogue of an index with its pictures; `InputError` if they have changed."""
    found = reopen()
    if found.fingerprint != index.fingerprint:
        raise InputError(
            f"the data of this run ({found.name}, {len(found)} images) are not what they were when "
            f"it began ({len(index)} images): they have changed since, or differ on this machine"
        )
    return found


def _fit(
    generator: Generator, catalog: Catalog, group: Group, mode: TrainingMode
) -> list[Generator]:
    """Return a fitted generator for each model of a group, and for each that fills up its stack."""
    import torch

    stacked: Any = generator  # which has these methods if it declares a stack size
    seed, removed = group[0].seed, [model.removed for model in group]
    try:
        if mode.stack > 1:
            removed += [()] * (mode.stack - len(removed))
            return list(stacked.fit_stack(catalog, removed, seed, report))
        if mode.processes > 1:
            stacked.fit_across(catalog, removed[0], seed, report, mode.processes)
        else:
            generator.fit(catalog, removed[0], seed, report)
        return [generator]
    except torch.cuda.OutOfMemoryError:
        raise UntrainError(
            f"the GPU has too little free memory to train {mode.stack} of these models in one "
            "pass: end what else uses it, or set fewer workers, and run the same command again"
        ) from None
