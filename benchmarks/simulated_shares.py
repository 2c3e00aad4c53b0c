"""Do intervals of groups' shares hold the true values? Games whose values are known::

    python benchmarks/simulated_shares.py

Not a timing; nothing is trained. In each game half of the groups bring something, pairs of these
help or hinder each other, what is learnt grows ever more slowly with the number of groups, and each
model has noise. The Shapley value of such a game is what a group brings plus half of what it does
with each other. Columns: the share of 95 % intervals that hold it; the root of the mean squared
error, and half the mean width of an interval, in the unit of what groups bring (1 on average); the
share of groups that bring nothing and were called separable, before Holm's correction.
"""

from __future__ import annotations

import argparse

import numpy as np

from untrain.banks.groups.draws import SHARES, draw_sets
from untrain.evaluation.shares import Game, group_values

SETTINGS = [(8, 16), (20, 16), (30, 24)]  # groups, models of each share
NOISE, TOGETHER = 0.2, (0.0, 0.1)


def one_game(groups: int, models: int, together: float, seed: int) -> tuple[np.ndarray, ...]:
    """Return what each group brings, its value, its estimate, limits and p."""
    random = np.random.default_rng(seed)
    brings = random.exponential(1, groups) * (random.random(groups) < 0.5)
    pairs = np.triu(random.normal(0, together, (groups, groups)), 1)
    pairs[brings == 0], pairs[:, brings == 0] = 0, 0

    def worth(kept: np.ndarray) -> np.ndarray:
        size = kept.sum(axis=1)
        joint = np.einsum("mi,ij,mj->m", kept.astype(float), pairs, kept.astype(float))
        return kept @ brings + joint - 0.5 * size * (size - groups) / groups

    _, kept = draw_sets(groups, models, SHARES, seed)
    ends = worth(np.vstack([np.ones(groups, bool), np.zeros(groups, bool)]))
    noisy = worth(kept) + random.normal(0, NOISE, len(kept))
    found = group_values(Game(kept, noisy[:, None], ends[:1], ends[1:]))["shapley"]
    each = [found.of(group, np.array([0])) for group in range(groups)]
    low, high = np.array([estimate.interval() for estimate in each]).T
    p = np.array([estimate.p_value for estimate in each])
    value = brings + (pairs.sum(axis=0) + pairs.sum(axis=1)) / 2
    return brings, value, found.by_query[:, 0], low, high, p


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--games", type=int, default=25, help="of each setting")
    args = parser.parse_args()
    print("groups models pairs inside error half-width separable-though-nothing")
    for groups, models in SETTINGS:
        for together in TOGETHER:
            games = [one_game(groups, models, together, seed) for seed in range(args.games)]
            brings, value, found, low, high, p = map(np.concatenate, zip(*games, strict=True))
            inside = np.mean((low <= value) & (value <= high))
            error = np.sqrt(np.mean((found - value) ** 2))
            print(
                f"{groups:6d} {models * len(SHARES):6d} {together:5.1f} {inside:6.3f} {error:5.3f} "
                f"{(high - low).mean() / 2:10.3f} {np.mean(p[brings == 0] < 0.05):10.3f}"
            )


if __name__ == "__main__":
    main()
