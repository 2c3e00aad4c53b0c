"""The control of every comparison: do nothing."""

from __future__ import annotations

from collections.abc import Collection

from untrain.catalogs.base import Catalog
from untrain.generators.base import Generator, Progress
from untrain.unlearning.base import copied


def nothing(
    generator: Generator,
    catalog: Catalog,
    forget: Collection[str],
    budget: float,
    seed: int,
    progress: Progress,
) -> Generator:
    """Return the generator as it is; the fidelity of this is 0 by definition."""
    return copied(generator)
