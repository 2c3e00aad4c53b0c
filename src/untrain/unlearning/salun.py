"""Saliency unlearning: only the weights that the forget set leans on are changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from untrain.generators.base import Generator
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Learner
from untrain.unlearning.retaining import Retaining, both_sets


@dataclass(frozen=True, kw_only=True)
class SalUn(Retaining):
    """SalUn: ascent with a retain term, in the weights that the forget set leans on most.

    Those with the largest gradients of its loss (Fan et al. 2024, arXiv 2310.12508).

    Attributes
    ----------
    share : float
        Share of the weights that may change; the authors take a half.
    steps : int
        At most: the ascent has no end of its own.
    """

    share: float = 0.5
    steps: int = 40

    def __call__(self, task: Task) -> Generator:
        """Return the generator after the last step."""
        learner = Learner(task, "salun")
        kept, gone = both_sets(learner, self.batch)
        mask = self._mask(learner)

        def masked() -> None:
            for name, parameter in learner.parameters.items():
                if parameter.grad is not None:
                    parameter.grad *= mask[name]

        def loss(step: int) -> torch.Tensor:
            retained = learner.losses(*next(kept)).mean()
            return retained - self.forget * learner.losses(*next(gone)).mean()

        learner.descend(loss, self.cost(task), self, self.steps, masked)
        return learner.generator

    def _mask(self, learner: Learner) -> dict[str, torch.Tensor]:
        """Return which weights may change, by name; it passes the forget set once."""
        ids, parameters = learner.task.forgotten, learner.parameters
        total = {name: torch.zeros_like(value) for name, value in parameters.items()}
        for start in range(0, len(ids), self.batch):
            loss = learner.losses(ids[start : start + self.batch], 0).sum()
            found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
            for value, gradient in zip(total.values(), found, strict=True):
                if gradient is not None:
                    value += gradient
        sizes = torch.cat([value.abs().flatten() for value in total.values()])
        least = sizes.kthvalue(max(1, round((1 - self.share) * len(sizes)))).values
        return {name: (value.abs() > least).to(value.dtype) for name, value in total.items()}
