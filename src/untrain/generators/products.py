"""Layers that a training on a CPU computes in a quicker way, with the same values up to rounding.

On a CPU, torch has oneDNN compute convolutions and MKL compute float32 matrix products. On AMD's
processors MKL uses half the width of their vector units: the three products of a linear layer
(forward, and the gradients of input and weight) ran at 100 GFLOP/s by MKL and at 180 to 210 by
oneDNN, on a core with AVX-512 (`benchmarks/bench_products.py`). Only trainings use this:
what works on gradients by `torch.func` needs layers that it can take apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable


class SquaredReLU(nn.Module):
    """relu(x)², the activation of So et al. 2021 (Primer)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return relu(x)²."""
        return F.relu(x).square()


@contextmanager
def quick_layers(model: nn.Module) -> Iterator[None]:
    """Have plain linear layers and squared ReLUs of a model compute the quicker way in this block.

    It does nothing on a GPU, to other precisions than float32, on processors without AVX-512, where
    it would lose a little, and where torch lacks oneDNN.
    """
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    modules = model.modules() if on_cpu else ()  # elsewhere a compiler may look at them
    layers = [layer for layer in modules if type(layer) in QUICK and _fits(layer)]
    for layer in layers:
        layer.forward = partial(QUICK[type(layer)], layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _fits(layer: nn.Module) -> bool:
    here = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in layer.parameters())
    here = here and torch.backends.cpu.get_cpu_capability() == "AVX512"  # narrower, it loses a bit
    known = hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available()
    return here and known and "forward" not in vars(layer)


def _is_plain(x: torch.Tensor) -> bool:
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and not torch.is_autocast_enabled("cpu")


def _linear(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    if not _is_plain(x) or x.ndim < 2 or not x.numel():
        return F.linear(x, layer.weight, layer.bias)
    found: torch.Tensor = _Linear.apply(x, layer.weight, layer.bias)
    return found


def _squared_relu(layer: SquaredReLU, x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = _SquaredReLU.apply(x) if _is_plain(x) else F.relu(x).square()
    return found


QUICK: dict[type[nn.Module], Callable[..., torch.Tensor]] = {
    nn.Linear: _linear,
    SquaredReLU: _squared_relu,
}
"""What computes a layer of each type."""


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return x · weightᵀ + bias; ``x`` is copied unless it is contiguous, ``weight`` never."""
    found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def _weight_gradient(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return gradᵀ · x of (rows, out) and (rows, in); the narrower of the two is copied."""
    if grad.shape[1] <= x.shape[1]:
        return _product(grad.t(), x.t(), None)
    return _product(x.t(), grad.t(), None).t()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        # Of rows that do not lie side by side, such as the gradient of half of a layer's output,
        # oneDNN takes a product a thousand times more slowly.
        rows = grad.reshape(-1, grad.shape[-1]).contiguous()
        return (
            _product(rows, weight.t(), None).reshape(x.shape) if of_x else None,
            _weight_gradient(rows, x.reshape(-1, x.shape[-1]).contiguous()) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


class _SquaredReLU(torch.autograd.Function):
    """Bit for bit what torch's own two steps give, with half as many passes over memory."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        root = F.relu(x)
        ctx.save_for_backward(root)
        return root * root

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        (root,) = ctx.saved_tensors
        return torch.mul(root, 2).mul_(grad)
