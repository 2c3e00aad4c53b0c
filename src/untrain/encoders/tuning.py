"""How many images a forward pass and how many threads: measured once for a model and a machine.

On a CPU a larger batch is often the slower one, since its activations leave the cache; which is
best depends on the model and the machine, so a guess would be wrong on half of them.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from untrain.core.cache import cache_folder, mark_used
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.progress import console

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
        remembered = _remembered(key)
        if remembered is None and len(images) < BATCH_SIZES[-1]:
            return Pace(DEFAULT, threads)
        _known[key] = remembered or _remember(key, description, _measure(forward, images, threads))
    return _known[key]


@contextlib.contextmanager
def threads_set(threads: int) -> Iterator[None]:
    """Have torch use so many threads for a while."""
    import torch

    before = torch.get_num_threads()
    if threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads != before:
            torch.set_num_threads(before)


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


def _remembered(key: str) -> Pace | None:
    folder = cache_folder("paces", key)
    try:
        meta = read_json(folder / "meta.json")
        pace = Pace(int(meta["batch_size"]), int(meta["threads"]), float(meta["rate"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    mark_used(folder)
    return pace if pace.batch_size > 0 and pace.threads > 0 else None


def _remember(key: str, description: str, pace: Pace) -> Pace:
    words = f"batches of {pace.batch_size}, {pace.threads} threads: {pace.rate:.3g} images/s"
    console.print(f"  {description}: {words}")
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a measurement
        meta = {"description": f"{description}: {words}", **asdict(pace)}
        write_json(cache_folder("paces", key) / "meta.json", meta)
    return pace
