import math

import numpy as np
import pytest

from case_pairs import (
    adjusting,
    believed_error,
    comparable,
    model_pairs,
    pairs_error,
    slope,
    trial_error,
)
from untrain.counterfactual.design import balanced_halves
from untrain.evaluation.least_squares import Adjustment, set_effects
from untrain.evaluation.power import simulated_noise
from untrain.evaluation.variance import VarianceComponents


def test_standard_errors_are_those_of_simulated_experiments():
    truth, generator = VarianceComponents(0.09, 0.16), np.random.default_rng(0)
    y = simulated_noise(generator, truth, (2000, 16, 8))
    out = balanced_halves((2000, 16, 8), generator)
    contrast = (4 / 8) * ((out - 0.5) * y).sum(axis=2).mean(axis=1)
    assert contrast.std() == pytest.approx(trial_error(truth, 8, 16), rel=0.05)
    pair = (y[..., 0] - y[..., 1]).mean(axis=1)
    assert pair.std() == pytest.approx(pairs_error(truth, 1, 16), rel=0.05)
    inside = (y[..., 0] - y[..., 1]).std(axis=1, ddof=1) / 4
    believed = believed_error(truth, 16)
    assert math.sqrt(np.square(inside).mean()) == pytest.approx(believed, rel=0.05)


def test_more_prompts_help_the_trial_but_not_the_pair():
    noise = VarianceComponents(0.09, 0.16)
    assert trial_error(noise, 8, 64) == pytest.approx(trial_error(noise, 8, 16) / 2)
    assert pairs_error(noise, 1, 10**9) == pytest.approx(math.sqrt(2 * 0.09))


def test_slope_is_the_effect_that_the_package_tests():
    generator = np.random.default_rng(3)
    out = balanced_halves((6, 8), generator)
    y = 3 * out + simulated_noise(generator, VarianceComponents(0.1, 0.2), (6, 8))
    given = tuple(out[[(row + 1) % 6]] for row in range(6))
    expected = set_effects(y, out, Adjustment(given))
    for row in range(6):
        maker = adjusting(list(given[row]), 8)
        assert slope(y[row], out[row], maker) == pytest.approx(expected[row])
    unbalanced = np.array([1, 1, 0, 0, 0], bool)
    values = np.array([3.0, 5.0, 1.0, 1.0, 4.0])
    assert slope(values, unbalanced, adjusting([], 5)) == pytest.approx(4 - 2)
    assert math.isnan(slope(values, unbalanced, adjusting([unbalanced], 5)))


def test_pairs_come_in_order_of_what_differs():
    out = np.array([[0, 0, 1], [0, 0, 1], [0, 1, 1]], bool)
    pairs = model_pairs(out)
    assert sorted(pairs[:2]) == [(0, 1), (1, 0)]
    assert sorted(pairs[-2:]) == [(0, 2), (2, 0)]
    touching = np.array([[True, False, False], [False, False, True]])
    np.testing.assert_array_equal(comparable(touching, out, 1, 0), [True, False])
