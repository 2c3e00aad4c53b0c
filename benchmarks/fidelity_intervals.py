"""How often the interval of rho holds its true value, by simulation.

Models and sets each have their own luck, shared by all clusters that have them; ratios of errors
are log-normal. Beside the library's interval stands the one that takes clusters as independent.

    python benchmarks/fidelity_intervals.py --draws 400
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import pandas as pd

from untrain.evaluation.fidelity import rho_interval

SIZES = ((1, 8), (3, 4), (3, 8), (3, 16), (5, 8), (8, 8))
SPREADS = ((0.0, 0.6, 0.3), (0.3, 0.6, 0.3), (0.0, 0.0, 0.5))
"""Standard deviations of the logarithm of a cluster's error ratio: by model, by set, by both."""
RATIO = 0.3


def clusters(
    models: int, sets: int, spread: tuple[float, float, float], generator: np.random.Generator
) -> pd.DataFrame:
    """Return the sums of every cluster of a simulated ladder."""
    shape = (models, sets)
    base = np.exp(generator.normal(0, 0.6, sets) + generator.normal(0, 0.3, shape))
    by_model, by_set, by_both = spread
    luck = generator.normal(0, by_model, (models, 1)) + generator.normal(0, by_set, sets)
    error = base * RATIO * np.exp(luck + generator.normal(0, by_both, shape))
    model, of_set = np.indices(shape)
    return pd.DataFrame(
        {
            "model_id": [f"B{n:02}" for n in model.ravel()],
            "set_id": [f"s{n}" for n in of_set.ravel()],
            "error": error.ravel(),
            "base": base.ravel(),
        }
    )


def coverage(
    models: int, sets: int, spread: tuple[float, float, float], draws: int, seed: int = 0
) -> tuple[float, float]:
    """Return how often the interval, and the one of independent clusters, holds the true rho."""
    generator = np.random.default_rng(seed)
    true = 1 - RATIO * math.exp(sum(each**2 for each in spread) / 2)
    held = np.zeros(2)
    for _ in range(draws):
        drawn = clusters(models, sets, spread, generator)
        apart = drawn.assign(set_id=drawn["set_id"] + drawn["model_id"], model_id="B00")
        for place, table in enumerate((drawn, apart)):
            low, high = rho_interval(table)
            held[place] += low <= true <= high
    return tuple(held / draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    draws = parser.parse_args().draws
    print("models  sets  spread by model, set, both  covers  as if independent")
    for models, sets in SIZES:
        for spread in SPREADS:
            crossed, apart = coverage(models, sets, spread, draws)
            words = ", ".join(f"{each:g}" for each in spread)
            print(f"{models:6}  {sets:4}  {words:27}  {crossed:6.1%}  {apart:6.1%}")


if __name__ == "__main__":
    main()
