"""The vectorised feature metrics are scipy's, pair by pair."""

import numpy as np
import pytest
from scipy.spatial import distance
from scipy.special import rel_entr

from untrain.search import feature_metrics as module
from untrain.search.feature_metrics import FEATURE_METRICS, feature_metrics


def relu_features(count: int, d: int, seed: int) -> np.ndarray:
    """About half zeros, as the last map of a convolutional net."""
    normal = np.random.default_rng(seed).normal(size=(count, d))
    return np.maximum(normal, 0).astype(np.float32)


@pytest.mark.parametrize("d", [3, 1000])
def test_metrics_equal_scipy(d: int) -> None:
    e, f = relu_features(3, d, 0) + 0.01, relu_features(4, d, 1)
    found = feature_metrics(e, f)
    assert tuple(found) == FEATURE_METRICS
    x, y = e.astype(float), f.astype(float)
    expected = {
        "cosine": 1 - distance.cdist(x, y, "cosine"),
        "mse": distance.cdist(x, y, "sqeuclidean") / d,
        "kl": [[rel_entr(a, np.maximum(b, 1e-10)).sum() for b in y] for a in x],
        "manhattan": distance.cdist(x, y, "cityblock"),
        "minkowski": distance.cdist(x, y, "minkowski", p=2),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9, err_msg=name)


def test_kl_counts_nothing_where_the_generated_feature_is_zero() -> None:
    e, f = np.array([[0.0, 2.0]], np.float32), np.array([[5.0, 0.0]], np.float32)
    assert feature_metrics(e, f)["kl"].item() == pytest.approx(2 * np.log(2 / 1e-10))


@pytest.mark.parametrize("side", ["generated", "candidates"])
def test_kl_is_undefined_throughout_if_one_feature_is_negative(side: str) -> None:
    e, f = relu_features(2, 10, 0), relu_features(3, 10, 1)
    (e if side == "generated" else f)[1, 4] = -1e-3
    found = feature_metrics(e, f)
    assert np.isnan(found.pop("kl")).all()
    assert all(np.isfinite(values).all() for values in found.values())


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
