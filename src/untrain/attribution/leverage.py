"""Attribution by leverage: by how much a query would stand on less without an image.

Take gradients as features, as TRAK does. How firmly the training set holds a query is then not a
matter of labels: it is the ridge leverage φ_qᵀ (ΦᵀΦ + λI)⁻¹ φ_q, the variance that a Gaussian
process has left at the query (Rasmussen & Williams 2006, section 2.2; Alaoui & Mahoney 2015). Take
pair i out, and by the formula of Sherman and Morrison it rises by exactly

    s_i² / (1 − h_i),   s_i = φ_qᵀ (ΦᵀΦ + λI)⁻¹ φ_i,   h_i = φ_iᵀ (ΦᵀΦ + λI)⁻¹ φ_i

where s_i is TRAK's score. Squared, it counts a pair that the query leans on, whatever its sign, and
four times as much a pair that is twice as near: on banks of random halves that predicts retraining
better than s_i does, for every output tried. Times λ / |φ_q|², it is a share of the query's
variance.
"""

from __future__ import annotations

import numpy as np

from untrain.attribution.gradients.kernel import solved
from untrain.attribution.gradients.store import GradientStore
from untrain.attribution.trak import Trak


class Leverage(Trak):
    """The rise of a query's ridge leverage without each image; from 0 up.

    Each picture of a prompt is asked by itself, and the mean taken over them.
    """

    default_output = "squared"
    default_damping = 1.0
    by_picture = True

    def prepare(self, store: GradientStore) -> object:
        """Make the rows, the inverse and their leverages, see `ByRows.prepare`."""
        kept = store.remaining(self.damping), store.strength(self.damping)
        return super().prepare(store), kept

    def solve(self, queries: np.ndarray, store: GradientStore) -> np.ndarray:
        """Return λ s² / ((1 − h) |φ_q|²), see `ByRows.solve`."""
        scores = solved(queries, store.rows, store.inverse(self.damping))
        whole = np.square(queries).sum(axis=1, keepdims=True)
        left = whole * store.remaining(self.damping)
        rise = np.float32(store.strength(self.damping)) * np.square(scores)
        return np.divide(rise, left, out=np.zeros_like(rise), where=left > 0)
