"""The nearest training image, and how near any other is for how crowded the place is."""

from __future__ import annotations

import numpy as np
import pytest

from untrain.search.neighbours import NEIGHBOURS, Nearest, nearest


def test_an_image_is_left_out_even_among_more_of_its_kind_than_are_looked_at() -> None:
    alike = np.tile(np.array([1.0, 2, 3], np.float32), (200, 1))
    own = np.arange(200)
    found = nearest(alike, alike, own=own)
    assert (found.position != own).all()
    assert (found.distance == 0).all() and (found.ratio == 1).all()


def test_copies_take_no_places_among_the_nearest() -> None:
    random = np.random.default_rng(0)
    train = random.random((80, 8)).astype(np.float32)
    rows = np.concatenate([np.arange(80), np.full(300, 17)])  # one of them 301 times
    query = train[17:18] + 0.01
    once, often = nearest(train, query), nearest(train, query, rows)
    assert once.position.tolist() == often.position.tolist() == [17]
    np.testing.assert_array_equal(once.ratio, often.ratio)


def test_any_image_is_set_against_the_same_neighbours() -> None:
    cosines = np.array([[0.9, 0.8, 0.7]])
    found = Nearest.among(np.array([4, 2]), np.array([0.9, 0.4]), cosines)
    assert found.distance == pytest.approx([0.1, 0.6])
    assert found.ratio == pytest.approx([0.5, 3])
    assert found.ratio[0] == Nearest.of(np.array([[4, 5, 6]]), cosines).ratio[0]
    same = Nearest.among(np.array([4]), np.array([1.0]), np.ones((1, NEIGHBOURS)))
    assert same.ratio.tolist() == [1]
