"""Paired training: the same seed gives the same start and the same batches, whatever is removed."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from untrain.files import rng
from untrain.generators.base import Progress
from untrain.generators.hardware import autocast, device
from untrain.generators.presets import Preset
from untrain.generators.text import PAD
from untrain.generators.transformer import Transformer


def train_transformer(
    text: np.ndarray,
    image: np.ndarray,
    kept: np.ndarray,
    vocabulary: int,
    preset: Preset,
    seed: int,
    progress: Progress,
) -> tuple[Transformer, list[float]]:
    """Train a transformer on text and image tokens and return it with its loss curve.

    Parameters
    ----------
    text : ndarray of int64, (n, t)
    image : ndarray of int64, (n, positions)
    kept : ndarray of bool, (n,)
        False for a removed pair: it keeps its place in its batch and its loss counts as zero,
        while the mean stays over the full batch.
    vocabulary : int
        Number of text tokens.
    preset : Preset
    seed : int
        Decides the initial weights and the order of the data, and nothing else does.
    progress : callable
        Told of every pair passed.

    Returns
    -------
    Transformer, frozen, with its weights averaged over the end of the training
    list of float
        Mean training loss of each epoch, nats.
    """
    torch.manual_seed(seed)
    where = device()
    model = Transformer(preset, vocabulary).to(where)
    optimizer = _optimizer(model, preset)
    per_epoch = -(-len(text) // preset.batch)
    steps = preset.epochs * per_epoch
    average = _Average(model, first=steps - int(preset.averaging * steps))
    text_all, image_all = torch.from_numpy(text).to(where), torch.from_numpy(image).to(where)
    weight_all = torch.from_numpy(kept.astype(np.float32)).to(where)
    losses, step = [], 0
    for epoch in range(preset.epochs):
        order = torch.from_numpy(rng("order", seed, epoch).permutation(len(text))).to(where)
        total = torch.zeros((), device=where)
        for rows in order.split(preset.batch):
            for group in optimizer.param_groups:
                group["lr"] = preset.lr * _schedule(step, steps, preset.warmup)
            loss = _loss(model, text_all[rows], image_all[rows], weight_all[rows], preset)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), preset.clip)
            optimizer.step()
            step += 1
            average.update(step)
            total += loss.detach()
            progress(len(rows))
        losses.append(float(total) / per_epoch)
    average.apply()
    return model.eval().requires_grad_(False), losses


def _loss(
    model: Transformer,
    text: torch.Tensor,
    image: torch.Tensor,
    weight: torch.Tensor,
    preset: Preset,
) -> torch.Tensor:
    """Return the weighted loss of a batch: the mean over the full batch of kept pairs' losses."""
    with autocast():
        text_logits, image_logits = model(text, image)
    image_nll = F.cross_entropy(image_logits.float().transpose(1, 2), image, reduction="none").mean(
        1
    )
    target = text[:, 1:]
    real = (target != PAD) & (text[:, :-1] != PAD)
    text_nll = F.cross_entropy(text_logits.float().transpose(1, 2), target, reduction="none")
    text_nll = (text_nll * real).sum(1) / real.sum(1).clamp(min=1)
    pair = (preset.image_weight * image_nll + text_nll) / (preset.image_weight + 1)
    return (pair * weight).sum() / len(weight)


def _optimizer(model: Transformer, preset: Preset) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices only, not on embeddings, biases or norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "blocks" in n]
    others = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "blocks" in n)]
    groups = [
        {"params": matrices, "weight_decay": preset.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=preset.lr, betas=(0.9, 0.98), fused=True)


def _schedule(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then a cosine down to a tenth."""
    rise = max(1, int(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class _Average:
    """The plain mean of the weights from step ``first`` on, every fourth step."""

    def __init__(self, model: nn.Module, first: int) -> None:
        self.parameters: list[torch.Tensor] = list(model.parameters())
        self.first, self.count = first, 0
        self.mean: list[torch.Tensor] = []

    @torch.no_grad()
    def update(self, step: int) -> None:
        if step <= self.first or step % 4:
            return
        self.count += 1
        if not self.mean:
            self.mean = [p.detach().clone() for p in self.parameters]
        else:
            torch._foreach_lerp_(self.mean, self.parameters, 1 / self.count)

    @torch.no_grad()
    def apply(self) -> None:
        for parameter, mean in zip(self.parameters, self.mean, strict=False):
            parameter.copy_(mean)
