"""Ascent that stops where a model knows no more than it should: at a bound on the forget loss."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch

from untrain.generators.base import Generator
from untrain.generators.differentiable import differentiable
from untrain.generators.untrained import known_and_untrained
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Learner
from untrain.unlearning.retaining import Retaining, both_sets

TINY = 1e-3
"""Of a loss: the least that a model is taken to have learnt of an image."""


@dataclass(frozen=True, kw_only=True)
class BoundedAscent(Retaining):
    """Bounded ascent: ascent with a retain term, up to a bound on the loss of each image.

    As attribution by MUCS unlearns a query (arXiv 2605.17938), with the forget set in its place.

    Attributes
    ----------
    bound : float
        Where an image's loss stops to be raised, between what it is, 0, and that of a model that
        has learnt nothing, 1. The authors go to nearly 1; an exact retraining, which has seen
        pictures like them, does not.
    """

    rate: float = 0.08
    bound: float = 0.45

    def __call__(self, task: Task) -> Generator:
        """Return the generator once the bound is reached, or the budget spent."""
        learner = Learner(task, "bounded_ascent")
        kept, gone = both_sets(learner, self.batch)
        size = min(self.batch, len(task.forgotten))
        last: deque[float] = deque(maxlen=len(task.forgotten) // size)  # a round of the set

        def loss(step: int) -> torch.Tensor | None:
            ids, draw = next(gone)
            batch = learner.batch(ids, draw)
            learner.meter.pay(size, forward=True)
            before, untrained = known_and_untrained(differentiable(task.generator), batch)
            unit = (untrained - before).clamp(min=TINY * float(untrained.mean()))
            share = (learner.pass_pairs(batch) - before) / unit
            last.append(float(share.mean().detach()))
            if len(last) == last.maxlen and sum(last) / len(last) >= self.bound:
                return None
            retained = learner.losses(*next(kept)).mean()
            raised = (unit * share.clamp(max=self.bound)).mean()
            return retained - self.forget * raised

        learner.descend(loss, self.cost(task) + size / 3, self)
        return learner.generator
