"""Attribution by TracIn: what a pair's steps did for a query, along the training itself.

A step on a pair changes a query's loss by minus its inner product with the query's gradient, so
that Σ_t η_t ⟨g_i, g_q⟩ over checkpoints says how much of the loss the pair has taken away (Pruthi
et al. 2020, *Estimating training data influence by tracing gradient descent*). Under Adam a step
is not along the gradient: each parameter goes its own way, η_t / (√v̂_t + ε) times as far. With the
optimiser's state taken as it was that stays a sum over pairs (arXiv 2602.00329, *In-run data
Shapley for Adam optimizer*).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from untrain.attribution.base import Attributor, Evidence, Need, Scores
from untrain.attribution.gradients.layers import EVERYTHING, factors, sizes_of
from untrain.attribution.gradients.outputs import NLL, Values
from untrain.attribution.whole_comparison import clocked
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError, did_you_mean
from untrain.core.hardware import device
from untrain.core.progress import bar
from untrain.generators.differentiable import Batch, Differentiable, differentiable
from untrain.generators.queries import Queries
from untrain.generators.recording import Checkpoint

BATCH = 32  # pairs in one pass
AT_ONCE = 1 << 28  # numbers of queries' directions that are held, as float32: 1 GiB
SGD = "sgd"

Layers = dict[str, torch.Tensor]
"""A matrix, or a matrix a query, of each layer by its name."""


class TracIn(Attributor):
    """Σ over checkpoints of η_t ⟨g_i, g_q / (√v̂_t + ε)⟩; without v̂ the plain products.

    Parameters
    ----------
    name : str
        ``tracin``, or ``tracin:sgd``, which leaves Adam's second moments out.
    draws : int
        Over how many draws of what is random in training a pair's gradient is the mean.

    Raises
    ------
    InputError
        What is after the colon is not ``sgd``.
    """

    kind = "gradient"
    needs: tuple[Need, ...] = ("gradients", "checkpoints")

    def __init__(self, name: str, draws: int = 1) -> None:
        argument = name.partition(":")[2]
        if argument not in ("", SGD):
            raise InputError(
                f"unknown argument of tracin '{argument}'{did_you_mean(argument, [SGD])}: it is "
                f"'tracin', or 'tracin:{SGD}' without the optimiser's state"
            )
        self.name, self.plain, self.draws_of_pairs = name, bool(argument), draws

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image, see `Attributor.scores`; ``once`` is the training that is recorded."""
        asked = differentiable(evidence.model)
        checkpoints, once = clocked(lambda: evidence.checkpoints)
        values, seconds = clocked(lambda: self._over(asked, evidence, checkpoints))
        return Scores(values, seconds / len(values), once=once)

    def _over(
        self, asked: Differentiable, evidence: Evidence, checkpoints: Sequence[Checkpoint]
    ) -> np.ndarray:
        _check(asked, checkpoints)
        total = np.zeros(evidence.shape)
        size = sum(i * o for i, o in sizes_of(asked).values())
        step = max(1, AT_ONCE // size)
        prompts = [own for _, own in evidence.queries.by_prompt()]
        parts = [slice(start, start + step) for start in range(0, len(prompts), step)]
        work = len(parts) * len(checkpoints) * len(evidence.catalog) * self.draws_of_pairs
        with bar("TracIn", work) as advance:
            for checkpoint in checkpoints:
                weights = {n: w.to(device()) for n, w in checkpoint.weights.items()}
                scale = None if self.plain else _scale(asked, checkpoint)
                for part in parts:
                    at = [_direction(asked, own, weights, scale) for own in prompts[part]]
                    along = {name: torch.stack([each[name] for each in at]) for name in at[0]}
                    for rows, found in self._products(asked, evidence.catalog, weights, along):
                        total[part, rows] += checkpoint.rate * found
                        advance(found.shape[1])
        return total / self.draws_of_pairs

    def _products(
        self, asked: Differentiable, catalog: Catalog, weights: Layers, along: Layers
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows of the catalogue, and their gradients' products with directions (q, rows)."""
        for start in range(0, len(catalog), BATCH):
            ids = catalog.ids[start : start + BATCH]
            for draw in range(self.draws_of_pairs):
                batch = asked.training_batch(catalog, ids, draw)
                found = _summed(asked, NLL.of_pairs, batch, weights, along)
                yield slice(start, start + len(ids)), _finite(found, ids)


def _summed(
    asked: Differentiable, values: Values, batch: Batch, weights: Layers, along: Layers
) -> torch.Tensor:
    """Return products of the gradients of a batch with directions, (q, n)."""
    n = len(next(iter(batch.values())))
    some = next(iter(along.values()))
    total = torch.zeros(len(some), n, device=some.device)

    def consume(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        whole = torch.bmm(b.transpose(1, 2), a).flatten(1)
        total.add_(along[name].flatten(1) @ whole.T)

    factors(asked, values, batch, consume, weights)
    return total


def _direction(
    asked: Differentiable, own: Queries, weights: Layers, scale: Layers | None
) -> Layers:
    """Return the mean gradient of a prompt's queries, each layer scaled as a step would be."""
    if own.samples is None:
        raise InputError(
            "the pictures have no samples, which the model would need to say how likely they "
            "are: encode them with the generator first"
        )
    total = {n: torch.zeros(o, i, device=device()) for n, (i, o) in sizes_of(asked).items()}

    def consume(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        total[name] += torch.einsum("nto,nti->oi", b, a) / len(own)

    for start in range(0, len(own), BATCH):
        part = own.take(list(range(start, min(start + BATCH, len(own)))))
        assert part.samples is not None
        batch = asked.query_batch(part.samples, part.prompts)
        factors(asked, NLL.of_queries, batch, consume, weights)
    return total if scale is None else {name: g * scale[name] for name, g in total.items()}


def _scale(asked: Differentiable, checkpoint: Checkpoint) -> Layers | None:
    """Return 1 / (√v̂ + ε) of each layer's weights, the bias as their last column."""
    if checkpoint.second_moments is None:
        return None
    moments, found = checkpoint.second_moments, {}
    for name, (inputs, outputs) in sizes_of(asked).items():
        if name == EVERYTHING:
            learnt = [n for n, p in asked.module().named_parameters() if p.requires_grad]
            whole = torch.cat([moments[each].flatten() for each in learnt])[None]
        else:
            start = f"{name}." if name else ""
            whole = moments[f"{start}weight"].reshape(outputs, -1)
            if inputs > whole.shape[1]:  # a bias, which takes no step if it is frozen
                bias = moments.get(f"{start}bias", torch.full((outputs,), torch.inf))
                whole = torch.cat([whole, bias[:, None]], 1)
        found[name] = 1 / (whole.sqrt() + max(checkpoint.epsilon, 1e-16)).to(device())
    return found


def _check(asked: Differentiable, checkpoints: Sequence[Checkpoint]) -> None:
    """Check that checkpoints are of the model's kind."""
    expected = {n: p.shape for n, p in asked.module().named_parameters() if p.requires_grad}
    for checkpoint in checkpoints:
        found = {name: weight.shape for name, weight in checkpoint.weights.items()}
        if found != expected:
            odd = sorted(set(found.items()) ^ set(expected.items()))[0][0]
            raise InputError(
                f"the checkpoint after step {checkpoint.step} is of another model: {odd} is not "
                "what the model has. Record the training of the same recipe"
            )


def _finite(found: torch.Tensor, ids: Sequence[str]) -> np.ndarray:
    broken = (~torch.isfinite(found).all(0)).nonzero().flatten().tolist()
    if broken:
        raise InputError(
            f"the gradient of {ids[broken[0]]} is not finite at a checkpoint: the model says "
            "infinity or no number there. Train with a lower rate, or leave this image out"
        )
    return found.double().cpu().numpy()
