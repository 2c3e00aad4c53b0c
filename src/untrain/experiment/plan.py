"""What a run would cost, before anything starts."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import numpy as np

from untrain.errors import InputError
from untrain.experiment.checks import check, count_removed, count_sets
from untrain.experiment.config import Config
from untrain.experiment.run import Run
from untrain.experiment.workers import default_workers
from untrain.generators.training import train_transformer


def plan(config: Config) -> list[tuple[str, str]]:
    """Return what is trained, for how long and on how much disk, as (label, value) lines.

    The time is measured: a few steps of the real models are trained on this machine.

    Raises
    ------
    InputError
        What a run would find wrong with its input, or the disk has too little room.
    """
    run = Run(config)
    catalog, preset = run.catalog, run.generator.preset
    models = config.design.models if config.design.kind == "randomised" else 4
    check(run, ("retrieve", "compare", "retrain"))
    removed = count_removed(run)
    queries = int((run.prompts["role"] == "query").sum())
    controls = len(run.prompts) - queries
    workers = config.workers or default_workers()
    one, parameters = _seconds_of_one_model(run)
    autoencoder = _seconds_of_autoencoder(run)
    rounds = 1 + -(-models // min(workers, models))
    pictures = (1 + models) * len(run.prompts) * config.generations
    disk = (1 + models) * 4 * parameters + 3000 * pictures + _features(run) + 5_000_000
    free = shutil.disk_usage(_existing(run)).free
    if disk > free:
        raise InputError(f"the run needs about {disk / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")
    return [
        ("training pairs", f"{len(catalog)} ({len(run.held_out)} held out)"),
        ("prompts", f"{queries} and {controls} positive controls"),
        ("model", f"{parameters / 1e6:.1f} M parameters, {preset.positions} tokens a picture"),
        ("trainings", f"1 + {models}, {workers} at a time, each {_words(one)}"),
        (
            "forget sets",
            f"{count_sets(run)}, {removed} images ({removed / len(catalog):.1%} of the data)",
        ),
        (
            "time",
            f"about {_words(autoencoder + rounds * one)} of training "
            f"({_words(autoencoder)} of it the autoencoder)",
        ),
        ("disk", f"about {disk / 1e6:.0f} MB in {run.folder}"),
    ]


def _existing(run: Run) -> str:
    folder = run.folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return str(folder)


def _words(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _features(run: Run) -> int:
    """Return the bytes that the candidates' features take, in half precision."""
    settings, dimension = run.config.retrieval, run.encoder.encode([]).shape[1]
    return 2 * dimension * min(len(run.catalog), settings.top * len(run.prompts))


def _seconds_of_autoencoder(run: Run) -> float:
    """Return the expected seconds of fitting the autoencoder with all threads."""
    from untrain.generators.autoencoder import train_autoencoder

    preset = run.generator.preset
    rows = 2 * preset.batch_ae
    pixels = np.zeros((rows, preset.height, preset.width, 3), np.uint8)
    short = replace(preset, epochs_ae=1)
    train_autoencoder(pixels, short, 0, lambda n: None)
    start = time.perf_counter()
    train_autoencoder(pixels, short, 0, lambda n: None)
    return (time.perf_counter() - start) / rows * len(run.catalog) * preset.epochs_ae


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
