"""Pace of a training that is under way, the machine's own peak, and the operations of a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gpu.results import Row
from untrain.core.hardware import device
from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.training import TokenData

WARM = 8
"""Steps that are not timed: kernels are loaded and chosen in them, graphs recorded."""


def finish() -> None:
    """Wait for the GPU."""
    if device().type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    finish()
    start = time.perf_counter()
    work()
    finish()
    return time.perf_counter() - start


class _Enough(Exception):
    """The pace is known."""


class _Pace:
    def __init__(self, seconds: float, warm: int) -> None:
        self.seconds, self.warm = seconds, warm
        self.steps, self.passed, self.start = 0, 0, 0.0

    def __call__(self, n: int) -> None:
        self.steps += 1
        if self.steps < self.warm:
            return
        if self.steps == self.warm:
            finish()
            self.start = time.perf_counter()
            return
        self.passed += n
        if time.perf_counter() - self.start > self.seconds:
            finish()  # what was launched is done: it counts, and so does its time
            self.took = time.perf_counter() - self.start
            raise _Enough


def pace(train: Callable[[Callable[[int], None]], Any], seconds: float, warm: int = WARM) -> Row:
    """Return how fast a training goes once it is under way, and the memory it took.

    Parameters
    ----------
    train : callable
        Begins a training that would take longer than ``seconds`` and reports to what it is given
        the pairs of each step. It is broken off.
    """
    if device().type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    told = _Pace(seconds, warm)
    try:
        train(told)
    except _Enough:
        pass
    else:
        raise RuntimeError(f"the training ended after {told.steps} steps: too few to be timed")
    steps = told.steps - told.warm
    row: Row = {"ms a step": round(1000 * told.took / steps, 3), "pairs/s": told.passed / told.took}
    row["pairs/s"] = float(f"{row['pairs/s']:.4g}")
    if device().type == "cuda":
        row["GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        torch.cuda.empty_cache()
    return row


def tokens(preset: Preset, pairs: int, text: int, models: int | None = None) -> TokenData:
    """Return random tokens; of ``models``, each is trained without a tenth of them."""
    draw = np.random.default_rng(0)
    words = draw.integers(1, preset.vocabulary, (pairs, text))
    image = draw.integers(0, preset.codes, (pairs, preset.positions))
    kept = np.ones(pairs, bool) if models is None else draw.random((models, pairs)) >= 0.1
    return TokenData(words, image, kept, preset.vocabulary)


def operations(preset: Preset, text: int, needed: bool = False) -> float:
    """Return the floating-point operations of training on one pair: the model's, not a kernel's.

    6 × weights × tokens for the matrix products, forward and backward, where the weights are those
    of the blocks and of a token's own head (of several codes a place, those of its further ones,
    too), plus 12 × blocks × width of attention × tokens² for
    attention (Chowdhery et al. 2022, PaLM, appendix B). ``needed`` counts half of the latter: a
    token sees, on average, half of the tokens. What is computed again backward counts nowhere.
    """
    places = preset.positions // preset.parts
    length, inner = text + places - 1, preset.heads * preset.head_dim
    blocks = preset.depth * (4 * preset.dim * inner + 8 * preset.dim**2)
    heads = preset.dim * ((text - 1) * preset.vocabulary + preset.positions * preset.codes)
    further = (preset.positions - places) * 4 * preset.dim**2
    attention = 12 * preset.depth * inner * length**2
    return 6.0 * (blocks * length + further + heads) + attention * (0.5 if needed else 1.0)


def peak(kind: torch.dtype, size: int, repeats: int = 10) -> float:
    """Return the operations a second of a large product of random matrices, the median."""
    a, b = torch.randn(2, size, size, device=device(), dtype=kind)
    for _ in range(3):
        a @ b
    return 2 * size**3 / float(np.median([timed(lambda: a @ b) for _ in range(repeats)]))
