"""Negative preference optimisation: ascent that fades out as an image is forgotten."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from untrain.generators.base import Generator
from untrain.generators.differentiable import (
    Batch,
    Differentiable,
    differentiable,
    has_predictions,
    predictive,
)
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Learner
from untrain.unlearning.retaining import Retaining, both_sets

TERMS = 64
"""Independent numbers in a picture whose loss is a mean squared error: neighbouring pixels are no
evidence of their own."""


@dataclass(frozen=True, kw_only=True)
class Npo(Retaining):
    """NPO: push each image away from what the model was, less and less as it goes.

    The loss is that of the retained pairs + forget × −(2/β) · mean log σ(β (l − l_ref)) / n, where
    l is the summed negative log-likelihood of an image's n codes and l_ref that of the model as it
    was (Zhang et al. 2024, arXiv 2404.05868): divided by n, it begins as the ascent on the mean
    loss. A mean squared error stands for the likelihood of a Gaussian of that variance.

    Attributes
    ----------
    beta : float
        How soon it fades: at l − l_ref = 1/β nats the push is about half.
    """

    rate: float = 0.08
    forget: float = 0.5
    beta: float = 0.1

    def __call__(self, task: Task) -> Generator:
        """Return the generator after as many steps as the budget allows."""
        learner = Learner(task, "npo")
        kept, gone = both_sets(learner, self.batch)
        size = min(self.batch, len(task.forgotten))
        before = differentiable(task.generator)
        learner.meter.pay(size, forward=True)
        terms = _terms(before, learner.batch(task.forgotten[:size], 0))

        def loss(step: int) -> torch.Tensor:
            batch = learner.batch(*next(gone))
            learner.meter.pay(size, forward=True)
            with torch.no_grad():
                reference = before.pair_losses(batch)
            apart = self.beta * terms * (learner.pass_pairs(batch) - reference)
            pushed = -2 / (self.beta * terms) * F.logsigmoid(apart).mean()
            return learner.losses(*next(kept)).mean() + self.forget * pushed

        learner.descend(loss, self.cost(task) + size / 3, self)
        return learner.generator


@torch.no_grad()
def _terms(asked: Differentiable, batch: Batch) -> float:
    """Return what a pair's loss is to be multiplied by, to be a negative log-likelihood in nats."""
    if not has_predictions(asked):
        return TERMS / (2 * float(asked.pair_losses(batch).mean()))
    heads = predictive(asked).pair_predictions(batch)
    for head in heads:
        if head.measured and head.of_codes:
            return float(head.targets[0].numel())
    return TERMS / (2 * float(torch.stack([head.losses() for head in heads]).sum(0).mean()))
