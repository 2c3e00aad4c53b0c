"""Captions drawn from few words."""

from __future__ import annotations

import numpy as np

COLOURS, THINGS = ("red", "blue", "green", "striped"), ("shirt", "hat", "shoe", "bag")

REST = ("men", "women", "summer", "winter", "2011", "2012")

WORDS = (*COLOURS, *THINGS, *REST)


def captions(count: int, seed: int = 0, longest: int = 6) -> list[str]:
    """Captions of six words, or of up to ``longest``, of which half are rare ones."""
    random = np.random.default_rng(seed)
    if longest == 6:
        return [" ".join(random.choice(WORDS, 6)) for _ in range(count)]
    every = (*WORDS, *(f"w{number}" for number in range(400)))
    share = np.r_[np.full(len(WORDS), 0.5 / len(WORDS)), np.full(400, 0.5 / 400)]
    sizes = random.integers(1, longest + 1, count)
    return [" ".join(random.choice(every, size, p=share)) for size in sizes]
