"""What the checks have in common: what does not apply, and when two results count as the same."""

from __future__ import annotations

import numpy as np

from untrain.generators.base import Generator, has_likelihood
from untrain.testing.bench import Bench

ROUNDING = 1e-3  # of a likelihood's size, between batches
LEVELS = 3  # of 255, between batches


class Skip(Exception):
    """A check that does not apply to this generator, and why."""


def only_if_paired(bench: Bench) -> None:
    if not bench.new().paired:
        raise Skip("it says that it is not paired")


def likelihood_of(bench: Bench) -> tuple[Generator, np.ndarray]:
    generator, found = bench.fitted()
    if not has_likelihood(generator) or found.likely is None:
        raise Skip("it has no log_likelihood")
    return generator, found.likely


def disturb() -> None:
    """Draw random numbers as other code might."""
    import random

    import torch

    random.random()
    np.random.random()  # noqa: NPY002 - the state that nobody should depend on
    torch.rand(3)


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether pictures are the same up to rounding: of a few pixels, or of a few levels."""
    off = np.abs(a.astype(int) - b.astype(int)) > LEVELS
    return bool(off.mean() < 0.01)


def near(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether likelihoods are the same up to rounding."""
    return a.shape == b.shape and bool(np.abs(a - b).max() <= ROUNDING * np.abs(b).max())
