"""What methods on the rows of a gradient store have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from untrain.attribution.base import Attributor, Evidence, Need, Scores
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.store import GradientStore
from untrain.attribution.whole_comparison import clocked
from untrain.generators.queries import Queries

FEW_IMAGES, FINE, COARSE = 8192, 16384, 4096


def dimensions_for(images: int) -> int:
    """Return how many numbers a row has by default.

    16,384 for up to 8,192 images, whose products fit into memory; 4,096 for more, 8 KiB a picture,
    whose dimensions do.
    """
    return FINE if images <= FEW_IMAGES else COARSE


class ByRows(Attributor):
    """A method that needs a row of projected gradients for each pair and for each prompt.

    Parameters
    ----------
    name : str
        Its name, or ``NAME:OUTPUT`` with an output of `OUTPUTS`.
    dimensions : int, optional
        Numbers in a row, see `dimensions_for`; 0 is all parameters of the layers.
    draws : int, optional
        Over how many draws of what is random in training a pair's gradient is the mean.

    Raises
    ------
    InputError
        The output is unknown.
    """

    kind = "gradient"
    needs: tuple[Need, ...] = ("gradients",)
    default_output: ClassVar[str]
    by_picture: ClassVar[bool] = False  # scores are not linear in the query's gradient

    def __init__(self, name: str, dimensions: int | None = None, draws: int | None = None) -> None:
        self.name = name
        self.output = OUTPUTS[name.partition(":")[2] or self.default_output]
        self.dimensions = dimensions
        self.draws_of_pairs = draws or 1

    @abstractmethod
    def solve(self, queries: np.ndarray, store: GradientStore) -> np.ndarray:
        """Return scores, float32 (queries, images), of gradients of queries (queries, k) and pairs.

        A query is a prompt, with the mean gradient of its pictures, or ``by_picture`` a picture.
        """

    def prepare(self, store: GradientStore) -> object:
        """Make what all queries share and is kept: the rows."""
        return store.rows

    def missing(self, evidence: Evidence) -> str | None:
        """Return why it cannot score this evidence, such as an output that a model has not."""
        return super().missing(evidence) or self.output.missing(evidence.model)

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image, see `Attributor.scores`."""
        assert evidence.model is not None
        dimensions = self.dimensions
        if dimensions is None:
            dimensions = dimensions_for(len(evidence.catalog))
        store = GradientStore(
            evidence.model, evidence.catalog, self.output, dimensions, self.draws_of_pairs,
            elsewhere=evidence.elsewhere,
        )  # fmt: skip
        _, once = clocked(lambda: self.prepare(store))
        values, seconds = clocked(lambda: self._asked(evidence.queries, store))
        return Scores(values, seconds / len(values), once=once)

    def _asked(self, queries: Queries, store: GradientStore) -> np.ndarray:
        gradients = store.of_queries(queries)
        if self.by_picture:
            return by_prompt(queries, self.solve(gradients, store))
        return self.solve(by_prompt(queries, gradients), store)


def by_prompt(queries: Queries, values: np.ndarray) -> np.ndarray:
    """Return the mean over each prompt's pictures, (prompts, …), of values (queries, …)."""
    return np.stack([values[queries.rows(prompt)].mean(axis=0) for prompt in queries.prompt_ids])
