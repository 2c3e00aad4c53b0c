"""Published figures rest on these: the same outcomes and seed give the same effects for ever."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from untrain.core.tables import EFFECTS
from untrain.counterfactual.design import randomised
from untrain.evaluation.effects import trial_effects

ALL = None
KNOWN = {  # design, arm, control, prompt_id, k: effect, low, high, one-sided p
    ("randomised", "targeted", None, ALL, 3): (0.604167, 0.257143, 0.910294, 0.004975),
    ("randomised", "targeted", None, "p1", 3): (1.0375, 0.558333, 1.516667, 0.003968),
    ("randomised", "targeted", None, ALL, 9): (0.441667, -0.041667, 0.92381, 0.034826),
    ("randomised", "targeted", None, "p1", 9): (0.575, -2.5, math.nan, 0.144279),
    ("randomised", "random_uniform", None, ALL, 3): (-0.126608, -0.423658, 0.163514, 0.810945),
    ("randomised", "random_uniform", None, ALL, 9): (-0.218947, -0.494337, 0.200664, 0.840796),
    ("randomised-difference", "targeted", "random_uniform", ALL, 3): (
        *(0.738889, 0.268686, 1.465333, 0.00995),
    ),
    ("randomised-difference", "targeted", "random_uniform", ALL, 9): (
        *(0.706579, -0.124173, 2.140941, 0.044776),
    ),
    ("randomised-increment", "targeted", None, ALL, 9): (-0.1625, -0.432353, 0.061429, 0.870647),
    ("naive", "none", None, ALL, None): (0.916667, 0.85, 1.05, 0.125),
    ("naive", "targeted", None, ALL, 3): (1.466667, 1.32, 1.7, 0.125),
    ("naive", "targeted", None, ALL, 9): (1.358333, 1.0, 1.625, 0.125),
    ("naive", "random_uniform", None, ALL, 3): (0.933333, 0.8, 1.1, 0.125),
}


def test_effects_of_a_small_trial_are_what_they_were() -> None:
    arms = ("targeted", "random_uniform")
    rows = [(f"{a}/p{i}/k{k}", a, f"p{i}", 0, k) for a in arms for i in range(3) for k in (3, 9)]
    sets = pd.DataFrame(rows, columns=["forget_set_id", "arm", "prompt_id", "draw", "k"])
    trial = randomised(sets, 10, seed=5)
    values = [
        (model, f"p{p}", 0, "nll", 4 + (7 * p + 5 * m * m + 3 * p * m) % 11 / 10 + 0.5 * out)
        for p in range(3)
        for m, (model, out) in enumerate(zip(trial.model_ids, trial.out[2 * p], strict=True))
    ]
    values += [("A", f"p{p}", 0, "nll", 3.5) for p in range(3)]
    names = ["model_id", "prompt_id", "generation", "measure", "value"]
    found = trial_effects(pd.DataFrame(values, columns=names), sets, trial, draws=200, seed=5).table
    assert list(found) == EFFECTS.names
    keys = ["design", "arm", "control", "prompt_id", "k"]
    told = found[keys].astype(object).where(found[keys].notna(), None)
    figures = found[["effect", "low", "high", "p_value"]].to_numpy(float)
    by_key = dict(zip(map(tuple, told.to_numpy()), figures, strict=True))
    for key, expected in KNOWN.items():
        assert list(by_key[key]) == pytest.approx(expected, abs=1e-6, nan_ok=True), key
