"""How long training takes here, measured on a few steps of the real networks on noise."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from untrain.core.hardware import Precision
from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.training import TokenData, train_transformer


def seconds_of_pair(preset: Preset, text_length: int, precision: Precision) -> tuple[float, int]:
    """Return the seconds that a pair takes in training on one thread, and the parameters."""
    rows = 2 * preset.batch
    draw = np.random.default_rng(0)
    text = draw.integers(1, preset.vocabulary, (rows, text_length))
    image = draw.integers(0, preset.codes, (rows, preset.positions))
    data = TokenData(text, image, np.ones(rows, bool), preset.vocabulary)
    short = replace(preset, epochs=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, _ = train_transformer(data, short, 0, _silent, precision)
        start = time.perf_counter()
        train_transformer(data, short, 0, _silent, precision)
        seconds = time.perf_counter() - start
    finally:
        torch.set_num_threads(threads)
    return seconds / rows, sum(p.numel() for p in model.parameters())


def seconds_of_picture(preset: Preset, precision: Precision) -> float:
    """Return the seconds that a picture takes in training the autoencoder, with all threads."""
    from untrain.generators.dalle.autoencoder import train_autoencoder  # slow to import

    rows = 2 * preset.batch_ae
    pixels = np.zeros((rows, preset.height, preset.width, 3), np.uint8)
    short = replace(preset, epochs_ae=1)
    train_autoencoder(pixels, short, 0, _silent, precision)
    start = time.perf_counter()
    train_autoencoder(pixels, short, 0, _silent, precision)
    return (time.perf_counter() - start) / rows


def _silent(n: int) -> None:
    """Take a report of progress that nobody waits for."""
