import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.helpers.exact import exact_test
from tests.helpers.forget_sets import targeted_sets
from untrain.counterfactual.design import randomised, redraw
from untrain.evaluation.power import (
    _limits,
    models_for_holm,
    needed_models,
    simulate,
    trial_noise,
)
from untrain.evaluation.randomisation import (
    every_half,
    randomisation_test,
    with_observed,
)


def test_the_critical_effect_is_where_the_exact_test_begins_to_find() -> None:
    generator = np.random.default_rng(0)
    null = every_half(8)
    contrast = (null.reshape(len(null), -1) - 0.5) * (4 / 8)
    for _ in range(20):
        y, out = generator.normal(size=8), np.zeros(8, bool)
        out[generator.permutation(8)[:4]] = True
        limits = _limits(y[None], out[None] - 0.5, contrast, 0.05, observed_in_null=True)
        critical, low, high = limits[:, 0]
        assert exact_test(y + (critical + 1e-6) * out, out).p_value <= 0.05
        assert exact_test(y + (critical - 1e-6) * out, out).p_value > 0.05
        result = exact_test(y, out)
        assert (low, high) == pytest.approx((result.low, result.high))


@pytest.mark.parametrize(("n_models", "n_sets"), [(4, 2), (6, 5), (10, 3)])
def test_so_it_is_for_the_overall_test(n_models: int, n_sets: int) -> None:
    generator = np.random.default_rng(1)
    for seed in range(10):
        assignment = randomised(targeted_sets(n_sets), n_models, seed)
        drawn = redraw(assignment, generator, 199)
        y, out = generator.normal(size=(n_sets, n_models)), assignment.out
        contrast = (drawn.reshape(len(drawn), -1) - 0.5) * (4 / (n_sets * n_models))
        flat = (out - 0.5).reshape(1, -1)
        limits = _limits(y.reshape(1, -1), flat, contrast, 0.05, observed_in_null=False)
        critical, low, high = limits[:, 0]
        null = with_observed(out, drawn)
        result = randomisation_test(y, out, null)
        assert (low, high) == pytest.approx((result.low, result.high))
        if math.isfinite(critical):
            above = randomisation_test(y + (critical + 1e-6) * out, out, null)
            below = randomisation_test(y + (critical - 1e-6) * out, out, null)
            assert above.p_value <= 0.05 < below.p_value


def test_without_an_effect_the_level_is_kept_and_used_up() -> None:
    worlds = 2000
    for n_models, n_queries, level in ((8, 1, 3 / 70), (16, 1, 0.05), (8, 16, 0.05)):
        found = simulate(n_models, n_queries, worlds=worlds).found(0.0)
        assert found == pytest.approx(level, abs=4 * math.sqrt(0.05 * 0.95 / worlds))


@pytest.mark.parametrize("n_models", [10, 16, 24])
def test_one_query_has_the_power_of_a_t_test(n_models: int) -> None:
    power = simulate(n_models, worlds=2000)
    freedom, critical = n_models - 2, stats.t.ppf(0.95, n_models - 2)
    for effect in (0.5, 1.0, 1.5, 2.0):
        expected = stats.nct.sf(critical, freedom, effect * math.sqrt(n_models) / 2)
        assert power.found(effect) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_the_overall_test_has_the_power_of_its_normal_approximation(correlation: float) -> None:
    n_models, n_queries = 12, 16
    power = simulate(n_models, n_queries, correlation=correlation, worlds=2000)
    for effect in (0.1, 0.25, 0.4):
        sd = 2 / math.sqrt(n_models * n_queries)
        critical = stats.norm.ppf(0.95) * math.hypot(1, effect / 2) * sd
        assert power.found(effect) == pytest.approx(
            stats.norm.sf((critical - effect) / sd), abs=0.05
        )


def test_effects_are_in_sets_of_the_noise() -> None:
    power = simulate(8)
    assert power.detectable(0.25) == pytest.approx(0.25 * power.detectable())
    assert power.found(0.3, 0.15) == power.found(2.0)
    assert power.found(power.detectable()) == pytest.approx(0.8, abs=0.001)
    assert simulate(16).detectable() < power.detectable()


