"""Attribute-to-Delete: matching, with levels that an attributor predicts in closed form.

Georgiev et al. (2024, arXiv 2410.23232) predict what a model would say without the forget set from
an attributor's scores and fine-tune towards it. Here the attributor is leverage (see
`untrain.attribution.leverage`): with gradients as features, how firmly the training set holds a
pair is the share of its variance that a ridge regression leaves,

    u(x; D) = λ φ_xᵀ (Φ_Dᵀ Φ_D + λI)⁻¹ φ_x / |φ_x|²  =  1 − k_xD (K_DD + λI)⁻¹ k_Dx / k_xx

by the identity of Woodbury. Without the forget set it is u(x; D∖F), exactly and with all that the
images of the set explain of each other: the sum of their single scores would count a group of
copies as nothing. The loss of an image is predicted to rise to (1 + gain · (u(x; D∖F) − u(x; D)))
times what it is. K is made of the forget set, its nearest retained pairs and random ones that stand
for the rest, as many as a share of the budget covers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from untrain.attribution.gradients.outputs import NLL, SQUARED
from untrain.attribution.gradients.store import GradientStore
from untrain.core.files import rng
from untrain.generators.base import Generator
from untrain.generators.differentiable import has_predictions
from untrain.unlearning.base import Task
from untrain.unlearning.learner import Learner
from untrain.unlearning.matching import Matching, in_proportion, match
from untrain.unlearning.neighbours import Neighbours


@dataclass(frozen=True, kw_only=True)
class AttributeToDelete(Matching):
    """Attribute-to-Delete: forget each image up to the loss that its leverage predicts.

    Attributes
    ----------
    gain : float
        By how many times its own an image's loss rises that the data explained wholly before and
        do not at all after. Fitted on measured removals: of other models it may be another.
    damping : float
        λ, in units of the mean squared length of a gradient.
    near, others : int
        Gradients of retained pairs, at most: of so many nearest to each image to forget, and of so
        many random ones.
    share : float
        Of the budget, at most, that gradients take; then three of four are of near pairs.
    dimensions : int
        Numbers in a projected gradient.
    """

    gain: float = 7.0
    damping: float = 1.0
    near: int = 20
    others: int = 100
    share: float = 0.4
    dimensions: int = 4096

    def __call__(self, task: Task) -> Generator:
        """Return the generator after predicting and matching."""
        learner = Learner(task, "attribute_to_delete")
        neighbours = Neighbours.of(task)
        ratios = self.ratios(learner, neighbours)
        match(learner, self, in_proportion(ratios), neighbours)
        return learner.generator

    def ratios(self, learner: Learner, neighbours: Neighbours) -> Mapping[str, float]:
        """Return by how many times each image's loss is predicted to be higher, at least 1.

        Raises
        ------
        BudgetSpent
            The budget does not suffice for the gradients of the forget set.
        """
        task, meter = learner.task, learner.meter
        forgotten = len(task.forgotten)
        meter.need(forgotten + 1, "the gradients of the forget set and of one retained pair")
        sample, weights = self._sample(
            task, neighbours, max(1, int(self.share * meter.left) - forgotten)
        )
        ids = [*task.forgotten, *sample]
        meter.pay(len(ids))
        output = SQUARED if has_predictions(task.generator) else NLL
        store = GradientStore(task.generator, task.catalog, output, self.dimensions)
        stored, scales = store.compute(task.catalog, ids)
        rows = stored.astype(np.float64) * scales[:, None]
        counted = rows * np.sqrt(np.concatenate((np.ones(forgotten), weights)))[:, None]
        squares = np.square(rows).sum(1)
        strength = self.damping * float(squares.mean())
        gone = np.arange(len(ids)) < forgotten
        asked = rows[gone]
        rise = unexplained(asked, counted[~gone], strength) - unexplained(asked, counted, strength)
        return dict(zip(task.forgotten, 1 + self.gain * rise.clip(0, 1), strict=True))

    def _sample(
        self, task: Task, neighbours: Neighbours, count: int
    ) -> tuple[Sequence[str], np.ndarray]:
        """Return retained pairs, near ones and others, and for how many each stands."""
        ranked = dict.fromkeys(neighbours.places[:, : self.near].T.ravel().tolist())
        near = np.array(list(ranked)[: max(1, count * 3 // 4)])  # the nearest of each image first
        others = np.setdiff1d(np.arange(len(task.retained)), near)
        drawn = rng("unlearning", "attribute_to_delete", task.seed).permutation(others)
        drawn = drawn[: min(self.others, count - len(near))]
        weights = np.ones(len(near) + len(drawn))
        if len(drawn):
            weights[len(near) :] = len(others) / len(drawn)
        return [task.retained[row] for row in (*near, *drawn)], weights


def unexplained(asked: np.ndarray, rows: np.ndarray, strength: float) -> np.ndarray:
    """Return the share of each vector's variance that a ridge regression on rows leaves, (m,).

    λ φᵀ (RᵀR + λI)⁻¹ φ / |φ|², from 0 to 1; 0 of a vector of zeros.

    Parameters
    ----------
    asked : ndarray of float64, shape (m, d)
    rows : ndarray of float64, shape (n, d)
    strength : float
        λ, above 0.
    """
    kernel = rows @ rows.T
    kernel[np.diag_indices_from(kernel)] += strength
    cross = rows @ asked.T
    explained = (cross * cho_solve(cho_factor(kernel), cross)).sum(0)
    own = np.square(asked).sum(1)
    return np.divide(own - explained, own, out=np.zeros_like(own), where=own > 0)
