"""The loss that diffusion models are trained by and measured with."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from untrain.core.hardware import Precision, autocast
from untrain.generators.differentiable import Batch
from untrain.generators.paired import widened

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
    x, e, t = batch["clean"], batch["noise"], batch["times"]
    kind = scheduler.config.prediction_type
    target = {"epsilon": e, "sample": x}.get(kind)
    if target is None:
        target = scheduler.get_velocity(x, e, t)
    with autocast(precision):
        found = model(scheduler.add_noise(x, e, t), t, batch["asked"])
    each = (widened(found) - target).square().mean(dim=(1, 2, 3))
    if kind == "sample":
        noisy = 1 - scheduler.alphas_cumprod.to(x.device)[t]  # σ²
        each = each * noisy.reciprocal().clip(max=STEEPEST)
    return each


def term_losses(scheduler: Any, model: nn.Module, batch: Batch) -> torch.Tensor:
    """Return the losses of queries at all their times (n, terms) and noises (n, terms, …)."""
    n, terms = batch["times"].shape
    flat = {name: batch[name].flatten(0, 1) for name in ("times", "noise")}
    same = {name: batch[name].repeat_interleave(terms, 0) for name in ("clean", "asked")}
    return denoising_loss(scheduler, model, {**flat, **same}).view(n, terms)
