"""Directions in the space of weights: where a query points, and what becomes of pairs along it.

With d = P⁻¹ ∇L_q, the gradient of a query under some metric P, the score of pair i is
⟨∇ℓ_i, d⟩ = ∂ε ℓ_i(θ + ε d): to first order, how much the pair's loss rises where the query's does.
It takes one gradient for each query and no gradient of a pair that is ever kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from untrain.attribution.gradients.layers import EVERYTHING, factors, layers_of, sizes_of
from untrain.attribution.gradients.outputs import Output, Values
from untrain.attribution.gradients.store import BATCH, finite, query_batches
from untrain.catalogs.base import Catalog
from untrain.core.hardware import deterministic, device
from untrain.core.progress import bar
from untrain.generators.differentiable import Batch, Differentiable
from untrain.generators.functional import Weights, as_function
from untrain.generators.queries import Queries

Directions = dict[str, torch.Tensor]
"""By name of the layer: a matrix of weights for each prompt, (prompts, outputs, inputs)."""
AT_ONCE = 1 << 27
"""Numbers of directions that are held at a time, as float32: 512 MiB."""


def blocks_of_prompts(generator: Differentiable, prompt_ids: Sequence[str]) -> list[list[str]]:
    """Return the prompts in parts whose directions fit into memory."""
    size = sum(inputs * outputs for inputs, outputs in sizes_of(generator).values())
    step = max(1, AT_ONCE // size)
    return [list(prompt_ids[start : start + step]) for start in range(0, len(prompt_ids), step)]


def query_gradients(generator: Differentiable, output: Output, queries: Queries) -> Directions:
    """Return the mean gradient of each prompt's queries.

    Raises
    ------
    InputError
        The queries have no samples, or their gradients are not finite.
    """
    ids = queries.prompt_ids
    found = {
        name: torch.zeros(len(ids), outputs, inputs, device=device())
        for name, (inputs, outputs) in sizes_of(generator).items()
    }
    for row, prompt_id in enumerate(ids):
        own = queries.of(prompt_id)
        for part, batch in query_batches(generator, own):
            marks = torch.zeros(len(part), 1, device=device())

            def add(
                name: str,
                a: torch.Tensor,
                b: torch.Tensor,
                row: int = row,
                marks: torch.Tensor = marks,
            ) -> None:
                marks.add_(b.sum((1, 2))[:, None])
                found[name][row] += b.flatten(0, 1).T @ a.flatten(0, 1)

            factors(generator, output.of_queries, batch, add)
            finite(marks, [f"query {generation} of {own_id}" for own_id, generation in part.keys])
        for gradients in found.values():
            gradients[row] /= len(own)
    return found


def query_loss(generator: Differentiable, queries: Queries) -> float:
    """Return the mean measurement of queries."""
    with torch.no_grad():
        parts = [generator.measurements(batch) for _, batch in query_batches(generator, queries)]
    return float(torch.cat(parts).mean())


def as_weights(generator: Differentiable, directions: Mapping[str, torch.Tensor]) -> Weights:
    """Return a direction, matrices (outputs, inputs) by layer, as tensors by parameter.

    The last input of a layer with a bias is the bias. What is in no layer does not move.
    """
    module = generator.module()
    names = {id(p): name for name, p in module.named_parameters() if p.requires_grad}
    shapes = {name: p.shape for name, p in module.named_parameters() if p.requires_grad}
    if EVERYTHING in directions:
        parts = directions[EVERYTHING].flatten().split([s.numel() for s in shapes.values()])
        return {n: part.view(s) for (n, s), part in zip(shapes.items(), parts, strict=True)}
    found: Weights = {}
    for name, layer in layers_of(module).items():
        direction, weight, bias = directions[name], layer.weight, layer.bias
        if bias is not None:
            found[names[id(bias)]] = direction[:, -1]
            direction = direction[:, :-1]
        shape = weight.shape  # type: ignore[union-attr]
        found[names[id(weight)]] = direction.reshape(shape)  # type: ignore[arg-type]
    return found


@deterministic()
def slopes(
    generator: Differentiable,
    losses: Callable[[Batch], torch.Tensor],
    batch: Batch,
    directions: Iterable[Weights],
    step: float | None = None,
) -> torch.Tensor:
    """Return ∂ε ℓ(θ + ε d) of every pair along every direction, (directions, n).

    Parameters
    ----------
    generator : Differentiable
        Fitted; it keeps its weights.
    losses : callable
        Its ``pair_losses`` or ``measurements``.
    batch : dict of str to Tensor
        Of n pairs or queries.
    directions : iterable of dict of str to Tensor
        By parameter; those that are left out do not move.
    step : float, optional
        Take a central difference instead of the exact derivative, with this share of the length
        of the weights on either side: in half the time, and with 0.001 off by about a thousandth
        of the largest slope; with 0.01 by a tenth.
    """
    losses_at, weights = as_function(generator, losses)
    found = []
    for direction in directions:
        moved = {name: weights[name] for name in direction}

        def at(moved: Weights) -> torch.Tensor:
            return losses_at({**weights, **moved}, batch)

        if step is None:
            with sdpa_kernel(SDPBackend.MATH):  # the others have no forward derivative
                found.append(jvp(at, (moved,), (direction,))[1])
            continue
        size = step * _length(moved) / max(_length(direction), torch.finfo(torch.float32).tiny)
        with torch.no_grad():
            after, before = (at(shifted(moved, direction, way * size)) for way in (1, -1))
        found.append((after - before) / (2 * size))
    return torch.stack(found)


@deterministic()
@torch.no_grad()
def losses_after(
    generator: Differentiable,
    catalog: Catalog,
    losses: Values,
    steps: Sequence[Weights],
    draws: int,
) -> torch.Tensor:
    """Return the loss of every pair of a catalogue after each of some steps, (steps, n).

    Parameters
    ----------
    generator : Differentiable
        Fitted; it keeps its weights.
    catalog : Catalog
    losses : callable
        (generator, batch) → (n,).
    steps : sequence of dict of str to Tensor
        What is added to the weights, by parameter; an empty one adds nothing.
    draws : int
        Over how many draws of what is random in training a loss is the mean.
    """
    losses_at, weights = as_function(generator, lambda batch: losses(generator, batch))
    moved = [shifted(weights, step, 1.0) for step in steps]
    found = torch.zeros(len(steps), len(catalog), device=device())
    with bar("losses of pairs", len(catalog)) as advance:
        for start in range(0, len(catalog), BATCH):
            ids = catalog.ids[start : start + BATCH]
            for draw in range(draws):
                batch = generator.training_batch(catalog, ids, draw)
                for row, at in enumerate(moved):
                    found[row, start : start + len(ids)] += losses_at(at, batch) / draws
            advance(len(ids))
    return found


def shifted(weights: Weights, direction: Weights, size: float) -> Weights:
    """Return weights + size × direction; those that the direction leaves out are shared."""
    return {n: w + size * direction[n] if n in direction else w for n, w in weights.items()}


def _length(values: Weights) -> float:
    return float(torch.stack([value.square().sum() for value in values.values()]).sum().sqrt())
