"""Checks of the differentiable contract, which is optional."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from untrain.core.files import rng
from untrain.generators.base import Generator, has_likelihood
from untrain.generators.differentiable import (
    Batch,
    differentiable,
    has_gradients,
    has_predictions,
    predictive,
)
from untrain.generators.predictions import Prediction
from untrain.testing.bench import OTHER_SEED, Bench
from untrain.testing.shared import Skip, alike, disturb, near

Losses = Callable[[Batch], torch.Tensor]
DRAWS = 8  # of what is random in a training loss
OFF = 2.0  # times; between a loss during the last epoch and one after it
COORDINATES = 3  # single parameters that are tried, the steepest of as many tensors
STEPS = {torch.float64: (1e-6, 1e-3), torch.float32: (1e-3, 0.1)}
"""Size of a step, and the largest error in units of the gradient's norm, of finite differences."""


def check_module_is_all_that_is_learnt(bench: Bench) -> None:
    """What requires a gradient in `module` is what `fit` learnt, what is saved and what draws."""
    generator = with_gradients(bench)
    other, expected = bench.fitted(seed=OTHER_SEED)
    changed = bench.loaded(generator)
    with torch.no_grad():
        for mine, theirs in zip(learnt(changed), learnt(other), strict=True):
            mine.copy_(theirs)
    for kept, how in ((changed, ""), (bench.loaded(changed), ", saved and loaded,")):
        found = bench.behaviour(kept)
        same = alike(found.images, expected.images) and (
            found.likely is None or expected.likely is None or near(found.likely, expected.likely)
        )
        assert same, (
            f"a model that gets all learnt parameters of another{how} does not do what the other "
            f"does (off by {found.distance(expected):.3g}): `module` must hold, with "
            "requires_grad, every weight that fit learns, and be the module that generate, "
            "log_likelihood and save use"
        )


def check_pair_losses_are_those_of_training(bench: Bench) -> None:
    """Their sum over the pairs kept, over all pairs, is about the loss that `fit` reports."""
    with_gradients(bench)
    for removed in ((), bench.removed):
        fitted = bench.fitted(removed)[0]
        if not fitted.losses:
            raise Skip("fit reports no losses")
        asked = differentiable(fitted)
        kept = [image_id for image_id in bench.catalog.ids if image_id not in set(removed)]
        batches = [asked.training_batch(bench.catalog, kept, draw) for draw in range(DRAWS)]
        each = [numbers(asked.pair_losses, batch).sum() for batch in batches]
        found, last = float(np.mean(each)) / len(bench.catalog), fitted.losses[-1]
        assert last / OFF < found < last * OFF, (
            f"without {len(removed)} of {len(bench.catalog)} pairs the mean of pair_losses is "
            f"{found:.4g}, the last epoch's loss {last:.4g}: pair_losses must be the loss that fit "
            "descends, in its unit and with its sign, and a batch's mean be over its full size"
        )


def check_measurements_are_likelihoods(bench: Bench) -> None:
    """They are minus the mean of `log_likelihood`: positive is worse."""
    generator = with_gradients(bench)
    likely = bench.fitted()[1].likely
    if not has_likelihood(generator) or likely is None:
        raise Skip("it has no log_likelihood")
    queries = bench.pairs(generator), bench.captions
    asked = differentiable(generator)
    found = numbers(asked.measurements, asked.query_batch(*queries))
    assert near(found, -likely.mean(axis=1)), (
        f"measurements are {found[0]:.6g}, … where minus the mean of log_likelihood is "
        f"{-likely.mean(axis=1)[0]:.6g}, …: scores would explain something else than is measured"
    )


def check_losses_do_not_depend_on_their_batch(bench: Bench) -> None:
    """Row i of both losses depends only on pair or query i, and is the same each time."""
    generator = with_gradients(bench)
    for name, losses, batch in both(bench, generator, torch.float32):
        n = len(bench.captions)
        assert all(len(value) == n for value in batch.values()), (
            f"the batch of {name} has tensors of "
            f"{ {key: len(value) for key, value in batch.items()} } rows; expected {n} in each"
        )
        found = numbers(losses, batch)
        assert found.shape == (n,), f"{name} gave {found.shape} for {n}; expected ({n},)"
        disturb()
        alone = [numbers(losses, {k: v[i : i + 1] for k, v in batch.items()})[0] for i in range(n)]
        assert near(np.array(alone), found), (
            f"asked one by one, {name} differ (by {np.abs(alone - found).max():.3g}): let "
            "`draw` and the pair decide whatever is random in them"
        )
    asked, ids = differentiable(generator), bench.catalog.ids[:4]
    forth, back = (
        numbers(asked.pair_losses, asked.training_batch(bench.catalog, order))
        for order in (ids, ids[::-1])
    )
    assert near(back[::-1], forth), (
        "asked in another order, pair_losses differ: keep the order of ids, and draw by the pair"
    )


