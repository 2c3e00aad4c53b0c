"""The exact test of one forget set on one query, from its parts."""

from __future__ import annotations

import numpy as np

from untrain.evaluation.randomisation import Inference, every_half, randomisation_test


def exact_test(y: np.ndarray, out: np.ndarray) -> Inference:
    """Test one set on one query against all balanced halves of the models; both (models,)."""
    return randomisation_test(y[None], out[None], every_half(len(y)))
