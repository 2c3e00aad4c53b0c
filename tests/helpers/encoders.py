"""An encoder for tests with nodes that die: it notes where it worked."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TOGETHER_SECONDS = 60.0  # for a second node to begin


def noting(images: Sequence[np.ndarray], notes: str, nodes: int) -> np.ndarray:
    """Return mean colours; on a cluster, note the node, and begin only when ``nodes`` have."""
    import ray

    if ray.is_initialized():
        node = ray.get_runtime_context().get_node_id()
        Path(notes, f"{node}-{uuid.uuid4().hex}").touch()
        end = time.monotonic() + TOGETHER_SECONDS
        while len(noted(Path(notes))) < nodes and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.2)
    return np.stack([image.mean(axis=(0, 1)) for image in images])


def noted(notes: Path) -> set[str]:
    """Return the nodes that have begun."""
    return {note.name.partition("-")[0] for note in notes.iterdir()}
