"""Checkpoints of a training: its weights, and what its optimiser knew, at some of its steps.

A training keeps none by itself: they are asked for from outside, around a call of ``fit``::

    with recording() as recorder:
        generator.fit(catalog, [], seed, progress)
    recorder.checkpoints

Every training that goes through `untrain.generators.paired.descend` can be recorded; not a bit of
it changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import nn

from untrain.core.errors import InputError

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The middles of the fifths of a training."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training at one of its steps.

    Attributes
    ----------
    step : int
        After how many steps.
    rate : float
        The learning rate of that step.
    weights : dict of str to Tensor
        What is learnt, by name, on the CPU.
    second_moments : dict of str to Tensor or None
        Adam's running means of squared gradients, corrected for their start (Kingma & Ba 2015,
        algorithm 1: v̂), by name; None where the optimiser has none.
    epsilon : float
        What Adam adds to their roots.
    """

    step: int
    rate: float
    weights: dict[str, torch.Tensor]
    second_moments: dict[str, torch.Tensor] | None = None
    epsilon: float = 0.0


class Recorder:
    """Keeps checkpoints at given shares of the steps of the trainings in its block.

    Attributes
    ----------
    begun : bool
        Whether a training of a single model has begun in the block.
    checkpoints : list of Checkpoint
        Those of the last one, in order.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        if not shares or not all(0 < share <= 1 for share in shares):
            raise InputError(f"shares of a training are above 0 and at most 1, found {shares}")
        self.shares, self.begun = tuple(shares), False
        self.checkpoints: list[Checkpoint] = []
        self._steps: set[int] = set()

    def begin(self, steps: int) -> None:
        """Learn how many steps a training has that begins now."""
        self.begun = True
        self.checkpoints.clear()
        self._steps = {max(1, round(share * steps)) for share in self.shares}

    @torch.no_grad()
    def after(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Keep a training after ``step`` steps, if it is its turn."""
        if step not in self._steps:
            return
        learnt = {n: p for n, p in model.named_parameters() if p.requires_grad}
        group = optimizer.param_groups[0]
        self.checkpoints.append(
            Checkpoint(
                step,
                float(group["lr"]),
                {name: _kept(p) for name, p in learnt.items()},
                _second_moments(learnt, optimizer, group.get("betas")),
                float(group.get("eps", 0.0)),
            )
        )


_recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def recording(shares: Sequence[float] = SHARES) -> Iterator[Recorder]:
    """Record the training of a single model in this block.

    Parameters
    ----------
    shares : sequence of float
        After which shares of its steps a checkpoint is kept, each above 0 and at most 1.
    """
    recorder = Recorder(shares)
    before = _recorder.set(recorder)
    try:
        yield recorder
    finally:
        _recorder.reset(before)


def current_recorder() -> Recorder | None:
    """Return what records trainings here, if anything does."""
    return _recorder.get()


def _second_moments(
    learnt: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    betas: tuple[float, float] | None,
) -> dict[str, torch.Tensor] | None:
    states = {name: optimizer.state.get(p, {}) for name, p in learnt.items()}
    if betas is None or not any("exp_avg_sq" in state for state in states.values()):
        return None
    found = {}
    for name, state in states.items():
        if "exp_avg_sq" in state:
            found[name] = _kept(state["exp_avg_sq"]) / (1 - betas[1] ** float(state["step"]))
        else:  # it never had a gradient
            found[name] = torch.zeros(learnt[name].shape)
    return found


def _kept(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True)
