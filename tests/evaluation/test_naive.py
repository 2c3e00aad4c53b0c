import math

import numpy as np
import pytest
from scipy import stats

from untrain.evaluation import naive, simulated
from untrain.evaluation.naive import Noise
from untrain.evaluation.randomisation import unit_effects


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
        makers = np.stack([naive.adjusting([row], 8) for row in out])
        found.append(naive.noise(y, makers))
    assert np.mean([n.shared for n in found]) == pytest.approx(0.09, abs=0.01)
    assert np.mean([n.own for n in found]) == pytest.approx(0.16, abs=0.01)


def test_noise_of_the_models_that_had_the_images():
    y, out = outcomes(Noise(0.0, 1.0), 400, 8, seed=0)
    y += 2 * np.random.default_rng(1).normal(size=y.shape) * out  # models without vary more
    within = naive.noise(y, np.stack([naive.centring(~row) for row in out]))
    without = naive.noise(y, np.stack([naive.centring(row) for row in out]))
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
        maker = naive.adjusting(list(given[unit]), 8)
        assert naive.slope(y[unit], out[unit], maker) == pytest.approx(expected[unit])
    unbalanced = np.array([1, 1, 0, 0, 0], bool)
    values = np.array([3.0, 5.0, 1.0, 1.0, 4.0])
    assert naive.slope(values, unbalanced, naive.adjusting([], 5)) == pytest.approx(4 - 2)
    assert math.isnan(naive.slope(values, unbalanced, naive.adjusting([unbalanced], 5)))


def test_pairs_come_in_order_of_what_differs():
    out = np.array([[0, 0, 1], [0, 0, 1], [0, 1, 1]], bool)
    pairs = naive.model_pairs(out)
    assert sorted(pairs[:2]) == [(0, 1), (1, 0)]
    assert sorted(pairs[-2:]) == [(0, 2), (2, 0)]
    touching = np.array([[True, False, False], [False, False, True]])
    np.testing.assert_array_equal(naive.comparable(touching, out, 1, 0), [True, False])


def test_clusters_that_agree_among_themselves_count_less():
    alone = naive.clustered_share([1, 0, 1, 0] * 5, [1] * 20)
    exact = stats.binomtest(10, 20).proportion_ci()
    assert alone == pytest.approx((0.5, exact.low, exact.high), abs=0.01)
    share, low, high = naive.clustered_share([10, 0, 10, 0], [10] * 4)
    assert share == 0.5
    assert high - low > 0.8  # four runs, not forty decisions
    assert naive.clustered_share([0] * 10, [16] * 10) == pytest.approx((0, 0, 0.308), abs=0.001)


def test_spread_between_runs_beyond_their_errors():
    generator = np.random.default_rng(0)
    truth = 3 + 0.4 * generator.normal(size=4000)
    found = naive.between_runs(truth + 0.3 * generator.normal(size=4000), [0.3] * 4000)
    assert found.mean == pytest.approx(3, abs=0.03)
    assert found.between == pytest.approx(0.4, abs=0.03)
    assert found.p_value < 1e-6
    same = naive.between_runs([1.0, 1.0, 1.0], [0.1] * 3)
    assert (same.between, same.p_value) == (0.0, 1.0)


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
    y = simulated.noisy(generator, noise, (4000, 4, 16, 2))
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
    assert found.error == pytest.approx(noise.trial_error(8, 16), rel=0.15)
    differing = simulated.World("prompts", prompts_sd=2.0, of_population=True)
    found = simulated.coverage(differing, noise, 8, 16, generator, sims=150, draws=299)
    assert found.covered < 0.8
