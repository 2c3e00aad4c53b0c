"""Predictions: what a generator says of each pair before a loss is made of it.

Influence functions need more than losses: a Fisher matrix is made of targets that the model itself
would draw (Kunstner et al. 2019), and D-TRAK differentiates what is predicted instead of the loss
(Zheng et al. 2024). A `Prediction` is as much of a model as they need to see.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from untrain.generators.paired import widened


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one head of a model predicts of some pairs or queries.

    Attributes
    ----------
    values : Tensor
        Of codes: logits (n, …, classes). Of numbers: what is expected, (n, …). With gradients.
    targets : Tensor
        Of codes: int64 (n, …). Of numbers: floats of the shape of ``values``.
    weights : Tensor
        How much each target counts, to be broadcast to the shape of ``targets``: the loss of a pair
        is the sum of weight × −log p of its codes, in nats, or of weight × (value − target)².
    measured : bool
        Whether measurements of queries are about this head, too. The captions of a model of
        captions and pictures are not.
    """

    values: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    measured: bool = True

    @property
    def of_codes(self) -> bool:
        """Whether codes are predicted, and not numbers."""
        return not self.targets.is_floating_point()

    def errors(self) -> torch.Tensor:
        """Return −log p of each code in nats, or the square of each error, shaped as targets."""
        values = widened(self.values)
        if not self.of_codes:
            return (values - self.targets).square()
        rows = values.flatten(0, -2), self.targets.flatten()
        return F.cross_entropy(*rows, reduction="none").view(self.targets.shape)

    def losses(self) -> torch.Tensor:
        """Return what this head adds to the loss of each pair, (n,)."""
        return (self.errors() * self.weights).flatten(1).sum(1)
