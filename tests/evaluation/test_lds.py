"""LDS and the effect of the top k: known numbers, invariances, and what the intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from scipy.stats import t as student

from untrain.core.errors import InputError
from untrain.evaluation.lds import Estimate, average, best, fill, lds, removal_effect


def halves(models: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Which images each model is trained on: exactly half of them."""
    kept = np.zeros((models, images), bool)
    for row in kept:
        row[rng.permutation(images)[: images // 2]] = True
    return kept


def world(
    seed: int, models: int = 24, images: int = 40, queries: int = 6, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Effects of the images on each query, the halves, and outcomes that are additive in them."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(0, 1, (queries, images))
    kept = halves(models, images, rng)
    nll = 5 - kept @ effects.T + noise * rng.normal(0, 1, (models, queries))
    return effects, kept, nll


def test_it_is_the_mean_of_scipys_correlation_ties_included() -> None:
    effects, kept, nll = world(0)
    coarse = np.sign(effects)  # sums are small whole numbers
    found = lds(coarse, kept, np.round(nll))
    by_hand = [
        spearmanr(kept @ scores, -of).statistic
        for scores, of in zip(coarse, np.round(nll).T, strict=True)
    ]
    np.testing.assert_allclose(found.by_query, by_hand, atol=1e-12)
    assert found.mean == pytest.approx(np.mean(by_hand))
    assert found.low < found.mean < found.high


def test_a_model_left_out_is_a_model_left_out() -> None:
    effects, kept, nll = world(1, models=8)
    coarse, nll = np.sign(effects), np.round(nll)
    for statistic in (lds, lambda *a: removal_effect(*a, k=5)):
        without = statistic(coarse, kept, nll).without
        for m in range(8):
            rest = np.arange(8) != m
            again = statistic(coarse, kept[rest], nll[rest]).by_query
            np.testing.assert_allclose(without[m], again, atol=1e-9)


def test_true_effects_are_near_one_and_random_ones_near_zero() -> None:
    effects, kept, nll = world(2, models=200, noise=0.1)
    assert lds(effects, kept, nll).mean > 0.99
    random = np.random.default_rng(3).random(effects.shape)
    found = lds(random, kept, nll)
    assert abs(found.mean) < 0.2
    assert found.low < 0 < found.high


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_scale_and_monotone_outcomes_do_not_matter(seed: int) -> None:
    effects, kept, nll = world(seed, models=10)
    rng = np.random.default_rng(seed)
    scores = effects + rng.normal(0, 1, effects.shape)
    expected = lds(scores, kept, nll)
    images, models = rng.permutation(scores.shape[1]), rng.permutation(len(kept))
    for found in (
        lds(scores[:, images], kept[:, images], nll),
        lds(scores, kept[models], nll[models]),
        lds(3 * scores + 100, kept, nll),
        lds(scores, kept, np.exp(nll / 10) + 7),
    ):
        np.testing.assert_allclose(found.by_query, expected.by_query, atol=1e-12)
        assert found.interval() == pytest.approx(expected.interval())


def test_a_constant_says_nothing_even_if_parts_differ_in_size() -> None:
    _, kept, nll = world(4)
    kept[0, :3] = True
    kept[1, :3] = False
    assert lds(np.full((6, 40), 0.3), kept, nll).mean == 0
    scores = np.random.default_rng(0).random((6, 40))
    np.testing.assert_allclose(
        lds(scores + 1000, kept, nll).by_query, lds(scores, kept, nll).by_query, atol=1e-12
    )


def test_missing_scores_are_the_lowest() -> None:
    effects, kept, nll = world(5)
    missing = effects.copy()
    missing[:, 10:] = np.nan
    whole = np.concatenate(
        [effects[:, :10], np.repeat(effects[:, :10].min(axis=1)[:, None], 30, 1)], axis=1
    )
    found = lds(missing, kept, nll)
    assert found.filled == 0.75
    np.testing.assert_array_equal(found.by_query, lds(whole, kept, nll).by_query)
    np.testing.assert_array_equal(fill(np.full((1, 3), np.nan))[0], np.zeros((1, 3)))


def test_the_effect_is_the_sum_of_the_effects_of_the_top_beyond_average_images() -> None:
    effects, kept, nll = world(6, models=4000, noise=0.1)
    found = removal_effect(effects, kept, nll, k=5)
    top = np.sort(effects, axis=1)[:, -5:]
    others = np.sort(effects, axis=1)[:, :-5]
    beyond = top.sum(axis=1) - 5 * others.mean(axis=1)  # what comes in for what is out
    np.testing.assert_allclose(found.by_query, beyond, rtol=0.1)


def test_the_slope_agrees_with_the_sum_of_differences_and_has_less_variance() -> None:
    rng = np.random.default_rng(7)
    effects = np.concatenate([np.full(6, 0.5), np.zeros(94)])[None]
    slopes, sums = [], []
    for _ in range(400):
        kept = halves(24, 100, rng)
        nll = 5 - kept @ effects.T + 0.5 * rng.normal(size=(24, 1))
        slopes.append(removal_effect(effects, kept, nll, k=6).mean)
        sums.append(sum(nll[~kept[:, i]].mean() - nll[kept[:, i]].mean() for i in range(6)))
    expected = 6 * 0.5  # the others being zero
    error = np.std(slopes) / 20
    assert np.mean(slopes) == pytest.approx(expected, abs=4 * error)
    assert np.mean(sums) == pytest.approx(expected, abs=0.2)
    assert np.var(slopes) < np.var(sums)


def test_copies_that_leave_together_count_once() -> None:
    rng = np.random.default_rng(8)
    groups = np.concatenate([np.repeat(np.arange(20), 2), np.arange(20, 60)])
    kept = halves(3000, 60, rng)[:, groups]
    effect = np.zeros(60)
    effect[:5] = 1.0
    nll = -(kept[:, np.unique(groups, return_index=True)[1]] @ effect)[:, None]
    scores = effect[groups][None]
    found = removal_effect(scores, kept, nll, 10, groups)
    assert found.mean == pytest.approx(5, rel=0.12)  # five pairs of copies


def test_random_images_have_no_effect() -> None:
    effects, kept, nll = world(9, models=100)
    rng = np.random.default_rng(1)
    found = average([removal_effect(rng.random(effects.shape), kept, nll, 5) for _ in range(20)])
    assert found.low < 0 < found.high


@pytest.mark.parametrize("statistic", ["lds", "effect"])
@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_intervals_cover_what_they_should(statistic: str, shared: float) -> None:
    """New models *and* new queries each time; ``shared`` noise is a model's, for all queries."""
    estimates: list[Estimate] = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        quality = rng.uniform(0, 1, (8, 1))  # queries differ in how well they are attributed
        effects = rng.normal(0, 1, (8, 60))
        scores = quality * effects + (1 - quality) * rng.normal(0, 1, effects.shape)
        kept = halves(32, 60, rng)
        noise = 2 * rng.normal(0, 1, (32, 8)) + 4 * shared * rng.normal(0, 1, (32, 1))
        nll = -(kept @ effects.T) + noise
        function = lds if statistic == "lds" else removal_effect
        estimates.append(function(scores, kept, nll, *(() if function is lds else (5,))))
    truth = np.mean([e.mean for e in estimates])
    covered = np.mean([e.low <= truth <= e.high for e in estimates])
    assert 0.9 <= covered <= 0.99


def test_a_difference_is_sharper_than_its_parts() -> None:
    effects, kept, nll = world(10, models=48, noise=4)
    rng = np.random.default_rng(2)
    a = lds(effects + rng.normal(0, 0.3, effects.shape), kept, nll)
    b = lds(effects + rng.normal(0, 0.4, effects.shape), kept, nll)
    difference = a - b
    assert difference.mean == pytest.approx(a.mean - b.mean)
    assert difference.high - difference.low < 0.95 * (a.high - a.low)
    assert (a - a).interval() == (0, 0)


def test_a_query_that_the_bank_says_nothing_of_counts_nowhere() -> None:
    effects, kept, nll = world(11, models=6)
    scores = np.zeros_like(effects)
    scores[:, 0] = 1
    scores[0, :2] = 0, 1
    kept[:, 1] = True
    found = removal_effect(scores, kept, nll, 1)
    assert np.isnan(found.by_query[0])
    assert found.mean == pytest.approx(found.by_query[1:].mean())
    assert np.isfinite(found.interval()).all()
    assert average([found, found]).mean == pytest.approx(found.mean)
    kept[:] = True
    with pytest.raises(InputError, match="says nothing"):
        removal_effect(scores, kept, nll, 1)


def test_a_single_query_has_the_jackknifes_interval_over_models() -> None:
    effects, kept, nll = world(12, queries=1)
    found = lds(effects, kept, nll)
    models = len(kept)
    error = math.sqrt((models - 1) / models * ((found.without - found.without.mean()) ** 2).sum())
    reach = student.ppf(0.975, models - 1) * error
    assert found.interval() == pytest.approx((found.mean - reach, found.mean + reach))


def test_equal_scores_are_taken_in_order() -> None:
    assert best(np.array([[1.0, 2.0, 2.0, 2.0]]), 2).tolist() == [[1, 2]]
    with pytest.raises(InputError, match="top 5 of 4"):
        best(np.zeros((1, 4)), 5)


def test_what_cannot_be() -> None:
    effects, kept, nll = world(13)
    with pytest.raises(InputError, match="bank of 3 models"):
        lds(effects, kept[:3], nll[:3])
    with pytest.raises(ValueError, match="do not fit"):
        lds(effects, kept, nll.T)
    with pytest.raises(ValueError, match="bool"):
        lds(effects, kept.astype(int), nll)
