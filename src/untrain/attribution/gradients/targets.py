"""Targets that a model draws of what it predicts: of them a Fisher matrix is made.

With the targets of the data it would be an empirical one, which is another matrix and a worse
stand-in for the second derivative of the loss (Kunstner et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from untrain.core.files import rng
from untrain.generators.differentiable import Batch, predictive
from untrain.generators.predictions import Prediction

FINE = 1 << 30
"""Into how many parts probabilities are divided; what is rarer than one is never drawn."""


def drawn(key: Sequence[object], names: Sequence[str]) -> Callable[[object, Batch], torch.Tensor]:
    """Return an output whose gradients have the Fisher matrix of the pair losses as mean square.

    Its targets are drawn from what the model predicts, one number a target, for each pair by a
    counter, so that neither order nor batch matters. The Fisher matrix of a sum of losses of weight
    w is Σ w JᵀHJ, so that each counts √w times here; of w (value − target)² it is Σ 2w JᵀJ, and
    with a standard normal number for each value its gradient is that of √(2w) × number × value.

    Parameters
    ----------
    key : sequence
        What the numbers depend on, beside the name of the pair.
    names : sequence of str
        Of the pairs in a batch.
    """

    def output(generator: object, batch: Batch) -> torch.Tensor:
        numbers = [rng("fisher", *key, name) for name in names]
        heads = predictive(generator).pair_predictions(batch)
        return torch.stack([_drawn(head, numbers) for head in heads]).sum(0)

    return output


def _drawn(head: Prediction, numbers: Sequence[np.random.Generator]) -> torch.Tensor:
    shape, where = tuple(head.targets.shape[1:]), head.values.device
    if not head.of_codes:
        normal = np.stack([each.standard_normal(shape, np.float32) for each in numbers])
        weighted = torch.from_numpy(normal).to(where) * (2 * head.weights).sqrt()
        return (head.values * weighted).flatten(1).sum(1)
    uniform = torch.from_numpy(np.stack([each.random(shape) for each in numbers])).to(where)
    # As counts: sums of whole numbers are the same in any order, as a GPU needs for equal bits.
    counts = (head.values.detach().float().softmax(-1) * FINE).long().cumsum(-1)
    targets = (counts <= (uniform * counts[..., -1]).long()[..., None]).sum(-1)
    return replace(head, targets=targets, weights=head.weights.sqrt()).losses()
