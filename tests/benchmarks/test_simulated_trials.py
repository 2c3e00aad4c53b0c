import numpy as np
import pytest
from scipy import stats

import simulated_trials as simulated
from case_pairs import trial_error
from untrain.evaluation.power import simulated_noise
from untrain.evaluation.variance import VarianceComponents as Noise


def test_power_of_the_trial_starts_at_its_level_and_rises():
    rates = simulated.trial_power(
        Noise(0.05, 0.1), 8, 16, (0.0, 0.1, 0.5), np.random.default_rng(0), draws=400
    )
    assert rates[0] == pytest.approx(0.05, abs=0.025)
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] > 0.99


def test_one_query_of_four_models_can_never_be_found():
    rates = simulated.trial_power(Noise(0.0, 0.01), 4, 1, (0.0, 9.0), np.random.default_rng(0))
    np.testing.assert_array_equal(rates, [0, 0])  # the smallest p is 1/6


def test_power_of_pairs_is_that_of_simulated_t_tests():
    noise, generator = Noise(0.05, 0.1), np.random.default_rng(0)
    y = simulated_noise(generator, noise, (4000, 4, 16, 2))
    changes = (y[..., 0] - y[..., 1]).mean(axis=2) + 0.4
    seen = np.mean(stats.ttest_1samp(changes, 0, axis=1, alternative="greater").pvalue <= 0.05)
    assert simulated.pairs_power(noise, 4, 16, (0.4,))[0] == pytest.approx(seen, abs=0.03)


def test_a_test_over_the_prompts_of_one_pair_errs_where_prompts_share_luck():
    alone = simulated.prompts_rejections(Noise(0.0, 1.0), 16, (0.0,), np.random.default_rng(0))
    shared = simulated.prompts_rejections(Noise(1.0, 1.0), 16, (0.0,), np.random.default_rng(0))
    assert alone[0] == pytest.approx(0.05, abs=0.01)
    assert shared[0] > 0.3


def test_intervals_cover_constant_effects_and_not_a_population_of_prompts():
    noise, generator = Noise(0.02, 0.05), np.random.default_rng(0)
    constant = simulated.World("constant")
    found = simulated.coverage(constant, noise, 8, 16, generator, sims=150, draws=299)
    assert found.covered == pytest.approx(0.95, abs=0.05)
    assert found.error == pytest.approx(trial_error(noise, 8, 16), rel=0.15)
    differing = simulated.World("prompts", prompts_sd=2.0, of_population=True)
    found = simulated.coverage(differing, noise, 8, 16, generator, sims=150, draws=299)
    assert found.covered < 0.8
