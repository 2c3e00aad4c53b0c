"""What methods on the rows of a gradient store have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from untrain.attribution.base import Attributor, Evidence, Need, Scores
from untrain.attribution.gradients.kernel import Rows
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.store import GradientStore
from untrain.attribution.whole_comparison import clocked

DIMENSIONS = 16384


class ByRows(Attributor):
    """A method that needs a row of projected gradients for each pair and for each prompt.

    Parameters
    ----------
    name : str
        Its name, or ``NAME:OUTPUT`` with an output of `OUTPUTS`.
    dimensions : int, optional
        Numbers in a row; 0 is all parameters of the layers.
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
    default_dimensions: ClassVar[int] = DIMENSIONS

    def __init__(self, name: str, dimensions: int | None = None, draws: int | None = None) -> None:
        self.name = name
        self.output = OUTPUTS[name.partition(":")[2] or self.default_output]
        self.dimensions = self.default_dimensions if dimensions is None else dimensions
        self.draws_of_pairs = draws or 1

    @abstractmethod
    def solve(self, queries: np.ndarray, rows: Rows) -> np.ndarray:
        """Return scores (prompts, images) of the gradients of prompts (prompts, k) and pairs."""

    def missing(self, evidence: Evidence) -> str | None:
        """Return why it cannot score this evidence, such as an output that a model has not."""
        return super().missing(evidence) or self.output.missing(evidence.model)

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image, see `Attributor.scores`."""
        assert evidence.model is not None
        store = GradientStore(
            evidence.model, evidence.catalog, self.output, self.dimensions, self.draws_of_pairs
        )
        rows, once = clocked(lambda: store.rows)
        values, seconds = clocked(lambda: self.solve(store.of_queries(evidence.queries), rows))
        return Scores(values, seconds / len(values), once=once)
