"""Attribution by influence functions with an EK-FAC Fisher matrix, plain and relative.

Without pair i the weights that minimise the mean loss of n pairs move by H⁻¹ g_i / n, and a query's
loss rises by g_qᵀ H⁻¹ g_i / n (Koh & Liang 2017). For H stands the Fisher matrix of
`untrain.attribution.gradients.kronecker`, damped (Grosse et al. 2023, *Studying large language
model generalization with influence functions*).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch

from untrain.attribution.base import Attributor, Evidence, Need, Scores
from untrain.attribution.gradients.directional import (
    Directions,
    blocks_of_prompts,
    query_gradients,
)
from untrain.attribution.gradients.kronecker import DAMPING, Fisher, fisher_of, in_basis, repeated
from untrain.attribution.gradients.layers import factors
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.store import BATCH, finite
from untrain.attribution.whole_comparison import clocked
from untrain.core.hardware import device
from untrain.core.progress import bar
from untrain.generators.differentiable import differentiable


class EkFac(Attributor):
    """g_qᵀ (F + λI)⁻¹ g_i / n: how much the query's loss would rise, in its own units.

    Parameters
    ----------
    name : str
        Its name, of the loss, or ``NAME:OUTPUT`` with an output of `OUTPUTS`.
    damping : float
        λ of each layer, in units of its mean eigenvalue.
    draws : int
        Over how many draws of what is random in training gradients are the mean.

    Raises
    ------
    InputError
        The output is unknown.
    """

    kind = "gradient"
    needs: tuple[Need, ...] = ("gradients",)
    relative: ClassVar[bool] = False

    def __init__(self, name: str, damping: float = DAMPING, draws: int = 1) -> None:
        self.name = name
        self.output = OUTPUTS[name.partition(":")[2] or "nll"]
        self.damping, self.draws_of_pairs = damping, draws

    def missing(self, evidence: Evidence) -> str | None:
        """Return why it cannot score this evidence, such as an output that a model has not."""
        return super().missing(evidence) or self.output.missing(evidence.model)

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image, see `Attributor.scores`."""
        model, catalog = evidence.model, evidence.catalog
        assert model is not None
        (fisher, notes), once = clocked(
            lambda: fisher_of(model, catalog, self.output, draws=self.draws_of_pairs)
        )
        values, seconds = clocked(lambda: self._products(evidence, fisher))
        return Scores(values, seconds / len(values), notes, once)

    def _products(self, evidence: Evidence, fisher: Fisher) -> np.ndarray:
        """Return the scores, in as many passes over the catalogue as directions need memory."""
        asked = differentiable(evidence.model)
        return np.concatenate(
            [
                self._of_some(evidence, fisher, part)
                for part in blocks_of_prompts(asked, evidence.prompt_ids)
            ]
        )

    def _of_some(self, evidence: Evidence, fisher: Fisher, prompt_ids: list[str]) -> np.ndarray:
        """Return the scores of some prompts: their gradients are preconditioned, once."""
        asked, catalog = differentiable(evidence.model), evidence.catalog
        inverses = {name: layer.inverse(self.damping) for name, layer in fisher.items()}
        directions = query_gradients(asked, self.output, evidence.queries.of(*prompt_ids))
        for name, layer in fisher.items():
            directions[name] = layer.rotated(directions[name]) * inverses[name]
        layers = fisher
        if not self.relative:  # nothing is squared: rotate a few queries back, and no pair
            directions = {name: fisher[name].turned_back(d) for name, d in directions.items()}
            layers = {n: replace(own, inputs=None, outputs=None) for n, own in fisher.items()}
        again = repeated(asked, catalog, self.output)
        found = np.empty((len(prompt_ids), len(catalog)), np.float32)
        with bar(f"influence, {self.name}", len(catalog)) as advance:
            for start in range(0, len(catalog), BATCH):
                ids = catalog.ids[start : start + BATCH]
                sums = _Sums(len(ids), directions, inverses if self.relative else None)
                for draw in range(self.draws_of_pairs):
                    batch = asked.training_batch(catalog, ids, draw)
                    run = partial(factors, asked, self.output.of_pairs, batch)
                    in_basis(layers, again, run, sums.add)
                values = finite(sums.scores(self.draws_of_pairs), ids)
                found[:, start : start + len(ids)] = values.T / np.float32(len(catalog))
                advance(len(ids))
        return found


class _Sums:
    """What adds up over the layers of a batch of pairs: products with directions, and lengths."""

    def __init__(
        self, pairs: int, directions: Directions, inverses: dict[str, torch.Tensor] | None
    ) -> None:
        prompts = len(next(iter(directions.values())))
        self.directions, self.inverses = directions, inverses
        self.products = torch.zeros(pairs, prompts, device=device())
        self.squares = torch.zeros(pairs, 1, device=device())

    def add(self, name: str, gradients: torch.Tensor) -> None:
        """Take the gradients of a layer, (pairs, o, i)."""
        self.products += gradients.flatten(1) @ self.directions[name].flatten(1).T
        if self.inverses is not None:
            own = gradients.square() * self.inverses[name]
            self.squares += own.flatten(1).sum(1, keepdim=True)

    def scores(self, draws: int) -> torch.Tensor:
        """Return the mean product over draws, over the mean length if asked, (pairs, prompts)."""
        mean = self.products / draws
        if self.inverses is None:
            return mean
        lengths = (self.squares / draws).sqrt()
        return torch.where(lengths == 0, 0.0, mean / lengths)


class EkFacRelative(EkFac):
    """The same over √(g_iᵀ (F + λI)⁻¹ g_i): pairs of large gradients count no more than others.

    ℓ-RelatIF of Barshan et al. (2020), *RelatIF: identifying explanatory training samples via
    relative influence*. Over several draws the length is the root of the mean of its squares.
    """

    relative = True
