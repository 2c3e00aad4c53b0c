"""Edited copies within a catalogue: every image looked for among all others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.progress import bar
from untrain.core.threads import cores, one_thread_a_product
from untrain.search.copy_detector.detector import CopyDetector

COLUMNS = ["image_id", "of", "verdict", "kinds", "score"]


def edited_pairs(catalog: Catalog, mode: str = "thorough") -> pd.DataFrame:
    """Return the pairs of images of which one is, as it seems, an edited copy of the other.

    The cost grows with the square of the number of images: see docs/results/copies.md. Which of
    two is the original, nobody can tell from them; ``kinds`` says what makes ``image_id`` of
    ``of``. Byte-identical images count once, by the first.

    Returns
    -------
    DataFrame
        In order of the images: image_id, of, verdict, kinds, score, as `CopyDetector.find`.
        A pair that was found both ways is there once, by the better score.
    """
    detector = CopyDetector(catalog, mode)
    firsts = np.unique(catalog.same_as)

    def pairs_of(position: int) -> list[tuple]:
        picture = np.asarray(catalog.image(catalog.ids[position]))
        return [
            (position, m.position, m.verdict, " ".join(m.kinds), m.score)
            for m in detector.matches(picture)
            if m.verdict != "similar" and detector.group[m.position] != detector.group[position]
        ]

    found: dict[tuple[int, int], tuple] = {}
    with (
        bar("looking for edited copies", len(firsts)) as advance,
        one_thread_a_product(),
        ThreadPoolExecutor(cores()) as pool,
    ):
        for pairs in pool.map(pairs_of, firsts.tolist()):
            for pair in pairs:
                key = min(pair[:2]), max(pair[:2])
                if key not in found or pair[-1] > found[key][-1]:
                    found[key] = pair
            advance(1)
    ids = catalog.ids
    rows = [(ids[a], ids[b], *rest) for a, b, *rest in (found[key] for key in sorted(found))]
    return pd.DataFrame(rows, columns=COLUMNS)
