"""The contract of a method of unlearning: cheaper than to train again without the forget set."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from copy import copy
from pathlib import Path
from typing import Protocol, TypeVar

from untrain.catalogs.base import Catalog
from untrain.generators.base import Generator, Progress

G = TypeVar("G", bound=Generator)


class Method(Protocol):
    """One way to forget; a function with this signature.

    Parameters
    ----------
    generator : Generator
        Fitted on ``catalog``. It stays as it is: change a copy (`copied`).
    catalog : Catalog
        All pairs that it was fitted on; whatever is not in ``forget`` is retained.
    forget : collection of str
        The ids to forget: some of the catalogue's, not all.
    budget : float
        Share of one training that may be spent, above 0 and at most 1; pairs passed are what is
        counted, a pass forward and backward as one.
    seed : int
        Decides whatever is random.
    progress : callable
        Told of every n pairs passed.

    Returns
    -------
    Generator
        Fitted, to be compared with an exact retraining without ``forget``.

    Raises
    ------
    InputError
        The generator lacks what the method needs, such as gradients.
    """

    def __call__(
        self,
        generator: Generator,
        catalog: Catalog,
        forget: Collection[str],
        budget: float,
        seed: int,
        progress: Progress,
    ) -> Generator: ...


def copied(generator: G) -> G:
    """Return a fitted generator that shares nothing it learnt with the given one."""
    with tempfile.TemporaryDirectory(prefix="untrain-") as name:
        folder = Path(name, "model")
        folder.mkdir()
        generator.save(folder)
        return copy(generator).load(folder)
