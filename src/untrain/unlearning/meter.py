"""The budget of a method: pairs are paid for before they are passed, and never beyond it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from untrain.core.errors import InputError
from untrain.generators.base import Progress

THIRDS = 3
"""A pass forward and backward takes three times one that only goes forward: the backward pass is
two products of matrices for each one of the forward pass (Kaplan et al. 2020, section 2.1)."""


class BudgetSpent(InputError):
    """What is left of a budget does not suffice for what was to be passed."""


@dataclass(frozen=True)
class Spent:
    """What a method took.

    Attributes
    ----------
    both : int
        Pairs passed forward and backward.
    forward : int
        Pairs passed forward only: each counts a third.
    training : int
        Pairs that one training passes: epochs × pairs.
    steps : int
        Of an optimiser.
    seconds, cpu_seconds : float
        Elapsed, and of all the process's threads.
    """

    both: int
    forward: int
    training: int
    steps: int
    seconds: float
    cpu_seconds: float

    @property
    def pairs(self) -> float:
        """Pairs passed, one forward only as a third."""
        return self.both + self.forward / THIRDS

    @property
    def share(self) -> float:
        """Share of one training."""
        return self.pairs / max(self.training, 1)


class Meter:
    """Counts the pairs that a method passes, and refuses those that the budget does not cover.

    Parameters
    ----------
    budget : float
        Share of one training.
    training : int
        Pairs that one training passes.
    progress : callable
        Told of every n pairs paid for.

    Examples
    --------
    >>> meter = Meter(0.05, 1000, lambda n: None)
    >>> meter.pay(40)
    >>> meter.pay(30, forward=True)
    >>> meter.left
    0.0
    """

    def __init__(self, budget: float, training: int, progress: Progress) -> None:
        self.budget, self.training, self.progress = budget, training, progress
        self.both = self.forward = self.steps = 0
        self._allowed = int(THIRDS * budget * training + 1e-6)  # 0.05 × 1000 may be 49.999…
        self._begun = time.perf_counter(), time.process_time()

    @property
    def left(self) -> float:
        """How many pairs can still be passed forward and backward."""
        return (self._allowed - self._paid) / THIRDS

    @property
    def _paid(self) -> int:
        return THIRDS * self.both + self.forward

    def affords(self, pairs: float) -> int:
        """Return how many steps of so many pairs each, forward and backward, are left."""
        thirds = max(1, round(THIRDS * pairs))
        return (self._allowed - self._paid) // thirds

    def need(self, pairs: float, purpose: str) -> None:
        """Raise `BudgetSpent` unless so many pairs, forward and backward, can still be passed."""
        if not self.affords(pairs):
            least = (self._paid / THIRDS + pairs) / max(self.training, 1)
            raise BudgetSpent(
                f"a budget of {self.budget:g} of a training leaves {self.left:.4g} of its "
                f"{self.training} pairs, and {purpose} takes {pairs:.4g}: give a budget of at "
                f"least {_up(least)}"
            )

    def pay(self, pairs: int, forward: bool = False, purpose: str = "the next step") -> None:
        """Take pairs from the budget before they are passed.

        Parameters
        ----------
        pairs : int
        forward : bool
            They go forward only, without gradients.
        purpose : str
            What for, in the message.

        Raises
        ------
        BudgetSpent
            Too little is left; nothing is taken.
        """
        if not pairs:
            return
        self.need(pairs / THIRDS if forward else pairs, purpose)
        before = self._paid // THIRDS
        if forward:
            self.forward += pairs
        else:
            self.both += pairs
        self.progress(self._paid // THIRDS - before)

    def spent(self) -> Spent:
        """Return what was paid and how long it took since the meter was made."""
        wall, cpu = self._begun
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        return Spent(self.both, self.forward, self.training, self.steps, *seconds)


def _up(share: float) -> str:
    """Return a share in three digits, rounded up.

    Examples
    --------
    >>> _up(0.10301)
    '0.104'
    """
    unit = 10.0 ** (math.floor(math.log10(share)) - 2)
    return f"{math.ceil(share / unit - 1e-6) * unit:.3g}"
