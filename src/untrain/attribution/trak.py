"""Attribution by TRAK: the linearised model's leave-one-out, in closed form.

Near what was learnt a model is about linear in its weights, with gradients as features, and what
leaving a pair out of a regression on features does is known: Φ_q (ΦᵀΦ + λI)⁻¹ φ_i (Park et al.
2023, *TRAK: Attributing model behavior at scale*). Their Q, the residual of the pair, is left out,
as in their own later code and in D-TRAK; what is differentiated is an argument.
"""

from __future__ import annotations

import numpy as np

from untrain.attribution.gradients.kernel import solved
from untrain.attribution.gradients.rows import ByRows
from untrain.attribution.gradients.store import GradientStore

DAMPING = 0.1


class Trak(ByRows):
    """TRAK of an output; ``trak:nll`` is the influence function of an empirical Fisher matrix.

    Parameters
    ----------
    name : str
        ``trak``, of the margin, or ``trak:OUTPUT``.
    damping : float
        λ in units of the mean squared length of a gradient.
    **options
        As `ByRows` takes them.
    """

    default_output = "margin"
    default_damping = DAMPING

    def __init__(self, name: str, damping: float | None = None, **options: int | None) -> None:
        super().__init__(name, **options)
        self.damping = self.default_damping if damping is None else damping

    def prepare(self, store: GradientStore) -> object:
        """Make the rows and the inverse, see `ByRows.prepare`."""
        return store.rows, store.inverse(self.damping)

    def solve(self, queries: np.ndarray, store: GradientStore) -> np.ndarray:
        """Return Φ_q (ΦᵀΦ + λI)⁻¹ Φᵀ, see `ByRows.solve`."""
        return solved(queries, store.rows, store.inverse(self.damping))
