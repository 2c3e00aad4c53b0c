import pytest

import fidelity_intervals as intervals


def test_crossed_clusters_are_covered_better_than_if_they_were_independent():
    crossed, apart = intervals.coverage(3, 4, (0.0, 0.6, 0.3), draws=60)
    assert crossed > 0.8 > apart


def test_a_simulated_ladder_has_a_cluster_for_each_model_and_set():
    found = intervals.clusters(3, 4, (0, 0, 0), intervals.np.random.default_rng(0))
    assert len(found) == 12
    assert (found["error"] / found["base"]).tolist() == pytest.approx([intervals.RATIO] * 12)
