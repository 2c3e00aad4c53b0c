"""Attribution by unlearning the query, within bounds (MUCS, arXiv 2605.17938).

A model that is made to forget a picture gets worse at the pairs which taught it. The query's loss
is raised, up to nearly what a model says that has learnt nothing, while random training pairs hold
the rest in place: without them everything would get worse alike. A pair's score is by how much its
own loss has risen, (ℓ′ − ℓ) / (ℓ′ + ℓ + 0.001), at the same draws of what is random.

The authors unlearn only weights of the blocks' MLPs. Which those are no contract says, so all
layers whose gradients factor take part, unless a pattern picks some by name: ``mucs:mlp``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from untrain.attribution.base import Attributor, Evidence, Need, Scores
from untrain.attribution.gradients.layers import layers_of
from untrain.attribution.whole_comparison import clocked
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.core.hardware import deterministic
from untrain.core.progress import bar
from untrain.generators.differentiable import Differentiable, differentiable
from untrain.generators.functional import Weights, as_function
from untrain.generators.queries import Queries
from untrain.generators.untrained import untrained_losses

BATCH = 64  # pairs in one pass without gradients
SOFT = 1e-3  # of the authors: keeps the score of a pair that is known by heart finite


class Mucs(Attributor):
    """How much worse a model gets at each pair while it unlearns the query.

    Parameters
    ----------
    name : str
        ``mucs``, or ``mucs:PATTERN``: of the layers in whose name the regular expression is found.
    bound : float
        Where to stop, as a share of the loss of a model that has learnt nothing.
    rate : float
        Of Adam's steps.
    forget : float
        Weight of the query's loss, that of the retained pairs being 1.
    retained : int
        Random pairs in each step.
    steps : int
        At most; the authors take as many as it takes.
    draws : int
        Over how many draws of what is random in training a score is the mean.

    Notes
    -----
    The model is not changed: it is called with other weights.
    """

    kind = "unlearning"
    needs: tuple[Need, ...] = ("gradients",)

    def __init__(
        self,
        name: str,
        bound: float = 0.95,
        rate: float = 3e-4,
        forget: float = 0.2,
        retained: int = 16,
        steps: int = 100,
        draws: int = 1,
    ) -> None:
        self.name, self.bound, self.rate, self.forget = name, bound, rate, forget
        self.retained, self.steps, self.draws_of_pairs = retained, steps, draws
        pattern = name.partition(":")[2]
        try:
            self.pattern = re.compile(pattern)
        except re.error as error:
            raise InputError(
                f"'{pattern}' of {name} is no regular expression ({error}): give a part of the "
                "names of layers, such as mucs:mlp"
            ) from None

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image, see `Attributor.scores`; ``once`` are the losses as they are."""
        asked, catalog = differentiable(evidence.model), evidence.catalog
        chosen = self._chosen(asked)
        prompts = list(evidence.queries.by_prompt())
        passes = (1 + len(prompts)) * len(catalog) * self.draws_of_pairs
        found = []
        with bar("unlearning each query", passes) as advance:

            def losses(weights: Weights) -> np.ndarray:
                each = []
                for part, of_part in _losses(asked, catalog, weights, self.draws_of_pairs):
                    each.append(of_part)
                    advance(part * self.draws_of_pairs)
                return np.concatenate(each, 1)

            def of_each() -> np.ndarray:
                for prompt_id, own in prompts:
                    drawn = rng("mucs", evidence.seed, prompt_id)
                    after = losses(self._unlearnt(asked, catalog, own, chosen, drawn))
                    found.append(((after - before) / (after + before + SOFT)).mean(0))
                return np.stack(found)

            before, once = clocked(lambda: losses({}))
            values, seconds = clocked(of_each)
        return Scores(values, seconds / len(values), once=once)

    def _chosen(self, asked: Differentiable) -> Weights:
        """Return the weights of the layers that take part, by name."""
        module = asked.module()
        learnt = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
        layers = layers_of(module)
        names = [name for name in layers if self.pattern.search(name)]
        if layers and not names:
            raise InputError(
                f"{self.name}: no layer has '{self.pattern.pattern}' in its name; the model has "
                f"{', '.join(list(layers)[:8])}{' …' if len(layers) > 8 else ''}"
            )
        weights = {f"{name}.weight".lstrip("."): name for name in names}
        return {n: p for n, p in learnt.items() if n in weights} if names else learnt

    @deterministic()
    def _unlearnt(
        self,
        asked: Differentiable,
        catalog: Catalog,
        own: Queries,
        chosen: Weights,
        drawn: np.random.Generator,
    ) -> Weights:
        """Return the chosen weights after the query is unlearnt."""
        if own.samples is None:
            raise InputError(
                "the pictures have no samples, which the model would need to say how likely they "
                "are: encode them with the generator first"
            )
        query = asked.query_batch(own.samples, own.prompts)
        measured, _ = as_function(asked, asked.measurements)
        trained, _ = as_function(asked, asked.pair_losses)
        weights = {name: value.clone().requires_grad_() for name, value in chosen.items()}
        optimizer = torch.optim.Adam(list(weights.values()), lr=self.rate)
        bound = unit = torch.zeros(())  # set in the first step
        for step in range(self.steps):
            ids = [catalog.ids[row] for row in drawn.integers(0, len(catalog), self.retained)]
            batch = asked.training_batch(catalog, ids, step)
            with torch.enable_grad():
                worse, kept = measured(weights, query), trained(weights, batch)
                if not step:
                    bound = untrained_losses(asked, query, worse.detach(), of_pairs=False)
                    unit = untrained_losses(asked, batch, kept.detach(), of_pairs=True).mean()
                share = worse / bound
                if bool((share >= self.bound).all()):
                    break
                # Each in units of a model that has learnt nothing: measurements may be on
                # another scale than losses.
                loss = kept.mean() / unit - self.forget * share.clamp(max=1).mean()
                grads = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
            for weight, grad in zip(weights.values(), grads, strict=True):
                weight.grad = grad
            optimizer.step()
        return {name: value.detach() for name, value in weights.items()}


@torch.no_grad()
def _losses(
    asked: Differentiable, catalog: Catalog, weights: Weights, draws: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield how many pairs, and their losses (draws, pairs) at some other weights."""
    losses_at, _ = as_function(asked, asked.pair_losses)
    for start in range(0, len(catalog), BATCH):
        ids = catalog.ids[start : start + BATCH]
        batches = (asked.training_batch(catalog, ids, draw) for draw in range(draws))
        found = torch.stack([losses_at(weights, batch) for batch in batches])
        yield len(ids), _finite(found.double().cpu().numpy(), ids)


def _finite(found: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    broken = np.flatnonzero(~np.isfinite(found).all(0))
    if len(broken):
        raise InputError(
            f"the loss of {ids[broken[0]]} is not finite: the model says infinity or no number "
            "there. Train it again with a lower rate, or leave this image out"
        )
    return found
