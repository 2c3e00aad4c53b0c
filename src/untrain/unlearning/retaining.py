"""Ascent on the forget set while the retained pairs hold the rest in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from untrain.generators.base import Generator
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Gradual, Learner

Batches = Iterator[tuple[list[str], int]]


@dataclass(frozen=True, kw_only=True)
class Retaining(Gradual):
    """What methods have whose steps pass both sets.

    Attributes
    ----------
    forget : float
        Weight of the forget set's loss, that of the retained pairs being 1.
    """

    rate: float = 0.06
    batch: int = 8
    forget: float = 0.2

    def cost(self, task: Task) -> int:
        """Return how many pairs a step passes, forward and backward."""
        return sum(min(self.batch, len(ids)) for ids in (task.forgotten, task.retained))


@dataclass(frozen=True, kw_only=True)
class AscentRetain(Retaining):
    """Ascent with a retain term: mean loss of what is retained − forget × that of the forget set.

    "Gradient difference" (Liu et al. 2022; Maini et al. 2024, TOFU).

    Attributes
    ----------
    steps : int
        At most: the ascent has no end of its own.
    """

    steps: int = 40

    def __call__(self, task: Task) -> Generator:
        """Return the generator after the last step."""
        learner = Learner(task, "ascent_retain")
        kept, gone = both_sets(learner, self.batch)

        def loss(step: int) -> torch.Tensor:
            retained = learner.losses(*next(kept)).mean()
            return retained - self.forget * learner.losses(*next(gone)).mean()

        learner.descend(loss, self.cost(task), self, self.steps)
        return learner.generator


def both_sets(learner: Learner, size: int) -> tuple[Batches, Batches]:
    """Return batches of what is retained, and of what is to be forgotten."""
    task = learner.task
    retained = learner.batches(task.retained, size, "retained")
    return retained, learner.batches(task.forgotten, size, "forget")
