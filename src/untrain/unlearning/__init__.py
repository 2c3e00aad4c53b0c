"""Unlearning: fitted generator, forget set, budget → a generator that should not know the set."""

from untrain.unlearning.base import Method, Task, Unlearned
from untrain.unlearning.registry import METHODS, unlearn

__all__ = ["METHODS", "Method", "Task", "Unlearned", "unlearn"]
