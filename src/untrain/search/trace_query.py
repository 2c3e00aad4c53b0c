"""Pictures of a trace: each measured against its candidates, ranked, tested for copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.encoders.float16 import widen
from untrain.encoders.store import FeatureStore
from untrain.search.calibration import Calibration, overlay, thumbnail
from untrain.search.catalog_index import CatalogIndex
from untrain.search.compare.comparison import compare
from untrain.search.compare.metrics import measured
from untrain.search.copies import judge
from untrain.search.neighbours import Nearest
from untrain.search.trace_pictures import Seen, known

HIT = ("query", "rank", "image_id", "score", "caption", "same_as", "near_copy", "distance")

Similarity = dict[str, Callable[[np.ndarray], np.ndarray]]
"""From the name of a text metric to a function: positions of images → the prompt's similarity."""


@dataclass(frozen=True)
class TracedPicture:
    """A picture asked about, and what was found for it.

    Attributes
    ----------
    name : str
    picture : ndarray of uint8, H×W×3
    features, pooled : ndarray of float
        By the encoder that was asked for, and by the one whose features are indexed.
    nearest : int
        Position of the image nearest by pooled features.
    around : ndarray of float
        Cosines of the nearest images, byte-identical ones once.
    candidates : ndarray of int
        Positions of the images to compare it with, rising.
    itself : str
        Its id, if it is an image of the catalogue, which is then no candidate.
    """

    name: str
    picture: np.ndarray
    features: np.ndarray
    pooled: np.ndarray
    nearest: int
    around: np.ndarray
    candidates: np.ndarray
    itself: str = ""

    def compared(
        self,
        opened: CatalogIndex,
        store: FeatureStore,
        pictures: Mapping[int, Seen],
        similarity: Similarity,
        aside: bool,
    ) -> pd.DataFrame:
        """Measure the picture against its candidates, byte-identical ones alike to the last bit.

        ``store`` has the features of the encoder that was asked for; ``aside`` as `compare` has it.
        """
        catalog, at = opened.catalog, self.candidates
        rows = opened.rows[at]
        first, same = np.unique(rows, return_index=True, return_inverse=True)[1:]
        ids = [catalog.ids[position] for position in at.tolist()]
        whole = stored = widen(opened.features[rows])
        pooled = None
        if store.encoder.fingerprint != opened.encoder.fingerprint:
            whole = store.features(catalog, ids, "features of candidates")
            pooled = self.pooled[None], stored
        seen = [pictures[position] for position in at.tolist()]
        table = compare(
            self.name,
            [self.picture],
            ids,
            [each.picture for each in seen],
            self.features[None],
            whole,
            pooled=pooled,
            known=known(seen),
            aside=aside,
        )
        if len(first) < len(rows):
            # A matrix product may round equal columns apart, and then chance would order copies.
            metrics = measured(table)
            table[metrics] = table[metrics].to_numpy()[first[same]]
        for name, of in similarity.items():
            table[f"text_{name}"] = of(at)
        return table

    def best(
        self,
        image_ids: Sequence[str],
        positions: Sequence[int],
        scores: Sequence[float],
        rows: np.ndarray,
        top: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and scores of the best candidates, in the order of `trace`.

        ``rows`` tells which images of the catalogue are byte-identical.
        """
        found = zip(scores, image_ids, positions, strict=True)
        # What has no score comes last.
        order = sorted(found, key=lambda f: (math.isnan(f[0]), -f[0], f[1] != self.name, f[1]))
        together: dict[int, list[tuple[int, float]]] = {}
        for score, _, position in order:
            together.setdefault(int(rows[position]), []).append((position, score))
        hits = [hit for group in together.values() for hit in group][:top]
        return np.array([at for at, _ in hits], np.int64), np.array([score for _, score in hits])

    def judged(
        self, opened: CatalogIndex, pictures: Mapping[int, Seen], shown: np.ndarray
    ) -> tuple[Nearest, np.ndarray]:
        """Return how near the nearest image by features and each of those shown are.

        And each laid over the picture, as `overlay` gives it.
        """
        # Of byte-identical images the one that ranks first.
        same = shown[opened.rows[shown] == opened.rows[self.nearest]]
        positions = np.concatenate([[*same, self.nearest][:1], shown])
        cosines = opened.vectors.cosines(self.pooled[None], positions[None])[0]
        own = thumbnail(self.picture)
        laid = [overlay(own, pictures[at].picture) for at in positions.tolist()]
        return Nearest.among(positions, cosines, self.around[None]), np.array(laid)


@dataclass(frozen=True)
class Answer:
    """The answer for some pictures: rows of `untrain.search.trace.Trace.table` and ``.copies``."""

    table: pd.DataFrame
    copies: pd.DataFrame


def answer(
    queries: Sequence[TracedPicture],
    opened: CatalogIndex,
    calibration: Calibration,
    pictures: Mapping[int, Seen],
    compared: pd.DataFrame,
    ranked: pd.DataFrame,
    top: int,
) -> Answer:
    """Return the best candidates of some pictures, tested for copies.

    Parameters
    ----------
    compared : DataFrame
        What `TracedPicture.compared` gave for each, one after another.
    ranked : DataFrame
        The ranking of that: query, image_id, score, position.
    """
    catalog = opened.catalog
    parts = dict(iter(ranked.groupby("query")))
    hits = []
    for query in queries:
        own = parts[query.name]
        ids, positions, scores = (own[c].tolist() for c in ("image_id", "position", "score"))
        hits.append(query.best(ids, positions, scores, opened.rows, top))
    near, laid = zip(
        *(q.judged(opened, pictures, h[0]) for q, h in zip(queries, hits, strict=True)),
        strict=True,
    )
    judged = judge(calibration, Nearest.together(near), np.concatenate(laid))
    return Answer(
        _table(queries, catalog, compared, hits, judged),
        _copies(queries, catalog, hits, judged),
    )


def _first_rows(hits: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return where each query's rows begin among those judged: its nearest image, then its hits."""
    lengths = [1 + len(positions) for positions, _ in hits]
    return np.cumsum([0, *lengths])[:-1]


def _table(
    queries: Sequence[TracedPicture],
    catalog: Catalog,
    compared: pd.DataFrame,
    hits: Sequence[tuple[np.ndarray, np.ndarray]],
    judged: pd.DataFrame,
) -> pd.DataFrame:
    counts = [len(positions) for positions, _ in hits]
    positions = np.concatenate([positions for positions, _ in hits])
    at = positions.tolist()
    starts = np.cumsum([0, *(len(query.candidates) for query in queries)])[:-1]
    places = [
        start + np.searchsorted(query.candidates, own)
        for start, query, (own, _) in zip(starts, queries, hits, strict=True)
    ]
    of_hits = judged.drop(_first_rows(hits)).reset_index(drop=True)
    ids = [catalog.ids[position] for position in at]
    names = np.repeat([query.name for query in queries], counts)
    content = [catalog.hashes[position] for position in at]
    first = {
        (query.name, catalog.hashes[catalog.index[query.itself]]): query.itself
        for query in queries
        if query.itself
    }
    same_as = []
    for name, digest, image_id in zip(names.tolist(), content, ids, strict=True):
        above = first.setdefault((name, digest), image_id)
        same_as.append(above if above != image_id else "")
    table = pd.DataFrame(
        {
            "query": names.tolist(),
            "rank": np.concatenate([np.arange(1, n + 1) for n in counts]),
            "image_id": ids,
            "score": np.concatenate([scores for _, scores in hits]),
            "caption": [catalog.captions[position] for position in at],
            "same_as": same_as,
            "near_copy": of_hits["near_copy"],
            "distance": of_hits["distance"],
        }
    )[list(HIT)]
    values = compared[measured(compared)].iloc[np.concatenate(places)]
    return table.join(values.reset_index(drop=True))


def _copies(
    queries: Sequence[TracedPicture],
    catalog: Catalog,
    hits: Sequence[tuple[np.ndarray, np.ndarray]],
    judged: pd.DataFrame,
) -> pd.DataFrame:
    flagged = np.split(judged["near_copy"].to_numpy(), _first_rows(hits)[1:])
    told = [first + int(of.argmax()) for first, of in zip(_first_rows(hits), flagged, strict=True)]
    copies = judged.iloc[told].reset_index(drop=True)
    copies["query"] = [query.name for query in queries]
    ids = [catalog.ids[position] for position in copies.pop("nearest").tolist()]
    copies.insert(1, "image_id", ids)
    return copies