def check_predictions_make_the_losses(bench: Bench) -> None:
    """What the heads predict adds up to `pair_losses`, and to `measurements`."""
    generator = with_gradients(bench)
    if not has_predictions(generator):
        raise Skip("it does not show its predictions")
    asked = predictive(generator)
    shown = {"pair_losses": asked.pair_predictions, "measurements": asked.query_predictions}
    for name, losses, batch in both(bench, generator, torch.float32):
        heads = shown[name](batch)
        found, expected = numbers(added, heads), numbers(losses, batch)
        assert near(found, expected), (
            f"the losses of the predictions add up to {found[0]:.6g}, … where {name} are "
            f"{expected[0]:.6g}, …: weight each target as the loss does"
        )


def check_gradients(bench: Bench) -> None:
    """Gradients of both losses are those of finite differences."""
    with_gradients(bench)
    generator, dtype = in_double(bench)
    step, tolerance = STEPS[dtype]
    weights = learnt(generator)
    for name, losses, batch in both(bench, generator, dtype):
        mean = losses(batch).mean()
        assert mean.requires_grad, f"{name} have no gradient: do not detach, nor use no_grad"
        grads = torch.autograd.grad(mean, weights, allow_unused=True)
        gradient = [
            torch.zeros_like(w) if g is None else g for w, g in zip(weights, grads, strict=True)
        ]
        norm = float(torch.stack([g.double().norm() for g in gradient]).norm())
        assert np.isfinite(norm) and norm > 0, f"the gradient of {name} has the norm {norm}"
        for direction in directions(gradient):
            expected = float(
                sum((g.double() * d).sum() for g, d in zip(gradient, direction, strict=True))
            )
            found = slope(losses, batch, weights, direction, step)
            assert abs(found - expected) <= tolerance * norm, (
                f"along some direction the gradient of {name} is {expected:.6g}, by finite "
                f"differences {found:.6g}: a part of the computation is cut off from the graph, "
                "or the loss is not the one that is differentiated"
            )


# Helpers -----------------------------------------------------------------------------------------


def with_gradients(bench: Bench) -> Generator:
    """Return a fitted generator that gives gradients."""
    generator = bench.fitted()[0]
    if not has_gradients(generator):
        raise Skip("it has no gradients")
    return generator


def learnt(generator: Generator) -> list[torch.nn.Parameter]:
    """Return the parameters that require a gradient."""
    module = differentiable(generator).module()
    found = [parameter for parameter in module.parameters() if parameter.requires_grad]
    assert found, "no parameter of `module` requires a gradient"
    return found


def in_double(bench: Bench) -> tuple[Generator, torch.dtype]:
    """Return a copy of the fitted generator that computes in float64, if it can."""
    with suppress(RuntimeError):  # of two dtypes in one operation
        generator = bench.loaded(bench.fitted()[0])
        differentiable(generator).module().double()
        for _, losses, batch in both(bench, generator, torch.float64):
            losses(batch)
        return generator, torch.float64
    return bench.loaded(bench.fitted()[0]), torch.float32


def both(
    bench: Bench, generator: Generator, dtype: torch.dtype
) -> Iterator[tuple[str, Losses, Batch]]:
    """Yield the two losses by name, each with a batch of the dtype."""
    asked = differentiable(generator)
    ids = bench.catalog.ids[: len(bench.captions)]
    queries = asked.query_batch(bench.pairs(generator), bench.captions)
    for name, losses, batch in (
        ("pair_losses", asked.pair_losses, asked.training_batch(bench.catalog, ids)),
        ("measurements", asked.measurements, queries),
    ):
        cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()}
        yield name, losses, cast


def directions(gradient: list[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Yield directions to try: a sign for every parameter, twice, then the steepest parameters."""
    for number in range(2):
        draw = rng("direction", number)
        yield [
            torch.from_numpy(draw.choice([-1.0, 1.0], tuple(g.shape))).to(g.device)
            for g in gradient
        ]
    steepest = sorted(range(len(gradient)), key=lambda i: -float(gradient[i].abs().max()))
    for tensor in steepest[:COORDINATES]:
        found = [torch.zeros_like(g, dtype=torch.float64) for g in gradient]
        found[tensor].view(-1)[int(gradient[tensor].abs().argmax())] = 1.0
        yield found


@torch.no_grad()
def slope(
    losses: Losses,
    batch: Batch,
    weights: list[torch.nn.Parameter],
    direction: list[torch.Tensor],
    step: float,
) -> float:
    """Return the derivative of the mean loss along a direction by a central difference."""
    before = [w.detach().clone() for w in weights]
    ends = []
    for sign in (1, -1):
        for weight, start, d in zip(weights, before, direction, strict=True):
            weight.copy_(start + sign * step * d.to(start.dtype))
        ends.append(float(losses(batch).double().mean()))
    for weight, start in zip(weights, before, strict=True):
        weight.copy_(start)
    return (ends[0] - ends[1]) / (2 * step)


def added(heads: list[Prediction]) -> torch.Tensor:
    """Return the losses of all heads together, (n,)."""
    return torch.stack([head.losses() for head in heads]).sum(0)


def numbers(losses: Callable[[Any], torch.Tensor], batch: Any) -> np.ndarray:
    """Return losses as numbers, float64 (n,)."""
    with torch.no_grad():
        return losses(batch).double().cpu().numpy()
