"""Attribution by several models of one recipe: what one training does by chance averages out.

Each model scores the same queries; a prompt's scores are centred and brought to the same spread
before they are averaged, so that no model counts for more because its gradients are larger (Park
et al. 2023 average over models too, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from untrain.attribution.base import Attributor, Evidence, Need, Scores


class Ensemble(Attributor):
    """The mean of a method's standardised scores over the models of the evidence.

    Parameters
    ----------
    name : str
        ``ensemble:METHOD``.
    make : callable
        Name of a method → attributor.
    """

    kind = "ensemble"
    needs: tuple[Need, ...] = ("gradients", "models")

    def __init__(self, name: str, make: Callable[[str], Attributor]) -> None:
        self.name = name
        self.method = make(name.partition(":")[2])

    def missing(self, evidence: Evidence) -> str | None:
        """Return why it cannot score this evidence."""
        return super().missing(evidence) or self.method.missing(evidence)

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image by each model, see `Attributor.scores`."""
        each = [
            self.method.scores(replace(evidence, model=model, models=()))
            for model in (evidence.model, *evidence.models)
        ]
        values = np.mean([standardised(scores.values) for scores in each], axis=0)
        notes = tuple(dict.fromkeys(note for scores in each for note in scores.notes))
        seconds, once = (
            float(sum(costs))
            for costs in zip(*((scores.seconds, scores.once) for scores in each), strict=True)
        )
        return Scores(values, seconds, notes, once)


def standardised(values: np.ndarray) -> np.ndarray:
    """Return each prompt's scores with mean 0 and standard deviation 1, where they differ."""
    centred = values - values.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
