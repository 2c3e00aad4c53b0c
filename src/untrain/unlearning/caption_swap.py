"""Matching, with levels that the model itself predicts when it is told other captions.

What would a model say of an image that it had never seen? It would go by the captions that it
knows. So the model is asked how likely the image is under captions of *retained* pairs that are
like its own: about those it has learnt from other images. The mean of the losses, weighted by how
alike the captions are (a kernel regression of Nadaraya and Watson over captions), is the predicted
level. It holds what an attributor has to be told: with eleven pictures of the same product retained
their captions count most and keep the level low; with the whole product removed only captions of
other products are left, and it is high. It takes passes forward and no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from untrain.core.files import rng
from untrain.core.hardware import deterministic
from untrain.generators.base import Generator
from untrain.generators.differentiable import differentiable
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Learner
from untrain.unlearning.matching import SMALLEST, Matching, in_proportion, match
from untrain.unlearning.meter import THIRDS
from untrain.unlearning.neighbours import Neighbours

BATCH = 32  # passed forward together


@dataclass(frozen=True, kw_only=True)
class CaptionSwap(Matching):
    """Caption swap: forget each image up to what the model says of it under retained captions.

    Attributes
    ----------
    captions : int
        Retained captions that each image is shown with, at most.
    likeness : float
        A caption counts in proportion to this power of its similarity with the image's own.
    share : float
        Of the budget, at most, that predicting takes: fewer captions are shown, and then fewer
        images, if it does not suffice.
    """

    captions: int = 30
    likeness: float = 2.5
    share: float = 0.3

    def __call__(self, task: Task) -> Generator:
        """Return the generator after predicting and matching."""
        learner = Learner(task, "caption_swap")
        neighbours = Neighbours.of(task)
        match(learner, self, in_proportion(self.ratios(learner, neighbours)), neighbours)
        return learner.generator

    def ratios(self, learner: Learner, neighbours: Neighbours) -> Mapping[str, float]:
        """Return by how many times each image's loss is predicted to be higher, at least 1.

        Raises
        ------
        BudgetSpent
            The budget does not suffice for a single image.
        """
        task, model = learner.task, learner.generator
        passes = model.query_passes
        allowed = int(self.share * learner.meter.left * THIRDS / passes)
        pool = min(self.captions, neighbours.places.shape[1])
        count = max(1, min(pool, allowed // len(task.forgotten) - 1))
        shown = max(1, min(len(task.forgotten), allowed // (count + 1)))
        draw = rng("unlearning", learner.method, task.seed, "predicted")
        rows = np.sort(draw.permutation(len(task.forgotten))[:shown])
        weights = neighbours.weights(self.likeness, pool)
        found = {}
        for row in rows:
            image_id = task.forgotten[row]
            chosen, counted = _some(weights[row], count, draw)
            texts = [image_id, *(task.retained[at] for at in neighbours.places[row, chosen])]
            own, *others = self._under(learner, image_id, texts)
            found[image_id] = max(1.0, float(counted @ others) / max(own, SMALLEST))
        usual = float(np.mean(list(found.values())))
        return {each: found.get(each, usual) for each in task.forgotten}

    @deterministic()
    @torch.no_grad()
    def _under(self, learner: Learner, image_id: str, said: list[str]) -> list[float]:
        """Return what is measured of an image under the captions of some pairs."""
        catalog, model = learner.task.catalog, learner.generator
        asked = differentiable(model)
        sample = model.encode(catalog.pixels(model.image_size, [image_id]))
        texts = [catalog.captions[catalog.index[each]] for each in said]
        found: list[float] = []
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            learner.pay(model.query_passes * len(part))
            batch = asked.query_batch(np.repeat(sample, len(part), 0), part)
            found += asked.measurements(batch).double().tolist()
        return found


def _some(
    weights: np.ndarray, count: int, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return which captions to show, all or some drawn by their weights, and how each counts."""
    if count >= len(weights):
        return np.arange(len(weights)), weights
    count = min(count, int(np.count_nonzero(weights)))
    chosen = np.sort(draw.choice(len(weights), count, False, weights))
    return chosen, np.full(count, 1 / count)
