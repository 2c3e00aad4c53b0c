"""The gradient of every pair, a layer at a time, without ever forming all of it.

In a linear layer the gradient of a pair's number by the weights is Σ_t b_t a_tᵀ, where a_t are the
layer's inputs at the pair's positions and b_t the gradients of its outputs (Goodfellow 2015): both
are there for the taking in one forward and one backward pass over a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad, vmap

from untrain.core.errors import InputError
from untrain.core.hardware import deterministic
from untrain.generators.differentiable import Batch, Differentiable
from untrain.generators.functional import Weights, as_function

Output = Callable[[object, Batch], torch.Tensor]
Consume = Callable[[str, torch.Tensor, torch.Tensor], None]
"""Takes the name of a layer, its inputs (n, t, i) and the gradients of its outputs (n, t, o)."""

OutputsAt = Callable[[Weights, Batch], torch.Tensor]

EVERYTHING = "parameters"
"""The name of all parameters as one layer, of a module that has no layer of a known kind."""


def layers_of(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers whose weights are learnt and whose gradients factor, by name.

    Linear layers and convolutions without groups. Embeddings, norms and the rest have a small part
    of the parameters, and none of the gradient here.
    """
    return {
        name: layer
        for name, layer in module.named_modules()
        if _known(layer) and layer.weight.requires_grad  # type: ignore[union-attr]
    }


def sizes_of(generator: Differentiable) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of each layer as `factors` gives them, by name."""
    module = generator.module()
    found = {name: _size(layer) for name, layer in layers_of(module).items()}
    if not found:
        count = sum(p.numel() for p in module.parameters() if p.requires_grad)
        return {EVERYTHING: (count, 1)}
    return found


@deterministic()
def factors(
    generator: Differentiable,
    output: Output,
    batch: Batch,
    consume: Consume,
    weights: Weights | None = None,
) -> None:
    """Pass the factors of every pair's gradient to ``consume``, a layer after the other.

    Parameters
    ----------
    generator : Differentiable
        Fitted. What requires a gradient is the same afterwards.
    output : callable
        (generator, batch) → (n,): what is differentiated.
    batch : dict of str to Tensor
        Of n pairs or queries.
    consume : callable
        Called in a backward pass, once for each call of a layer: a layer that is called several
        times has the sum of the gradients of its calls. Biases are the last of a layer's inputs.
    weights : dict of str to Tensor, optional
        Where to differentiate, by name, such as at a checkpoint; the generator keeps its own.

    Raises
    ------
    InputError
        A layer is called with rows that belong to no single pair.
    """
    module = generator.module()
    layers = layers_of(module)
    outputs_at, own = as_function(generator, lambda inner: output(generator, inner))
    if not layers:
        at = own if weights is None else {name: weights[name] for name in own}
        _by_example(outputs_at, at, batch, consume)
        return
    n = len(next(iter(batch.values())))
    with _frozen(module), torch.enable_grad(), _hooked(layers, n, consume):
        found = output(generator, batch) if weights is None else outputs_at(weights, batch)
        found.sum().backward()


def _by_example(outputs_at: OutputsAt, weights: Weights, batch: Batch, consume: Consume) -> None:
    """Take the whole gradient of each pair as the inputs of one layer with one output."""

    def of_one(at: dict[str, torch.Tensor], pair: Batch) -> torch.Tensor:
        return outputs_at(at, {name: value[None] for name, value in pair.items()})[0]

    found = vmap(grad(of_one), in_dims=(None, 0))(weights, batch)
    whole = torch.cat([part.flatten(1) for part in found.values()], 1)
    consume(EVERYTHING, whole[:, None], torch.ones_like(whole[:, :1, None]))


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Keep the gradients of weights from being computed: they are sums over the batch."""
    learnt = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in learnt:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_(True)


@contextmanager
def _hooked(layers: dict[str, nn.Module], n: int, consume: Consume) -> Iterator[None]:
    def watch(name: str, layer: nn.Module) -> Callable[..., torch.Tensor]:
        def seen(_: nn.Module, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
            inputs = given[0].detach()
            if not out.requires_grad:  # nothing before it learns
                out.requires_grad_(True)
                out = out.clone()  # which whatever comes next may change in place
            out.register_hook(lambda g: consume(name, *_factored(name, layer, n, inputs, g)))
            return out

        return seen

    handles = [layer.register_forward_hook(watch(name, layer)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _factored(
    name: str, layer: nn.Module, n: int, inputs: torch.Tensor, grads: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs (n, t, i) and the gradients of outputs (n, t, o) of a call of a layer."""
    if len(inputs) % n:
        raise InputError(
            f"the layer {name} was called with {len(inputs)} rows for {n} pairs: its gradient "
            "cannot be told apart by pair; expected the pairs as the first axis of its input"
        )
    if isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str):
        inputs = F.unfold(
            inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride
        ).transpose(1, 2)
        grads = grads.flatten(2).transpose(1, 2)
    inputs, grads = inputs.reshape(n, -1, inputs.shape[-1]), grads.reshape(n, -1, grads.shape[-1])
    if layer.bias is not None:
        inputs = F.pad(inputs, (0, 1), value=1.0)
    return inputs.float(), grads.detach().float()


def _known(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return layer.groups == 1 and plain
    return isinstance(layer, nn.Linear)


def _size(layer: nn.Module) -> tuple[int, int]:
    """Return how many inputs and outputs a layer has, its bias counted as an input."""
    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    return weight[0].numel() + (layer.bias is not None), len(weight)
