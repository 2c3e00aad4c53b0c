"""The Fisher matrix of a model, Kronecker-factored, with corrected eigenvalues (EK-FAC).

The Fisher matrix says how much what a model predicts changes with its weights; for cross-entropy
and squared errors it is the Gauss–Newton part of the loss's second derivative. Of each layer it is
taken as if inputs and gradients of outputs were independent (Martens & Grosse 2015): then it has
the eigenvectors of their two small covariances. Along these the true mean square of the gradients
is measured (George et al. 2018, *Fast approximate natural gradient descent in a Kronecker-factored
eigenbasis*; for influence functions Grosse et al. 2023, section 2.1). Without any rotation the same
is the diagonal of the Fisher matrix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from untrain.attribution.gradients.layers import factors, sizes_of
from untrain.attribution.gradients.outputs import Output
from untrain.attribution.gradients.store import BATCH, KIND, finite, weights_of
from untrain.attribution.gradients.targets import drawn
from untrain.catalogs.base import Catalog
from untrain.core.cache import cached
from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.hardware import device
from untrain.core.notes import Note
from untrain.core.progress import bar
from untrain.core.tensors import read_torch, write_torch
from untrain.generators.base import Generator
from untrain.generators.differentiable import (
    Differentiable,
    differentiable,
    has_predictions,
)

VERSION = 1
WIDEST = 4096
"""The longest side of a layer whose eigenvectors are computed; a longer one stays unrotated."""
DAMPING = 0.1
Consume = Callable[[str, torch.Tensor], None]
Run = Callable[[Callable[[str, torch.Tensor, torch.Tensor], None]], None]


@dataclass(frozen=True, eq=False)
class Layer:
    """The Fisher matrix of a layer's weights, (outputs, inputs).

    Attributes
    ----------
    inputs, outputs : Tensor or None
        Eigenvectors as columns, (i, i) and (o, o); None where nothing is rotated.
    values : Tensor
        Eigenvalues, (o, i): the mean square of gradients along each pair of eigenvectors.
    """

    inputs: torch.Tensor | None
    outputs: torch.Tensor | None
    values: torch.Tensor

    def gradients(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return gradients (n, o, i) in the basis of the eigenvectors, from their factors."""
        a = a if self.inputs is None else a @ self.inputs
        b = b if self.outputs is None else b @ self.outputs
        return torch.bmm(b.transpose(1, 2), a)

    def rotated(self, gradients: torch.Tensor) -> torch.Tensor:
        """Return gradients (n, o, i) in the basis of the eigenvectors."""
        found = gradients if self.inputs is None else gradients @ self.inputs
        return found if self.outputs is None else self.outputs.T @ found

    def turned_back(self, rotated: torch.Tensor) -> torch.Tensor:
        """Undo `rotated`."""
        found = rotated if self.inputs is None else rotated @ self.inputs.T
        return found if self.outputs is None else self.outputs @ found

    def inverse(self, damping: float) -> torch.Tensor:
        """Return 1 / (eigenvalue + λ), (o, i); λ is ``damping`` × the mean eigenvalue.

        Of a layer that no prediction depends on it is 0.
        """
        damped = self.values + damping * self.values.mean()
        return torch.where(damped > 0, damped.reciprocal(), 0.0)

    def solve(self, gradients: torch.Tensor, damping: float) -> torch.Tensor:
        """Return (F + λI)⁻¹ of gradients (n, o, i)."""
        return self.turned_back(self.rotated(gradients) * self.inverse(damping))


Fisher = Mapping[str, Layer]
"""By name of the layer."""


def fisher_of(
    generator: Generator,
    catalog: Catalog,
    output: Output,
    rotate: bool = True,
    draws: int = 1,
    seed: int = 0,
    ids: Sequence[str] | None = None,
) -> tuple[Fisher, tuple[Note, ...]]:
    """Return the Fisher matrix of a fitted model's loss, of the cache or computed and cached.

    It is the mean over the catalogue of the squares of gradients whose targets the model draws
    itself, see `drawn`. Of an output that is not the loss, and of a model that does not show its
    predictions, it is that of the gradients as they are (an empirical Fisher matrix, which a note
    says of the latter).

    Parameters
    ----------
    generator : Generator
        Fitted, with the differentiable contract.
    catalog : Catalog
        What it was trained on.
    output : Output
        ``nll``, or another.
    rotate : bool
        Whether to find eigenvectors; else it is the diagonal of the matrix.
    draws : int
        Over how many draws of what is random in training it is the mean.
    seed : int
        Of the targets.
    ids : sequence of str, optional
        The pairs of the catalogue that it is the mean over; by default all.

    Raises
    ------
    InputError
        Gradients are not finite.
    """
    asked = differentiable(generator)
    draws_targets = output.name == "nll" and has_predictions(generator)
    key = fingerprint(
        "fisher", VERSION, weights_of(generator), generator.fingerprint(catalog),
        catalog.fingerprint, output.name, draws_targets, rotate and WIDEST, draws, seed,
        *([] if ids is None else [list(ids)]),
    )  # fmt: skip
    pairs = catalog.ids if ids is None else ids
    kind = "EK-FAC" if rotate else "diagonal"
    about = {
        "description": f"{kind} Fisher matrix, {output.name}, of a model of {catalog.name}",
        "rows": len(pairs),
    }

    def make() -> Fisher:
        passes = _Passes(asked, catalog, pairs, output, draws, seed, draws_targets)
        bases = _bases(passes) if rotate else {}
        return _with_values(passes, bases)

    found, notes = cached(KIND, key, about, make, _save, _load, VERSION, reopen=True)
    if output.name == "nll" and not draws_targets:
        notes += (
            Note(
                "fisher-empirical",
                f"{type(generator).__name__} does not show its predictions (pair_predictions): "
                "the Fisher matrix is made of the gradients of the pairs themselves",
            ),
        )
    return found, notes


