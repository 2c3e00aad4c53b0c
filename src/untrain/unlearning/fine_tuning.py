"""Fine-tuning on what is retained, and letting the rest be forgotten on the way."""

from __future__ import annotations

from dataclasses import dataclass

from untrain.generators.base import Generator
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Gradual, Learner


@dataclass(frozen=True, kw_only=True)
class FineTuning(Gradual):
    """Fine-tuning: go on training on what is retained (catastrophic forgetting does the rest)."""

    rate: float = 0.5

    def __call__(self, task: Task) -> Generator:
        """Return the generator after as many steps as the budget allows."""
        learner = Learner(task, "fine_tuning")
        kept = learner.batches(task.retained, self.batch, "retained")
        size = min(self.batch, len(task.retained))
        learner.descend(lambda step: learner.losses(*next(kept)).mean(), size, self)
        return learner.generator
