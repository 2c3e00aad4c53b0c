"""Attribution by sharpened scores: the same order, with the weight on the first images.

An LDS adds up the scores of all images that a model was trained on, so that their shape counts and
not only their order. A likeness has about as much to say of the thousandth image as of the first,
while training hangs on a few. Its exponential, a softmax over the catalogue up to a factor, says
no more and no less than the likeness; it is the fair opponent of methods whose scores are peaked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from untrain.attribution.base import Attributor, Evidence, Scores
from untrain.attribution.ensemble import standardised
from untrain.core.errors import InputError

SHARPNESS = 2.0  # of 1 and 2 the better for fusion and features on the demo's seed 0


class Sharpened(Attributor):
    """exp(2 z) of another method's scores, z standardised over the catalogue for each prompt.

    Parameters
    ----------
    name : str
        ``sharp:METHOD``.
    make : callable
        Name of a method → attributor.
    sharpness : float, optional
        What z is multiplied by, above 0.
    """

    kind = "sharpened"

    def __init__(
        self, name: str, make: Callable[[str], Attributor], sharpness: float = SHARPNESS
    ) -> None:
        if not sharpness > 0:
            raise InputError(f"sharpness is {sharpness}; expected a number above 0, such as 2")
        self.name, self.sharpness = name, sharpness
        self.method = make(name.partition(":")[2])
        self.needs = self.method.needs

    def missing(self, evidence: Evidence) -> str | None:
        """Return why the method cannot score this evidence."""
        return self.method.missing(evidence)

    def scores(self, evidence: Evidence) -> Scores:
        """Score every image, see `Attributor.scores`; what has no score has none here."""
        found = self.method.scores(evidence)
        known = np.isfinite(found.values)
        lowest = np.where(known, found.values, np.inf).min(axis=1, keepdims=True)
        complete = np.where(known, found.values, lowest)
        values = np.exp(self.sharpness * standardised(complete))
        return Scores(np.where(known, values, np.nan), found.seconds, found.notes, found.once)
