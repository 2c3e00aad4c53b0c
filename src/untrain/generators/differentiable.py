"""The differentiable contract: what attribution and unlearning by gradients need of a generator.

It is optional and stands beside `untrain.generators.base.Generator`, as the two methods of
kronfluence's ``Task`` stand beside a model (Grosse et al. 2023). A generator that has it gets every
method that works with gradients; one that has not keeps those that compare pictures and words.

Examples
--------
The gradient of every pair's loss, by name of the parameter (what `torch.func` works on)::

    losses_at, weights = as_function(generator, generator.pair_losses)
    batch = generator.training_batch(catalog, ids)

    def loss_of(weights, pair):
        return losses_at(weights, {name: value[None] for name, value in pair.items()})[0]

    gradients = vmap(grad(loss_of), in_dims=(None, 0))(weights, batch)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError

if TYPE_CHECKING:  # so that whoever asks `has_gradients` need not wait for it
    import torch

    from untrain.generators.predictions import Prediction

Batch = dict[str, "torch.Tensor"]
"""Tensors on the device of the module, each with the pairs, or the queries, as its first axis."""


@runtime_checkable
class Differentiable(Protocol):
    """A fitted generator that gives losses with gradients.

    All methods are asked of a generator after `fit` or `load`. A result for a pair or a query does
    not depend on what else is in its batch, except for rounding.
    """

    def module(self) -> torch.nn.Module:
        """Return what was fitted, alive and in evaluation mode.

        Exactly the parameters that were learnt require a gradient. They are those that the losses
        are computed with, that ``generate`` draws with and that ``save`` writes: who changes them
        in place changes the generator.
        """
        ...

    def training_batch(self, catalog: Catalog, ids: Sequence[str], draw: int = 0) -> Batch:
        """Return pairs of a catalogue, in the order of ``ids``.

        Of another one than was prepared, such as one that has grown since, the pairs are encoded
        now, as the prepared ones were; a generator that cannot do that raises an `InputError`.
        Where training is random for a pair (times, noise, a caption left out), ``draw`` and the
        pair decide, so that the same call gives the same numbers; averages over draws 0, 1, … come
        near the expected loss. An unknown id is an `InputError`.
        """
        ...

    def query_batch(self, samples: np.ndarray, prompts: Sequence[str]) -> Batch:
        """Return queries; samples (n, …) and prompts are as ``log_likelihood`` takes them."""
        ...

    def pair_losses(self, batch: Batch) -> torch.Tensor:
        """Return the training loss of each pair, (n,), with gradients.

        The loss of a step of `fit` is the sum of those of the pairs that are not removed over the
        full size of the batch.
        """
        ...

    def measurements(self, batch: Batch) -> torch.Tensor:
        """Return minus the mean of each query's ``log_likelihood``, (n,), with gradients.

        In what ``log_likelihood`` is in: nats for tokens, or a loss. Larger is worse.
        """
        ...


@runtime_checkable
class Predictive(Protocol):
    """A differentiable generator that also shows what its losses are made of: optional in turn.

    Methods that differentiate something else than the loss, or draw targets of their own, ask it.
    """

    def pair_predictions(self, batch: Batch) -> list[Prediction]:
        """Return what each head predicts of pairs; their losses add up to ``pair_losses``."""
        ...

    def query_predictions(self, batch: Batch) -> list[Prediction]:
        """Return the measured heads' predictions of queries; they add up to ``measurements``."""
        ...


def has_gradients(generator: object) -> bool:
    """Tell whether a generator keeps the differentiable contract, without importing torch."""
    return isinstance(generator, Differentiable)


def has_predictions(generator: object) -> bool:
    """Tell whether a generator shows its predictions, without importing torch."""
    return isinstance(generator, Predictive)


def differentiable(generator: object) -> Differentiable:
    """Return a generator that `has_gradients` is true of.

    Raises
    ------
    InputError
        It does not keep the contract.
    """
    if isinstance(generator, Differentiable):
        return generator
    raise InputError(
        f"the generator {type(generator).__qualname__} gives no gradients: a method that needs "
        "them takes one with module, training_batch, query_batch, pair_losses and measurements"
    )


def predictive(generator: object) -> Predictive:
    """Return a generator that `has_predictions` is true of.

    Raises
    ------
    InputError
        It does not show its predictions.
    """
    if isinstance(generator, Predictive):
        return generator
    raise InputError(
        f"the generator {type(generator).__qualname__} does not show its predictions: a method "
        "that needs them takes one with pair_predictions and query_predictions"
    )
