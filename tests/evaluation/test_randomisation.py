import math
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from tests.helpers.exact import exact_test
from tests.helpers.forget_sets import targeted_sets
from untrain.core.files import rng
from untrain.counterfactual.design import randomised, redraw
from untrain.evaluation.least_squares import Adjustment, set_effects
from untrain.evaluation.randomisation import (
    can_enumerate,
    every_half,
    randomisation_test,
    slope_test,
    with_observed,
)


def trial(n_sets: int, n_models: int, seed: int, draws: int = 400):
    assignment = randomised(targeted_sets(n_sets), n_models, seed)
    null = with_observed(assignment.out, redraw(assignment, rng("null", seed), draws))
    return assignment.out, null


def test_effects_are_differences_of_means():
    y = np.array([[1.0, 2.0, 4.0, 8.0], [0.0, 1.0, 0.0, 3.0]])
    out = np.array([[1, 1, 0, 0], [0, 1, 0, 1]], bool)
    np.testing.assert_allclose(set_effects(y, out), [1.5 - 6.0, 2.0 - 0.0])


def test_one_set_agrees_with_scipys_permutation_test():
    generator = np.random.default_rng(0)
    for n_models in (6, 8, 10):
        y = generator.normal(size=n_models)
        out = np.zeros(n_models, bool)
        out[generator.permutation(n_models)[: n_models // 2]] = True
        result = exact_test(y, out)
        for alternative, p in (("greater", result.p_value), ("two-sided", result.two_sided_p)):
            expected = stats.permutation_test(
                (y[out], y[~out]),
                lambda a, b: a.mean() - b.mean(),
                n_resamples=np.inf,
                alternative=alternative,
            )
            assert p == pytest.approx(expected.pvalue)
        assert result.effect == pytest.approx(y[out].mean() - y[~out].mean())


def test_all_halves_are_enumerated_once():
    halves = every_half(10)[:, 0]
    assert len(np.unique(halves, axis=0)) == math.comb(10, 5) == 252
    assert (halves.sum(axis=1) == 5).all()
    assert can_enumerate(16) and not can_enumerate(18)


def test_the_smallest_p_and_no_finite_limits_with_few_models():
    out = np.array([1, 1, 0, 0], bool)
    result = exact_test(np.array([5.0, 6.0, 1.0, 2.0]), out)
    assert result.p_value == pytest.approx(1 / 6)
    assert (result.low, result.high) == (-math.inf, math.inf)
    ten = exact_test(np.arange(10.0), np.arange(10) >= 5)
    assert ten.p_value == pytest.approx(1 / 252)
    assert ten.low < ten.effect < ten.high


def test_ties_count_against_the_effect():
    result = exact_test(np.full(10, 0.1), np.arange(10) < 5)
    assert result.p_value == result.two_sided_p == 1.0


def test_the_interval_inverts_the_test():
    generator = np.random.default_rng(1)
    y, out = generator.normal(size=10), np.arange(10) % 2 == 0
    y[out] += 1.0
    result = exact_test(y, out)

    def p(theta: float, sign: float) -> float:
        return exact_test(sign * (y - theta * out), out).p_value

    for limit, sign in ((result.low, 1.0), (result.high, -1.0)):
        inside, outside = limit + sign * 1e-6, limit - sign * 1e-6
        assert p(inside, sign) > 0.025 >= p(outside, sign)


def test_moving_and_scaling_outcomes_moves_and_scales_the_interval():
    out, null = trial(6, 10, seed=0)
    y = np.random.default_rng(2).normal(size=out.shape)
    base = randomisation_test(y, out, null)
    moved = randomisation_test(3 * (y + 0.7 * out) + 5, out, null)
    for name in ("effect", "low", "high"):
        assert getattr(moved, name) == pytest.approx(3 * (getattr(base, name) + 0.7))


@pytest.mark.parametrize("n_sets", [8, 7, 1])
def test_p_is_uniform_under_the_null_though_prompts_share_luck(n_sets):
    n = 400
    generator = np.random.default_rng(n_sets)
    p_values = np.empty((n, 2))
    for i in range(n):
        out, null = trial(n_sets, 10, seed=i, draws=199)
        y = generator.normal(size=out.shape) + 3 * generator.normal(size=10)
        result = randomisation_test(y, out, null)
        p_values[i] = result.p_value, result.two_sided_p
    for level in (0.05, 0.1, 0.5):
        noise = 3 * math.sqrt(level * (1 - level) / n)
        assert (p_values <= level).mean(axis=0) == pytest.approx(level, abs=noise)


@pytest.mark.parametrize(("n_sets", "spread"), [(1, 0.0), (6, 0.0), (7, 0.0), (6, 1.0)])
def test_intervals_cover_the_effect(n_sets, spread):
    n = 400
    generator = np.random.default_rng(10 * n_sets)
    covered = 0
    for i in range(n):
        out, null = trial(n_sets, 10, seed=i)
        effects = 1.5 + spread * generator.normal(size=(n_sets, 1))
        luck = 2 * generator.normal(size=10)
        y = generator.normal(size=out.shape) + luck + effects * out
        result = randomisation_test(y, out, every_half(10) if n_sets == 1 else null)
        covered += result.low <= effects.mean() <= result.high
    assert covered / n >= 0.93


def test_a_set_that_the_given_ones_determine_has_no_effect_that_is_known():
    out = np.array([True, True, False, False, True, False])
    y = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    for given in (out, ~out):
        told = randomisation_test(
            y[None], out[None], every_half(6), adjustment=Adjustment((given[None],))
        )
        assert math.isnan(told.effect) and math.isnan(told.p_value)
        assert (told.low, told.high) == (-math.inf, math.inf)


def test_sets_fitted_together_that_the_given_one_determines_count_as_nothing():
    """Both are out of the given one's half: there is only rounding, which must not be inverted."""
    half = np.arange(10) < 5
    y = np.tile(np.random.default_rng(0).normal(size=10), (2, 1))
    out = np.stack([half, ~half])
    told = set_effects(y, out[None], Adjustment((half[None],) * 2, np.zeros(2, int)))
    assert np.abs(told).max() < 1e-6


def test_a_mean_is_over_the_sets_whose_effect_is_known():
    """The second set's half is that of its prompt's own set: the first alone says what θ is."""
    generator = np.random.default_rng(0)
    out = np.array([[1, 0, 1, 0, 1, 0, 1, 0], [1, 1, 1, 1, 0, 0, 0, 0]], bool)
    given = Adjustment((np.array([[1, 1, 0, 0, 1, 1, 0, 0]], bool), out[1:]))
    y = 0.7 * out
    null = np.stack([generator.permuted(out, axis=1) for _ in range(200)])
    told = randomisation_test(y, out, with_observed(out, null), adjustment=given)
    assert told.effect == pytest.approx(0.7)
    assert told.low <= 0.7 <= told.high


def test_slope_is_that_of_least_squares_and_its_p_that_of_the_correlation():
    generator = np.random.default_rng(0)
    x, y = np.array([1.0, 2.0, 4.0, 4.0, 7.0]), generator.normal(size=5)
    null = np.array(list(permutations(x)))
    result = slope_test(y, x, null)
    assert result.effect == pytest.approx(stats.linregress(x, y).slope)
    drawn = np.array([stats.pearsonr(row, y).statistic for row in null])
    observed = stats.pearsonr(x, y).statistic
    assert result.p_value == pytest.approx(np.mean(drawn >= observed - 1e-9))
    assert result.two_sided_p == pytest.approx(np.mean(np.abs(drawn) >= abs(observed) - 1e-9))
    for limit, sign in ((result.low, 1.0), (result.high, -1.0)):
        for step, inside in ((1e-6, True), (-1e-6, False)):
            p = slope_test(sign * (y - (limit + sign * step) * x), x, null).p_value
            assert (p > 0.025) == inside
