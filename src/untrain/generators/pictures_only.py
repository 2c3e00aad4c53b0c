"""A model that is only known by its pictures: an API, or a folder that somebody else drew."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.generators.base import Generations, Generator, Noise, Progress


class PicturesOnly(Generator):
    """Stands in for a model that cannot be trained again.

    Parameters
    ----------
    image_size : tuple of int
        (height, width) of its pictures.
    """

    paired = False
    noise = Noise("gaussian", (1,))
    reads_pictures = False
    version = "1"

    def __init__(self, image_size: tuple[int, int]) -> None:
        self.image_size = image_size

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Progress
    ) -> None:
        """Refuse."""
        self._refuse()

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        """Refuse."""
        self._refuse()

    def save(self, folder: Path) -> None:
        """Refuse."""
        self._refuse()

    def load(self, folder: Path) -> Self:
        """Refuse."""
        self._refuse()

    def recipe(self) -> dict[str, Any]:
        """Return that there is none."""
        return {"class": "PicturesOnly", "image_size": list(self.image_size)}

    def _refuse(self) -> NoReturn:
        raise InputError(
            "the pictures of this experiment were given (generations.path): there is no model to "
            "train or to draw with; name a generator and a number of generations for that"
        )
