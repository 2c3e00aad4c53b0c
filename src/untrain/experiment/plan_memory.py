"""Peak memory of a run, all its processes together, estimated from sizes known beforehand.

The estimate is meant to be on the safe side: what libraries take was measured on Linux
(proportional set size, `benchmarks/bench_memory.py`); no stage holds all that is counted for it at
once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untrain.core.hardware import device
from untrain.generators.base import Cost
from untrain.runs.run import Run

MAIN = 650_000_000
"""Bytes of a run's main process with everything imported."""
WORKER = 300_000_000
"""Bytes of a process that only trains."""
PAIR = 1000
"""Bytes per pair without its picture: id, caption, hash, and its rows in tables."""
PIXEL = 11
"""Bytes per colour value of a pixel while frozen parts are fitted: as read, and reconstructed."""
COPIES_OF_WEIGHTS = 6
"""Weights, gradients, two moments, their mean over the training, and one to spare; float32."""


@dataclass(frozen=True)
class Memory:
    """Peak memory of a run.

    Attributes
    ----------
    bytes : int
        Of all processes on this machine together, at the peak.
    stage : str
        The stage with the peak.
    bytes_on_gpu : int or None
        Of the models trained at once; None where nothing trains on a GPU.
    complete : bool
        Whether activations are counted, not only weights.
    """

    bytes: int
    stage: str
    bytes_on_gpu: int | None
    complete: bool


def expected_memory(run: Run, cost: Cost | None, workers: int) -> Memory:
    """Return the peak memory of a run.

    Parameters
    ----------
    run : Run
    cost : Cost or None
        Of training one model.
    workers : int
        Models trained at once.
    """
    pairs = len(run.catalog) + len(run.held_out)
    main = MAIN + PAIR * pairs
    one = _training(cost)
    on_gpu = device().type == "cuda"
    beside = 0 if on_gpu else one
    height, width = run.generator.image_size
    stages = {
        "fit": main + beside + PIXEL * pairs * height * width * 3,
        "compare": main + 4 * pairs * int(np.prod(run.encoder.encode([]).shape[1:])),
        "retrain": main + (workers * (WORKER + beside) if workers > 1 else beside),
    }
    most = max(stages, key=lambda name: stages[name])
    complete = cost is not None and cost.bytes is not None
    gpu = workers * run.generator.stack_size * one if on_gpu else None
    return Memory(stages[most], most, gpu, complete)


def _training(cost: Cost | None) -> int:
    """Return the bytes of training one model: as the generator says, or only of its weights."""
    if cost is None:
        return 0
    return 4 * COPIES_OF_WEIGHTS * cost.parameters if cost.bytes is None else cost.bytes
