"""Two scores of the same images are held against each other."""

from __future__ import annotations

import numpy as np

from untrain.attribution.agreement import agreement, order, places

NAN = float("nan")


def test_the_same_scores_agree_whatever_their_scale() -> None:
    scores = np.array([3.0, 1.0, 2.0, 5.0])
    found = agreement(scores, 10 * scores - 4, 2)
    assert (found.both, found.k, found.images) == (2, 2, 4)
    assert found.rank_correlation == 1
    assert agreement(scores, -scores, 2).both == 0
    assert agreement(scores, -scores, 2).rank_correlation == -1


def test_images_without_a_score_have_no_place() -> None:
    scores = np.array([NAN, 1.0, 3.0, 3.0])
    assert order(scores).tolist() == [2, 3, 1]  # equal ones by position
    assert places(scores).tolist() == [0, 3, 1, 2]
    found = agreement(scores, np.array([9.0, NAN, 2.0, 1.0]), 10)
    assert (found.both, found.k, found.images) == (2, 3, 2)
    assert np.isnan(found.rank_correlation)  # two images have no order to speak of
    assert found.to_dict()["rank_correlation"] is None
    assert "undefined" in str(found)


def test_scores_that_are_all_alike_have_no_correlation() -> None:
    assert np.isnan(agreement(np.ones(5), np.arange(5.0), 2).rank_correlation)
