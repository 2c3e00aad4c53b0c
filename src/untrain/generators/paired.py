"""The paired loop: models of one seed start alike and pass the same batches, whatever is removed.

Every generator that is trained here trains through `descend`, so that the rule is written once: a
removed pair keeps its place in its batch, its loss counts as zero, and the mean of a batch's losses
is over its full size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from untrain.core.files import rng
from untrain.core.hardware import deterministic, device
from untrain.generators.base import Progress
from untrain.generators.products import quick_layers
from untrain.generators.recording import current_recorder
from untrain.generators.steps import Clip, Later, Step, recording_steps, set_rate


class Recipe(Protocol):
    """What the loop needs of a recipe; the presets say what each setting is."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def warmup(self) -> float: ...
    @property
    def clip(self) -> float: ...
    @property
    def averaging(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Epoch:
    """One pass over the data.

    Attributes
    ----------
    number : int
        Which pass, from 0.
    first_step : int
        Step of the first batch; the steps of a training are counted from 0.
    batches : tuple of ndarray of int64
        The rows of each batch in order, at its full size.
    """

    number: int
    first_step: int
    batches: tuple[np.ndarray, ...]

    @property
    def order(self) -> np.ndarray:
        """All rows in the order in which they are passed, int64 (n,)."""
        return np.concatenate(self.batches)


def paired_batches(seed: int, pairs: int, batch: int, epochs: int) -> Iterator[Epoch]:
    """Yield the epochs of a training; they depend on these four numbers and on nothing else.

    Examples
    --------
    >>> [[rows.tolist() for rows in epoch.batches] for epoch in paired_batches(0, 3, 2, epochs=2)]
    [[[2, 0], [1]], [[2, 0], [1]]]
    """
    per_epoch = -(-pairs // batch)
    for number in range(epochs):
        order = rng("order", seed, number).permutation(pairs)
        rows = tuple(order[start : start + batch] for start in range(0, pairs, batch))
        yield Epoch(number, number * per_epoch, rows)


@deterministic()
def descend(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    losses_of: Callable[[Epoch], Iterator[torch.Tensor | Later | None]],
    recipe: Recipe,
    pairs: int,
    seed: int,
    progress: Progress,
    models: tuple[int, ...] = (),
    clip: Clip = nn.utils.clip_grad_norm_,
) -> np.ndarray:
    """Train a model, or a stack of them, in place, and return its losses.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
        Over what learns; its rate follows `schedule`.
    losses_of : callable
        Epoch → for each of its batches, when it is asked for, the loss of the batch: the sum of the
        losses of the pairs that are not removed over the full size of the batch, a number or one a
        model, or a `Later` that computes it. None is a step that is left out, as where all pairs
        are removed.
    recipe : Recipe
    pairs : int
        Size of the data, removed pairs included.
    seed : int
        Decides the order of the data.
    progress : callable
        Told of every pair passed, once for each model.
    models : tuple of int
        ``(number,)`` of a stack.
    clip : callable
        Scales the gradients of the given parameters down to the given norm.

    Returns
    -------
    ndarray of float64, (epochs, *models)
        Mean training loss of each epoch.
    """
    per_epoch = -(-pairs // recipe.batch)
    steps = recipe.epochs * per_epoch
    average = Average(model, first=steps - int(recipe.averaging * steps))
    recorder = None if models else current_recorder()
    if recorder:
        recorder.begin(steps)
    found, step = [], 0
    with quick_layers(model), recording_steps(optimizer) as capture:
        take = Step(model, optimizer, clip, recipe.clip, capture)
        for epoch in paired_batches(seed, pairs, recipe.batch, recipe.epochs):
            total = torch.zeros(models, device=device())
            losses = losses_of(epoch)
            for rows in epoch.batches:
                set_rate(optimizer, recipe.lr * schedule(step, steps, recipe.warmup))
                loss = next(losses)
                if loss is not None:
                    total += take(loss)
                step += 1
                average.update(step)
                if recorder:
                    recorder.after(step, model, optimizer)
                progress(len(rows) * total.numel())
            found.append(total.double().cpu().numpy() / per_epoch)
    average.apply()
    return np.stack(found)


def widened(values: torch.Tensor) -> torch.Tensor:
    """Return what is narrower than float32 as float32: losses are never computed in less."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def schedule(step: int, steps: int, warmup: float) -> float:
    """Return the share of the full rate: a linear warm-up, then a cosine down to a tenth."""
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
        """Take the weights after ``step`` steps into the mean, if it is their turn."""
        if step <= self.first or step % 4:
            return
        self.count += 1
        if not self.mean:
            self.mean = [p.detach().clone() for p in self.parameters]
        else:
            torch._foreach_lerp_(self.mean, self.parameters, 1 / self.count)

    @torch.no_grad()
    def apply(self) -> None:
        """Put the mean in the place of the weights, if any were taken into it."""
        for parameter, mean in zip(self.parameters, self.mean, strict=False):
            parameter.copy_(mean)
