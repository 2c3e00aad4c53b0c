"""Fréchet and kernel distances: closed forms, no bias, and floors of real against real."""

from __future__ import annotations

import numpy as np
import pytest

from untrain.evaluation.quality.distances import distances, frechet_distance, kernel_distance


def standard(n: int, d: int, seed: int) -> np.ndarray:
    """Return rows whose mean is exactly 0 and whose covariance is exactly the identity."""
    x = np.random.default_rng(seed).normal(size=(n, d))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def test_frechet_distance_of_normals_is_that_of_the_closed_form() -> None:
    x, y = standard(200, 3, 0), standard(150, 3, 1)
    one, two = x * [1, 2, 3] + [0, 0, 1], y * [2, 2, 1] - [0, 1, 0]
    # Axes in common: squares of the differences of means and of standard deviations.
    assert frechet_distance(one, two) == pytest.approx((1 + 1) + (1 + 0 + 4))
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    assert frechet_distance(one @ turn, two @ turn) == pytest.approx(7)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_without_common_axes() -> None:
    first, second = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[5.0, 0.0], [0.0, 1.0]])
    one = standard(50, 2, 0) @ np.linalg.cholesky(first).T
    two = standard(60, 2, 1) @ np.linalg.cholesky(second).T
    # The root of a 2 × 2 matrix has the trace √(trace + 2 √determinant).
    product = first @ second
    trace = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    assert frechet_distance(one, two) == pytest.approx(4 + 6 - 2 * trace)


def test_kernel_distance_is_unbiased() -> None:
    random = np.random.default_rng(0)
    found = [
        kernel_distance(random.normal(size=(12, 4)), random.normal(size=(9, 4)))
        for _ in range(2000)
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert min(found) < 0


def test_kernel_distance_by_hand() -> None:
    one, two = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    # Within: (0·1 + 1)³ and (1·2 + 1)³; between: 1, 1, 2³, 3³.
    assert kernel_distance(one, two) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def kinds_and_features(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    random = np.random.default_rng(seed)
    kinds = random.choice(["a", "b"], n)
    return list(kinds), random.normal(size=(n, 6)) + 3.0 * (kinds == "b")[:, None]


def test_real_pictures_are_as_near_as_the_floor_and_others_are_not() -> None:
    kinds, drawn = kinds_and_features(60, 0)
    real_kinds, real = kinds_and_features(600, 1)
    found = distances(drawn, kinds, real, real_kinds)
    assert found is not None
    assert found["frechet"] < 1.5 * found["frechet_floor_high"]
    assert found["pictures"] == 60
    off = distances(drawn + 2, kinds, real, real_kinds)
    same = distances(np.repeat(drawn[:1], 60, 0), kinds, real, real_kinds)
    assert off is not None
    assert same is not None
    for each in (off, same):
        assert each["frechet"] > 3 * each["frechet_floor_high"]
        assert each["kernel"] > each["kernel_floor_high"]


def test_kinds_are_compared_with_real_pictures_of_the_same_kinds() -> None:
    real_kinds, real = kinds_and_features(600, 1)
    drawn = np.random.default_rng(3).normal(size=(40, 6))  # all of them "a"
    found = distances(drawn, ["a"] * 40, real, real_kinds)
    assert found is not None
    assert found["frechet"] < 2 * found["frechet_floor_high"]


def test_too_few_real_pictures_of_a_kind_leave_pictures_out() -> None:
    real_kinds, real = kinds_and_features(20, 1)
    drawn = np.zeros((30, 6))
    assert distances(drawn, ["c"] * 30, real, real_kinds) is None
    found = distances(drawn, ["a"] * 15 + ["b"] * 15, real, real_kinds)
    assert found is not None
    assert found["pictures"] <= 10
