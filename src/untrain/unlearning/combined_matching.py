"""Matching, with the mean of two predictions that err apart: by captions and by gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from untrain.generators.base import Generator
from untrain.unlearning.attribute_to_delete import AttributeToDelete
from untrain.unlearning.base import Task
from untrain.unlearning.caption_swap import CaptionSwap
from untrain.unlearning.learner import Learner
from untrain.unlearning.matching import Matching, in_proportion, match
from untrain.unlearning.neighbours import Neighbours

FEWEST = 4
"""Gradients for each image to forget, its own among them, below which leverage says little."""


@dataclass(frozen=True, kw_only=True)
class CombinedMatching(Matching):
    """Combined matching: levels by the mean of caption_swap's and attribute_to_delete's.

    Attributes
    ----------
    gain : float
        As in attribute_to_delete, for as many gradients as are taken here.
    near, others : int
        As in attribute_to_delete.
    share : float
        Of the budget, at most, that each of the two predictions takes. Where it does not suffice
        for gradients there is that by captions only.
    """

    gain: float = 6.2
    near: int = 10
    others: int = 50
    share: float = 0.25

    def __call__(self, task: Task) -> Generator:
        """Return the generator after predicting and matching."""
        learner = Learner(task, "combined_matching")
        neighbours = Neighbours.of(task)
        match(learner, self, in_proportion(self.ratios(learner, neighbours)), neighbours)
        return learner.generator

    def ratios(self, learner: Learner, neighbours: Neighbours) -> Mapping[str, float]:
        """Return by how many times each image's loss is predicted to be higher, at least 1."""
        whole = learner.meter.left
        said = CaptionSwap(share=self.share).ratios(learner, neighbours)
        if self.share * whole < FEWEST * len(said):
            return said
        of_gradients = AttributeToDelete(
            gain=self.gain,
            near=self.near,
            others=self.others,
            share=min(1.0, self.share * whole / learner.meter.left),
        ).ratios(learner, neighbours)
        return {each: (said[each] + of_gradients[each]) / 2 for each in said}
