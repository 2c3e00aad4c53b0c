"""Games whose values are known, by a formula or by enumeration."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import comb

import numpy as np

from untrain.evaluation.shares import Game

Worth = Callable[[np.ndarray], np.ndarray]
"""Sets, bool (n, players) → worth, (n,)."""


def every_set(players: int) -> np.ndarray:
    """Return all 2ⁿ sets, bool (2ⁿ, n): none first, all last."""
    return np.array(list(product([False, True], repeat=players)))


def whole(players: int, *worths: Worth) -> Game:
    """Return the game in which every set was tried; a query for each function."""
    return game(every_set(players)[1:-1], *worths)


def game(kept: np.ndarray, *worths: Worth, noise: np.ndarray | float = 0.0) -> Game:
    """Return the game of some sets; everything and nothing are without noise."""
    ends = every_set(kept.shape[1])[[-1, 0]]
    full, empty = np.stack([worth(ends) for worth in worths], axis=1).astype(np.float64)
    found = np.stack([worth(kept) for worth in worths], axis=1).astype(np.float64)
    return Game(kept, found + noise, full, empty)


def exact(players: int, worth: Worth, mass: np.ndarray | None = None) -> np.ndarray:
    """Return the semivalues by their definition, Shapley's unless ``mass`` is given, (players,)."""
    mass = np.full(players, 1 / players) if mass is None else mass
    sets = every_set(players)
    value = dict(zip(map(tuple, sets.tolist()), worth(sets), strict=True))
    found = np.zeros(players)
    for row in sets:
        for player in np.flatnonzero(~row):
            joined = row.copy()
            joined[player] = True
            size = int(row.sum())
            added = value[tuple(joined.tolist())] - value[tuple(row.tolist())]
            found[player] += mass[size] / comb(players - 1, size) * added
    return found
