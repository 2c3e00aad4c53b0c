import numpy as np
import pytest
from scipy import stats

from between_runs import between_runs, clustered_share


def test_clusters_that_agree_among_themselves_count_less():
    alone = clustered_share([1, 0, 1, 0] * 5, [1] * 20)
    exact = stats.binomtest(10, 20).proportion_ci()
    assert alone == pytest.approx((0.5, exact.low, exact.high), abs=0.01)
    share, low, high = clustered_share([10, 0, 10, 0], [10] * 4)
    assert share == 0.5
    assert high - low > 0.8  # four runs, not forty decisions
    assert clustered_share([0] * 10, [16] * 10) == pytest.approx((0, 0, 0.308), abs=0.001)


def test_spread_between_runs_beyond_their_errors():
    generator = np.random.default_rng(0)
    truth = 3 + 0.4 * generator.normal(size=4000)
    found = between_runs(truth + 0.3 * generator.normal(size=4000), [0.3] * 4000)
    assert found.mean == pytest.approx(3, abs=0.03)
    assert found.between == pytest.approx(0.4, abs=0.03)
    assert found.p_value < 1e-6
    same = between_runs([1.0, 1.0, 1.0], [0.1] * 3)
    assert (same.between, same.p_value) == (0.0, 1.0)
