"""The loss that diffusion models are trained by and measured with."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from untrain.core.hardware import Precision, autocast
from untrain.generators.differentiable import Batch
from untrain.generators.paired import widened
from untrain.generators.predictions import Prediction

STEEPEST = 5.0  # the largest weight of a clean picture's error, as in min-SNR (Hang et al. 2023)


def denoising_loss(
    scheduler: Any, model: nn.Module, batch: Batch, precision: Precision = "float32"
) -> torch.Tensor:
    """Return the mean squared error of each picture at its time and noise, (n,).

    Where the network predicts the clean picture, its error counts 1 / σ² times, at most `STEEPEST`
    times: without the bound that is the loss of v (Salimans & Ho 2022).

    Parameters
    ----------
    scheduler : DDIMScheduler
        Of `diffusers`: how noise is added, and what is predicted.
    model : Module
        Called with noisy samples (n, …), times (n,) and the encoded prompts.
    batch : dict of str to Tensor
        ``clean`` and ``noise``, (n, channels, height, width), ``times``, int64 (n,), and
        ``asked``, the encoded prompts (n, …).
    precision : {'float32', 'bfloat16'}
        Of the network; the error is computed in float32 or wider.
    """
    found, target, weight = _predicted(scheduler, model, batch, precision)
    each = (widened(found) - target).square().mean(dim=(1, 2, 3))
    return each if weight is None else each * weight


def denoising_prediction(
    scheduler: Any, model: nn.Module, batch: Batch, precision: Precision = "float32"
) -> Prediction:
    """Return what `denoising_loss` is made of; arguments as there."""
    found, target, weight = _predicted(scheduler, model, batch, precision)
    size = target[0].numel()
    each = target.new_ones(len(target)) if weight is None else weight
    return Prediction(found, target, (each / size)[:, None, None, None])


def _predicted(
    scheduler: Any, model: nn.Module, batch: Batch, precision: Precision
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return prediction, target and, where the mean squared error has any, its weight (n,)."""
    x, e, t = batch["clean"], batch["noise"], batch["times"]
    kind = scheduler.config.prediction_type
    target = {"epsilon": e, "sample": x}.get(kind)
    if target is None:
        target = scheduler.get_velocity(x, e, t)
    with autocast(precision):
        found = model(scheduler.add_noise(x, e, t), t, batch["asked"])
    if kind != "sample":
        return found, target, None
    noisy = 1 - scheduler.alphas_cumprod.to(x.device)[t]  # σ²
    return found, target, noisy.reciprocal().clip(max=STEEPEST)


def term_losses(scheduler: Any, model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the losses of queries at all their times (n, terms) and noises (n, terms, …)."""
    n, terms = batch["times"].shape
    return denoising_loss(scheduler, model, _flat(batch)).view(n, terms)


def term_predictions(scheduler: Any, model: nn.Module, batch: Batch) -> Prediction:
    """Return the predictions of queries at all their times; values (n, terms, …)."""
    n, terms = batch["times"].shape
    flat = denoising_prediction(scheduler, model, _flat(batch))
    values, targets, weights = (
        part.view(n, terms, *part.shape[1:])
        for part in (flat.values, flat.targets, flat.weights / terms)
    )
    return Prediction(values, targets, weights)


def _flat(batch: Batch) -> Batch:
    """Return queries as pairs, one for each of their times."""
    terms = batch["times"].shape[1]
    flat = {name: batch[name].flatten(0, 1) for name in ("times", "noise")}
    same = {name: batch[name].repeat_interleave(terms, 0) for name in ("clean", "asked")}
    return {**flat, **same}
