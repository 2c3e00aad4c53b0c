"""Attribution by products of gradients: Grad-Dot and Grad-Cos.

One step of gradient descent on a pair, at the end of training, changes a query's loss by
−η ⟨g_pair, g_query⟩: a pair whose gradient points like the query's helps it (Charpiat et al. 2019,
*Input similarity from the neural network perspective*; TracIn with a single checkpoint, Pruthi et
al. 2020). As cosines, large gradients count no more than small ones.
"""

from __future__ import annotations

import numpy as np

from untrain.attribution.gradients.kernel import cosines, products
from untrain.attribution.gradients.rows import ByRows
from untrain.attribution.gradients.store import GradientStore


class GradDot(ByRows):
    """⟨g_i, g_q⟩ of the losses of a pair and of a query."""

    default_output = "nll"

    def solve(self, queries: np.ndarray, store: GradientStore) -> np.ndarray:
        """Return the products, see `ByRows.solve`."""
        return products(queries, store.rows)


class GradCos(GradDot):
    """The cosine of the gradients of a pair and of a query."""

    def solve(self, queries: np.ndarray, store: GradientStore) -> np.ndarray:
        """Return the cosines, see `ByRows.solve`."""
        return cosines(queries, store.rows)
