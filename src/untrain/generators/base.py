"""The contract of a generator: what untrain needs of a text-to-image model, and no more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from untrain.catalogs.base import Catalog

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Generations:
    """Pictures drawn for prompts.

    Attributes
    ----------
    tokens : ndarray of int64, shape (n, positions)
        What was sampled: the query itself (a PNG encoded again gives other tokens).
    images : ndarray of uint8, shape (n, height, width, 3)
        The tokens as pictures.
    """

    tokens: np.ndarray
    images: np.ndarray


class Generator(Protocol):
    """A text-to-image model that can be trained again without some of its data.

    Attributes
    ----------
    noise_shape : tuple of int
        (positions, codes): the Gumbel noise that one picture takes.
    image_size : tuple of int
        (height, width) in pixels of what it draws.
    shared_fingerprint : str
        Identifies the recipe and the frozen parts; set by `prepare`.
    paired : bool
        Whether `fit` is paired. Where it is not, every model of a trial gets a seed of its own and
        results say so.
    """

    noise_shape: tuple[int, int]
    image_size: tuple[int, int]
    shared_fingerprint: str
    paired: bool = True

    def prepare(self, catalog: Catalog, folder: Path, progress: Progress) -> None:
        """Fit, once a run, the frozen parts that all models share, and keep them in ``folder``.

        Called again, in this process or another, it reads what ``folder`` holds.
        """
        ...

    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Progress
    ) -> None:
        """Train from scratch on ``catalog`` without the ids in ``removed``.

        Paired: two calls with the same seed see the same initial weights and the same batches; a
        removed pair keeps its place in its batch and its loss counts as zero, the mean being over
        the full batch. With nothing removed the result is the same to the bit. A generator that
        cannot do this declares ``paired = False``.
        """
        ...

    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        """Draw one picture a prompt with the given Gumbel noise, (n, positions, codes) float32."""
        ...

    def log_likelihood(self, tokens: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """Return log p(token | caption, earlier tokens) in nats, float64 (n, positions)."""
        ...

    def tokenize(self, images: np.ndarray) -> np.ndarray:
        """Return the tokens of uint8 pictures (n, height, width, 3), int64 (n, positions)."""
        ...

    def detokenize(self, tokens: np.ndarray) -> np.ndarray:
        """Return the pictures of tokens (n, positions), uint8 (n, height, width, 3)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the trained weights (safetensors) and what describes them (JSON)."""
        ...

    def load(self, folder: Path) -> Self:
        """Read weights that `save` wrote into this prepared generator, and return it."""
        ...
