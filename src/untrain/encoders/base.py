"""The contract of an encoder: pictures in, features out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Encoder(Protocol):
    """A fixed map from pictures to features; it is never trained.

    What an encoder may have beyond this is asked for by the functions below: a shorter form of its
    features (`pooled`), those of several layers (`levels`), a text side (`encode_text`), a line
    about itself (`describe`).

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


def pooled(encoder: Encoder) -> Encoder:
    """Return the form of ``encoder`` to search a whole catalogue with.

    An encoder of whole feature maps (100,352 numbers per picture in the study) gives its mean over
    positions, with the same weights in memory; any other is returned itself.
    """
    pool = getattr(encoder, "pooled", None)
    return encoder if pool is None else pool()


def levels(encoder: Encoder) -> Encoder:
    """Return the form of ``encoder`` to train a classifier on: means of several of its layers.

    The last layer of a network knows the classes it was trained for; shapes that these do not tell
    apart are plainer in earlier ones. An encoder without layers is returned `pooled`.
    """
    several = getattr(encoder, "levels", None)
    return pooled(encoder) if several is None else several()


def encode_text(encoder: Encoder, prompts: Sequence[str]) -> np.ndarray | None:
    """Return text features, float32 (n, d), to be compared with the encoder's picture features.

    None where the encoder has no text side: all but CLIP and its like with pooling
    ``"projection"``.
    """
    encode = getattr(encoder, "encode_text", None)
    return None if encode is None else encode(prompts)


def describe(encoder: Encoder) -> str:
    """Return a line about the encoder for people: its ``description``, or else its class."""
    return str(getattr(encoder, "description", type(encoder).__name__))
