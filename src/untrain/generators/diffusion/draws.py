"""At which times and with which noise a loss is asked for: fixed by what it is asked of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from untrain.core.files import fingerprint, rng

GOLDEN = 0.6180339887498949  # the golden ratio − 1: its multiples modulo 1 are spread evenly


class PairDraw(NamedTuple):
    """What is random in the training loss of some pairs.

    Attributes
    ----------
    times : ndarray of int64, (n,)
    noise : ndarray of float32, (n, …)
    silent : ndarray of bool, (n,)
        Whose caption is left out.
    """

    times: np.ndarray
    noise: np.ndarray
    silent: np.ndarray


def pair_draw(
    hashes: Sequence[str], draw: int, shape: tuple[int, ...], times: int, dropout: float
) -> PairDraw:
    """Return the ``draw``-th of the random numbers of pairs, known by the hash of their content.

    The times of draws 0, 1, … of a pair are spread evenly over the ``times`` of the schedule, so
    that a mean over a few draws comes near the expected loss.
    """
    starts = np.array([rng("pair time", each).random() for each in hashes])
    places = (starts + draw * GOLDEN) % 1 * times
    noise = np.empty((len(hashes), *shape), np.float32)
    silent = np.empty(len(hashes), bool)
    for row, each in enumerate(hashes):
        drawn = rng("pair noise", each, draw)
        noise[row] = drawn.standard_normal(shape, np.float32)
        silent[row] = drawn.random() < dropout
    return PairDraw(places.astype(np.int64), noise, silent)


def query_draw(samples: np.ndarray, terms: int, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the times (n, terms) and noises (n, terms, …) at which queries are measured.

    Times are stratified over the schedule; noise comes in pairs ±, drawn by a counter from the
    content of the sample, so that it is the same for all models.
    """
    shape = samples.shape[1:]
    fixed = ((np.arange(terms) + 0.5) * times / terms).astype(np.int64)
    noise = np.empty((len(samples), terms, *shape), np.float32)
    for row, sample in enumerate(samples):
        draw = rng("terms", fingerprint(sample))
        half = draw.standard_normal((terms // 2, *shape), np.float32)
        noise[row] = np.stack([half, -half], axis=1).reshape(terms, *shape)
    return np.tile(fixed, (len(samples), 1)), noise
