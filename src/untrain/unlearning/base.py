"""The contract of a method of unlearning: cheaper than to train again without the forget set."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

from untrain.catalogs.base import Catalog
from untrain.core import disk
from untrain.generators.base import Generator, Progress
from untrain.generators.queries import Queries
from untrain.unlearning.meter import Meter, Spent

G = TypeVar("G", bound=Generator)


@dataclass(frozen=True, eq=False)
class Task:
    """What a method is to do.

    Attributes
    ----------
    generator : Generator
        Fitted on ``catalog``. It stays as it is: change a copy (`copied`).
    catalog : Catalog
        All pairs that it was fitted on; what is not in ``forget`` or ``absent`` is retained.
    forget : collection of str
        The ids to forget: some of the catalogue's, not all.
    budget : float
        Share of one training that may be spent, above 0 and at most 1. Pairs passed are what is
        counted (`untrain.unlearning.meter.Meter`).
    seed : int
        Decides whatever is random.
    progress : callable
        Told of every n pairs paid for.
    queries : Queries, optional
        Generated pictures, for methods that move predictions of queries, too.
    twin : Generator, optional
        The exact retraining without ``forget``, for those that need to know the answer.
    absent : collection of str
        Ids that the generator was fitted without, or has forgotten before: they are not retained.
    """

    generator: Generator
    catalog: Catalog
    forget: Collection[str]
    budget: float
    seed: int
    progress: Progress
    queries: Queries | None = None
    twin: Generator | None = None
    absent: Collection[str] = ()

    @cached_property
    def forgotten(self) -> tuple[str, ...]:
        """The ids to forget, each once, in the catalogue's order."""
        asked = set(self.forget)
        return tuple(each for each in self.catalog.ids if each in asked)

    @cached_property
    def retained(self) -> tuple[str, ...]:
        """The other ids that it was fitted on, in the catalogue's order."""
        asked = {*self.forget, *self.absent}
        return tuple(each for each in self.catalog.ids if each not in asked)

    @property
    def held(self) -> tuple[str, ...]:
        """The ids that it was fitted on, in the catalogue's order."""
        absent = set(self.absent)
        return tuple(each for each in self.catalog.ids if each not in absent)

    @cached_property
    def meter(self) -> Meter:
        """What is left of the budget; whatever passes pairs through a model pays here first."""
        return Meter(self.budget, self.generator.fit_work(self.catalog), self.progress)


@dataclass(frozen=True, eq=False)
class Unlearned:
    """What came of a task.

    Attributes
    ----------
    generator : Generator
        Fitted, to be compared with an exact retraining without the forget set.
    method : str
        Its name, without options.
    options : mapping of str to value
        All that the method was run with, defaults too.
    spent : Spent
    """

    generator: Generator
    method: str
    options: dict[str, Any]
    spent: Spent


class Method(Protocol):
    """One way to forget: a frozen dataclass whose fields are its options, and which is called.

    The first line of its docstring is what lists say of it. It raises an `InputError` where the
    generator lacks what it needs, such as gradients, or the task does (queries, the twin).
    """

    def __call__(self, task: Task) -> Generator:
        """Return a fitted generator; what it passes is paid for at ``task.meter``."""
        ...


def copied(generator: G) -> G:
    """Return a fitted generator that shares nothing it learnt with the given one."""
    with tempfile.TemporaryDirectory(prefix="untrain-") as name:
        folder = Path(name, "model")
        disk.make_folder(folder)
        generator.save(folder)
        return copy(generator).load(folder)
