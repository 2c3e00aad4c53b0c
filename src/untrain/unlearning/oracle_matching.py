"""Oracle matching: fine-tune towards the exact retraining, as if its predictions were known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from untrain.core.errors import InputError
from untrain.generators.base import Generator
from untrain.generators.differentiable import Batch, differentiable
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Learner
from untrain.unlearning.matching import Matching, match
from untrain.unlearning.neighbours import Neighbours


@dataclass(frozen=True, kw_only=True)
class OracleMatching(Matching):
    """Oracle matching: what matching comes to if it is told the exact retraining (upper bound)."""

    def __call__(self, task: Task) -> Generator:
        """Return the generator after matching the retraining, ``task.twin``."""
        twin = task.twin
        if twin is None:
            raise InputError(
                "oracle_matching is told the answer: it needs the exact retraining without the "
                "forget set (`untrain ladder` trains it); for forgetting without one take "
                "caption_swap"
            )
        differentiable(twin)

        def levels(ids: Sequence[str], batch: Batch, before: torch.Tensor) -> torch.Tensor:
            return before  # under the reference, which is the twin

        learner = Learner(task, "oracle_matching")
        match(learner, self, levels, Neighbours.of(task), reference=twin)
        return learner.generator
