"""Paired training: the same seed gives the same start and the same batches, whatever is removed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from untrain.core.files import rng
from untrain.core.hardware import Precision, autocast, deterministic, device
from untrain.generators.base import Progress
from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.transformer import Transformer

Clip = Callable[[Iterable[torch.Tensor], float], Any]


def train_transformer(
    text: np.ndarray,
    image: np.ndarray,
    kept: np.ndarray,
    vocabulary: int,
    preset: Preset,
    seed: int,
    progress: Progress,
    precision: Precision = "float32",
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
    precision : {'float32', 'bfloat16'}
        Of matrix products; weights, gradients and the optimiser are float32 in both.

    Returns
    -------
    Transformer, frozen, with its weights averaged over the end of the training
    list of float
        Mean training loss of each epoch, nats.
    """
    torch.manual_seed(seed)
    model = Transformer(preset, vocabulary).to(device())
    clip = nn.utils.clip_grad_norm_
    losses = descend(model, text, image, kept, preset, seed, progress, clip, precision)
    return model.eval().requires_grad_(False), losses.tolist()


@deterministic()
def descend(
    model: nn.Module,
    text: np.ndarray,
    image: np.ndarray,
    kept: np.ndarray,
    preset: Preset,
    seed: int,
    progress: Progress,
    clip: Clip,
    precision: Precision = "float32",
    share: tuple[int, int] = (0, 1),
) -> np.ndarray:
    """Train ``model``, one transformer or a stack of them, in place, and return its losses.

    Parameters
    ----------
    kept : ndarray of bool, (n,), or (models, n) for a stack
    clip : callable
        Scales the gradients of the given parameters down to the given norm.
    share : (int, int)
        Of each batch every ``share[1]``-th pair from ``share[0]`` on is this process's own. What
        the others have counts as zero and its own that many times, so that the mean of losses and
        gradients over the processes is that of the whole batch.

    Returns
    -------
    ndarray of float64, (epochs,) or (epochs, models)
        Mean training loss of each epoch, nats.
    """
    first, processes = share
    where = device()
    optimizer = _optimizer(model, preset)
    per_epoch = -(-len(text) // preset.batch)
    steps = preset.epochs * per_epoch
    average = Average(model, first=steps - int(preset.averaging * steps))
    image_all = torch.from_numpy(image).to(where)
    losses, step = [], 0
    for epoch in range(preset.epochs):
        order = rng("order", seed, epoch).permutation(len(text))
        own = kept.copy()
        own[..., np.delete(order, slice(first, None, processes))] = False
        weight_all = torch.from_numpy(own.astype(np.float32) * processes).to(where)
        total = torch.zeros(kept.shape[:-1], device=where)
        shown = _captions_shown(text, preset, seed, epoch)
        text_all = torch.from_numpy(shown).to(where)
        for rows, size, padding in _batches(order, own, shown, preset.batch):
            for group in optimizer.param_groups:
                group["lr"] = preset.lr * schedule(step, steps, preset.warmup)
            weight = weight_all[..., rows]
            captions = text_all[rows, padding:]
            loss = batch_loss(model, captions, image_all[rows], weight, preset, size, precision)
            optimizer.zero_grad(set_to_none=True)
            loss.sum().backward()  # over models, none of which has a weight of another's
            clip(model.parameters(), preset.clip)
            optimizer.step()
            step += 1
            average.update(step)
            total += loss.detach()
            progress(size * loss.numel())
        losses.append(total.double().cpu().numpy() / per_epoch)
    average.apply()
    return np.stack(losses)


def _captions_shown(text: np.ndarray, preset: Preset, seed: int, epoch: int) -> np.ndarray:
    """Return the captions of an epoch, some of them all padding.

    Which ones depends on seed and epoch alone: models of one seed, whatever they are trained
    without, miss the same captions at the same steps.
    """
    if preset.caption_dropout == 0:
        return text
    missing = rng("captions", seed, epoch).random(len(text)) < preset.caption_dropout
    return np.where(missing[:, None], PAD, text)


def _batches(
    order: np.ndarray, kept: np.ndarray, text: np.ndarray, size: int
) -> Iterator[tuple[torch.Tensor, int, int]]:
    """Yield the rows to compute of each batch, how many it has in full, and needless columns.

    What a model alone is trained without is not computed: for random halves of the data that is
    half of the time, and only rounding tells. A stack computes all, since which rows its models
    have in common must not decide the rounding. An empty batch is one row of no weight. Text
    columns, from the left, that are padding in all rows to compute change nothing either.
    """
    computed = kept if kept.ndim == 1 else np.ones(len(order), bool)
    full = [order[i : i + size] for i in range(0, len(order), size)]
    rows = [batch[computed[batch]] if computed[batch].any() else batch[:1] for batch in full]
    lengths = (text != PAD).sum(1).clip(1)
    padding = [text.shape[1] - int(lengths[row].max()) for row in rows]
    on_device = torch.from_numpy(np.concatenate(rows)).to(device())
    split = on_device.split([len(r) for r in rows])
    yield from zip(split, map(len, full), padding, strict=True)


def batch_loss(
    model: nn.Module,
    text: torch.Tensor,
    image: torch.Tensor,
    weight: torch.Tensor,
    preset: Preset,
    size: int,
    precision: Precision = "float32",
) -> torch.Tensor:
    """Return the loss of a batch: the sum of the weighted pairs' losses over its full ``size``.

    ``weight`` is (n,), or (models, n) for a stack; the loss is a number, or one a model.
    """
    with autocast(precision):
        text_logits, image_logits = model(text, image)
    image_nll = _nll(image_logits, image).mean(-1)
    target = text[:, 1:]
    real = (target != PAD) & (text[:, :-1] != PAD)
    text_nll = (_nll(text_logits, target) * real).sum(-1) / real.sum(-1).clamp(min=1)
    pair = (preset.image_weight * image_nll + text_nll) / (preset.image_weight + 1)
    return (pair * weight).sum(-1) / size


def _nll(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return −log p of tokens (n, length) under logits (…, n, length, tokens), (…, n, length)."""
    target = target.expand(logits.shape[:-1])
    rows = logits.float().flatten(0, -2), target.flatten()
    return F.cross_entropy(*rows, reduction="none").view(target.shape)


def _optimizer(model: nn.Module, preset: Preset) -> torch.optim.Optimizer:
    """AdamW; weight decay on the blocks' matrices only, not on embeddings, biases or norms."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        decays = "blocks" in name and "norm" not in name and name.endswith("weight")
        (matrices if decays else others).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": preset.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=preset.lr, betas=(0.9, 0.98), fused=True)


def schedule(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then a cosine down to a tenth."""
    rise = max(1, int(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class Average:
    """The plain mean of the weights from step ``first`` on, every fourth step."""

    def __init__(self, model: nn.Module, first: int) -> None:
        self.parameters: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
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
