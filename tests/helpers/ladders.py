"""Outcomes of a ladder that are drawn, not trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from untrain.core.unlearning_tables import LADDER_OUTCOMES
from untrain.core.vocabulary import Group

ITEMS = {Group.FORGET: 6, Group.QUERY: 4, Group.RETAINED: 8, Group.HELD_OUT: 8}
MOVES = {Group.FORGET: 1.0, Group.QUERY: 0.5, Group.RETAINED: 0.05, Group.HELD_OUT: 0.05}


def drawn_outcomes(
    methods: Mapping[tuple[str, float], tuple[float, float]],
    models: int = 3,
    sets: int = 4,
    kinds: tuple[str, ...] = ("targeted", "random"),
    seed: int = 0,
    items: Mapping[Group, int] = ITEMS,
) -> pd.DataFrame:
    """Return outcomes of methods that go a share of the twin's move, and noise besides.

    Parameters
    ----------
    methods : mapping
        (name, budget) → (reach, noise): it moves by reach · twin's move + noise · size · N(0, 1).
    models, sets : int
        Every model forgets every set.
    kinds : tuple of str
        Of the sets, in turn.
    seed : int
    items : mapping
        How many of each group.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for set_number in range(sets):
        kind, set_id = kinds[set_number % len(kinds)], f"s{set_number}"
        strength = float(np.exp(rng.normal(0, 0.3)))
        for model in (f"B{number:02}" for number in range(models)):
            for group, count in items.items():
                before = rng.normal(4, 1, count)
                size = MOVES[group] * strength
                twin_move = size * (1 + 0.5 * rng.normal(size=count))
                moves = {("full", 0.0): 0 * twin_move, ("twin", 1.0): twin_move}
                for key, (reach, noise) in methods.items():
                    moves[key] = reach * twin_move + noise * size * rng.normal(size=count)
                for (method, budget), move in moves.items():
                    start = (model, set_id, kind, method, budget, budget, 10 * budget, group.value)
                    for item in range(count):
                        name = f"{set_id}-{group}-{item}"
                        rows.append((*start, name, before[item] + move[item]))
    return LADDER_OUTCOMES.of(rows)
