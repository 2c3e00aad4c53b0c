"""Edited copies within a catalogue: every image looked for among all others."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.cache import cached
from untrain.core.files import fingerprint, read_parquet, write_parquet
from untrain.core.progress import bar, clock, console
from untrain.core.threads import cores, one_thread_a_product
from untrain.search.copy_detector.detector import CopyDetector
from untrain.search.copy_detector.measured import THRESHOLD
from untrain.search.copy_detector.structure import StructureEncoder

VERSION = 1  # raise it when the pairs change
TIMED = 8  # images after which it is said how long all of them take
COLUMNS = ["image_id", "of", "verdict", "kinds", "score"]


def edited_pairs(catalog: Catalog, mode: str = "thorough") -> pd.DataFrame:
    """Return the pairs of images of which one is, as it seems, an edited copy of the other.

    The cost grows with the square of the number of images: see docs/results/copies.md. Which of
    two is the original, nobody can tell from them; ``kinds`` says what makes ``image_id`` of
    ``of``. Byte-identical images count once, by the first. They are looked for once for a content;
    later what was found is read from the cache.

    Returns
    -------
    DataFrame
        In order of the images: image_id, of, verdict, kinds, score, as `CopyDetector.find`.
        A pair that was found both ways is there once, by the better score.
    """
    key = fingerprint(VERSION, mode, THRESHOLD, StructureEncoder().fingerprint, catalog.fingerprint)
    pairs, _ = cached(
        "indexes",
        f"edited-{key}",
        {"description": f"edited copies in {catalog.name}", "rows": len(catalog)},
        make=lambda: _looked_for(catalog, mode),
        save=lambda pairs, path: write_parquet(path, pairs),
        load=read_parquet,
    )
    return pairs


def _looked_for(catalog: Catalog, mode: str) -> pd.DataFrame:
    firsts = np.unique(catalog.same_as)
    console.print(
        f"looking for edited copies: {len(firsts):,} images, each laid over the others; this takes "
        "minutes for some hundred images, hours for ten thousand",
        markup=False,
    )
    detector = CopyDetector(catalog, mode)

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
        start = time.monotonic()
        for number, pairs in enumerate(pool.map(pairs_of, firsts.tolist()), 1):
            if number == TIMED < len(firsts):
                rest = (time.monotonic() - start) / TIMED * (len(firsts) - TIMED)
                console.print(
                    f"about {clock(rest)} more, by the first {TIMED} images", markup=False
                )
            for pair in pairs:
                key = min(pair[:2]), max(pair[:2])
                if key not in found or pair[-1] > found[key][-1]:
                    found[key] = pair
            advance(1)
    ids = catalog.ids
    rows = [(ids[a], ids[b], *rest) for a, b, *rest in (found[key] for key in sorted(found))]
    return pd.DataFrame(rows, columns=COLUMNS)
