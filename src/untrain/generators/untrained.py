"""The loss of a model that has learnt nothing: how far a loss can sensibly be raised."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from untrain.generators.differentiable import Batch, Differentiable, has_predictions, predictive
from untrain.generators.predictions import Prediction

BLIND = 3.0
"""Times a model's own loss: what stands for an untrained model's where nothing says what it is."""


def untrained_losses(
    asked: Differentiable, batch: Batch, own: torch.Tensor, of_pairs: bool
) -> torch.Tensor:
    """Return the loss of each pair or query, (n,), of a model that has learnt nothing.

    Of codes it holds all as likely; of numbers it expects zero. At least ``own``, what the model
    says. This passes the batch once, forward only, if the model shows its predictions.
    """
    if not has_predictions(asked):
        return BLIND * own
    with torch.no_grad():
        return _untrained(_heads(asked, batch, of_pairs), own)


@torch.no_grad()
def known_and_untrained(asked: Differentiable, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the losses of pairs, and those of a model that has learnt nothing, in one pass."""
    if not has_predictions(asked):
        own = asked.pair_losses(batch)
        return own, BLIND * own
    heads = _heads(asked, batch, of_pairs=True)
    own = torch.stack([head.losses() for head in heads]).sum(0)
    return own, _untrained(heads, own)


def _heads(asked: Differentiable, batch: Batch, of_pairs: bool) -> list[Prediction]:
    shown = predictive(asked)
    return (shown.pair_predictions if of_pairs else shown.query_predictions)(batch)


def _untrained(heads: Sequence[Prediction], own: torch.Tensor) -> torch.Tensor:
    total = torch.zeros_like(own)
    for head in heads:
        if head.of_codes:
            each = torch.full_like(head.targets, 1.0, dtype=own.dtype)
            each *= math.log(head.values.shape[-1])
        else:
            each = head.targets.square()
        total += (each * head.weights).flatten(1).sum(1)
    return torch.maximum(total, own)
