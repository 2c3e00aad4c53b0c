"""Attribution by LoGra: influence with a Fisher matrix of projected gradients, layer by layer.

Choe et al. (2024), *What is your data worth to GPT? LLM-scale data valuation with influence
functions*: gradients are projected from both sides of every layer, and the Fisher matrix of each
layer's projected gradients, damped by a share of its mean eigenvalue, is inverted by itself.
"""

from __future__ import annotations

import numpy as np

from untrain.attribution.gradients.kernel import regularised
from untrain.attribution.gradients.rows import ByRows
from untrain.attribution.gradients.store import GradientStore


class LoGra(ByRows):
    """The sum over layers of g_qᵀ (F + λI)⁻¹ g_i, F the mean of g gᵀ over the catalogue.

    Parameters
    ----------
    name : str
        ``logra``, of the loss, or ``logra:OUTPUT``.
    damping : float
        λ of each layer, in units of its mean squared length of a gradient.
    **options
        As `ByRows` takes them.
    """

    default_output = "nll"

    def __init__(self, name: str, damping: float = 0.1, **options: int | None) -> None:
        super().__init__(name, **options)
        self.damping = damping

    def solve(self, queries: np.ndarray, store: GradientStore) -> np.ndarray:
        """Return the sum over layers, see `ByRows.solve`."""
        rows = store.rows
        total = np.zeros((len(queries), len(rows)), np.float32)
        for part in rows.layers:
            total += regularised(queries[:, part], rows.of(part), self.damping)
        return total
