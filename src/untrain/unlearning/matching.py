"""Matching: bring the losses of the images to forget to given levels, and change nothing else.

An ascent has to be told where to stop. Here every image has a level of its own: the loss that an
exact retraining without the forget set would have, as somebody predicts it (Georgiev et al. 2024,
*Attribute-to-Delete: machine unlearning via datamodel matching*, arXiv 2410.23232; with the levels
of the retraining itself it is their oracle matching). A step's loss is

    weight · mean over i in F of (ℓ_i − level_i)² / scale  +  mean over retained j of D_j

with scale the mean loss of the forget set before, so that the two are in one unit, and D_j how far
the predictions of pair j have moved from where they were: the Kullback–Leibler divergence of codes,
the square of numbers; of a generator that shows no predictions (ℓ_j − ℓ_j before)² / scale. Half of
the retained pairs of a step are random, and half are near the forget set by their captions: they
are what moves with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from untrain.core.files import rng
from untrain.generators.base import Generator
from untrain.generators.differentiable import (
    Batch,
    differentiable,
    has_predictions,
    predictive,
)
from untrain.generators.paired import widened
from untrain.generators.predictions import Prediction
from untrain.unlearning.learner import Gradual, Learner
from untrain.unlearning.meter import THIRDS
from untrain.unlearning.neighbours import Neighbours

Levels = Callable[[Sequence[str], Batch, torch.Tensor], torch.Tensor]
"""Ids to forget, their batch, their losses (n,) under the reference → the levels of these, (n,)."""
SMALLEST = 1e-6  # of a loss that something is divided by


@dataclass(frozen=True, kw_only=True)
class Matching(Gradual):
    """What methods that match levels have in common.

    Attributes
    ----------
    batch : int
        Pairs in a step.
    forget : int
        How many of them are to be forgotten; of the others half are near, half random.
    weight : float
        Of the distance from the levels.
    sharpness : float
        A retained pair is drawn as a near one in proportion to this power of the similarity of its
        caption with those of the forget set.
    """

    rate: float = 0.13
    batch: int = 8
    forget: int = 2
    weight: float = 0.08
    sharpness: float = 8.0


def match(
    learner: Learner,
    settings: Matching,
    levels: Levels,
    neighbours: Neighbours,
    reference: Generator | None = None,
) -> None:
    """Descend to the levels, in place, as far as the budget goes.

    Parameters
    ----------
    learner : Learner
    settings : Matching
    levels : callable
        See `Levels`.
    neighbours : Neighbours
        Of the forget set.
    reference : Generator, optional
        Whose predictions the retained pairs are held to; the task's own model by default.

    Raises
    ------
    BudgetSpent
        What is left does not suffice for one step.
    """
    task = learner.task
    held = task.generator if reference is None else reference
    drawn = _drawn(learner, settings, neighbours)
    scale = [0.0]  # known after the first step

    def loss_of(step: int) -> torch.Tensor:
        ids, of_forget = next(drawn)
        batch = learner.batch(ids, step)
        with torch.no_grad():
            learner.pay(len(ids))
            before, were = _asked(held, batch)
            forgotten = {name: value[:of_forget] for name, value in batch.items()}
            aim = levels(ids[:of_forget], forgotten, before[:of_forget])
            scale[0] = scale[0] or max(float(before[:of_forget].mean()), SMALLEST)
        learner.pay(len(ids))
        now, are = _asked(learner.generator, batch)
        away = (now[:of_forget] - aim).square().mean() / scale[0]
        if are:
            moved = torch.stack([_moved(*each) for each in zip(were, are, strict=True)]).sum(0)
        else:
            moved = (now - before).square() / scale[0]
        return settings.weight * away + moved[of_forget:].mean()

    size = min(settings.forget, len(task.forgotten))
    size += min(settings.batch - size, len(task.retained))
    learner.descend(loss_of, size * (1 + 1 / THIRDS), settings)


def _drawn(
    learner: Learner, settings: Matching, neighbours: Neighbours
) -> Iterator[tuple[list[str], int]]:
    """Yield the pairs of each step, those to forget first, and how many these are."""
    task = learner.task
    forget = learner.batches(task.forgotten, settings.forget, "forget")
    pull = neighbours.nearness(settings.sharpness)
    step = 0
    while True:
        own, _ = next(forget)
        draw = rng("unlearning", learner.method, task.seed, "retained", step)
        room = min(settings.batch - len(own), len(task.retained))
        count = min(room // 2, int(np.count_nonzero(pull)))
        near = draw.choice(len(pull), count, False, pull)
        others = np.setdiff1d(np.arange(len(pull)), near)
        far = draw.choice(others, room - len(near), False)
        rows = np.concatenate((near, far))
        yield [*own, *(task.retained[row] for row in rows)], len(own)
        step += 1


def _asked(generator: Generator, batch: Batch) -> tuple[torch.Tensor, list[Prediction]]:
    """Return the losses of pairs, and, where they are shown, the predictions that they are of.

    Of predictions only those count that are measured: captions are not what is to be forgotten.
    """
    if not has_predictions(generator):
        return differentiable(generator).pair_losses(batch), []
    heads = predictive(generator).pair_predictions(batch)
    return torch.stack([head.losses() for head in heads if head.measured]).sum(0), heads


def _moved(before: Prediction, now: Prediction) -> torch.Tensor:
    """Return how far predictions have moved, in units of the loss of each pair, (n,)."""
    were, are = widened(before.values), widened(now.values)
    if before.of_codes:
        were, are = were.log_softmax(-1), are.log_softmax(-1)
        each = (were.exp() * (were - are)).sum(-1)
    else:
        each = (are - were).square()
    return (each * before.weights).flatten(1).sum(1)


def in_proportion(ratios: Mapping[str, float]) -> Levels:
    """Return levels that are a multiple of what the loss of each image was, by id."""

    def levels(ids: Sequence[str], _: Batch, before: torch.Tensor) -> torch.Tensor:
        return before * before.new_tensor([ratios[each] for each in ids])

    return levels
