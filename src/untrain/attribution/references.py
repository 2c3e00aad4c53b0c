"""What attributors are compared with: chance below, the true families above."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from untrain.attribution.base import FAMILY, Attributor, Evidence, Scores
from untrain.core.files import rng

RANDOM = "random"
RANDOM_DRAWS = 20


class Random(Attributor):
    """Scores at random: what knowing nothing is worth.

    Parameters
    ----------
    name : str
    draw : int
        Which of the `RANDOM_DRAWS` draws.
    """

    kind = "chance"

    def __init__(self, name: str = RANDOM, draw: int = 0) -> None:
        self.name, self.draw = name, draw

    def scores(self, evidence: Evidence) -> Scores:
        """Draw scores in 0–1, see `Attributor.scores`."""
        return Scores(rng("leaderboard", evidence.seed, self.draw).random(evidence.shape))

    def draws(self) -> Sequence[Attributor]:
        """Return every draw."""
        return [Random(self.name, draw) for draw in range(RANDOM_DRAWS)]


class Family(Attributor):
    """1 for images of the prompt's own family and 0 for others, which no attributor is told."""

    kind = "oracle"
    needs = ("families",)

    def __init__(self, name: str = FAMILY) -> None:
        self.name = name

    def scores(self, evidence: Evidence) -> Scores:
        """Look the families up, see `Attributor.scores`."""
        assert evidence.families is not None
        return Scores(evidence.families.astype(np.float32))
