"""Training of the transformer: the paired loop over tokens, and the loss of a pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from untrain.core.files import rng
from untrain.core.hardware import Precision, autocast, device
from untrain.generators.base import Progress
from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.transformer import Transformer
from untrain.generators.paired import Clip, Epoch, descend, widened
from untrain.generators.predictions import Prediction
from untrain.generators.steps import Later


@dataclass(frozen=True, eq=False)
class TokenData:
    """What a transformer is trained on.

    Attributes
    ----------
    text : ndarray of int64, (n, t)
        Padded on the left.
    image : ndarray of int64, (n, positions)
    kept : ndarray of bool, (n,), or (models, n) for a stack
        False for a removed pair: it keeps its place in its batch and its loss counts as zero,
        while the mean stays over the full batch.
    vocabulary : int
        Number of text tokens.
    """

    text: np.ndarray
    image: np.ndarray
    kept: np.ndarray
    vocabulary: int


def train_transformer(
    data: TokenData,
    preset: Preset,
    seed: int,
    progress: Progress,
    precision: Precision = "float32",
) -> tuple[Transformer, list[float]]:
    """Train a transformer and return it with its loss curve.

    Parameters
    ----------
    data : TokenData
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
    model = Transformer(preset, data.vocabulary).to(device())
    losses = descend_tokens(model, data, preset, seed, progress, precision)
    return model.eval().requires_grad_(False), losses.tolist()


def descend_tokens(
    model: nn.Module,
    data: TokenData,
    preset: Preset,
    seed: int,
    progress: Progress,
    precision: Precision = "float32",
    clip: Clip = nn.utils.clip_grad_norm_,
    share: tuple[int, int] = (0, 1),
) -> np.ndarray:
    """Train ``model``, one transformer or a stack of them, in place, and return its losses.

    Parameters
    ----------
    model : Module
        A `Transformer`, or a stack with as many models as ``data.kept`` has rows.
    data, preset, seed, progress, precision
        As for `train_transformer`.
    clip : callable
        Scales the gradients of the given parameters down to the given norm.
    share : (int, int)
        Every ``share[1]``-th pair of the order from ``share[0]`` on is this process's own. What
        the others have counts as zero and its own that many times, so that the mean of losses and
        gradients over the processes is that of the whole batch.

    Returns
    -------
    ndarray of float64, (epochs,) or (epochs, models)
        Mean training loss of each epoch, nats.
    """
    first, processes = share
    where, alone = device(), processes == 1  # who trains with others also waits for them
    image = torch.from_numpy(data.image).to(where)

    def loss_of(
        size: int, text: torch.Tensor, image: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        return (pair_losses(model, text, image, preset, precision) * weight).sum(-1) / size

    def losses_of(epoch: Epoch) -> Iterator[torch.Tensor | Later]:
        own = data.kept.copy()
        own[..., np.delete(epoch.order, slice(first, None, processes))] = False
        weight = torch.from_numpy(own.astype(np.float32) * processes).to(where)
        shown = _captions_shown(data.text, preset, seed, epoch.number)
        text = torch.from_numpy(shown).to(where)
        for rows, size, padding in _computed(epoch, own, shown):
            batch = text[rows, padding:], image[rows], weight[..., rows]
            yield Later(partial(loss_of, size), batch, size) if alone else loss_of(size, *batch)

    models, pairs = data.kept.shape[:-1], len(data.text)
    optimizer = _optimizer(model, preset)
    return descend(model, optimizer, losses_of, preset, pairs, seed, progress, models, clip)


def _captions_shown(text: np.ndarray, preset: Preset, seed: int, epoch: int) -> np.ndarray:
    """Return the captions of an epoch, some of them all padding.

    Which ones depends only on seed and epoch: models with the same seed miss the same captions at
    the same steps, whatever they are trained without.
    """
    if preset.caption_dropout == 0:
        return text
    missing = rng("captions", seed, epoch).random(len(text)) < preset.caption_dropout
    return np.where(missing[:, None], PAD, text)


def _computed(
    epoch: Epoch, kept: np.ndarray, text: np.ndarray
) -> Iterator[tuple[torch.Tensor, int, int]]:
    """Yield, for each batch, the rows to compute, its full size, and text columns to leave out.

    For a single model, removed pairs are not computed: with random halves of the data that saves
    half the time, and changes only rounding. A stack computes all rows, since the rows that its
    models share must not decide the rounding. A batch without any kept pair is computed as one row
    of weight zero. Columns on the left that are padding in every row can be left out.
    """
    computed = kept if kept.ndim == 1 else np.ones(kept.shape[-1], bool)
    rows = [
        batch[computed[batch]] if computed[batch].any() else batch[:1] for batch in epoch.batches
    ]
    lengths = (text != PAD).sum(1).clip(1)
    padding = [text.shape[1] - int(lengths[row].max()) for row in rows]
    on_device = torch.from_numpy(np.concatenate(rows)).to(device())
    split = on_device.split([len(r) for r in rows])
    yield from zip(split, map(len, epoch.batches), padding, strict=True)


def pair_losses(
    model: nn.Module,
    text: torch.Tensor,
    image: torch.Tensor,
    preset: Preset,
    precision: Precision = "float32",
) -> torch.Tensor:
    """Return the training loss of each pair, nats, (n,), or (models, n) of a stack.

    The mean −log p of its image tokens and that of its text tokens, weighted as DALL-E weights
    them (7 : 1; Ramesh et al. 2021).
    """
    with autocast(precision):
        text_logits, image_logits = model(text, image)
    image_nll = _nll(image_logits, image).mean(-1)
    target = text[:, 1:]
    real = (target != PAD) & (text[:, :-1] != PAD)
    text_nll = (_nll(text_logits, target) * real).sum(-1) / real.sum(-1).clamp(min=1)
    return (preset.image_weight * image_nll + text_nll) / (preset.image_weight + 1)


def predictions(
    model: nn.Module,
    text: torch.Tensor,
    image: torch.Tensor,
    preset: Preset,
    precision: Precision = "float32",
) -> list[Prediction]:
    """Return what `pair_losses` is made of: the image tokens, and the text tokens."""
    with autocast(precision):
        text_logits, image_logits = model(text, image)
    target, whole = text[:, 1:], preset.image_weight + 1
    real = (target != PAD) & (text[:, :-1] != PAD)
    of_text = real / (real.sum(-1, keepdim=True).clamp(min=1) * whole)
    of_image = torch.tensor(preset.image_weight / (whole * image.shape[1]), device=image.device)
    return [
        Prediction(image_logits, image, of_image),
        Prediction(text_logits, target, of_text, measured=False),
    ]


def _nll(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return −log p of tokens (n, length) under logits (…, n, length, tokens), (…, n, length)."""
    target = target.expand(logits.shape[:-1])
    rows = widened(logits).flatten(0, -2), target.flatten()
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
    return torch.optim.AdamW(groups, lr=preset.lr, betas=(0.9, 0.98), eps=preset.eps, fused=True)
