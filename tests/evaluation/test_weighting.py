import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from untrain.counterfactual.design import Assignment, by_row, randomised
from untrain.evaluation.effects import trial_effects
from untrain.evaluation.randomisation import (
    Inference,
    every_half,
    randomisation_test,
    unit_effects,
    with_observed,
)
from untrain.evaluation.simulated import halves
from untrain.evaluation.weighting import control_scales, stratum_scales

HAVING, LACKING = 0.17, 0.5  # noise, as on the demo
EFFECT = 3.5  # of a prompt's own images


def units(n: int) -> pd.DataFrame:
    rows = [
        (f"{arm}/p{i}", arm, f"p{i}", 0, 10)
        for arm in ("targeted", "random_uniform")
        for i in range(n)
    ]
    return pd.DataFrame(rows, columns=["forget_set_id", "arm", "prompt_id", "draw", "k"])


def outcomes(own: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Outcomes of prompts whose noise is larger where their own images are out."""
    noise = generator.normal(size=own.shape) * np.where(own, LACKING, HAVING)
    return 4 + EFFECT * own + noise


def measured(y: np.ndarray, models: tuple[str, ...]) -> pd.DataFrame:
    rows = [(m, f"p{p}", 0, "nll", y[p, c]) for p in range(len(y)) for c, m in enumerate(models)]
    return pd.DataFrame(rows, columns=["model_id", "prompt_id", "generation", "measure", "value"])


# The estimator


def test_the_strata_count_by_their_precision() -> None:
    own = np.array([[0, 0, 1, 1]], bool)
    out = np.array([[1, 0, 1, 0]], bool)
    y = np.array([[3.0, 1, 10, 6]])  # worse by 2 among those that have the images, by 4 without
    assert unit_effects(y, out, [own]) == pytest.approx([3])
    scale = np.array([[1, 1, 0.5, 0.5]])  # twice the noise, a quarter of the weight
    assert unit_effects(y, out, [own], scale) == pytest.approx([(2 + 4 / 4) / (1 + 1 / 4)])


@given(seed=st.integers(0, 10**6), n_models=st.sampled_from([4, 6, 10]), others=st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_it_is_weighted_least_squares(seed: int, n_models: int, others: int) -> None:
    generator = np.random.default_rng(seed)
    drawn = halves(generator, 1, 1 + others, n_models)[0]
    y, scale = generator.normal(size=n_models), generator.uniform(0.2, 2, n_models)
    found = unit_effects(y[None], drawn[:1], [drawn[1:]], scale[None])
    design = np.vstack([drawn, np.ones(n_models)]).astype(float).T * scale[:, None]
    fit = np.linalg.lstsq(design, y * scale, rcond=None)[0]
    if np.linalg.matrix_rank(design) > np.linalg.matrix_rank(design[:, 1:]):
        assert found == pytest.approx(fit[:1], abs=1e-8)
    else:
        assert found == [0]


def test_equal_scales_change_nothing() -> None:
    generator = np.random.default_rng(0)
    out = halves(generator, 1, 5, 8)[0]
    y, none = generator.normal(size=(5, 8)), [out[:0]] * 5
    scale = np.full((5, 8), 0.3)
    assert unit_effects(y, out, none, scale) == pytest.approx(unit_effects(y, out))
    own = [out[[(unit + 1) % 5]] for unit in range(5)]
    assert unit_effects(y, out, own, scale) == pytest.approx(unit_effects(y, out, own))


# The weights


def test_scales_are_those_of_the_other_queries_in_the_two_strata() -> None:
    own = [np.array([[0, 0, 1, 1]], bool), np.array([[1, 0, 1, 0]], bool), np.zeros((0, 4), bool)]
    # Two models that differ by d have the standard deviation d / √2.
    y = np.array([[0.0, 2, 10, 16], [5, 1, 7, 5], [0, 100, 0, 0]])
    first, second = 4 / 2, 2 / 6  # of the other query: it differs by 4 with, by 2 without images
    expected = [[1, 1, first, first], [second, 1, second, 1], [1, 1, 1, 1]]
    assert stratum_scales(y, own) == pytest.approx(np.array(expected))
    y, own = np.concatenate([y, y[:1]]), [*own, own[0]]
    pooled = math.sqrt((2**2 + 4**2) / (6**2 + 2**2))
    assert stratum_scales(y, own)[0] == pytest.approx([1, 1, pooled, pooled])


def test_scales_find_the_noise_whatever_the_own_images_do() -> None:
    generator = np.random.default_rng(0)
    own = halves(generator, 1, 600, 8)[0]
    y = outcomes(own, generator) + generator.normal(size=(600, 1))
    scales = stratum_scales(y, [row[None] for row in own])
    assert scales[own] == pytest.approx(np.full(own.sum(), HAVING / LACKING), rel=0.05)
    assert (scales[~own] == 1).all()


def test_what_further_increments_do_is_no_noise() -> None:
    own = np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1]], bool)
    generator = np.random.default_rng(0)
    y = generator.normal(size=(3, 8))
    more = stratum_scales(y + np.array([20.0, 40.0]) @ own, [own] * 3)
    assert more == pytest.approx(stratum_scales(y, [own] * 3))


@pytest.mark.parametrize("y", [[[1.0] * 4] * 2, [[1.0, 1, 2, 5]] * 2, [[1.0, 2, 3, 9]]])
def test_where_noise_cannot_be_told_all_models_count_alike(y: list[list[float]]) -> None:
    own = np.array([[0, 0, 1, 1]], bool)
    assert (stratum_scales(np.array(y), [own] * len(y)) == 1).all()
    assert (stratum_scales(np.array(y), [own[:0]] * len(y)) == 1).all()
    assert stratum_scales(np.zeros((0, 4)), []).shape == (0, 4)


def test_scales_do_not_depend_on_where_controls_are_out() -> None:
    table = units(3)
    first, second = (randomised(table, 8, seed) for seed in (0, 1))
    out = np.concatenate([first.out[:3], second.out[3:]])
    other = Assignment(first.unit_ids, first.model_ids, out, first.seed_offsets, True)
    y = pd.DataFrame(
        outcomes(first.out[:3], np.random.default_rng(0)), ["p0", "p1", "p2"], first.model_ids
    )
    one, two = (control_scales(y, by_row(table, a), a) for a in (first, other))
    pd.testing.assert_frame_equal(one, two)
    assert (one.to_numpy()[first.out[:3]] != 1).all()


# Inference


def worlds(n: int, effect: float = 0.0) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield outcomes of six prompts in eight models, and where own images and controls are out."""
    generator = np.random.default_rng(0)
    for _ in range(n):
        own, out = halves(generator, 2, 6, 8)
        yield outcomes(own, generator) + effect * out, own, out


def arm(
    y: np.ndarray, own: np.ndarray, out: np.ndarray, null: np.ndarray, weighted: bool = True
) -> Inference:
    given = [row[None] for row in own]
    scale = stratum_scales(y, given) if weighted else None
    return randomisation_test(y, out, with_observed(out, null), given=given, scale=scale)


def test_under_the_null_it_is_unbiased_and_less_noisy() -> None:
    plain, weighted = (
        [arm(*world, np.zeros((0, 6, 8), bool), way).estimate for world in worlds(150)]
        for way in (False, True)
    )
    assert abs(np.mean(weighted)) < 3 * stats.sem(weighted)
    assert np.std(weighted) < 0.6 * np.std(plain)


def test_a_constant_effect_is_found_without_bias_and_covered() -> None:
    null = halves(np.random.default_rng(1), 199, 6, 8)
    plain, weighted = (
        [arm(*world, null, way) for world in worlds(100, effect=0.5)] for way in (False, True)
    )
    estimates = [result.estimate for result in weighted]
    # One half in 35 is the own images' or its complement, and counts as no effect.
    assert np.mean(estimates) == pytest.approx(0.5 * 34 / 35, abs=3 * stats.sem(estimates))
    covered = [result.low <= 0.5 <= result.high for result in weighted]
    assert np.mean(covered) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 100)
    before, after = (np.median([r.high - r.low for r in found]) for found in (plain, weighted))
    assert after < 0.8 * before


