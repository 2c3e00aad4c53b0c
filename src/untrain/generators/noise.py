"""Common random numbers: the sampling noise of a picture belongs to the picture, not to the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from untrain.core.files import rng
from untrain.generators.base import Noise


def gumbel(seed: int, prompt_id: str, generation: int, positions: int, codes: int) -> np.ndarray:
    """Return the standard Gumbel noise of one picture.

    The noise depends only on the arguments, so that two models given the same arguments draw with
    the same random numbers, in whatever order or batch their pictures are made.

    Parameters
    ----------
    seed : int
        Seed of the run.
    prompt_id : str
        Prompt that the picture is drawn for.
    generation : int
        Which of the prompt's pictures, from 0.
    positions, codes : int
        Number of image tokens, and of values that a token can take.

    Returns
    -------
    ndarray of float32, shape (positions, codes)
        ``argmax(logits + noise)`` is a draw from ``softmax(logits)`` (the Gumbel-max trick;
        Gumbel 1954, Maddison et al. 2014).

    Examples
    --------
    >>> gumbel(0, "p01", 0, positions=4, codes=8).shape
    (4, 8)
    """
    # Minus the logarithm of an exponential is Gumbel. Drawn in float64: float32 exponentials are
    # so coarse near 0 that the largest noise, the one that decides, would be wrong.
    noise = rng("noise", seed, prompt_id, generation).standard_exponential((positions, codes))
    np.maximum(noise, np.finfo(np.float64).tiny, out=noise)
    np.log(noise, out=noise)
    return np.negative(noise).astype(np.float32)


def gaussian(seed: int, prompt_id: str, generation: int, shape: Sequence[int]) -> np.ndarray:
    """Return the standard normal noise of one picture, float32; the arguments are as `gumbel`'s."""
    drawn = rng("noise", seed, prompt_id, generation).standard_normal(tuple(shape))
    return drawn.astype(np.float32)


def noise_batch(noise: Noise, seed: int, keys: Sequence[tuple[str, int]]) -> np.ndarray:
    """Return the noise of several pictures, float32 (len(keys), *noise.shape).

    Parameters
    ----------
    noise : Noise
        What one picture takes.
    seed : int
        Seed of the run.
    keys : sequence of (prompt_id, generation)
        The pictures; row i depends only on the seed and ``keys[i]``.
    """
    drawn = np.empty((len(keys), *noise.shape), np.float32)
    for row, key in enumerate(keys):
        if noise.kind == "gumbel":
            drawn[row] = gumbel(seed, *key, *noise.shape)
        else:
            drawn[row] = gaussian(seed, *key, noise.shape)
    return drawn
