"""One step of influence functions: where the minimum goes when pairs leave the sum of losses.

A removed pair counts as zero in the training's sum over all n pairs (`untrain.generators.paired`).
At a minimum θ the gradients add up to zero, so that those of the n − k retained pairs add up to
−Σ_F g_i, and a step of Newton leads to the minimum of *their* sum,

    θ + H⁻¹ Σ_{i in F} g_i / (n − k),

H being the mean curvature of the retained pairs: that of all would hold the model back where only
the forget set has any (Koh & Liang 2017; for unlearning Guo et al. 2020, *Certified data removal*).
For H stands the Fisher matrix of `untrain.attribution.gradients.kronecker`, over as many pairs as a
share of the budget covers; its damping stands for all that ends a training before its minimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from untrain.attribution.gradients.directional import as_weights
from untrain.attribution.gradients.kronecker import Fisher, fisher_of
from untrain.attribution.gradients.layers import factors, sizes_of
from untrain.attribution.gradients.outputs import NLL
from untrain.core.files import rng
from untrain.core.hardware import device
from untrain.generators.base import Generator
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Learner

BATCH = 32
PASSES = 2  # over each pair, for eigenvectors and for eigenvalues


@dataclass(frozen=True)
class Influence:
    """Influence step: the step of Newton that removes the images from the sum of losses.

    Attributes
    ----------
    damping : float
        In units of each layer's mean eigenvalue.
    steps : int
        The step is taken in so many parts, with the gradients of the forget set where each
        starts: they grow as it is forgotten.
    scale : float
        How many times the step is taken.
    share : float
        Of the budget, at most, that the Fisher matrix takes.
    """

    damping: float = 3.0
    steps: int = 1
    scale: float = 1.0
    share: float = 0.5

    def __call__(self, task: Task) -> Generator:
        """Return the generator after the step."""
        learner = Learner(task, "influence")
        meter, steps = task.meter, max(1, self.steps)
        gradients = len(task.forgotten) * steps + 1  # one shows which layers are called twice
        meter.need(PASSES + gradients, "an influence step with a Fisher matrix of one pair")
        left = min(self.share * meter.left, meter.left - gradients)
        count = max(1, min(int(left / PASSES), len(task.retained)))
        order = rng("unlearning", "influence", task.seed).permutation(len(task.retained))
        sample = [task.retained[row] for row in np.sort(order[:count])]
        meter.pay(PASSES * count + 1)
        fisher, _ = fisher_of(task.generator, task.catalog, NLL, ids=sample)
        for _ in range(steps):
            self._step(learner, fisher, self.scale / (steps * len(task.retained)))
        return learner.generator

    def _step(self, learner: Learner, fisher: Fisher, size: float) -> None:
        """Move the weights by so many times H⁻¹ Σ_F g."""
        total = {
            name: torch.zeros(1, outputs, inputs, device=device())
            for name, (inputs, outputs) in sizes_of(learner.asked).items()
        }

        def add(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
            total[name][0] += b.flatten(0, 1).T @ a.flatten(0, 1)

        forgotten = learner.task.forgotten
        for start in range(0, len(forgotten), BATCH):
            ids = forgotten[start : start + BATCH]
            learner.meter.pay(len(ids))
            factors(learner.asked, NLL.of_pairs, learner.batch(ids, 0), add)
        solved = {name: layer.solve(total[name], self.damping)[0] for name, layer in fisher.items()}
        weights = learner.parameters
        with torch.no_grad():
            for name, direction in as_weights(learner.asked, solved).items():
                weights[name].add_(direction, alpha=size)
