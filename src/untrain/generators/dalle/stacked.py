"""Paired models trained in one pass: every weight has the models as its first dimension.

A tiny model leaves a GPU waiting for its next kernel most of the time. A stack launches as many
kernels as one model does, each larger, so that further models cost almost nothing until the GPU is
full. (`torch.vmap` over plain transformers would do the same if it supported attention: on CPUs it
has no rule for it, and on GPUs the rule fails for masks that models share, see pytorch issue
151558.)
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from untrain.core.hardware import Precision, device
from untrain.generators.base import Progress
from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.training import TokenData, descend_tokens
from untrain.generators.dalle.transformer import Transformer

LARGEST = 16
"""Most models in a stack: about as many as a trial has. A last stack is filled up with waste."""


def train_stacked(
    data: TokenData,
    preset: Preset,
    seed: int,
    progress: Progress,
    precision: Precision = "float32",
) -> list[tuple[Transformer, list[float]]]:
    """Train paired models at once; `train_transformer` says what the other parameters are.

    Each sees what `train_transformer` would show it, with gradients clipped for itself, and
    becomes the same model up to rounding. Not to the bit: models that are compared must all be
    trained in stacks of one size, or all one by one. In stacks of one size a row gives the same
    bits whatever the others are and wherever it stands. (Tested on
    CPUs, and on GPUs by `tests/gpu`; it rests on kernels that treat all parts of a batch
    alike.)

    Parameters
    ----------
    data : TokenData
        ``kept`` is (models, n).
    progress : callable
        Told of every pair passed, counted for each model.

    Returns
    -------
    list of (Transformer, list of float)
        One a row of ``kept``, as `train_transformer` returns it.
    """
    torch.manual_seed(seed)
    stack = Stack(preset, data.vocabulary, len(data.kept)).to(device())
    losses = descend_tokens(stack, data, preset, seed, progress, precision, clip_each)
    return [(stack.model(i), losses[:, i].tolist()) for i in range(len(data.kept))]


def stack_size(preset: Preset) -> int:
    """Return how many models to train at once here: one on a CPU, a power of two on a GPU.

    It depends only on the recipe and the GPU's total memory, not on what is free at the moment, on
    captions or on how many models are wanted, since models from stacks of different sizes are not
    paired to the bit. (On a CPU one process per core, each with its own model, is faster.)
    """
    if device().type != "cuda":
        return 1
    room = torch.cuda.get_device_properties(device()).total_memory / 2
    size = LARGEST
    while size > 1 and size * bytes_of_one(preset) > room:
        size //= 2
    return size


def bytes_of_one(preset: Preset, text_length: int | None = None) -> float:
    """Estimate the memory of one model in training: weights, optimiser, activations; float32.

    ``text_length`` is that of the longest caption; by default the longest that there may be.
    """
    text_length = text_length or preset.text_limit
    with torch.device("meta"):
        model = Transformer(preset, preset.vocabulary)
    weights = 6 * sum(p.numel() for p in model.parameters())  # + gradient, moments, mean, spare
    places = preset.positions // preset.parts
    length = text_length + places
    block = 24 * preset.dim + 6 * preset.heads * preset.head_dim
    logits = 4 * (text_length * preset.vocabulary + preset.positions * preset.codes)
    further = 8 * preset.dim * (preset.positions - places)
    return 4.0 * (weights + preset.batch * (length * preset.depth * block + further + logits))


class Stack(Transformer):
    """Transformers that start equal and share every batch; logits are (models, n, length, …)."""

    def __init__(self, preset: Preset, vocabulary: int, models: int) -> None:
        super().__init__(preset, vocabulary)  # draws what a single model draws
        self.preset, self.models = preset, models
        _stack_layers(self, models)

    def _mask(self, text: torch.Tensor, image_length: int) -> torch.Tensor:
        return super()._mask(text, image_length).repeat(self.models, 1, 1, 1)

    def model(self, index: int) -> Transformer:
        """Return one of the models by itself, frozen."""
        weights = {name: tensor[index] for name, tensor in self.state_dict().items()}
        with torch.device("meta"):
            single = Transformer(self.preset, weights["text.weight"].shape[0])
        single.to_empty(device=device()).load_state_dict(weights)
        return single.eval().requires_grad_(False)


def clip_each(parameters: Iterable[torch.Tensor], limit: float) -> None:
    """Scale the gradients of each model down to the norm ``limit``, like `clip_grad_norm_`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    scale = (limit / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))


class _Linear(nn.Module):
    def __init__(self, one: nn.Linear, models: int) -> None:
        super().__init__()
        self.weight = _repeated(one.weight, models)
        self.bias = None if one.bias is None else _repeated(one.bias, models)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(1, -2)
        if self.bias is None:
            y = torch.bmm(rows, self.weight.mT)
        else:
            y = torch.baddbmm(self.bias[:, None], rows, self.weight.mT)
        return y.unflatten(1, x.shape[1:-1])


class _Embedding(nn.Module):
    def __init__(self, one: nn.Embedding, models: int) -> None:
        super().__init__()
        self.weight = _repeated(one.weight, models)

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        models, _, dim = self.weight.shape
        # All models look up the same rows, so that their gradients add up in the same order.
        wide = self.weight.transpose(0, 1).flatten(1)
        found = F.embedding(torch.atleast_2d(index), wide)  # positions have no batch
        return found.unflatten(-1, (models, dim)).movedim(-2, 0)


class _LayerNorm(nn.Module):
    def __init__(self, one: nn.LayerNorm, models: int) -> None:
        super().__init__()
        self.shape, self.eps = one.normalized_shape, one.eps
        self.weight, self.bias = _repeated(one.weight, models), _repeated(one.bias, models)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.layer_norm(x, self.shape, eps=self.eps)
        return torch.addcmul(self.bias[:, None, None], y, self.weight[:, None, None])


def _repeated(parameter: torch.Tensor, models: int) -> nn.Parameter:
    return nn.Parameter(parameter.detach().repeat(models, *[1] * parameter.ndim))


def _stack_layers(module: nn.Module, models: int) -> None:
    stacked = {nn.Linear: _Linear, nn.Embedding: _Embedding, nn.LayerNorm: _LayerNorm}
    for name, child in module.named_children():
        if type(child) in stacked:
            setattr(module, name, stacked[type(child)](child, models))
        else:
            _stack_layers(child, models)
