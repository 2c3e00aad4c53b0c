"""SISS: deleting data from the sum of losses, and a little more (Alberti et al. 2025).

*Data unlearning in diffusion models*, ICLR 2025 (arXiv 2503.01034). What a retraining descends is
n / (n − k) · L(all) − k / (n − k) · L(forget set), the mean loss of what is retained; beside that
loss of "naive deletion", which is at its minimum already, they raise the forget set's by a term
whose gradient is clipped to a tenth of the other's. Their importance sampling draws one noisy
picture for both terms, which saves a pass and has no counterpart for models of tokens; this is
their version without it, over losses, for any generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from untrain.generators.base import Generator
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Gradual, Learner


@dataclass(frozen=True, kw_only=True)
class Siss(Gradual):
    """SISS: the loss of all less that of the forget set, and an ascent of a set strength.

    Attributes
    ----------
    share : float
        Length of the ascent's gradient, in units of the other's.
    """

    share: float = 0.3

    def __call__(self, task: Task) -> Generator:
        """Return the generator after as many steps as the budget allows."""
        learner = Learner(task, "siss")
        everything = learner.batches(task.held, self.batch, "all")
        gone = learner.batches(task.forgotten, self.batch, "forget")
        n, k = len(task.held), len(task.forgotten)
        learnt = list(learner.parameters.values())

        def loss(step: int) -> torch.Tensor:
            whole = learner.losses(*next(everything)).mean()
            forget = learner.losses(*next(gone)).mean()
            kept = _gradient((n * whole - k * forget) / (n - k), learnt)
            up = _gradient(forget, learnt)
            strength = self.share * _length(kept) / _length(up).clamp(min=1e-12)
            # A number with the gradient wanted: the two have to be scaled apart.
            products = [
                (weight * (of_kept - strength * of_up)).sum()
                for weight, of_kept, of_up in zip(learnt, kept, up, strict=True)
            ]
            return torch.stack(products).sum()

        size = min(self.batch, k) + min(self.batch, n)
        learner.descend(loss, size, self)
        return learner.generator


def _gradient(loss: torch.Tensor, learnt: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    found = torch.autograd.grad(loss, learnt, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(learnt, found, strict=True)]


def _length(gradients: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([part.square().sum() for part in gradients]).sum().sqrt()
