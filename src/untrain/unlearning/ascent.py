"""Gradient ascent on the forget set, with nothing to hold the rest in place."""

from __future__ import annotations

from dataclasses import dataclass

from untrain.generators.base import Generator
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Gradual, Learner


@dataclass(frozen=True, kw_only=True)
class Ascent(Gradual):
    """Gradient ascent: raise the loss of the images to forget (Thudi et al. 2022).

    Attributes
    ----------
    steps : int
        At most: it has no end of its own, and soon harms everything.
    """

    rate: float = 0.02
    steps: int = 40

    def __call__(self, task: Task) -> Generator:
        """Return the generator after the ascent."""
        learner = Learner(task, "ascent")
        forget = learner.batches(task.forgotten, self.batch, "forget")
        size = min(self.batch, len(task.forgotten))
        learner.descend(lambda step: -learner.losses(*next(forget)).mean(), size, self, self.steps)
        return learner.generator
