"""Weights of the metrics as a ranking; `untrain.attribution.fitting` fits them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import read_json, write_json
from untrain.core.notes import Note
from untrain.search.compare.metrics import METRICS
from untrain.search.rank.metric_table import Ranked, complete, nearness
from untrain.search.rank.rules import Ranking

FORMAT = 1
RULE = (
    "score = intercept + sum of weight * direction * z; z: the metric minus its mean, over its "
    "standard deviation, among the candidates of each generated picture, averaged over generations"
)


@dataclass(frozen=True)
class Weights:
    """A linear rule from z-scores of metrics to the effect of an image's removal.

    Parameters
    ----------
    weights : dict of str to float
        By metric; what one standard deviation nearer adds to the score. Never negative; metrics
        that add nothing are not in it.
    intercept : float
    about : dict
        What it was fitted on and how well it does; see `untrain.attribution.fitting.fit_weights`.
    """

    weights: dict[str, float]
    intercept: float
    about: dict[str, Any]

    def ranking(self, name: str = "fitted") -> Ranking:
        """Return the ranking by the predicted effect of removing an image.

        The score is in the unit of the effects that the weights were fitted on. A metric that a
        candidate of a prompt lacks is left out for that prompt, and a note says so.
        """

        def score(method: str, table: pd.DataFrame) -> tuple[pd.Series, tuple[Note, ...]]:
            scores, notes = complete(method, nearness(table, list(self.weights)))
            weighted = scores * pd.Series(self.weights)
            return self.intercept + weighted.sum(axis=1), notes

        return Ranking(name, tuple(self.weights), score)

    def rank(self, comparison: pd.DataFrame, retrieval: pd.DataFrame | None = None) -> Ranked:
        """Rank the candidates of every prompt, as `untrain.search.rank.ranking.rank` does."""
        return self.ranking().rank(comparison, retrieval)

    def save(self, path: Path) -> None:
        """Write JSON that says what it is and where it comes from."""
        directions = {metric: METRICS[metric].direction for metric in self.weights}
        write_json(path, {"format": FORMAT, "rule": RULE, "directions": directions, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Weights:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is absent, of another kind or format, or has a metric that is unknown.
        """
        try:
            found = read_json(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as fitted weights ({error})") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise InputError(
                f"{path}: not fitted weights of format {FORMAT}; make them with `untrain weights`"
            )
        weights, intercept = found.get("weights"), found.get("intercept")
        known = isinstance(weights, dict) and set(weights) <= set(METRICS)
        if not known or not weights:
            raise InputError(f"{path}: 'weights' is not a mapping of known metrics to numbers")
        try:
            numbers = {metric: float(weight) for metric, weight in weights.items()}
            constant = float(intercept)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise InputError(f"{path}: a weight or the intercept is no number") from None
        if not np.isfinite([constant, *numbers.values()]).all():
            raise InputError(f"{path}: a weight or the intercept is not finite")
        return cls(numbers, constant, dict(found.get("about") or {}))