@dataclass(frozen=True, eq=False)
class _Passes:
    """Gives the factors of every pair's gradient, as often as asked."""

    generator: Differentiable
    catalog: Catalog
    ids: Sequence[str]
    output: Output
    draws: int
    seed: int
    draws_targets: bool

    def batches(self, what: str) -> Iterator[tuple[Run, Sequence[str]]]:
        """Yield, for each batch, a function that takes a consumer, and the names of its pairs.

        ``what`` names the pass, which the targets depend on: eigenvalues along eigenvectors of the
        very same draws would be too large.
        """
        ids = self.ids
        with bar(f"Fisher matrix, {what}", self.draws * len(ids)) as advance:
            for draw in range(self.draws):
                for start in range(0, len(ids), BATCH):
                    names = ids[start : start + BATCH]
                    batch = self.generator.training_batch(self.catalog, names, draw)
                    output = self.output.of_pairs
                    if self.draws_targets:
                        output = drawn((what, self.seed, draw), names)
                    yield partial(factors, self.generator, output, batch), names
                    advance(len(names))


def _bases(passes: _Passes) -> dict[str, tuple[torch.Tensor | None, torch.Tensor | None]]:
    """Return the eigenvectors of the covariances of each layer's inputs and output gradients."""
    sums: dict[str, list[torch.Tensor | None]] = {
        name: [_square(size) for size in sizes]
        for name, sizes in sizes_of(passes.generator).items()
    }
    for run, names in passes.batches("eigenvectors"):
        marks = torch.zeros(len(names), 1, device=device())

        def consume(
            name: str, a: torch.Tensor, b: torch.Tensor, marks: torch.Tensor = marks
        ) -> None:
            marks.add_((a.sum((1, 2)) + b.sum((1, 2)))[:, None])
            for total, part in zip(sums[name], (a, b), strict=True):
                if total is not None:
                    rows = part.flatten(0, 1)
                    total.add_(rows.T @ rows)

        run(consume)
        finite(marks, names)
    return {name: (_eigenvectors(a), _eigenvectors(b)) for name, (a, b) in sums.items()}


def _square(size: int) -> torch.Tensor | None:
    if size > WIDEST:
        return None
    return torch.zeros(size, size, dtype=torch.float64, device=device())


def _eigenvectors(covariance: torch.Tensor | None) -> torch.Tensor | None:
    return None if covariance is None else torch.linalg.eigh(covariance)[1].float()


def _with_values(
    passes: _Passes, bases: Mapping[str, tuple[torch.Tensor | None, torch.Tensor | None]]
) -> Fisher:
    """Return layers with the mean square of the gradients along their eigenvectors."""
    layers = {
        name: Layer(*bases.get(name, (None, None)), torch.zeros(outputs, inputs, device=device()))
        for name, (inputs, outputs) in sizes_of(passes.generator).items()
    }
    again = repeated(passes.generator, passes.catalog, passes.output)
    for run, names in passes.batches("eigenvalues"):
        marks = torch.zeros(len(names), 1, device=device())

        def square(name: str, gradients: torch.Tensor, marks: torch.Tensor = marks) -> None:
            squares = gradients.square()
            marks.add_(squares.sum((1, 2))[:, None])
            layers[name].values.add_(squares.sum(0))

        in_basis(layers, again, run, square)
        finite(marks, names)
    count = passes.draws * len(passes.ids)
    return {name: replace(layer, values=layer.values / count) for name, layer in layers.items()}


def repeated(generator: Differentiable, catalog: Catalog, output: Output) -> frozenset[str]:
    """Return the layers that are called more than once in a pass."""
    calls: Counter[str] = Counter()
    batch = generator.training_batch(catalog, catalog.ids[:1])
    factors(generator, output.of_pairs, batch, lambda name, *_: calls.update([name]))
    return frozenset(name for name, count in calls.items() if count > 1)


def in_basis(layers: Fisher, again: frozenset[str], run: Run, consume: Consume) -> None:
    """Pass the gradients of a batch to ``consume``, (n, o, i) in the basis, once for each layer.

    Parameters
    ----------
    layers : mapping of str to Layer
    again : frozenset of str
        The layers that are called more than once: their gradients are added up beforehand.
    run : callable
        Takes a consumer of factors, as `untrain.attribution.gradients.layers.factors` has it.
    consume : callable
        Takes the name of a layer and gradients.
    """
    held: dict[str, torch.Tensor] = {}

    def add(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        gradients = layers[name].gradients(a, b)
        if name not in again:
            consume(name, gradients)
        else:
            held[name] = held[name] + gradients if name in held else gradients

    run(add)
    for name, gradients in held.items():
        consume(name, gradients)


def _save(fisher: Fisher, path: Path) -> None:
    tensors = {
        f"{part}:{name}": tensor.cpu().contiguous()
        for name, layer in fisher.items()
        for part, tensor in vars(layer).items()
        if tensor is not None
    }
    write_torch(path, tensors)


def _load(path: Path) -> Fisher:
    tensors = read_torch(path, device=str(device()))
    names = [key.partition(":")[2] for key in tensors if key.startswith("values:")]
    if not names:
        raise InputError("it has no layers")
    return {
        name: Layer(
            tensors.get(f"inputs:{name}"), tensors.get(f"outputs:{name}"), tensors[f"values:{name}"]
        )
        for name in names
    }
