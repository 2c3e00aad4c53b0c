"""Random projections of gradients, a pair of small ones for each layer (LoGra).

The gradient of a layer is a matrix, outputs × inputs. Projected from both sides, PᵀG Q, it is as
small as wanted and never formed at full size; with independent normal entries the products of two
gradients stay the same on average (Choe et al. 2024, *What is your data worth to GPT?*). Where such
a matrix would be too large, as for all parameters taken as one layer, each number is added to one
place with a random sign, which keeps products as well (Charikar et al. 2002, count sketch).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from untrain.core.files import rng
from untrain.core.hardware import device

EXACT = 0
"""As a number of dimensions: all of them, nothing is projected."""
LARGEST = 1 << 27  # numbers of a matrix; 512 MiB


@dataclass(frozen=True, eq=False)
class Sketch:
    """A sparse random matrix: one ±1 in each of its rows.

    Attributes
    ----------
    places : Tensor of int64, (size,)
        The column of each.
    signs : Tensor of float32, (size,)
    kept : int
        Number of columns.
    """

    places: torch.Tensor
    signs: torch.Tensor
    kept: int

    def of(self, values: torch.Tensor) -> torch.Tensor:
        """Return values (n, t, size) times the matrix, (n, t, kept)."""
        found = values.new_zeros(*values.shape[:-1], self.kept)
        return found.index_add_(-1, self.places, values * self.signs)


Side = torch.Tensor | Sketch | None


@dataclass(frozen=True, eq=False)
class Projection:
    """How gradients become rows of numbers.

    Attributes
    ----------
    sides : dict of str to pair of Tensor, Sketch or None
        The matrices (i, k) and (o, l) of each layer's inputs and outputs; None where they stay.
    columns : dict of str to slice
        Where in a row each layer is.
    """

    sides: dict[str, tuple[Side, Side]]
    columns: dict[str, slice]

    @property
    def dimensions(self) -> int:
        """Numbers in a row."""
        return max(part.stop for part in self.columns.values())

    def add(self, rows: torch.Tensor, name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        """Add the gradient of a layer to its columns of ``rows``, float32 (n, dimensions).

        Parameters
        ----------
        rows : Tensor
        name : str
        a, b : Tensor
            Factors of the gradient, (n, t, i) and (n, t, o).
        """
        of_inputs, of_outputs = self.sides[name]
        a, b = _projected(a, of_inputs), _projected(b, of_outputs)
        rows[:, self.columns[name]] += torch.bmm(b.transpose(1, 2), a).flatten(1)


def make_projection(
    sizes: Mapping[str, tuple[int, int]], dimensions: int, seed: int = 0
) -> Projection:
    """Return a projection to at most so many numbers, shared out evenly among the layers.

    Parameters
    ----------
    sizes : mapping of str to (int, int)
        Inputs and outputs of each layer, as `untrain.attribution.gradients.layers.sizes_of` says.
    dimensions : int
        Numbers in a row, or `EXACT`.
    seed : int
        The matrices follow from it, the name of the layer and its side.
    """
    sides: dict[str, tuple[Side, Side]] = {}
    columns, start = {}, 0
    for left, (name, (inputs, outputs)) in zip(
        range(len(sizes), 0, -1), sizes.items(), strict=True
    ):
        share = (dimensions - start) // left if dimensions else inputs * outputs
        k, o = _shared_out(share, inputs, outputs)
        sides[name] = (
            _drawn(inputs, k, seed, name, "inputs"),
            _drawn(outputs, o, seed, name, "outputs"),
        )
        columns[name] = slice(start, start := start + k * o)
    return Projection(sides, columns)


def _shared_out(share: int, inputs: int, outputs: int) -> tuple[int, int]:
    """Return how many numbers each side keeps; what one cannot use goes to the other."""
    if share >= inputs * outputs:
        return inputs, outputs
    even = max(1, math.isqrt(share))
    if outputs <= even:
        return min(inputs, max(1, share // outputs)), outputs
    k = min(inputs, even)
    return k, min(outputs, max(1, share // k))


def _projected(values: torch.Tensor, side: Side) -> torch.Tensor:
    if side is None:
        return values
    return side.of(values) if isinstance(side, Sketch) else values @ side


def _drawn(size: int, kept: int, seed: int, *key: str) -> Side:
    """Return the matrix of a side."""
    if kept >= size:
        return None
    draw = rng("projection", seed, *key)
    if size * kept > LARGEST:
        places = torch.from_numpy(draw.integers(0, kept, size))
        signs = torch.from_numpy(draw.choice(np.array([-1, 1], np.float32), size))
        return Sketch(places.to(device()), signs.to(device()), kept)
    drawn = draw.standard_normal((size, kept), np.float32)
    return torch.from_numpy(drawn / np.float32(math.sqrt(kept))).to(device())
