"""How long training takes here, measured on a few steps of the real networks on noise."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from untrain.core.hardware import Precision, device
from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.training import TokenData, train_transformer


def seconds_of_pair(preset: Preset, text_length: int, precision: Precision) -> tuple[float, int]:
    """Return the seconds that a pair takes in training on one thread, and the parameters."""
    rows = 3 * preset.batch
    draw = np.random.default_rng(0)
    text = draw.integers(1, preset.vocabulary, (rows, text_length))
    image = draw.integers(0, preset.codes, (rows, preset.positions))
    data = TokenData(text, image, np.ones(rows, bool), preset.vocabulary)
    short = replace(preset, epochs=1)
    threads, clock = torch.get_num_threads(), _Clock()
    torch.set_num_threads(1)
    try:
        train_transformer(data, short, 0, _silent, precision)
        model, _ = train_transformer(data, short, 0, clock, precision)
        seconds = time.perf_counter() - clock.start
    finally:
        torch.set_num_threads(threads)
    return seconds / (rows - preset.batch), sum(p.numel() for p in model.parameters())


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


class _Clock:
    """Starts after the first step: making a model takes a GPU longer than a few steps of it."""

    start = 0.0

    def __call__(self, n: int) -> None:
        if not self.start:
            if device().type == "cuda":
                torch.cuda.synchronize()
            self.start = time.perf_counter()


def _silent(n: int) -> None:
    """Take a report of progress that nobody waits for."""
