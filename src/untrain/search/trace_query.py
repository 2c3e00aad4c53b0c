"""One picture of a trace: measured against its candidates, ranked, tested for copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.encoders.base import Encoder
from untrain.encoders.store import FeatureStore
from untrain.search.calibration import Calibration, overlay
from untrain.search.catalog_index import CatalogIndex
from untrain.search.compare.comparison import compare
from untrain.search.compare.metrics import measured
from untrain.search.copies import judge
from untrain.search.neighbours import Nearest

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
        Positions of the images to compare it with.
    """

    name: str
    picture: np.ndarray
    features: np.ndarray
    pooled: np.ndarray
    nearest: int
    around: np.ndarray
    candidates: np.ndarray

    def compared(
        self,
        opened: CatalogIndex,
        encoder: Encoder,
        pictures: dict[int, np.ndarray],
        similarity: Similarity,
    ) -> pd.DataFrame:
        """Measure the picture against its candidates, byte-identical ones alike to the last bit."""
        catalog, at = opened.catalog, self.candidates
        ids = [catalog.ids[position] for position in at]
        stored = opened.features[opened.rows[at]].astype(np.float32)
        whole, pooled = stored, None
        if encoder.fingerprint != opened.encoder.fingerprint:
            whole = FeatureStore(None, encoder).features(catalog, ids, "features of candidates")
            pooled = self.pooled[None], stored
        table = compare(
            self.name,
            [self.picture],
            ids,
            [pictures[position] for position in at.tolist()],
            self.features[None],
            whole,
            pooled=pooled,
        )
        metrics = measured(table)
        # A matrix product may round equal columns apart, and then chance would order copies.
        table[metrics] = table.groupby(opened.rows[at])[metrics].transform("first")
        for name, of in similarity.items():
            table[f"text_{name}"] = of(at)
        return table

    def best(self, ranked: pd.DataFrame, catalog: Catalog, top: int) -> pd.DataFrame:
        """Return ``image_id`` and ``score`` of the best candidates, in the order of `trace`."""
        table = ranked.loc[ranked["prompt_id"] == self.name, ["image_id", "score"]]
        table = table.assign(other=table["image_id"] != self.name)
        table = table.sort_values(["score", "other", "image_id"], ascending=[False, True, True])
        content = (
            table["image_id"]
            .map(catalog.index.__getitem__)
            .astype("int64")
            .map(catalog.hashes.__getitem__)
        )
        together = np.argsort(pd.factorize(content)[0], kind="stable")
        return table[["image_id", "score"]].iloc[together].head(top).reset_index(drop=True)

    def judged(
        self,
        opened: CatalogIndex,
        calibration: Calibration,
        pictures: dict[int, np.ndarray],
        hits: pd.DataFrame,
    ) -> pd.DataFrame:
        """Test for copies: the nearest image by features (first row), then each hit."""
        shown = hits["image_id"].map(opened.catalog.index.__getitem__).astype("int64").to_numpy()
        # Of byte-identical images the one that ranks first.
        same = shown[opened.rows[shown] == opened.rows[self.nearest]]
        positions = np.concatenate([[*same, self.nearest][:1], shown])
        cosines = opened.vectors.cosines(self.pooled[None], positions[None])[0]
        laid = np.array([overlay(self.picture, pictures[at]) for at in positions.tolist()])
        return judge(calibration, Nearest.among(positions, cosines, self.around[None]), laid)

    def tables(
        self, catalog: Catalog, hits: pd.DataFrame, compared: pd.DataFrame, judged: pd.DataFrame
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows of the picture in `Trace.table` and `Trace.copies`."""
        of_pairs = compared.set_index("image_id")
        metrics = measured(of_pairs)
        places = hits["image_id"].map(catalog.index.__getitem__).astype("int64")
        content = places.map(catalog.hashes.__getitem__)
        first = hits["image_id"].groupby(content).transform("first")
        of_hits = judged.iloc[1:].reset_index(drop=True)
        table = hits.assign(
            query=self.name,
            rank=range(1, len(hits) + 1),
            caption=places.map(catalog.captions.__getitem__),
            same_as=first.where(first != hits["image_id"], ""),
            near_copy=of_hits["near_copy"],
            distance=of_hits["distance"],
        )[list(HIT)]
        values = of_pairs.loc[hits["image_id"], metrics].reset_index(drop=True)
        copy = judged.iloc[[int(judged["near_copy"].to_numpy().argmax())]].reset_index(drop=True)
        copy["query"] = self.name
        copy.insert(1, "image_id", [catalog.ids[position] for position in copy.pop("nearest")])
        return table.join(values), copy
