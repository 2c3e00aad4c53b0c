"""The vectorised feature metrics are scipy's, pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import distance
from scipy.special import rel_entr

from untrain.search.compare import features as module
from untrain.search.compare.features import cosine, feature_metrics


def relu_features(count: int, d: int, seed: int) -> np.ndarray:
    """About half zeros, as the last map of a convolutional net."""
    normal = np.random.default_rng(seed).normal(size=(count, d))
    return np.maximum(normal, 0).astype(np.float32)


@pytest.mark.parametrize("d", [3, 1000])
def test_metrics_equal_scipy(d: int) -> None:
    e, f = relu_features(3, d, 0) + 0.01, relu_features(4, d, 1)
    found = feature_metrics(e, f)
    assert tuple(found) == ("cosine", "mse", "kl", "manhattan", "minkowski")
    x, y = e.astype(float), f.astype(float)
    expected = {
        "cosine": 1 - distance.cdist(x, y, "cosine"),
        "mse": distance.cdist(x, y, "sqeuclidean") / d,
        "kl": [[rel_entr(a, np.maximum(b, 1e-10)).sum() for b in y] for a in x],
        "manhattan": distance.cdist(x, y, "cityblock"),
        "minkowski": distance.cdist(x, y, "minkowski", p=2),
    }
    for name, values in expected.items():
        # OpenCV takes the difference of float32 in float32: at most half a unit of its last place.
        rtol = 1e-7 if name == "manhattan" else 1e-9
        np.testing.assert_allclose(found[name], values, rtol=rtol, err_msg=name)


def test_kl_counts_nothing_where_the_generated_feature_is_zero() -> None:
    e, f = np.array([[0.0, 2.0]], np.float32), np.array([[5.0, 0.0]], np.float32)
    assert feature_metrics(e, f)["kl"].item() == pytest.approx(2 * np.log(2 / 1e-10))


def test_kl_is_undefined_for_the_generated_picture_that_has_a_negative_feature() -> None:
    e, f = relu_features(2, 10, 0), relu_features(3, 10, 1)
    whole = feature_metrics(e, f)["kl"]
    e[1, 4] = -1e-3
    found = feature_metrics(e, f)
    assert np.isnan(found["kl"][1]).all()
    np.testing.assert_array_equal(found.pop("kl")[0], whole[0])
    assert all(np.isfinite(values).all() for values in found.values())


def test_a_negative_feature_of_a_candidate_counts_as_the_formula_has_it() -> None:
    e, f = np.array([[1.0, 2.0]], np.float32), np.array([[-3.0, 2.0], [1.0, 2.0]], np.float32)
    assert feature_metrics(e, f)["kl"][0] == pytest.approx([np.log(1 / 1e-10), 0])


def test_equal_features_are_at_no_distance_however_large() -> None:
    e = 1000 + relu_features(2, 500, 0)
    found = feature_metrics(e, e)
    for name in ("mse", "manhattan", "minkowski"):
        assert (np.diag(found[name]) == 0).all()
    np.testing.assert_allclose(np.diag(found["kl"]), 0, atol=1e-6)


def test_results_do_not_depend_on_how_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    e, f = relu_features(2, 100, 0), relu_features(3, 100, 1)
    whole = feature_metrics(e, f)
    monkeypatch.setattr(module, "BLOCK", 35)
    for name, values in feature_metrics(e, f).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-12)


def test_half_precision_is_taken_as_it_is_stored() -> None:
    e, f = relu_features(2, 50, 0).astype(np.float16), relu_features(3, 50, 1).astype(np.float16)
    expected = feature_metrics(e.astype(np.float32), f.astype(np.float32))
    for name, values in feature_metrics(e, f).items():
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_leaves_its_pairs_alone_undefined(bad: float) -> None:
    e, f = relu_features(2, 40, 0), relu_features(3, 40, 1)
    whole = feature_metrics(e, f)
    f[1, 7] = bad
    found = feature_metrics(e, f)
    for name, values in found.items():
        assert np.isnan(values[:, 1]).all()
        np.testing.assert_array_equal(values[:, [0, 2]], whole[name][:, [0, 2]])


def test_features_that_are_all_zero_have_no_cosine() -> None:
    e, f = np.zeros((1, 4), np.float32), relu_features(2, 4, 0)
    found = feature_metrics(e, f)
    assert np.isnan(found.pop("cosine")).all()
    assert all(np.isfinite(values).all() for values in found.values())
    assert np.isnan(cosine(e, f)).all()


def test_cosine_equals_scipy_and_leaves_infinity_undefined() -> None:
    e, f = relu_features(3, 30, 0) - 0.5, relu_features(4, 30, 1) - 0.5
    np.testing.assert_allclose(cosine(e, f), 1 - distance.cdist(e, f, "cosine"), rtol=1e-6)
    f[2, 3] = np.inf
    assert np.isnan(cosine(e, f)[:, 2]).all() and np.isfinite(cosine(e, f)[:, [0, 1, 3]]).all()


values = st.floats(0, 1000, width=32)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(arrays(np.float32, (4, 6), elements=values))
def test_distances_are_symmetric_and_obey_the_triangle(features: np.ndarray) -> None:
    found = feature_metrics(features, features)
    for name in ("mse", "manhattan", "minkowski"):
        np.testing.assert_array_equal(found[name], found[name].T)
    for name in ("manhattan", "minkowski"):
        d = found[name]
        assert (d[:, None] <= (d[:, :, None] + d[None]).min(axis=1)[:, None] * (1 + 1e-6)).all()
    cosines = found["cosine"][np.isfinite(found["cosine"])]
    assert (cosines >= 0).all() and (cosines <= 1 + 1e-12).all()


@settings(max_examples=50, derandomize=True, deadline=None)
@given(arrays(np.float32, (2, 5), elements=st.floats(-100, 100, width=32)))
def test_kl_is_a_number_unless_the_generated_picture_has_a_negative_feature(
    features: np.ndarray,
) -> None:
    kl = feature_metrics(features[:1], features[1:])["kl"]
    assert np.isfinite(kl).all() == (features[0] >= 0).all()