@pytest.mark.parametrize("seed", range(5))
def test_given_the_own_assignment_the_test_is_exact(seed: int) -> None:
    """Every half that the control may have been is observed in turn; the outcomes stay."""
    generator = np.random.default_rng(seed)
    own = halves(generator, 1, 4, 8)[0]
    y = outcomes(own, generator)
    scale = stratum_scales(y, [row[None] for row in own])
    p = [
        randomisation_test(y[:1], half, every_half(8), given=[own[:1]], scale=scale[:1]).p_value
        for half in every_half(8)
    ]
    p = np.nan_to_num(p, nan=1)  # two halves tell nothing
    # p ≤ α in at most a share α of the assignments, for every α; ties make it less.
    assert (np.sort(p) >= np.arange(1, 71) / 70 - 1e-9).all()
    assert np.mean(p <= 0.1) > 0.05


def test_drawn_again_given_the_own_assignment_an_arm_keeps_its_level() -> None:
    """Outcomes and own assignment are one world; only where the controls are out changes."""
    generator = np.random.default_rng(2)
    y, own, _ = next(worlds(1))
    y = y + generator.normal(size=8)  # what all prompts share
    observed, null = halves(generator, 200, 6, 8), halves(generator, 199, 6, 8)
    p = np.array([arm(y, own, out, null).p_value for out in observed])
    for level in (0.05, 0.2, 0.5):
        assert stats.binomtest(int((p <= level).sum()), len(p), level).pvalue > 0.01


def test_the_targeted_arm_is_left_alone() -> None:
    table = units(4)
    assignment = randomised(table, 8, 0)
    measures = measured(
        outcomes(assignment.out[:4], np.random.default_rng(0)), assignment.model_ids
    )
    plain, weighted = (
        trial_effects(measures, table, assignment, 99, weighted=way) for way in (False, True)
    )
    targeted = ~plain["arm"].str.startswith("random")
    pd.testing.assert_frame_equal(plain[targeted], weighted[targeted])
    assert (plain[~targeted]["estimate"] != weighted[~targeted]["estimate"]).all()
