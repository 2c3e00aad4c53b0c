"""Relabelling: train the captions to forget on images that are retained.

A model that had not seen an image would answer its caption with what it knows of others. So the
caption is shown with the image whose caption is nearest among the retained, beside random retained
pairs that hold the rest (random labels in classification, Golatkar et al. 2020; with the nearest
retained image for text-to-image models as in ReTrack of GUDA).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from untrain.catalogs.base import Catalog
from untrain.generators.base import Generator
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Gradual, Learner
from untrain.unlearning.neighbours import Neighbours


@dataclass(frozen=True, kw_only=True)
class Relabelling(Gradual):
    """Relabelling: the captions to forget are trained on the nearest retained images.

    Attributes
    ----------
    forget : float
        Weight of the relabelled pairs, that of the retained being 1.
    """

    rate: float = 0.2
    forget: float = 1.0

    def __call__(self, task: Task) -> Generator:
        """Return the generator after as many steps as the budget allows."""
        learner = Learner(task, "relabelling")
        other = relabelled(task, Neighbours.of(task))
        retained = learner.batches(task.retained, self.batch, "retained")
        gone = learner.batches(task.forgotten, self.batch, "forget")

        def loss(step: int) -> torch.Tensor:
            kept = learner.losses(*next(retained)).mean()
            ids, draw = next(gone)
            told = learner.pass_pairs(learner.asked.training_batch(other, ids, draw)).mean()
            return kept + self.forget * told

        size = sum(min(self.batch, len(ids)) for ids in (task.forgotten, task.retained))
        learner.descend(loss, size, self)
        return learner.generator


def relabelled(task: Task, neighbours: Neighbours) -> Catalog:
    """Return the pairs to forget, each with the nearest retained image in its image's place."""
    catalog = task.catalog
    shown = {
        forgotten: task.retained[place]
        for forgotten, place in zip(task.forgotten, neighbours.nearest, strict=True)
    }
    return replace(
        catalog.subset(task.forgotten, f"{catalog.name}, relabelled"),
        hashes=tuple(catalog.hashes[catalog.index[shown[each]]] for each in task.forgotten),
        read=lambda image_id: catalog.encoded(shown[image_id]),
    )
