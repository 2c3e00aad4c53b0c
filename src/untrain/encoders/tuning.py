"""How many images a forward pass and how many threads: measured once for a model and a machine.

On a CPU a larger batch is often the slower one, since its activations leave the cache; which is
best depends on the model and the machine, so a guess would be wrong on half of them.

While others compute on the same processors, the clock says more about them than about the model:
a large batch meets them more surely than a small one. What is measured then is not remembered,
and is measured again soon.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from untrain.core.cache import cached, recall
from untrain.core.files import fingerprint, read_json, write_json
from untrain.core.load import Clocks
from untrain.core.progress import console
from untrain.core.threads import threads_set

Forward = Callable[[Sequence[np.ndarray]], object]

BATCH_SIZES = (1, 2, 4, 8, 16)
VERSION = 2  # of what is remembered; the first were measured however busy the machine was
DEFAULT = 4  # while there are too few images to measure with
REPEATS = 2  # of which the quicker counts: the first prepares the kernels for the size
WORSE = 0.95  # share of the best rate below which larger batches are not tried
CROWDED = 0.25  # processors that others use of those that are needed: more spoils a measurement
AGAIN = 60.0  # seconds after which a spoilt measurement is made again
CLOCKS = Clocks()
_known: dict[str, Pace] = {}
_spoilt: dict[str, tuple[Pace, float]] = {}


@dataclass(frozen=True)
class Pace:
    """Images a forward pass, threads within it, and the images/s that they gave (0: unknown)."""

    batch_size: int
    threads: int
    rate: float = 0.0

    def __str__(self) -> str:
        return f"batches of {self.batch_size}, {self.threads} threads: {self.rate:.3g} images/s"


def pace_of(
    model: str,
    description: str,
    forward: Forward,
    images: Sequence[np.ndarray],
    clocks: Clocks = CLOCKS,
) -> Pace:
    """Return the pace at which ``forward`` is quickest on this machine.

    It is measured, in a second or two, when a call has at least 16 images, and remembered in the
    cache; before that it is batches of 4. On a machine that others keep busy, it is measured again
    after `AGAIN` seconds until one measurement is undisturbed; till then batches have at least 4
    images, and all threads are used.

    Parameters
    ----------
    model : str
        Fingerprint of what takes the time: weights, layer, precision.
    description : str
        The model, for people.
    forward : callable
        Takes images; what it returns is left unread.
    images : sequence of ndarray
        The first of them are measured with.
    clocks : Clocks, optional
    """
    import torch

    threads = torch.get_num_threads()
    machine = (platform.node(), platform.machine(), os.cpu_count(), torch.__version__)
    key = fingerprint(model, machine, threads)
    if key in _known:
        return _known[key]
    found = recall("paces", key, _load, VERSION)
    if found is not None:
        _known[key] = found
        return found
    spoilt = _spoilt.get(key)
    if spoilt is not None and clocks.wall() - spoilt[1] < AGAIN:
        return spoilt[0]
    if len(images) < BATCH_SIZES[-1]:
        return spoilt[0] if spoilt else Pace(DEFAULT, threads)
    start = clocks.now()
    pace = _measure(forward, images, threads, clocks)
    others = clocks.others_since(start)
    processors = os.cpu_count() or 1
    if others + min(threads, processors) > processors + CROWDED:
        pace = replace(pace, batch_size=max(pace.batch_size, DEFAULT), threads=threads)
        if spoilt is None:
            console.print(
                f"  {description}: batches of {pace.batch_size} for now; other programs use "
                f"{others:.1f} processors, so the best size is measured later"
            )
        _spoilt[key] = pace, clocks.wall()
        return pace
    console.print(f"  {description}: {pace}")
    about = {"description": f"{description}: {pace}"}
    _spoilt.pop(key, None)
    # Of processes that measure at the same time, all take what the first has written.
    _known[key] = cached("paces", key, about, lambda: pace, _save, _load, VERSION)[0]
    return _known[key]


def _measure(forward: Forward, images: Sequence[np.ndarray], threads: int, clocks: Clocks) -> Pace:
    """Try rising batch sizes until they no longer pay, then half the threads.

    Half, because two hardware threads of a core seldom do more than one.
    """
    best = Pace(1, threads)
    for size in BATCH_SIZES:
        pace = _timed(forward, images, size, threads, clocks)
        if pace.rate < WORSE * best.rate:
            break
        best = max(best, pace, key=lambda p: p.rate)
    if threads > 1:
        half = _timed(forward, images, best.batch_size, threads // 2, clocks)
        best = max(best, half, key=lambda p: p.rate)
    return best


def _timed(
    forward: Forward, images: Sequence[np.ndarray], size: int, threads: int, clocks: Clocks
) -> Pace:
    batch, took = images[:size], []
    with threads_set(threads):
        for _ in range(REPEATS):
            start = clocks.wall()
            forward(batch)
            took.append(clocks.wall() - start)
    return Pace(size, threads, size / max(min(took), 1e-9))


def _save(pace: Pace, path: Path) -> None:
    write_json(path, asdict(pace))


def _load(path: Path) -> Pace:
    pace = Pace(**read_json(path))
    if not (pace.batch_size > 0 and pace.threads > 0):
        raise ValueError(f"no pace: {pace}")
    return pace