def test_few_models_find_nothing_in_one_query() -> None:
    power = simulate(4)
    assert power.found(1e9) == 0.0
    assert power.detectable() == math.inf
    assert power.not_attributable(1e9) == 0.0  # no finite interval
    assert math.isfinite(simulate(4, 8).detectable())


def test_not_attributable_is_the_verdict_of_a_narrow_interval() -> None:
    power = simulate(16, worlds=2000)
    assert power.not_attributable(math.inf) == pytest.approx(1 - power.found(0.0))
    chances = [power.not_attributable(margin) for margin in (0.5, 1.0, 1.5, 2.0)]
    assert chances == sorted(chances)
    generator = np.random.default_rng(0)
    y = generator.normal(size=(20_000, 2, 8))
    effect = y[:, 0].mean(axis=1) - y[:, 1].mean(axis=1)
    error = np.sqrt(y.var(axis=2, ddof=1).sum(axis=1) / 8)
    width = stats.t.ppf(0.975, 14) * error
    inside = (np.abs(effect) + width < 1.5) & (effect <= stats.t.ppf(0.95, 14) * error)
    assert chances[2] == pytest.approx(inside.mean(), abs=0.05)
    assert power.not_attributable(1.5, effect=1.5) < 0.05  # equivalence errs at 2.5 % at the margin


def test_needed_models_are_the_fewest_that_find_the_effect() -> None:
    for n_queries, effect in ((1, 1.2), (16, 0.3)):
        needed = needed_models(effect, 1.0, n_queries)
        assert needed <= 32
        assert simulate(needed, n_queries).detectable() <= effect
        assert simulate(needed - 2, n_queries).detectable() > effect
    assert needed_models(0.6, 0.5) == needed_models(1.2, 1.0)


def test_beyond_simulation_the_formula_agrees_with_it() -> None:
    needed = needed_models(0.7, 1.0)
    assert needed > 32
    assert simulate(needed).found(0.7) == pytest.approx(0.8, abs=0.05)


def test_holm_needs_models_for_its_smallest_p() -> None:
    assert models_for_holm(1) == 6  # 1/20
    assert models_for_holm(16) == 12  # 16/252 is above 5 %, 16/924 is below
    assert models_for_holm(16, alpha=0.1) == 10


def test_noise_is_what_differs_between_models_that_have_a_prompts_own_set() -> None:
    generator = np.random.default_rng(0)
    table, sds, correlations = targeted_sets(16), [], []
    for seed in range(60):
        assignment = randomised(table, 8, seed)
        shared = 0.15 * generator.normal(size=8)
        effect = 3 + 2 * generator.normal(size=(16, 8))  # that it varies is not noise
        y = 4 + effect * assignment.out + shared + 0.2 * generator.normal(size=(16, 8))
        rows = [
            (model, prompt, 0, "nll", y[p, m])
            for p, prompt in enumerate(table["prompt_id"])
            for m, model in enumerate(assignment.model_ids)
        ]
        columns = ["model_id", "prompt_id", "generation", "measure", "value"]
        found = trial_noise(pd.DataFrame(rows, columns=columns), table, assignment)
        sds.append(found.total)
        correlations.append(found.shared)
    assert math.sqrt(np.mean(sds)) == pytest.approx(0.25, rel=0.05)
    assert np.mean(correlations) / np.mean(sds) == pytest.approx(0.36, abs=0.06)


def test_further_increments_are_no_noise() -> None:
    table = pd.concat(
        [targeted_sets(12).assign(k=10), targeted_sets(12).assign(k=100)], ignore_index=True
    )
    table["forget_set_id"] += table["k"].astype(str)
    assignment, generator = randomised(table, 12, 0), np.random.default_rng(0)
    y = (
        4
        + 3 * assignment.out[:12]
        + 5 * assignment.out[12:]
        + 0.1 * generator.normal(size=(12, 12))
    )
    rows = [
        (model, f"p{p}", 0, "nll", y[p, m])
        for p in range(12)
        for m, model in enumerate(assignment.model_ids)
    ]
    columns = ["model_id", "prompt_id", "generation", "measure", "value"]
    found = trial_noise(pd.DataFrame(rows, columns=columns), table, assignment)
    assert math.sqrt(found.total) == pytest.approx(0.1, rel=0.3)
