import math

import numpy as np
import pytest

from untrain.evaluation import simulated
from untrain.evaluation import variance as between
from untrain.evaluation.randomisation import unit_effects
from untrain.evaluation.variance import Noise


def outcomes(noise: Noise, n_queries: int, n_models: int, seed: int):
    """Outcomes with a big effect of each query's own unit, and its assignments."""
    generator = np.random.default_rng(seed)
    out = simulated.halves(generator, 1, n_queries, n_models)[0]
    own = generator.normal(size=(n_queries, 1)) + 3 * out
    return own + simulated.noisy(generator, noise, (n_queries, n_models)), out


def test_noise_is_found_whatever_was_removed_on_purpose():
    truth = Noise(shared=0.09, own=0.16)
    found = []
    for seed in range(200):
        y, out = outcomes(truth, 12, 8, seed)
        makers = np.stack([between.adjusting([row], 8) for row in out])
        found.append(between.noise(y, makers))
    assert np.mean([n.shared for n in found]) == pytest.approx(0.09, abs=0.01)
    assert np.mean([n.own for n in found]) == pytest.approx(0.16, abs=0.01)


def test_noise_of_the_models_that_had_the_images():
    y, out = outcomes(Noise(0.0, 1.0), 400, 8, seed=0)
    y += 2 * np.random.default_rng(1).normal(size=y.shape) * out  # models without vary more
    within = between.noise(y, np.stack([between.centring(~row) for row in out]))
    without = between.noise(y, np.stack([between.centring(row) for row in out]))
    assert within.total == pytest.approx(1, abs=0.1)
    assert without.total == pytest.approx(5, abs=0.5)


def test_standard_errors_are_those_of_simulated_experiments():
    truth, generator = Noise(0.09, 0.16), np.random.default_rng(0)
    y = simulated.noisy(generator, truth, (2000, 16, 8))
    out = simulated.halves(generator, 2000, 16, 8)
    contrast = (4 / 8) * ((out - 0.5) * y).sum(axis=2).mean(axis=1)
    assert contrast.std() == pytest.approx(truth.trial_error(8, 16), rel=0.05)
    pair = (y[..., 0] - y[..., 1]).mean(axis=1)
    assert pair.std() == pytest.approx(truth.pairs_error(1, 16), rel=0.05)
    inside = (y[..., 0] - y[..., 1]).std(axis=1, ddof=1) / 4
    assert math.sqrt(np.square(inside).mean()) == pytest.approx(truth.believed_error(16), rel=0.05)


def test_more_prompts_help_the_trial_but_not_the_pair():
    noise = Noise(0.09, 0.16)
    assert noise.trial_error(8, 64) == pytest.approx(noise.trial_error(8, 16) / 2)
    assert noise.pairs_error(1, 10**9) == pytest.approx(math.sqrt(2 * 0.09))


def test_slope_is_the_effect_that_the_package_tests():
    y, out = outcomes(Noise(0.1, 0.2), 6, 8, seed=3)
    given = [out[[(unit + 1) % 6]] for unit in range(6)]
    expected = unit_effects(y, out, given)
    for unit in range(6):
        maker = between.adjusting(list(given[unit]), 8)
        assert between.slope(y[unit], out[unit], maker) == pytest.approx(expected[unit])
    unbalanced = np.array([1, 1, 0, 0, 0], bool)
    values = np.array([3.0, 5.0, 1.0, 1.0, 4.0])
    assert between.slope(values, unbalanced, between.adjusting([], 5)) == pytest.approx(4 - 2)
    assert math.isnan(between.slope(values, unbalanced, between.adjusting([unbalanced], 5)))


def test_pairs_come_in_order_of_what_differs():
    out = np.array([[0, 0, 1], [0, 0, 1], [0, 1, 1]], bool)
    pairs = between.model_pairs(out)
    assert sorted(pairs[:2]) == [(0, 1), (1, 0)]
    assert sorted(pairs[-2:]) == [(0, 2), (2, 0)]
    touching = np.array([[True, False, False], [False, False, True]])
    np.testing.assert_array_equal(between.comparable(touching, out, 1, 0), [True, False])
