"""What a run would cost and what it could find, before anything starts."""

from __future__ import annotations

import shutil

from untrain.core.errors import InputError
from untrain.core.threads import default_threads, threads_set
from untrain.experiment.checks import check, check_given_pictures, count_removed, count_sets
from untrain.experiment.plan_memory import expected_memory
from untrain.experiment.plan_power import expected_power
from untrain.experiment.planned import Plan
from untrain.generators.base import Cost
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.training.worker import default_workers

PICTURE_BYTES, FIXED_BYTES = 3000, 5_000_000  # per generated picture, and for everything else


def plan(config: Config, noise: float | None = None) -> Plan:
    """Return what is trained, for how long, on how much disk, and what the trial will find.

    The time is measured: a few steps of the real models are trained on this machine.

    Parameters
    ----------
    config : Config
    noise : float, optional
        Standard deviation of a query between models, in the run's unit. If left out, that of
        finished runs of the same data and model in the same folder of runs, or else of the demo.

    Raises
    ------
    InputError
        A fault in the input that a run would find, or the disk has too little space.
    """
    run = Run(config)
    if run.given_pictures:
        return _plan_of_given_pictures(run, len(run.given_pictures.catalog))
    catalog, prompts, generator = run.catalog, run.prompts, run.generator
    models = config.design.models if config.design.kind == "randomised" else 4
    check(run, ("retrieve", "compare", "remove", "retrain"))
    queries = int((prompts["role"] == "query").sum())
    workers = config.workers or default_workers()
    cost = generator.cost(catalog)
    with threads_set(config.threads or default_threads()):
        first = generator.prepare_seconds(catalog)
    alone = 1 + len(config.further_seeds)  # A, and others that only attributors use
    rounds = alone + -(-models // min(workers, models))
    needed = _bytes_on_disk(run, alone + models, cost)
    free = shutil.disk_usage(existing_folder(run)).free
    if needed > free:
        raise InputError(
            f"the run needs about {needed / 1e6:.0f} MB, but only {free / 1e6:.0f} MB are free"
        )
    return Plan(
        name=config.name,
        folder=str(run.folder),
        training_pairs=len(catalog),
        held_out=len(run.held_out),
        given_pictures=0,
        queries=queries,
        controls=len(prompts) - queries,
        model=cost.words if cost else config.generator.name,
        precision=generator.precision,
        precision_reason=_precision(run),
        models=alone + models,
        workers=workers,
        seconds_per_model=cost.seconds if cost else None,
        seconds_of_frozen_parts=first,
        seconds=first + rounds * cost.seconds if cost else None,
        forget_sets=count_sets(config.removal, prompts),
        removed_images=count_removed(config, catalog, prompts),
        together=config.removal.together,
        bytes_on_disk=needed,
        memory=expected_memory(run, cost, min(workers, models)),
        power=expected_power(config, queries, noise, run.paired, run.unit, run.margin),
        design=config.design.kind,
        unit=run.unit,
    )


def _plan_of_given_pictures(run: Run, pictures: int) -> Plan:
    check_given_pictures(run, ("retrieve", "compare"))
    return Plan(
        name=run.config.name,
        folder=str(run.folder),
        training_pairs=len(run.catalog),
        held_out=0,
        given_pictures=pictures,
        queries=len(run.prompts),
        controls=0,
        model="",
        precision=None,
        precision_reason="",
        models=0,
        workers=0,
        seconds_per_model=None,
        seconds_of_frozen_parts=None,
        seconds=0.0,
        forget_sets=0,
        removed_images=0,
        together=False,
        bytes_on_disk=_features(run) + FIXED_BYTES,
        memory=None,
        power=None,
        design=run.config.design.kind,
        unit=run.unit,
    )


def _bytes_on_disk(run: Run, models: int, cost: Cost | None) -> int:
    weights = models * 4 * cost.parameters if cost else 0
    pictures = models * len(run.prompts) * run.config.per_prompt
    return weights + PICTURE_BYTES * pictures + _features(run) + FIXED_BYTES


def _features(run: Run) -> int:
    """Return the bytes that the candidates' features take, in half precision."""
    settings, dimension = run.config.retrieval, run.encoder.encode([]).shape[1]
    return 2 * dimension * min(len(run.catalog), settings.top * len(run.prompts))


def _precision(run: Run) -> str:
    """Return the precision of training, and why."""
    from untrain.core.hardware import has_fast_bfloat16

    if run.generator.precision is None:
        return "as the generator's class decides"
    if run.measured_precision:
        return run.measured_precision.reason
    fast = "has" if has_fast_bfloat16() else "has no"
    return f"{run.generator.precision} (this machine {fast} instructions for bfloat16)"


def existing_folder(run: Run) -> str:
    """Return the run folder, or the nearest existing folder above it."""
    folder = run.folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return str(folder)
