"""Retained pairs that are near the images to forget, by their captions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from untrain.search.retrieve.candidates import text_index
from untrain.unlearning.base import Task

POOL = 100
"""Retained captions that are looked at for each image; similarity is small beyond."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The retained captions nearest to that of each image to forget.

    Attributes
    ----------
    places : ndarray of int64, shape (forgotten, m)
        Positions in ``task.retained``, the nearest first.
    similarity : ndarray of float64, shape (forgotten, m)
        Cosines of TF-IDF vectors, from 0 to 1; 0 where captions share no word.
    retained : int
        How many pairs are retained.
    """

    places: np.ndarray
    similarity: np.ndarray
    retained: int

    @classmethod
    def of(cls, task: Task, pool: int = POOL) -> Neighbours:
        """Find those of a task. This passes no pair and costs nothing of its budget."""
        catalog = task.catalog
        index = text_index(catalog)
        rows = np.array([catalog.index[each] for each in task.retained])
        most = min(pool, len(rows))
        places = np.empty((len(task.forgotten), most), np.int64)
        similarity = np.empty((len(task.forgotten), most))
        for row, image_id in enumerate(task.forgotten):
            caption = catalog.captions[catalog.index[image_id]]
            found = index.similarity([caption], rows[None])[0]
            places[row] = np.argsort(-found, kind="stable")[:most]
            similarity[row] = found[places[row]].clip(0, 1)
        return cls(places, similarity, len(rows))

    def weights(self, sharpness: float, count: int) -> np.ndarray:
        """Return weights of the ``count`` nearest, (forgotten, count), that add up to 1.

        In proportion to a power of the similarity; equal where no caption shares a word.
        """
        powers = self.similarity[:, :count] ** sharpness
        total = powers.sum(1, keepdims=True)
        return np.divide(powers, total, out=np.full_like(powers, 1 / count), where=total > 0)

    def nearness(self, sharpness: float) -> np.ndarray:
        """Return how near each retained pair is to the forget set, (retained,), adding up to 1."""
        found = np.zeros(self.retained)
        np.add.at(found, self.places, self.weights(sharpness, self.places.shape[1]))
        return found / found.sum()

    @cached_property
    def nearest(self) -> np.ndarray:
        """The place of the nearest retained caption to each image, (forgotten,)."""
        return self.places[:, 0]
