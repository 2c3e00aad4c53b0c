"""Captions drawn from few words."""

from __future__ import annotations

import numpy as np

COLOURS, THINGS = ("red", "blue", "green", "striped"), ("shirt", "hat", "shoe", "bag")

REST = ("men", "women", "summer", "winter", "2011", "2012")

WORDS = (*COLOURS, *THINGS, *REST)


def captions(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, 6)) for _ in range(count)]
