"""What the engines of `parts.py` search: vectors and captions that `bench_parts.py` drew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from untrain.catalogs.columns import Texts

TOP, WIDER = 100, 400
ADDED = 0.01
BLOCK = 2**16
NOTHING = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Data:
    """Vectors and captions of all images, of which the first ``images`` are there at first."""

    images: int
    vectors: np.ndarray
    captions: Texts
    queries: np.ndarray
    prompts: dict[str, list[str]]

    @classmethod
    def open(cls, place: Path) -> Data:
        """Map what was drawn."""
        drawn = json.loads((place / "drawn.json").read_text())
        table = pa.ipc.open_file(pa.memory_map(str(place / "captions.arrow"))).read_all()
        return cls(
            drawn["images"],
            np.load(place / "vectors.npy", mmap_mode="r") if drawn["vectors"] else NOTHING,
            Texts(table["text"]),
            np.load(place / "queries.npy").astype(np.float32) if drawn["vectors"] else NOTHING,
            {"long": drawn["long"], "short": drawn["short"]},
        )

    def some(self, added: bool) -> range:
        """Return the images at first, or those added."""
        return range(self.images, len(self.captions)) if added else range(self.images)
