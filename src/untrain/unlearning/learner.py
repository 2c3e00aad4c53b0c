"""The one loop that all methods descend by, over the differentiable contract.

A `Learner` holds a copy of the model, passes pairs through it and pays for them, and takes the
steps. What a method adds is the loss of a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from untrain.core.files import rng
from untrain.core.hardware import deterministic
from untrain.generators.base import Generator
from untrain.generators.differentiable import Batch, Differentiable, differentiable
from untrain.generators.paired import schedule
from untrain.generators.products import quick_layers
from untrain.generators.queries import Queries
from untrain.unlearning.base import Task, copied
from untrain.unlearning.meter import BudgetSpent

Loss = Callable[[int], torch.Tensor | None]
"""Number of a step → the loss to descend; None ends the descent."""


@dataclass(frozen=True, kw_only=True)
class Gradual:
    """What all methods have that take steps; each is an option of the method.

    Attributes
    ----------
    rate : float
        Largest rate of AdamW, in units of that of the generator's own training.
    batch : int
        Pairs of the forget set, and of what is retained, in a step.
    warmup : float
        Share of the steps in which the rate rises; then it falls, by a cosine, to a tenth.
    clip : float
        Largest norm of a step's gradient.
    decay : float
        AdamW's decay of the weights.
    """

    rate: float = 0.1
    batch: int = 16
    warmup: float = 0.1
    clip: float = 1.0
    decay: float = 0.0


class Learner:
    """A copy of a task's generator that learns, and pays for every pair it passes.

    Parameters
    ----------
    task : Task
    method : str
        Its name, which with the task's seed decides the order of the data.

    Raises
    ------
    InputError
        The generator gives no gradients.
    """

    def __init__(self, task: Task, method: str) -> None:
        self.task, self.method, self.meter = task, method, task.meter
        differentiable(task.generator)  # complain before anything is copied
        self.generator: Generator = copied(task.generator)
        self.asked: Differentiable = differentiable(self.generator)
        self.module: nn.Module = self.asked.module()

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """What is learnt, by name; who changes it in place changes the generator."""
        return {n: p for n, p in self.module.named_parameters() if p.requires_grad}

    def batches(self, ids: Sequence[str], size: int, label: str) -> Iterator[tuple[list[str], int]]:
        """Yield ids to pass together, for ever, each with the number of its draw.

        Each round passes the ids in an order of its own, which seed, method, label and round
        decide, and draws anew what is random in training. Batches are of one size: at most
        ``size``, and what is left of a round is left out.
        """
        size, number = min(size, len(ids)), 0
        while True:
            order = rng("unlearning", self.method, self.task.seed, label, number)
            rows = order.permutation(len(ids))
            number += 1
            for start in range(0, len(ids) - size + 1, size):
                yield [ids[row] for row in rows[start : start + size]], number

    def batch(self, ids: Sequence[str], draw: int) -> Batch:
        """Return pairs of the catalogue; this costs nothing."""
        return self.asked.training_batch(self.task.catalog, ids, draw)

    def pass_pairs(self, batch: Batch) -> torch.Tensor:
        """Pay for pairs, a third without gradients, and return their training losses, (n,)."""
        self.pay(size_of(batch))
        return self.asked.pair_losses(batch)

    def losses(self, ids: Sequence[str], draw: int) -> torch.Tensor:
        """Pay for pairs by their ids, and return their training losses, (n,)."""
        return self.pass_pairs(self.batch(ids, draw))

    def measurements(self, queries: Queries) -> torch.Tensor:
        """Pay for queries, and return what is measured of each, (n,); larger is worse."""
        assert queries.samples is not None
        self.pay(self.generator.query_passes * len(queries))
        return self.asked.measurements(self.asked.query_batch(queries.samples, queries.prompts))

    def pay(self, pairs: int) -> None:
        """Pay for pairs that pass as gradients are enabled now."""
        self.meter.pay(pairs, forward=not torch.is_grad_enabled())

    @deterministic()
    def descend(
        self,
        loss_of: Loss,
        cost: float,
        settings: Gradual,
        most: int | None = None,
        adjust: Callable[[], None] | None = None,
    ) -> int:
        """Take steps down a loss, in place, as far as the budget goes, and return how many.

        Parameters
        ----------
        loss_of : callable
            Number of a step, from 0 → its loss, which it pays for itself; None ends the descent.
        cost : float
            What a step takes, in pairs passed forward and backward: the budget decides by it how
            many steps there are, and so the schedule of the rate.
        settings : Gradual
        most : int, optional
            Steps at most.
        adjust : callable, optional
            Called between the gradients of a step and the step, to change ``.grad``.

        Raises
        ------
        BudgetSpent
            What is left does not suffice for one step.
        """
        self.meter.need(cost, "one step")
        steps = self.meter.affords(cost)
        steps = steps if most is None else min(steps, most)
        learnt = list(self.parameters.values())
        fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in learnt)
        top = settings.rate * self.generator.learning_rate
        optimizer = torch.optim.AdamW(
            learnt, lr=top, betas=(0.9, 0.98), weight_decay=settings.decay, fused=fused
        )
        taken = 0
        with quick_layers(self.module), torch.enable_grad():
            for step in range(steps):
                try:
                    loss = loss_of(step)
                except BudgetSpent:  # the last step was dearer than was said
                    break
                if loss is None or not math.isfinite(float(loss.detach())):
                    break
                optimizer.param_groups[0]["lr"] = top * schedule(step, steps, settings.warmup)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if adjust is not None:
                    adjust()
                nn.utils.clip_grad_norm_(learnt, settings.clip)
                optimizer.step()
                taken += 1
        optimizer.zero_grad(set_to_none=True)
        self.meter.steps += taken
        return taken


def size_of(batch: Batch) -> int:
    """Return how many pairs or queries a batch has."""
    return len(next(iter(batch.values())))
