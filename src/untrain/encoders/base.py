"""The contract of an encoder: pictures in, features out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Encoder(Protocol):
    """A fixed map from pictures to features; it is never trained.

    Attributes
    ----------
    fingerprint : str
        Depends on the encoder's name, the content of its weights and the options that change its
        features: equal fingerprints mean interchangeable features.
    non_negative : bool
        True if features cannot be below zero, so that the study's KL divergence is defined.
    """

    @property
    def fingerprint(self) -> str: ...

    @property
    def non_negative(self) -> bool: ...

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return features, float32 (n, d), of images, each uint8 H×W×3 RGB of any size."""
        ...
