"""How many images a forward pass and how many threads: measured once for a model and a machine.

On a CPU a larger batch is often the slower one, since its activations leave the cache; which is
best depends on the model and the machine, so a guess would be wrong on half of them.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from untrain.core.cache import cached, recall
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.progress import console
from untrain.core.threads import threads_set

Forward = Callable[[Sequence[np.ndarray]], object]

BATCH_SIZES = (1, 2, 4, 8, 16)
DEFAULT = 4  # while there are too few images to measure with
REPEATS = 2  # of which the quicker counts: the first prepares the kernels for the size
WORSE = 0.95  # share of the best rate below which larger batches are not tried
_known: dict[str, Pace] = {}


@dataclass(frozen=True)
class Pace:
    """Images a forward pass, threads within it, and the images/s that they gave (0: unknown)."""

    batch_size: int
    threads: int
    rate: float = 0.0

    def __str__(self) -> str:
        return f"batches of {self.batch_size}, {self.threads} threads: {self.rate:.3g} images/s"


def pace_of(model: str, description: str, forward: Forward, images: Sequence[np.ndarray]) -> Pace:
    """Return the pace at which ``forward`` is quickest on this machine.

    It is measured, in a second or two, when a call has at least 16 images, and remembered in the
    cache; before that it is batches of 4.

    Parameters
    ----------
    model : str
        Fingerprint of what takes the time: weights, layer, precision.
    description : str
        The model, for people.
    """
    import torch

    threads = torch.get_num_threads()
    machine = (platform.node(), platform.machine(), os.cpu_count(), torch.__version__)
    key = fingerprint(model, machine, threads)
    if key not in _known:
        found = recall("paces", key, _load)
        if found is None and len(images) < BATCH_SIZES[-1]:
            return Pace(DEFAULT, threads)

        def make() -> Pace:
            pace = _measure(forward, images, threads)
            console.print(f"  {description}: {pace}")
            return pace

        def about(pace: Pace) -> dict[str, str]:
            return {"description": f"{description}: {pace}"}

        _known[key] = found or cached("paces", key, about, make, _save, _load)[0]
    return _known[key]


def _measure(forward: Forward, images: Sequence[np.ndarray], threads: int) -> Pace:
    """Try rising batch sizes until they no longer pay, then half the threads.

    Half, because two hardware threads of a core seldom do more than one.
    """
    best = Pace(1, threads)
    for size in BATCH_SIZES:
        pace = _timed(forward, images, size, threads)
        if pace.rate < WORSE * best.rate:
            break
        best = max(best, pace, key=lambda p: p.rate)
    if threads > 1:
        half = _timed(forward, images, best.batch_size, threads // 2)
        best = max(best, half, key=lambda p: p.rate)
    return best


def _timed(forward: Forward, images: Sequence[np.ndarray], size: int, threads: int) -> Pace:
    batch, took = images[:size], []
    with threads_set(threads):
        for _ in range(REPEATS):
            start = time.perf_counter()
            forward(batch)
            took.append(time.perf_counter() - start)
    return Pace(size, threads, size / max(min(took), 1e-9))


def _save(pace: Pace, path: Path) -> None:
    write_json(path, asdict(pace))


def _load(path: Path) -> Pace:
    pace = Pace(**read_json(path))
    if not (pace.batch_size > 0 and pace.threads > 0):
        raise ValueError(f"no pace: {pace}")
    return pace
