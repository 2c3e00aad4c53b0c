"""Attribution by D-TRAK: TRAK of the mean square of what is predicted, not of the loss.

Zheng et al. (2024), *Intriguing properties of data attribution on diffusion models*, found for
diffusion models that the gradient of ‖ε_θ‖² / d, which has no reason to, predicts retraining much
better than that of the loss. The same holds for the mean squared logits of a model of tokens.
"""

from __future__ import annotations

from untrain.attribution.trak import Trak


class DTrak(Trak):
    """TRAK of the output ``squared``."""

    default_output = "squared"
    default_damping = 1.0
