"""Attribution by unlearning: forget the query in one step, and see which pairs the model forgets.

The weights take a step up the query's loss, in the metric of the Fisher matrix so that little else
changes, and a pair's score is how much its loss has risen (Wang et al. 2024, *Data attribution for
text-to-image models by unlearning synthesized images*, with the diagonal of the matrix). To first
order that is the influence function: θ + ε (F + λI)⁻¹ ∇L_q raises the loss of pair i by
ε g_iᵀ (F + λI)⁻¹ g_q.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from untrain.attribution.base import Attributor, Evidence, Need, Scores
from untrain.attribution.gradients.directional import (
    as_weights,
    blocks_of_prompts,
    losses_after,
    query_gradients,
    query_loss,
)
from untrain.attribution.gradients.kronecker import DAMPING, Fisher, fisher_of
from untrain.attribution.gradients.outputs import NLL
from untrain.attribution.gradients.store import finite
from untrain.attribution.whole_comparison import clocked
from untrain.generators.differentiable import differentiable
from untrain.generators.functional import Weights

RISE = 1.0
"""Far beyond first order, which pays: the more the query is forgotten, the better the scores."""


class Abu(Attributor):
    """ℓ_i(θ + ε (F + λI)⁻¹ ∇L_q) − ℓ_i(θ), with the diagonal of the Fisher matrix F.

    Parameters
    ----------
    name : str
    rise : float
        What the step adds to the query's loss to first order, as a share of it: this decides ε,
        whatever the model, its loss and the query.
    damping : float
        λ of each layer, in units of its mean eigenvalue.
    draws : int
        Over how many draws of what is random in training losses are means.
    """

    kind = "unlearning"
    needs: tuple[Need, ...] = ("gradients",)
    rotate: ClassVar[bool] = False

    def __init__(
        self, name: str, rise: float = RISE, damping: float = DAMPING, draws: int = 1
    ) -> None:
        self.name, self.rise, self.damping, self.draws_of_pairs = name, rise, damping, draws

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image, see `Attributor.scores`."""
        model, catalog = evidence.model, evidence.catalog
        assert model is not None
        (fisher, notes), once = clocked(
            lambda: fisher_of(model, catalog, NLL, self.rotate, self.draws_of_pairs)
        )
        values, seconds = clocked(lambda: self._risen(evidence, fisher))
        return Scores(values, seconds / len(values), notes, once)

    def _risen(self, evidence: Evidence, fisher: Fisher) -> np.ndarray:
        """Return how much the loss of every pair rises with each prompt's, (prompts, images)."""
        asked, catalog = differentiable(evidence.model), evidence.catalog
        found = []
        for prompt_ids in blocks_of_prompts(asked, evidence.prompt_ids):
            steps = self._steps(evidence, fisher, prompt_ids)
            before, *after = losses_after(
                asked, catalog, NLL.of_pairs, [{}, *steps], self.draws_of_pairs
            )
            found += [finite((each - before)[:, None], catalog.ids)[:, 0] for each in after]
        return np.stack(found)

    def _steps(self, evidence: Evidence, fisher: Fisher, prompt_ids: list[str]) -> list[Weights]:
        """Return what is added to the weights to forget each prompt's queries."""
        asked, queries = differentiable(evidence.model), evidence.queries.of(*prompt_ids)
        gradients = query_gradients(asked, NLL, queries)
        along = {n: layer.solve(gradients[n], self.damping) for n, layer in fisher.items()}
        slopes = torch.stack([(gradients[n] * d).flatten(1).sum(1) for n, d in along.items()])
        steps = []
        for row, (slope, (_, own)) in enumerate(
            zip(slopes.sum(0).tolist(), queries.by_prompt(), strict=True)
        ):
            size = self.rise * query_loss(asked, own) / slope if slope > 0 else 0.0
            steps.append(as_weights(asked, {name: size * d[row] for name, d in along.items()}))
        return steps


class AbuPlus(Abu):
    """The same with an EK-FAC Fisher matrix in place of its diagonal."""

    rotate = True
