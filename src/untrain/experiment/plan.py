"""What a run would cost, before anything starts."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import numpy as np

from untrain.counterfactual.forget_sets import ARMS
from untrain.errors import InputError
from untrain.experiment.config import Config
from untrain.experiment.run import Run
from untrain.experiment.workers import default_workers
from untrain.generators.training import train_transformer


def plan(config: Config) -> list[tuple[str, str]]:
    """Return what is trained, for how long and on how much disk, as (label, value) lines.

    The time is measured: a few steps of the real model are trained on this machine.

    Raises
    ------
    InputError
        More is to be removed than there is, or the disk has too little room.
    """
    run = Run(config)
    catalog, preset = run.catalog, run.generator.preset
    models = config.design.models if config.design.kind == "randomised" else 4
    per_set = config.removal.k[-1]
    queries = int((run.prompts["role"] == "query").sum())
    for arm in config.removal.arms:
        ARMS[arm]
    sets = [a for a in config.removal.arms if a not in ("family", "ids")]
    units = queries * len(sets) * len(config.removal.k)
    removed = queries * len(sets) * per_set
    if removed > len(catalog):
        raise InputError(
            f"{removed} images are to be removed, the training catalogue has {len(catalog)}: "
            "lower removal.k, the number of prompts or of arms"
        )
    workers = config.workers or default_workers()
    one, parameters = _seconds_of_one_model(run)
    rounds = 1 + -(-models // min(workers, models))
    pictures = (1 + models) * len(run.prompts) * config.generations
    disk = (1 + models) * 4 * parameters + 3000 * pictures + 5_000_000
    free = shutil.disk_usage(_existing(run)).free
    if disk > free:
        raise InputError(f"the run needs about {disk / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")
    return [
        ("training pairs", f"{len(catalog)} ({len(run.held_out)} held out)"),
        ("prompts", f"{queries} and {len(run.prompts) - queries} positive controls"),
        ("model", f"{parameters / 1e6:.1f} M parameters, {preset.positions} tokens a picture"),
        ("trainings", f"1 + {models}, {workers} at a time, each {one / 60:.1f} min"),
        ("forget sets", f"{units}, {removed} images ({removed / len(catalog):.1%} of the data)"),
        ("time", f"about {rounds * one / 60:.0f} min of training, beside the autoencoder"),
        ("disk", f"about {disk / 1e6:.0f} MB in {run.folder}"),
    ]


def _existing(run: Run) -> str:
    folder = run.folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return str(folder)


def _seconds_of_one_model(run: Run) -> tuple[float, int]:
    """Return the expected seconds of one training on one thread, and the number of parameters."""
    import torch

    preset = run.generator.preset
    words = max(len(c.split()) for c in run.catalog.captions[:2000])
    rows = 2 * preset.batch
    draw = np.random.default_rng(0)
    text = draw.integers(1, preset.vocabulary, (rows, round(1.3 * words)))
    image = draw.integers(0, preset.codes, (rows, preset.positions))
    short = replace(preset, epochs=1)
    kept = np.ones(rows, bool)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        arguments = (text, image, kept, preset.vocabulary, short, 0, lambda n: None)
        model, _ = train_transformer(*arguments)
        start = time.perf_counter()
        train_transformer(*arguments)
        seconds = time.perf_counter() - start
    finally:
        torch.set_num_threads(threads)
    parameters = sum(p.numel() for p in model.parameters())
    return seconds / rows * len(run.catalog) * preset.epochs, parameters
