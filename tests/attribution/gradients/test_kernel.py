"""Scores from rows of gradients are those of a dense calculation in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from untrain.attribution.gradients import kernel
from untrain.attribution.gradients.kernel import (
    Rows,
    cosines,
    gram,
    inverse,
    products,
    regularised,
    remaining,
    solved,
)
from untrain.core.errors import InputError


def made(n: int, k: int, dtype: type = np.float32) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Return rows, the same in float64, and three queries."""
    draw = np.random.default_rng(0)
    stored = draw.standard_normal((n, k)).astype(dtype)
    scales = draw.uniform(1e-6, 1e3, n).astype(np.float32)
    queries = draw.standard_normal((3, k)).astype(np.float32)
    return Rows(stored, scales), stored.astype(np.float64) * scales[:, None], queries


@pytest.fixture(params=[1 << 26, 40], ids=["whole", "by parts"], autouse=True)
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "AT_ONCE", request.param)


@pytest.mark.parametrize("shape", [(9, 30), (30, 9), (12, 12)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("damping", [1e-3, 1.0, 1e4])
def test_the_regularised_kernel(shape: tuple[int, int], dtype: type, damping: float) -> None:
    rows, dense, queries = made(*shape, dtype)
    strength = damping * np.square(dense).sum(1).mean()
    middle = dense.T @ dense + strength * np.eye(shape[1])
    expected = queries @ np.linalg.solve(middle, dense.T)
    found = regularised(queries, rows, damping)
    assert found.dtype == np.float32 and found.shape == (3, shape[0])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    inverted = inverse(rows, damping)
    assert inverted.shape == (min(shape), min(shape))
    np.testing.assert_allclose(inverted, inverted.T)
    np.testing.assert_array_equal(solved(queries, rows, inverted), found)


@pytest.mark.parametrize("shape", [(9, 30), (30, 9)], ids=str)
def test_what_remains_is_one_less_the_leverage(shape: tuple[int, int]) -> None:
    rows, dense, _ = made(*shape)
    middle = dense.T @ dense + 0.5 * np.square(dense).sum(1).mean() * np.eye(shape[1])
    leverage = np.einsum("ik,kl,il->i", dense, np.linalg.inv(middle), dense)
    found = remaining(rows, inverse(rows, 0.5), 0.5)
    np.testing.assert_allclose(found, 1 - leverage, rtol=1e-3, atol=1e-4)


def test_products_cosines_and_gram() -> None:
    rows, dense, queries = made(9, 30)
    np.testing.assert_allclose(products(queries, rows), queries @ dense.T, rtol=1e-4, atol=1e-2)
    lengths = np.linalg.norm(dense, axis=1) * np.linalg.norm(queries, axis=1)[:, None]
    np.testing.assert_allclose(
        cosines(queries, rows), queries @ dense.T / lengths, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(gram(rows), dense @ dense.T, rtol=1e-4, atol=1)
    np.testing.assert_allclose(rows.squares(), np.square(dense).sum(1), rtol=1e-5)


def test_without_a_gradient_there_is_no_score() -> None:
    rows, _, queries = made(6, 20)
    rows.stored[2] = 0
    queries[1] = 0
    for found in (cosines(queries, rows), regularised(queries, rows, 0.1)):
        assert np.isfinite(found).all()
        assert (found[:, 2] == 0).all() and (found[1] == 0).all()
    nothing = Rows(np.zeros((6, 20), np.float32), np.ones(6, np.float32))
    assert (regularised(queries, nothing, 0.1) == 0).all()


def test_a_layer_has_its_own_part() -> None:
    rows, dense, queries = made(9, 30)
    part = slice(4, 11)
    np.testing.assert_allclose(
        products(queries[:, part], rows.of(part)), queries[:, part] @ dense[:, part].T, rtol=1e-3,
        atol=1e-2,
    )  # fmt: skip


@pytest.mark.parametrize("damping", [0, -1, float("nan")])
def test_damping_must_be_above_zero(damping: float) -> None:
    rows, _, queries = made(9, 30)
    with pytest.raises(InputError, match="expected a number above 0"):
        regularised(queries, rows, damping)
