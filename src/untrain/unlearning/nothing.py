"""The control of every comparison: do nothing."""

from __future__ import annotations

from dataclasses import dataclass

from untrain.generators.base import Generator
from untrain.unlearning.base import Task, copied


@dataclass(frozen=True)
class Nothing:
    """Nothing: the model as it is; the fidelity of this is 0 by definition."""

    def __call__(self, task: Task) -> Generator:
        """Return a copy of the generator."""
        return copied(task.generator)
