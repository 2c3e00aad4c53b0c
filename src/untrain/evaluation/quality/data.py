"""What the judge learns from and is asked: real photos, and what each prompt asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.files import rng
from untrain.evaluation.quality.judge import FOLDS, Judge, Space, train_judge
from untrain.search.retrieve.candidates import retrieve

FEWEST = 30  # photos of a name that the judge learns
PHOTOS = 8000  # that it is trained on at most
LEAST = 3 * FOLDS  # photos of each name among these


@dataclass(frozen=True)
class Sample:
    """The photos that judges are trained on: rows of the catalogue, and what each stands for."""

    rows: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, catalog: Catalog, names: np.ndarray, seed: int) -> Sample:
        """Draw different photos at random, more of rare names than their share."""
        same = catalog.same_as
        distinct = np.flatnonzero(same == np.arange(len(same)))
        distinct = distinct[_common(names[distinct])]
        mixed = rng("judge", seed).permutation(distinct)
        if len(mixed) > PHOTOS:
            rank = pd.Series(names[mixed]).groupby(names[mixed]).cumcount().to_numpy()
            first = np.argsort(rank >= LEAST, kind="stable")  # the first of every name, then others
            mixed = mixed[first[:PHOTOS]]
        rows = np.sort(mixed)
        counts = pd.Series(names[distinct]).value_counts()
        sampled = pd.Series(names[rows]).value_counts()
        return cls(rows, (counts / sampled).loc[names[rows]].to_numpy(float))


def _common(names: np.ndarray) -> np.ndarray:
    """Return where a name is one that at least `FEWEST` have, bool (n,)."""
    counts = pd.Series(names).map(pd.Series(names).value_counts()).to_numpy()
    return (names != "") & (counts >= FEWEST)


def train(
    features: np.ndarray, names: np.ndarray, sample: Sample, space: Space, seed: int
) -> Judge | None:
    """Train a judge on the photos whose name is common enough; None if there are not two names."""
    own = names[sample.rows]
    counts = pd.Series(own).map(pd.Series(own).value_counts()).to_numpy()
    learned = (own != "") & (counts >= min(FEWEST, LEAST))
    if len(np.unique(own[learned])) < 2:
        return None
    return train_judge(
        features[learned], own[learned].astype(str), sample.weights[learned], seed, space
    )


def nearest(catalog: Catalog, prompts: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the images that say what each prompt asks for: its family, or the ten nearest."""
    families = catalog.attributes.get("family", pd.Series([""] * len(catalog))).astype(str)
    neighbours = retrieve(catalog, prompts, top=10).table.groupby("prompt_id")["image_id"]
    nearest = {p: np.array([catalog.index[i] for i in ids]) for p, ids in neighbours}
    rows = {}
    for prompt_id, family in zip(prompts["prompt_id"], prompts["family"], strict=True):
        members = np.flatnonzero(families == family) if family else np.array([], int)
        rows[prompt_id] = members if len(members) else nearest[prompt_id]
    return rows


def commonest(names: np.ndarray) -> str:
    values, counts = np.unique(names.astype(str), return_counts=True)
    return str(values[counts.argmax()])
