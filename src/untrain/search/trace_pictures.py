"""Pictures of a catalogue for a trace: decoded, and measured as far as each is by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.parallel import in_threads
from untrain.search.compare.extra import perceptual_hashes
from untrain.search.compare.metrics import Known
from untrain.search.compare.pixel import colour_histograms

BUDGET = 2**28  # bytes of pictures kept for those that ask for them later: 256 MiB
TOGETHER = 32  # pictures a task: fewer cost more calls, more leave a thread idle at the end


class Seen(NamedTuple):
    """A picture (uint8 H×W×3), its perceptual hash (bool, 64) and its colours (float32, 512)."""

    picture: np.ndarray
    hash: np.ndarray
    histogram: np.ndarray

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(array.nbytes for array in self)


class SeenPictures:
    """Pictures by position: near pictures share candidates, which are decoded and hashed once.

    Those used last are kept, up to a number of bytes, so that memory does not grow with what is
    asked for. Threads may share it; they read at the same time.

    Parameters
    ----------
    catalog : Catalog
    budget : int, optional
        Bytes; `BUDGET` if left out.
    """

    def __init__(self, catalog: Catalog, budget: int | None = None) -> None:
        self.catalog = catalog
        self.budget = BUDGET if budget is None else budget
        self._kept: OrderedDict[int, Seen] = OrderedDict()
        self._size = 0
        self._one = Lock()

    def of(self, positions: np.ndarray) -> dict[int, Seen]:
        """Return the pictures at different positions of the catalogue, int64 (n,)."""
        wanted = positions.tolist()
        with self._one:
            found = {at: self._kept[at] for at in wanted if at in self._kept}
        missing = [at for at in wanted if at not in found]
        parts = [missing[i : i + TOGETHER] for i in range(0, len(missing), TOGETHER)]
        for part in in_threads(self._read, parts) if parts else ():
            found |= part
        with self._one:
            for at in wanted:
                if at not in self._kept:
                    self._kept[at] = found[at]
                    self._size += found[at].size
                self._kept.move_to_end(at)
            while self._size > self.budget and self._kept:
                self._size -= self._kept.popitem(last=False)[1].size
        return found

    def _read(self, positions: Sequence[int]) -> dict[int, Seen]:
        ids = self.catalog.ids
        pictures = [np.asarray(self.catalog.image(ids[at])) for at in positions]
        hashes = perceptual_hashes(pictures)
        histograms = [colour_histograms([p])[0].astype(np.float32) for p in pictures]
        return dict(zip(positions, map(Seen, pictures, hashes, histograms), strict=True))


def known(pictures: Sequence[Seen]) -> Known:
    """Return what is known of pictures by themselves, as a comparison takes it."""
    hashes, histograms = zip(*((seen.hash, seen.histogram) for seen in pictures), strict=True)
    return Known(np.stack(hashes), np.stack(histograms))
