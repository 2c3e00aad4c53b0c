"""The losses of a differentiable generator as functions of its weights, for `torch.func`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call

from untrain.generators.differentiable import Batch, Differentiable

Weights = dict[str, torch.Tensor]


def as_function(
    generator: Differentiable, losses: Callable[[Batch], torch.Tensor]
) -> tuple[Callable[[Weights, Batch], torch.Tensor], Weights]:
    """Return a loss as a function of weights and a batch, and the weights that were learnt.

    Parameters
    ----------
    generator : Differentiable
        Fitted.
    losses : callable
        Its ``pair_losses`` or ``measurements``.

    Returns
    -------
    callable
        (weights, batch) → losses (n,); the generator keeps its own weights.
    dict of str to Tensor
        The learnt parameters by name, detached: where to differentiate.

    Notes
    -----
    `torch.func.jvp` and second derivatives of attention need
    ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`` around them.
    """
    module = generator.module()
    called = _Called(module, losses)
    weights = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}

    def losses_at(weights: Weights, batch: Batch) -> torch.Tensor:
        inside = {f"module.{name}": value for name, value in weights.items()}
        found: torch.Tensor = functional_call(called, inside, (batch,))
        return found

    return losses_at, weights


class _Called(nn.Module):
    """Calls a function that uses a module, so that `functional_call` can swap its weights."""

    def __init__(self, module: nn.Module, losses: Callable[[Batch], torch.Tensor]) -> None:
        super().__init__()
        self.module, self.losses = module, losses

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.losses(batch)
